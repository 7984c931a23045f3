/* room: forecast */
/* test_forecast.c - dates, tables, parts, periods, moments of windows, least squares, backtests, files. */
#include "forecast_fixture.h"

#include "forecast/options.h"

/* ---- dates ---- */

static void check_date(const char *text, const char *next, const ln__spacing *s)
{
    ln__date d;
    ln__date_style style;
    char buf[64];
    if (!ln__date_read(&d, &style, text))
        fail_msg("'%s' is a date", text);
    assert_string_equal(ln__date_text(buf, sizeof buf, d, &style), text);
    if (next)
        assert_string_equal(ln__date_text(buf, sizeof buf, ln__spacing_next(s, d), &style), next);
}

static void test_dates(void **state)
{
    (void)state;
    const ln__spacing day = { LN__EVERY_SECONDS, 86400, false, 0 }, half = { LN__EVERY_SECONDS, 1800, false, 0 };
    const ln__spacing week = { LN__EVERY_WEEKDAY, 0, false, 0 }, end = { LN__EVERY_MONTHS, 1, true, 0 };
    const ln__spacing quarter = { LN__EVERY_MONTHS, 3, false, 31 };
    check_date("2016-02-28", "2016-02-29", &day);
    check_date("1900-02-28", "1900-03-01", &day);
    check_date("2000/12/31", "2001/01/01", &day);
    check_date("1969-12-31T23:45", "1970-01-01T00:15", &half);
    check_date("2016-07-01 23:30:00", "2016-07-02 00:00:00", &half);
    check_date("2026-11-20", "2026-11-23", &week); /* a Friday */
    check_date("2024-01-31", "2024-02-29", &end);
    check_date("2023-11-30", "2024-02-29", &quarter);
    check_date("2023-12", "2024-01", &(ln__spacing){ LN__EVERY_MONTHS, 1, false, 1 });
    const char *const not [] = {
        "",        "2016",     "2016-13-01",       "2015-02-29", "2016-1-1", "2016-01-01 25:00", "2016-01-01x",
        "2016.07", "16-01-01", "2016-01-01 12:61", "2016-01/01"
    };
    for (int i = 0; i < LN_COUNT(not ); i++) {
        ln__date d;
        ln__date_style style;
        if (ln__date_read(&d, &style, not [i]))
            fail_msg("'%s' is no date", not [i]);
    }
}

static void spacing(const char *const *texts, int n, const char *want, int64_t want_bad)
{
    ln__date dates[8];
    ln__date_style style;
    ln__spacing s;
    int64_t bad;
    char buf[64];
    for (int i = 0; i < n; i++)
        assert_true(ln__date_read(&dates[i], &style, texts[i]));
    ln__spacing_find(&s, &bad, dates, n);
    assert_int_equal(bad, want_bad);
    if (want)
        assert_string_equal(ln__spacing_text(buf, sizeof buf, &s), want);
}

static void test_spacings(void **state)
{
    (void)state;
    spacing((const char *[]){ "2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04" }, 4, "1 day", -1);
    spacing((const char *[]){ "2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07" }, 4, "every weekday", -1);
    spacing((const char *[]){ "2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30" }, 4, "1 month", -1);
    spacing((const char *[]){ "2020-01-15", "2020-04-15", "2020-07-15" }, 3, "3 months", -1);
    spacing((const char *[]){ "2020-01-01 00:00", "2020-01-01 00:15", "2020-01-01 00:30" }, 3, "15 minutes", -1);
    spacing((const char *[]){ "2020-01-01", "2020-01-08", "2020-01-15" }, 3, "1 week", -1);
    spacing((const char *[]){ "2020-02-01", "2020-02-02", "2020-02-04" }, 3, "1 day", 2);
    spacing((const char *[]){ "2020-01-02", "2020-01-01" }, 2, NULL, 1);
}

/* ---- tables ---- */

static ln_status read_text(ln__series *s, const char *text, const ln_forecast_opts *o)
{
    const char *path = scratch("table.csv");
    write_bytes(path, text, strlen(text));
    *s = (ln__series){ 0 };
    return ln__series_read(s, path, o);
}

static void refused(const char *text, ln_status code, const char *message, const ln_forecast_opts *o)
{
    ln__series s;
    const int64_t live = ln__test_live();
    assert_fails(read_text(&s, text, o), code, message);
    ln__series_free(&s);
    assert_int_equal(ln__test_live(), live);
}

static void test_tables(void **state)
{
    (void)state;
    ln_forecast_opts o = small_job(0, 1, 0);
    ln__series s;
    assert_ok(read_text(&s, "a,when,\"b,c\"\n1,2020-01-01,2\n3,2020-01-02,4\n", &o));
    assert_true(s.dated && s.rows == 2 && s.channels == 2 && s.x[3] == 4);
    assert_string_equal(s.names[1], "b,c");
    const double next[] = { 5, 6.5, 7, 8 };
    const char *path = scratch("next.csv");
    assert_ok(ln__series_write_next(&s, path, next, 2));
    assert_string_equal(read_back(path), "when,a,\"b,c\"\n2020-01-03,5,6.5\n2020-01-04,7,8\n");
    ln__series_free(&s);
    assert_ok(read_text(&s, "1,2\n3,4\n5,6\n", &o)); /* no header, no dates */
    assert_true(!s.dated && s.rows == 3 && s.channels == 2);
    assert_string_equal(s.names[0], "1");
    ln__series_free(&s);
    o.date = "none";
    refused("t,x\n2020-01-01,1\n2020-01-02,2\n", LN_ERR_FORMAT, "line 2, column 't': '2020-01-01' is not a finite", &o);
    o.date = "when";
    refused("t,x\n1,1\n", LN_ERR_NOTFOUND, "--date when", &o);
    o.date = NULL;
    refused("t,x\n2020-01-01,1\n2020-01-02,2\n2020-01-04,2\n", LN_ERR_FORMAT,
            "row 3 of the data: date 2020-01-04, expected 2020-01-03 (spacing so far: 1 day)", &o);
    refused("t,x\n2020-01-01,1\nsoon,2\n", LN_ERR_FORMAT, "line 3, column 't': 'soon' is no date", &o);
    refused("a,b\n1,2\n3,\n", LN_ERR_NUMERIC, "line 3, column 'b': a missing value", &o);
    refused("a,b\n1,2\n3,inf\n", LN_ERR_FORMAT, "line 3, column 'b': 'inf'", &o);
    refused("a,b\n", LN_ERR_FORMAT, "a header and no rows", &o);
    refused("t\n2020-01-01\n", LN_ERR_FORMAT, "no column of numbers", &o);
}

static void test_filling(void **state)
{
    (void)state;
    ln_forecast_opts o = small_job(0, 1, 0);
    ln__series s;
    static const char text[] = "a,b\nNA,1\n2,NA\nNA,NA\n5,7\n,8\n";
    static const double previous[] = { 2, 1, 2, 1, 2, 1, 5, 7, 5, 8 }, linear[] = { 2, 1, 2, 3, 3.5, 5, 5, 7, 5, 8 };
    o.fill = LN_FILL_PREVIOUS;
    assert_ok(read_text(&s, text, &o));
    assert_int_equal(s.filled, 5);
    for (int i = 0; i < 10; i++)
        assert_true(s.x[i] == previous[i]);
    ln__series_free(&s);
    o.fill = LN_FILL_LINEAR;
    assert_ok(read_text(&s, text, &o));
    for (int i = 0; i < 10; i++)
        assert_true(fabs(s.x[i] - linear[i]) < 1e-15);
    ln__series_free(&s);
    refused("a,b\n1,NA\n2,NA\n", LN_ERR_NUMERIC, "column 'b' has no value at all", &o);
}

static void test_splits(void **state)
{
    (void)state;
    ln__split s;
    assert_ok(ln__split_of(&s, 17420, "auto", "x/ETTh1.csv"));
    assert_true(s.train == 8640 && s.valid == 11520 && s.test == 14400);
    assert_ok(ln__split_of(&s, 7588, "auto", "exchange.txt"));
    assert_true(s.train == 5311 && s.valid == 5311 + 760 && s.test == 7588);
    assert_fails(ln__split_of(&s, 100, "etth", NULL), LN_ERR_SHAPE, "needs 14400 rows, there are 100");
    assert_fails(ln__split_of(&s, 100, "0.5,0.2", NULL), LN_ERR_ARG, "three fractions");
    assert_fails(ln__split_of(&s, 100, "0.5,0.2,0.2", NULL), LN_ERR_ARG, "sum to 0.9");
}

static void test_period(void **state)
{
    (void)state;
    uint64_t seed = 5;
    double *x = waves(2000, 3, 24, 0.2, 9), *walk = num_alloc(2000, sizeof *walk);
    for (int i = 1; i < 2000; i++)
        walk[i] = walk[i - 1] + num_next(&seed);
    ln_tensor *a = tensor_of(x, 2000, 3), *b = tensor_of(walk, 2000, 1);
    int64_t period = 0;
    double acf[30];
    assert_ok(ln_forecast_period(&period, acf, 30, a));
    assert_int_equal(period, 24);
    assert_true(fabs(acf[0] - 1) < 1e-12 && acf[24] > acf[23] && acf[24] > acf[25]);
    assert_ok(ln_forecast_period(&period, NULL, 0, b));
    assert_int_equal(period, 1);
    ln_tensor_release(a);
    ln_tensor_release(b);
    free(x);
    free(walk);
}

/* ---- moments and least squares ---- */

static void test_moments(void **state)
{
    (void)state;
    static const int64_t shapes[][4] = {
        { 5, 3, 11, 2 }, { 24, 7, 90, 3 }, { 31, 40, 1, 1 }, { 2, 1, 33, 4 }, { 300, 20, 50, 1 }
    };
    for (int i = 0; i < LN_COUNT(shapes); i++)
        for (int level = 0; level < 4; level++) {
            const int64_t L = shapes[i][0], H = shapes[i][1], W = shapes[i][2], C = shapes[i][3], n = L + H;
            double *x = waves(W + n - 1, C, 7, 1, 3);
            ln__moments fast = { 0 }, slow = { 0 };
            assert_ok(ln__moments_make(&fast, x, C, W, L, H, (ln__level)level));
            assert_ok(ln__moments_reference(&slow, x, C, W, L, H, (ln__level)level));
            assert_true(num_diff_f64(fast.second, n, slow.second, n, n, n) < 1e-11);
            assert_true(num_diff_f64(fast.first, n, slow.first, n, 1, n) < 1e-11);
            assert_true(fabs(fast.zeroth / slow.zeroth - 1) < 1e-12 && fast.windows == slow.windows);
            ln__moments_free(&fast);
            ln__moments_free(&slow);
            free(x);
        }
}

/* Gradient of the penalised sum of squares at the solution of DLinear, by its own features [I-M; M] x. */
static void test_dlinear_optimum(void **state)
{
    (void)state;
    enum { L = 20, H = 4, ROWS = 400, C = 2 };
    double *x = waves(ROWS, C, 6, 0.4, 1);
    ln_tensor *t = tensor_of(x, ROWS, C);
    ln_forecast_opts o = small_job(L, H, 6);
    ln__dlinear_opts own = { sizeof own, 1e-2, 5 };
    ln_forecaster *f = NULL;
    ln_forecast_report r = { .struct_size = sizeof r };
    assert_ok(ln_forecaster_fit(&f, &ln__system_forecast_dlinear, t, &o, &own, &r));
    const double *ws[2] = { ln__forecast_weight_of(f, "Linear_Seasonal.weight")->data,
                            ln__forecast_weight_of(f, "Linear_Trend.weight")->data };
    const double *bs = ln__forecast_weight_of(f, "Linear_Seasonal.bias")->data;
    double g[2][H][L] = { { { 0 } } }, gb[H] = { 0 }, top = 0, power = 0;
    const int64_t W = r.windows_train;
    for (int64_t a = 0; a < W; a++)
        for (int c = 0; c < C; c++) {
            double z[L + H], part[2][L];
            for (int i = 0; i < L + H; i++)
                z[i] = (x[(a + i) * C + c] - f->mean[c]) / f->deviation[c];
            for (int i = 0; i < L; i++) {
                part[1][i] = 0;
                for (int k = -2; k <= 2; k++)
                    part[1][i] += z[i + k < 0 ? 0 : i + k >= L ? L - 1 : i + k] / 5;
                part[0][i] = z[i] - part[1][i];
                power += z[i] * z[i] / L;
            }
            for (int h = 0; h < H; h++) {
                double e = 2 * bs[h] - z[L + h]; /* the two biases are equal */
                for (int i = 0; i < L; i++)
                    e += ws[0][h * L + i] * part[0][i] + ws[1][h * L + i] * part[1][i];
                gb[h] += e;
                for (int k = 0; k < 2; k++)
                    for (int i = 0; i < L; i++)
                        g[k][h][i] += e * part[k][i];
            }
        }
    for (int h = 0; h < H; h++) {
        top = worse(top, fabs(gb[h]));
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < L; i++)
                top = worse(top, fabs(g[k][h][i] + own.ridge * power * ws[k][h * L + i]));
    }
    assert_true(top < 1e-8 * power);
    ln_forecaster_release(f);
    ln_tensor_release(t);
    free(x);
}

static void test_levels(void **state)
{
    (void)state;
    enum { ROWS = 500, C = 3 };
    double *x = waves(ROWS, C, 12, 0.1, 2), by_step[9];
    ln_tensor *t = tensor_of(x, ROWS, C);
    const ln_system *const systems[] = { &ln__system_forecast_linear, &ln__system_forecast_nlinear,
                                         &ln__system_forecast_dlinear, &ln__system_forecast_naive };
    for (int i = 0; i < LN_COUNT(systems); i++) {
        ln_forecast_opts o = small_job(i < 3 ? 30 : 12, 9, 12);
        ln_forecaster *f = NULL;
        ln_forecast_report r = { .struct_size = sizeof r };
        ln_forecast_score s = { .struct_size = sizeof s };
        double mae, mean = 0;
        assert_ok(ln_forecaster_fit(&f, systems[i], t, &o, NULL, &r));
        assert_int_equal(r.windows_test, 100 - 9 + 1);
        assert_int_equal(r.windows_valid, 50 - 9 + 1);
        assert_int_equal(r.windows_train, 350 - f->look_back - 9 + 1);
        assert_ok(ln_forecaster_backtest(&s, by_step, f, t, &o));
        assert_int_equal(s.windows, r.windows_test);
        const double want = mse_by_windows(f, x, 400 - f->look_back, s.windows, &mae);
        assert_true(fabs(s.mse - want) < 1e-5 * want && fabs(s.mae - mae) < 1e-5 * mae);
        for (int h = 0; h < 9; h++)
            mean += by_step[h] / 9;
        assert_true(fabs(mean - s.mse) < 1e-12);
        if (i < 3) /* the moments give the same error as the windows */
            assert_true(fabs(r.mse_train - mse_by_windows(f, x, 0, r.windows_train, NULL)) < 1e-9);
        ln_forecaster_release(f);
    }
    ln_tensor_release(t);
    free(x);
}

/* A pure period is forecast without error by seasonal naive; the map says how. */
static void test_naive(void **state)
{
    (void)state;
    double *x = num_alloc(200, sizeof *x);
    for (int i = 0; i < 200; i++)
        x[i] = (i % 7) * (i % 7) - 3.0 * (i % 7);
    ln_tensor *t = tensor_of(x, 200, 1), *map = NULL, *next = NULL;
    ln_forecast_opts o = small_job(0, 10, 0);
    ln_forecast_report r = { .struct_size = sizeof r };
    ln_forecast_score s = { .struct_size = sizeof s };
    ln_forecaster *f = NULL;
    assert_ok(ln_forecaster_fit(&f, &ln__system_forecast_naive, t, &o, NULL, &r));
    assert_true(r.period == 7 && r.period_found && f->look_back == 7);
    assert_ok(ln_forecaster_backtest(&s, NULL, f, t, &o));
    assert_true(s.mse < 1e-12);
    assert_ok(ln_forecaster_map(&map, f));
    const double *a = ln_tensor_cdata(map);
    for (int h = 0; h < 10; h++)
        for (int i = 0; i < 7; i++)
            assert_true(a[h * 7 + i] == (i == h % 7));
    assert_ok(ln_forecaster_predict(&next, f, t));
    for (int h = 0; h < 10; h++)
        assert_true(fabs(((const double *)ln_tensor_cdata(next))[h] - x[(200 + h) % 7 + 7 * 20]) < 1e-12);
    ln_tensor_release(map);
    ln_tensor_release(next);
    ln_tensor_release(t);
    ln_forecaster_release(f);
    free(x);
}

/* ---- jobs ---- */

static void write_table(const char *path, int rows)
{
    double *x = waves(rows, 2, 12, 0.1, 4);
    ln__date at = { 18000, 0 };
    const ln__date_style style = { '-', ' ', true, false, false };
    const ln__spacing hour = { LN__EVERY_SECONDS, 3600, false, 0 };
    char text[64];
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "time,load,wind\n");
    for (int i = 0; i < rows; i++, at = ln__spacing_next(&hour, at))
        fprintf(f, "%s,%.6f,%.6f\n", ln__date_text(text, sizeof text, at, &style), x[2 * i], x[2 * i + 1]);
    fclose(f);
    free(x);
}

static void test_save_and_apply(void **state)
{
    (void)state;
    const char *table = scratch("apply.csv"), *model = scratch("model"), *again = scratch("again");
    ln_forecast_opts o = small_job(24, 6, 0);
    ln_result *r = NULL;
    ln_job job = { .input = { table }, .inputs = 1, .out = model, .shared = &o };
    write_table(table, 300);
    assert_ok(ln_result_new(&r, "forecast", "dlinear"));
    assert_ok(ln_estimate(&ln__system_forecast_dlinear, &job, NULL, r));
    char *first = strdup(read_back(scratch("model/forecast.csv")));
    assert_non_null(first);
    assert_int_equal(strncmp(first, "time,load,wind\n2019-04-26 12:00,", 32), 0);
    job.model = model;
    job.out = again;
    assert_ok(ln_estimate(&ln__system_forecast_dlinear, &job, NULL, r));
    assert_string_equal(first, read_back(scratch("again/forecast.csv")));
    assert_int_equal(files_in(again), 1);
    free(first);
    job.out = NULL;
    assert_fails(ln_estimate(&ln__system_forecast_linear, &job, NULL, r), LN_ERR_FORMAT, "made by forecast dlinear");
    ln_result_free(r);
}

static void test_refusals(void **state)
{
    (void)state;
    double *x = waves(100, 2, 10, 0.1, 4);
    ln_tensor *t = tensor_of(x, 100, 2), *wide = tensor_of(x, 50, 4), *next = NULL;
    ln_forecaster *f = NULL;
    ln_forecast_opts o = small_job(0, 30, 0);
    const ln_system *s = &ln__system_forecast_linear;
    assert_fails(ln_forecaster_fit(NULL, s, t, &o, NULL, NULL), LN_ERR_ARG, "out");
    const ln_system other = { .name = "svd", .verb = "compress" };
    assert_fails(ln_forecaster_fit(&f, &other, t, &o, NULL, NULL), LN_ERR_ARG, "forecast");
    assert_fails(ln_forecaster_fit(&f, s, t, &o, NULL, NULL), LN_ERR_SHAPE, "the validation part has 10 rows");
    o.horizon = 3;
    o.look_back = 90;
    assert_fails(ln_forecaster_fit(&f, s, t, &o, NULL, NULL), LN_ERR_SHAPE, "the training part has 70 rows");
    o.look_back = 25;
    o.period = 10;
    assert_fails(ln_forecaster_fit(&f, &ln__system_forecast_naive, t, &o, NULL, NULL), LN_ERR_ARG,
                 "look-back 25 is not a multiple of period 10; try 20 or 30");
    o.look_back = 20;
    o.split = "half";
    assert_fails(ln_forecaster_fit(&f, s, t, &o, NULL, NULL), LN_ERR_ARG, "--split wants");
    o.split = "auto";
    ln__dlinear_opts even = { sizeof even, 0, 4 };
    assert_fails(ln_forecaster_fit(&f, &ln__system_forecast_dlinear, t, &o, &even, NULL), LN_ERR_RANGE, "kernel = 4");
    x[33] = NAN;
    assert_fails(ln_forecaster_fit(&f, s, t, &o, NULL, NULL), LN_ERR_NUMERIC, "series[16,1] is NaN");
    x[33] = 0;
    assert_null(f);
    assert_ok(ln_forecaster_fit(&f, s, t, &o, NULL, NULL));
    assert_fails(ln_forecaster_predict(&next, f, wide), LN_ERR_SHAPE, "2 channels");
    ln_forecaster_release(f);
    ln_tensor_release(t);
    ln_tensor_release(wide);
    free(x);
}

typedef struct want_of_memory {
    ln_tensor *series;
    char table[128];
    ln_forecast_opts o;
} want_of_memory;

static ln_status once(void *ctx)
{
    ln_status st = LN_OK;
    want_of_memory *w = ctx;
    ln_forecaster *f = NULL;
    ln_tensor *next = NULL, *map = NULL;
    ln_forecast_score s = { .struct_size = sizeof s, .mse = -1 };
    int64_t period = -1;
    LN_TRY(ln_forecast_period(&period, NULL, 0, w->series));
    LN_TRY(ln_forecaster_fit(&f, &ln__system_forecast_dlinear, w->series, &w->o, NULL, NULL));
    LN_TRY(ln_forecaster_backtest(&s, NULL, f, w->series, &w->o));
    LN_TRY(ln_forecaster_predict(&next, f, w->series));
    LN_TRY(ln_forecaster_map(&map, f));
done:
    assert_true(st == LN_OK || !map);
    assert_true(f || s.mse == -1);
    ln_tensor_release(next);
    ln_tensor_release(map);
    ln_forecaster_release(f);
    return st;
}

static ln_status job_once(void *ctx)
{
    want_of_memory *w = ctx;
    ln_job job = { .input = { w->table }, .inputs = 1, .out = scratch("torture"), .shared = &w->o, .force = 1 };
    const ln_status st = ln_estimate(&ln__system_forecast_nlinear, &job, NULL, NULL);
    assert_true(st == LN_OK || access(job.out, F_OK) != 0);
    return st;
}

static void test_want_of_memory(void **state)
{
    (void)state;
    double *x = waves(120, 2, 6, 0.1, 4);
    want_of_memory w = { .series = tensor_of(x, 120, 2), .o = small_job(12, 4, 0) };
    torture(once, &w);
    snprintf(w.table, sizeof w.table, "%s", scratch("torture.csv"));
    write_table(w.table, 100);
    torture(job_once, &w);
    ln_tensor_release(w.series);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_spacings),
        cmocka_unit_test_setup_teardown(test_tables, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(test_filling, make_scratch, remove_scratch),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_period),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_dlinear_optimum),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_naive),
        cmocka_unit_test_setup_teardown(test_save_and_apply, make_scratch, remove_scratch),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test_setup_teardown(test_want_of_memory, make_scratch, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
