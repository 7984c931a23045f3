/* room: factor */
/* test_connectome.c - affinities against a direct computation, recordings of several animals, and a planted motif that
 * comes back through the whole system with its communities and its time course. */
#include "numbers.h"

#include "core_test.h"
#include "factor/connectome.h"

static ln_connectome_opts defaults(void)
{
    ln_connectome_opts o;
    ln_params_defaults(ln_connectome_params(), &o);
    o.struct_size = sizeof o;
    return o;
}

static ln_tensor *random_traces(int64_t W, int64_t T, int64_t n, uint64_t seed)
{
    ln_tensor *t = NULL;
    OK(ln_tensor_new(&t, LN_F64, 3, (int64_t[]){ W, T, n }));
    double *x = ln_tensor_data(t);
    for (int64_t i = 0; i < W * T * n; i++)
        x[i] = num_next(&seed);
    return t;
}

/* d of one trace without smoothing, by the formula. */
static void plain_derivative(double *d, const double *x, int64_t stride, int64_t n)
{
    double lo = INFINITY, hi = -INFINITY, size[64];
    for (int64_t t = 0; t < n; t++) {
        lo = fmin(lo, x[t * stride]);
        hi = fmax(hi, x[t * stride]);
    }
    for (int64_t t = 0; t < n; t++) {
        const int64_t a = t > 0 ? t - 1 : 0, b = t + 1 < n ? t + 1 : n - 1;
        d[t] = (x[b * stride] - x[a * stride]) / (hi - lo) / (double)(b - a);
        size[t] = fabs(d[t]);
    }
    for (int64_t i = 0; i < n; i++) /* a simple sort */
        for (int64_t j = i + 1; j < n; j++)
            if (size[j] < size[i]) {
                const double keep = size[i];
                size[i] = size[j];
                size[j] = keep;
            }
    const double loud = size[(int64_t)(0.95 * (double)(n - 1))];
    for (int64_t t = 0; t < n; t++)
        d[t] = fmax(-1, fmin(1, d[t] / loud));
}

static void affinities_are_what_the_formula_says(void **state)
{
    (void)state;
    enum { W = 2, T = 40, N = 4, P = 6 };
    ln_tensor *x = random_traces(W, T, N, 7), *a = NULL, *mask = NULL;
    ln_connectome_opts o = defaults();
    o.smooth = o.smooth_affinity = 0;
    for (int kind = 0; kind < 4; kind++)
        for (int joined = 0; joined < 2; joined++) {
            o.kind = kind;
            o.joined = joined;
            OK(ln_connectome_affinity(&a, &mask, x, &o));
            assert_null(mask);
            assert_int_equal(ln_tensor_dim(a, 0), P);
            assert_int_equal(ln_tensor_dim(a, 1), joined ? W * T : T);
            double d[N][T], worst = 0;
            const float *got = ln_tensor_cdata(a);
            for (int64_t w = 0; w < W; w++) {
                int64_t p = 0;
                for (int64_t i = 0; i < N; i++)
                    plain_derivative(d[i], (const double *)ln_tensor_cdata(x) + w * T * N + i, N, T);
                for (int64_t i = 0; i < N; i++)
                    for (int64_t j = i + 1; j < N; j++, p++)
                        for (int64_t t = 0; t < T; t++) {
                            const double u = d[i][t], v = d[j][t], both = u * v;
                            const double want = kind == LN_AFFINITY_ABS    ? sqrt(fabs(both))
                                                : both <= 0                ? 0
                                                : kind == LN_AFFINITY_GEO  ? sqrt(both)
                                                : kind == LN_AFFINITY_PROD ? both
                                                                           : fmin(fabs(u), fabs(v));
                            const int64_t at = joined ? (p * W + w) * T + t : (p * T + t) * W + w;
                            worst = worse(worst, fabs(got[at] - want));
                        }
            }
            assert_true(worst < 1e-6);
            ln_tensor_release(a);
            a = NULL;
        }
    ln_tensor_release(x);
}

/* Weighted mean over the neighbours within four deviations, straight from the formula. */
static double gaussian_mean(const double *x, int64_t stride, int64_t n, int64_t at, double sigma)
{
    double sum = 0, mass = 0;
    for (int64_t t = 0; t < n; t++) {
        const double away = (double)(t - at);
        if (fabs(away) > 4 * sigma)
            continue;
        sum += exp(-away * away / (2 * sigma * sigma)) * x[t * stride];
        mass += exp(-away * away / (2 * sigma * sigma));
    }
    return sum / mass;
}

static void smoothing_and_thinning(void **state)
{
    (void)state;
    enum { T = 50, N = 3 };
    ln_tensor *x = random_traces(1, T, N, 9), *a = NULL, *mask = NULL, *b = NULL;
    ln_connectome_opts o = defaults();
    OK(ln_connectome_affinity(&a, &mask, x, &o));
    double calm[N][T], d[N][T], geo[T], worst = 0;
    for (int64_t i = 0; i < N; i++) {
        for (int64_t t = 0; t < T; t++)
            calm[i][t] = gaussian_mean((const double *)ln_tensor_cdata(x) + i, N, T, t, o.smooth * o.rate);
        plain_derivative(d[i], calm[i], 1, T);
    }
    for (int64_t i = 0, p = 0; i < N; i++)
        for (int64_t j = i + 1; j < N; j++, p++) {
            for (int64_t t = 0; t < T; t++)
                geo[t] = sqrt(fmax(d[i][t] * d[j][t], 0));
            for (int64_t t = 0; t < T; t++)
                worst = worse(worst, fabs(((const float *)ln_tensor_cdata(a))[p * T + t] -
                                          gaussian_mean(geo, 1, T, t, o.smooth_affinity * o.rate)));
        }
    assert_true(worst < 1e-6);
    o.samples = 17; /* every third */
    OK(ln_connectome_affinity(&b, &mask, x, &o));
    assert_int_equal(ln_tensor_dim(b, 1), 17);
    for (int64_t p = 0; p < 3; p++)
        for (int64_t s = 0; s < 17; s++)
            assert_true(((const float *)ln_tensor_cdata(b))[p * 17 + s] ==
                        ((const float *)ln_tensor_cdata(a))[p * T + 3 * s]);
    ln_tensor_release(a);
    ln_tensor_release(b);
    ln_tensor_release(x);
}

static void missing_neurons_are_masked_and_gaps_refused(void **state)
{
    (void)state;
    enum { T = 20, N = 3 };
    ln_tensor *x = random_traces(2, T, N, 5), *a = NULL, *mask = NULL;
    double *v = ln_tensor_data(x);
    for (int64_t t = 0; t < T; t++)
        v[(T + t) * N + 1] = NAN; /* neuron 1 of animal 1 */
    OK(ln_connectome_affinity(&a, &mask, x, NULL));
    assert_non_null(mask);
    const unsigned char *m = ln_tensor_cdata(mask);
    for (int64_t p = 0; p < 3; p++) /* pairs 01, 02, 12 */
        for (int64_t t = 0; t < T; t++) {
            assert_int_equal(m[(p * T + t) * 2], 1);
            assert_int_equal(m[(p * T + t) * 2 + 1], p == 1);
        }
    ln_tensor_release(a);
    ln_tensor_release(mask);
    a = mask = NULL;
    v[5 * N] = NAN;
    assert_fails(ln_connectome_affinity(&a, &mask, x, NULL), LN_ERR_NUMERIC, "animal 0, neuron 0, sample 5");
    ln_connectome_opts o = defaults();
    o.rate = 0;
    assert_fails(ln_connectome_affinity(&a, &mask, x, &o), LN_ERR_RANGE, "rate");
    assert_null(a);
    ln_tensor_release(x);
}

/* ---- recordings ---- */

static void write_text(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

static void animals_meet_on_their_names(void **state)
{
    (void)state;
    ln_job job = { 0 };
    ln__traces t = { 0 };
    ln_connectome_opts o = defaults();
    job.input[job.inputs++] = scratch("a.csv");
    job.input[job.inputs++] = scratch("b.csv");
    write_text(job.input[0], "A,B,C?,D,E\n1,2,3,4,9\n2,NA,4,5,8\n3,6,5,6,7\n4,8,6,8,6\n");
    write_text(job.input[1], "D,A,B,F\n1,5,9,1\n2,6,8,2\n3,7,7,3\n4,8,6,1\n");
    assert_fails(ln__traces_read(&t, &job, &o), LN_ERR_NUMERIC, "'B'");
    o.fill = 1;
    OK(ln__traces_read(&t, &job, &o));
    assert_int_equal(t.neurons, 3); /* A B D */
    assert_int_equal(t.dropped, 3); /* C? E F */
    assert_int_equal(t.bridged, 1);
    const double *x = ln_tensor_cdata(t.x);
    assert_string_equal(ln__names_get(&t.names, 2), "D");
    assert_true(x[1 * 3 + 1] == 4);       /* between 2 and 6 */
    assert_true(x[(4 + 0) * 3 + 0] == 5); /* A of the second animal */
    assert_true(x[(4 + 3) * 3 + 2] == 4); /* its D */
    ln__traces_free(&t);
    o.animals = 1;
    OK(ln__traces_read(&t, &job, &o));
    assert_int_equal(t.neurons, 5); /* with E and F */
    x = ln_tensor_cdata(t.x);
    assert_true(isnan(x[4 * 5 + ln__names_find(&t.names, "E", 1)]));
    ln__traces_free(&t);
    o.names = "one.csv";
    assert_fails(ln__traces_read(&t, &job, &o), LN_ERR_ARG, "--names lists 1");
    o.names = NULL;
    write_text(job.input[1], "D,A,B,F\n1,5,9,1\n2,6,8,2\n3,7,7,3\n4,8,6,1\n5,6,7,8\n");
    assert_fails(ln__traces_read(&t, &job, &o), LN_ERR_SHAPE, "5 samples");
}

static void names_come_from_a_table(void **state)
{
    (void)state;
    ln_job job = { .inputs = 1 };
    ln__traces t = { 0 };
    ln_connectome_opts o = defaults();
    char names[128];
    job.input[0] = scratch("n.csv");
    write_text(job.input[0], "1,2,3,4,5\n2,4,9,5,4\n3,6,5,6,3\n4,8,6,8,2\n");
    snprintf(names, sizeof names, "%s", scratch("names.csv"));
    o.names = names;
    write_text(names, "column,label,confidence\n0,P,2\n1,Q,3\n2,P,5\n3,,\n4,R,1\n");
    OK(ln__traces_read(&t, &job, &o));
    assert_int_equal(t.neurons, 3);
    assert_true(((const double *)ln_tensor_cdata(t.x))[3] == 9); /* the surer P */
    ln__traces_free(&t);
    write_text(names, "column,label\n0,P\n1,Q\n2,P\n3,\n4,R\n");
    assert_fails(ln__traces_read(&t, &job, &o), LN_ERR_FORMAT, "'P' is there twice");
    write_text(names, "column,label\n0,P\n");
    assert_fails(ln__traces_read(&t, &job, &o), LN_ERR_SHAPE, "1 names, the recording has 5");
    o.label = "cell";
    assert_fails(ln__traces_read(&t, &job, &o), LN_ERR_NOTFOUND, "no column 'cell'");
}

/* ---- all of it ---- */

/* Neurons 0 … 11 swing together in the first half of the time, 12 … 23 in the second; the rest is noise. */
static void write_motifs(const char *path, uint64_t seed)
{
    enum { N = 24 };
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < N; i++)
        fprintf(f, "N%d%c", i, i < N - 1 ? ',' : '\n');
    for (int t = 0; t < 200; t++)
        for (int i = 0; i < N; i++) {
            const bool on = (t < 100) == (i < N / 2);
            fprintf(f, "%.6f%c", (on ? sin(0.6 * t) : 0) + 0.02 * num_next(&seed), i < N - 1 ? ',' : '\n');
        }
    assert_int_equal(fclose(f), 0);
}

static void planted_motifs_come_back(void **state)
{
    (void)state;
    ln_job job = { .inputs = 2, .out = scratch("motifs") };
    ln_connectome_opts o = defaults();
    ln_result *r = NULL;
    job.input[0] = scratch("m1.csv");
    job.input[1] = scratch("m2.csv");
    write_motifs(job.input[0], 1);
    write_motifs(job.input[1], 2);
    o.rank = 2;
    o.least = 0.2;
    o.correction = LN_SBM_PLAIN; /* given the degrees, 0 or 11, nothing is left to explain */
    OK(ln_result_new(&r, "connectome", "dynamic"));
    OK(ln_estimate(&ln__system_dynamic, &job, &o, r));
    char *text = NULL, file[512];
    OK(ln_result_write_text(&text, r, 0));
    /* a comma: another community; of one component the first neuron's comes first, of the other the stronger one's */
    const bool either = strstr(text, "N10 N11, N12 N13") || strstr(text, "N22 N23, N0 N1");
    assert_true(either);
    const char *first = strstr(text, "\"groups\":2"), *none = strstr(text, "\"groups\":1");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "\"groups\":2"));
    assert_null(none);
    ln_free(text);
    ln_result_free(r);
    static const char *const files[] = { "factors.safetensors", "partitions.json", "linnet.json", "component_1.graphml",
                                         "component_2.graphml" };
    for (int i = 0; i < 5; i++) {
        snprintf(file, sizeof file, "%s/%s", job.out, files[i]);
        if (access(file, R_OK) != 0)
            fail_msg("%s is missing", file);
    }
}

static bool has_curve(const ln_result *r, const char *name)
{
    char *text = NULL;
    OK(ln_result_write_text(&text, r, 0));
    const bool found = strstr(text, name) != NULL;
    ln_free(text);
    return found;
}

/* Three neurons have three pairs, so no more components are tried; core consistency is drawn only where it is one: not
 * for animals in a row (one column in the last mode), and not where neurons are missing. */
static void ranks_stop_where_the_model_is_exact(void **state)
{
    (void)state;
    enum { T = 30 };
    for (int c = 0; c < 4; c++) { /* one animal; two; two in a row; two with a neuron missing */
        ln_tensor *x = random_traces(c == 0 ? 1 : 2, T, 3, 8), *a = NULL, *mask = NULL;
        ln_connectome_opts o = defaults();
        ln_job job = { 0 };
        ln_result *r = NULL;
        int32_t rank = 0;
        o.joined = c == 2;
        for (int64_t t = 0; c == 3 && t < T; t++)
            ((double *)ln_tensor_data(x))[(T + t) * 3 + 1] = NAN;
        OK(ln_connectome_affinity(&a, &mask, x, &o));
        OK(ln_result_new(&r, "connectome", "dynamic"));
        OK(ln__connectome_rank(&rank, r, a, mask, &o, &job));
        assert_in_range(rank, 2, c == 0 || c == 2 ? 3 : 6);
        assert_true(has_curve(r, "explained variance"));
        assert_int_equal(has_curve(r, "core consistency"), c == 1);
        ln_result_free(r);
        ln_tensor_release(a), ln_tensor_release(mask), ln_tensor_release(x);
    }
    /* two neurons, one animal: one component is all there is */
    ln_tensor *x = random_traces(1, T, 2, 8), *a = NULL, *mask = NULL;
    ln_connectome_opts o = defaults();
    ln_job job = { 0 };
    ln_result *r = NULL;
    int32_t rank = 0;
    OK(ln_connectome_affinity(&a, &mask, x, &o));
    OK(ln_result_new(&r, "connectome", "dynamic"));
    OK(ln__connectome_rank(&rank, r, a, mask, &o, &job));
    assert_int_equal(rank, 1);
    ln_result_free(r);
    ln_tensor_release(a), ln_tensor_release(x);
}

static ln_status affinity_once(void *ctx)
{
    ln_tensor *a = NULL, *mask = NULL;
    const ln_status st = ln_connectome_affinity(&a, &mask, ctx, NULL);
    if (st != LN_OK) {
        assert_null(a);
        assert_null(mask);
    }
    ln_tensor_release(a);
    ln_tensor_release(mask);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    ln_tensor *x = random_traces(2, 12, 4, 3);
    double *v = ln_tensor_data(x);
    for (int64_t t = 0; t < 12; t++)
        v[t * 4] = NAN;
    torture(affinity_once, x);
    ln_tensor_release(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affinities_are_what_the_formula_says),
        cmocka_unit_test(smoothing_and_thinning),
        cmocka_unit_test(missing_neurons_are_masked_and_gaps_refused),
        cmocka_unit_test(animals_meet_on_their_names),
        cmocka_unit_test(names_come_from_a_table),
        cmocka_unit_test(planted_motifs_come_back),
        cmocka_unit_test(ranks_stop_where_the_model_is_exact),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("connectome", tests, make_scratch, remove_scratch);
}
