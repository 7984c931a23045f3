/* recipe_mixlinear.c - the table of the papers: MixLinear beside SparseTSF, FITS, DLinear, NLinear, Linear and
 * repeating, ETTh1 and exchange_rate, horizons 96 to 720, all test windows.
 *
 * Look-backs are those of the papers (MixLinear 720 with the published alpha and bins per horizon, SparseTSF 720, FITS
 * 360 with 6 harmonics, the rest 336); FITS has a rate of our own, for whole batches; on exchange_rate, for which none
 * are published, the defaults with period 24. Claims: the bands and orders of the specification for ETTh1, the ablation
 * of MixLinear's two paths at horizon 720, and that every system is below repeating the last row on ETTh1, while on
 * exchange_rate repeating is hard to beat: it is printed, not hidden. ETTh2 is not among the data, so nothing is
 * claimed of it. */
#include <math.h>
#include <string.h>

#include <linnet/estimator.h>
#include <linnet/forecast.h>

#include "core/file.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/result.h"
#include "recipe.h"

enum { SYSTEMS = 6, HORIZONS = 4, SETS = 2 };
enum { MIXLINEAR = 0, SPARSETSF, FITS, DLINEAR, NLINEAR, LINEAR };
static const char *const systems[SYSTEMS] = { "mixlinear", "sparsetsf", "fits", "dlinear", "nlinear", "linear" };
static const int64_t horizons[HORIZONS] = { 96, 192, 336, 720 };
static const struct {
    const char *name, *file;
    int64_t period;
} sets[SETS] = { { "ETTh1", "ett/ETTh1.csv", 24 }, { "exchange_rate", "exchange-rate/exchange_rate.txt.gz", 24 } };
/* The published scripts' alpha and bins on ETTh1, by horizon. */
static const char *const mix_alpha[HORIZONS] = { "0.95", "0.95", "0.99", "0.99" };
static const char *const mix_bins[HORIZONS] = { "1", "5", "2", "19" };

typedef struct cell {
    double mse, mae, seconds;
    int64_t windows, parameters;
} cell;

typedef struct table {
    cli_ctx *ctx;
    ln_result *result;
    char *path[SETS];
    int n_horizons, n_sets;
    cell at[SETS][HORIZONS][SYSTEMS], repeat[SETS][HORIZONS];
    double path_only[2]; /* mixlinear at 720 with alpha 1 and 0 */
    bool ablation;
    json_t *rows;
} table;

static double number_of(ln_result *r, const char *key)
{
    return json_number_value(json_object_get(ln__result_object(r), key));
}

/* One fit and backtest. `settings`: name, value, …, NULL. */
static ln_status measure(cell *out, cell *repeat, table *t, int set, int64_t horizon, const char *name,
                         const char *const *settings)
{
    ln_status st = LN_OK;
    const ln_system *system = ln_system_find("forecast", name);
    ln_result *r = NULL;
    void *opts = NULL;
    ln_forecast_opts shared;
    ln_params_defaults(ln_forecast_params(), &shared);
    shared.struct_size = sizeof shared;
    shared.horizon = horizon;
    shared.period = sets[set].period;
    ln_job job = { .input = { t->path[set] }, .inputs = 1, .shared = &shared, .seed = t->ctx->common.seed };
    job.progress = ln__progress_show;
    job.payload = &t->ctx->progress;
    const double started = ln__now();
    LN_TRY(ln__calloc(&opts, 1, system->opts_size));
    ln_params_defaults(system->params, opts);
    memcpy(opts, &system->opts_size, sizeof system->opts_size);
    for (int i = 0; settings && settings[i]; i += 2)
        LN_TRY(ln_params_set(system->params, opts, settings[i], settings[i + 1], name));
    LN_TRY(ln_result_new(&r, "forecast", name));
    LN_TRY(ln_estimate(system, &job, opts, r));
    *out = (cell){ number_of(r, "mse"), number_of(r, "mae"), ln__now() - started, (int64_t)number_of(r, "windows_test"),
                   (int64_t)number_of(r, "parameters") };
    if (repeat)
        *repeat = (cell){ number_of(r, "repeat_mse"), number_of(r, "repeat_mae"), 0, out->windows, 0 };
done:
    ln_result_free(r);
    ln__free(opts);
    return st;
}

static ln_status add_row(table *t, int set, int64_t horizon, const char *name, const cell *c)
{
    ln__progress_end(&t->ctx->progress);
    cli_say(t->ctx, "%-14s %5lld  %-10s %8.4f %8.4f %9lld %8lld %9.2f s\n", sets[set].name, (long long)horizon, name,
            c->mse, c->mae, (long long)c->windows, (long long)c->parameters, c->seconds);
    fflush(stdout);
    return ln__json_append(t->rows, json_pack("{s:s,s:I,s:s,s:f,s:f,s:I,s:I,s:f}", "data", sets[set].name, "horizon",
                                              (json_int_t)horizon, "system", name, "mse", c->mse, "mae", c->mae,
                                              "windows", (json_int_t)c->windows, "parameters",
                                              (json_int_t)c->parameters, "seconds", c->seconds));
}

static ln_status run_row(table *t, int set, int h)
{
    ln_status st = LN_OK;
    for (int s = 0; s < SYSTEMS; s++) {
        const char *const published[] = { "alpha", mix_alpha[h], "bins", mix_bins[h], NULL };
        LN_TRY(measure(&t->at[set][h][s], &t->repeat[set][h], t, set, horizons[h], systems[s],
                       s == MIXLINEAR && set == 0 ? published : NULL));
        LN_TRY(add_row(t, set, horizons[h], systems[s], &t->at[set][h][s]));
    }
    LN_TRY(add_row(t, set, horizons[h], "repeat", &t->repeat[set][h]));
done:
    return st;
}

static ln_status ablation(table *t)
{
    ln_status st = LN_OK;
    const char *const only[2][5] = { { "alpha", "1", "bins", "19", NULL }, { "alpha", "0", "bins", "19", NULL } };
    const char *const names[] = { "time only", "freq. only" };
    for (int k = 0; k < 2; k++) {
        cell c;
        LN_TRY(measure(&c, NULL, t, 0, 720, "mixlinear", only[k]));
        LN_TRY(add_row(t, 0, 720, names[k], &c));
        t->path_only[k] = c.mse;
    }
    t->ablation = true;
done:
    return st;
}

/* ---- what is claimed ---- */

static ln_status check(table *t, const char *name, const char *claim, const char *relation, const ln_measure *m, int n,
                       bool holds)
{
    return ln_result_check(t->result, name, claim, relation, m, n, holds);
}

static ln_status check_96(table *t)
{
    ln_status st = LN_OK;
    const cell *c = t->at[0][0];
    const ln_measure m[] = { { "mixlinear", c[MIXLINEAR].mse }, { "sparsetsf", c[SPARSETSF].mse },
                             { "nlinear", c[NLINEAR].mse },     { "dlinear", c[DLINEAR].mse },
                             { "fits", c[FITS].mse },           { "repeat", t->repeat[0][0].mse } };
    LN_TRY(check(t, "etth1_96_mixlinear", "ETTh1, 96 ahead: MixLinear's error is in its band",
                 "0.345 <= mixlinear <= 0.36", m, 1, m[0].value >= 0.345 && m[0].value <= 0.36));
    LN_TRY(check(t, "etth1_96_sparsetsf", "ETTh1, 96 ahead: SparseTSF's error is in its band",
                 "0.355 <= sparsetsf <= 0.37", m + 1, 1, m[1].value >= 0.355 && m[1].value <= 0.37));
    LN_TRY(check(t, "etth1_96_nlinear",
                 "ETTh1, 96 ahead: NLinear in closed form is no worse than trained (0.37 to 0.39)", "nlinear <= 0.39",
                 m + 2, 1, m[2].value <= 0.39));
    LN_TRY(check(t, "etth1_96_order", "ETTh1, 96 ahead: MixLinear <= SparseTSF <= NLinear << repeating",
                 "mixlinear <= sparsetsf <= nlinear, 3 nlinear <= repeat", m, 6,
                 m[0].value <= m[1].value && m[1].value <= m[2].value && 3 * m[2].value <= m[5].value));
    LN_TRY(check(t, "etth1_96_dlinear", "ETTh1, 96 ahead: DLinear solved is no worse than trained (published 0.375)",
                 "dlinear <= 0.375", m + 3, 1, m[3].value <= 0.375));
done:
    return st;
}

static ln_status check_720(table *t)
{
    ln_status st = LN_OK;
    const int last = t->n_horizons - 1;
    const cell *c = t->at[0][last];
    if (horizons[last] != 720)
        return LN_OK;
    const ln_measure m[] = { { "mixlinear", c[MIXLINEAR].mse },
                             { "sparsetsf", c[SPARSETSF].mse },
                             { "dlinear", c[DLINEAR].mse },
                             { "time_only", t->path_only[0] },
                             { "frequency_only", t->path_only[1] } };
    LN_TRY(check(t, "etth1_720_bands",
                 "ETTh1, 720 ahead: MixLinear and SparseTSF are no worse than the specification's band, 0.42 to 0.44",
                 "mixlinear, sparsetsf <= 0.44", m, 2, m[0].value <= 0.44 && m[1].value <= 0.44));
    LN_TRY(check(t, "etth1_720_small", "ETTh1, 720 ahead: the small models are below DLinear",
                 "mixlinear < dlinear, sparsetsf < dlinear", m, 3, m[0].value < m[2].value && m[1].value < m[2].value));
    if (t->ablation)
        LN_TRY(check(t, "etth1_720_ablation", "ETTh1, 720 ahead: neither path alone beats both by more than 0.003",
                     "time_only, frequency_only >= mixlinear - 0.003", m, 5,
                     m[3].value >= m[0].value - 0.003 && m[4].value >= m[0].value - 0.003));
done:
    return st;
}

static ln_status check_windows(table *t)
{
    ln_status st = LN_OK;
    bool all = true;
    for (int h = 0; h < t->n_horizons; h++)
        for (int s = 0; s < SYSTEMS; s++)
            all = all && t->at[0][h][s].windows == 2880 - horizons[h] + 1;
    const ln_measure m[] = { { "windows_96", (double)t->at[0][0][0].windows } };
    LN_TRY(check(t, "windows", "ETTh1: the number of test windows is the protocol's", "windows = 2880 - horizon + 1", m,
                 1, all));
    bool below = true;
    double worst = 0;
    for (int h = 0; h < t->n_horizons; h++)
        for (int s = 0; s < SYSTEMS; s++) {
            const double share = t->at[0][h][s].mse / t->repeat[0][h].mse;
            below = below && share < 1;
            worst = fmax(worst, share);
        }
    const ln_measure most[] = { { "largest_share", worst } };
    LN_TRY(check(t, "below_repeating", "ETTh1: every system is below repeating the last row at every horizon",
                 "mse / repeat < 1", most, 1, below));
    for (int h = 0; h < t->n_horizons && t->n_sets > 1; h++) {
        const ln_measure r[] = { { "repeat", t->repeat[1][h].mse },
                                 { "nlinear", t->at[1][h][NLINEAR].mse },
                                 { "dlinear", t->at[1][h][DLINEAR].mse } };
        char name[48], claim[128];
        if (horizons[h] > 96)
            break;
        ln__format(name, sizeof name, "exchange_%lld", (long long)horizons[h]);
        ln__format(claim, sizeof claim, "exchange_rate, %lld ahead: repeating the last row is hard to beat",
                   (long long)horizons[h]);
        LN_TRY(check(t, name, claim, "repeat <= 1.05 min(nlinear, dlinear)", r, 3,
                     r[0].value <= 1.05 * fmin(r[1].value, r[2].value)));
    }
done:
    return st;
}

static ln_status curves(table *t)
{
    ln_status st = LN_OK;
    for (int set = 0; set < t->n_sets && t->n_horizons > 1; set++)
        for (int s = 0; s <= SYSTEMS; s++) {
            double x[HORIZONS], y[HORIZONS];
            char group[64];
            if (s == SYSTEMS && set == 0) /* off the scale */
                continue;
            ln__format(group, sizeof group, "%s: error by horizon", sets[set].name);
            for (int h = 0; h < t->n_horizons; h++) {
                x[h] = (double)horizons[h];
                y[h] = s < SYSTEMS ? t->at[set][h][s].mse : t->repeat[set][h].mse;
            }
            LN_TRY(ln_result_series(t->result, group, s < SYSTEMS ? systems[s] : "repeat", "horizon",
                                    "mean squared error", x, y, t->n_horizons));
        }
done:
    return st;
}

static ln_status run(cli_ctx *ctx, const recipe_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    char *text = NULL;
    table *t = NULL;
    LN_TRY(LN_NEW0(&t, 1));
    t->ctx = ctx;
    t->result = result;
    t->n_horizons = opts->quick ? 1 : HORIZONS;
    t->n_sets = SETS;
    t->rows = json_array();
    if (!t->rows)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int set = 0; set < t->n_sets; set++) {
        LN_TRY(recipe_data(&t->path[set], opts, sets[set].file));
        LN_TRY(ln_result_input(result, t->path[set]));
    }
    cli_say(ctx, "%-14s %5s  %-10s %8s %8s %9s %8s %11s\n", "", "ahead", "system", "MSE", "MAE", "windows", "numbers",
            "all of it");
    for (int set = 0; set < t->n_sets; set++)
        for (int h = 0; h < t->n_horizons; h++)
            LN_TRY(run_row(t, set, h));
    if (!opts->quick)
        LN_TRY(ablation(t));
    LN_TRY(ln__json_text(&text, t->rows, 0));
    LN_TRY(ln_result_json(result, "rows", text));
    LN_TRY(curves(t));
    LN_TRY(check_96(t));
    LN_TRY(check_720(t));
    LN_TRY(check_windows(t));
done:
    for (int set = 0; t && set < SETS; set++)
        ln__free(t->path[set]);
    if (t)
        json_decref(t->rows);
    ln__free(text);
    ln__free(t);
    return st;
}

const cli_recipe recipe_mixlinear = {
    .name = "mixlinear",
    .summary = "MixLinear, SparseTSF, FITS, DLinear, NLinear and Linear on ETTh1 and exchange_rate, 96 to 720 ahead",
    .paper = "MixLinear, arXiv 2410.02081",
    .run = run,
};
