/* rocket.c - ROCKET: dense dictionary x sparse codes per layer, budget by a knapsack.
 *
 * For every layer and removed fraction the best ratio ks = atoms / non-zeros per code is found on a grid; the knapsack
 * then gives each layer its fraction. The full grid is the paper's: cr in steps of 0.05, ks = 1.0, 1.1 … 3.0. The
 * coarse grid has cr in steps of 0.1 and, since the error has one minimum in ks, walks to it in steps of 0.2 from where
 * the last fraction had its own, and then tries the lowest point of the parabola through the last three. The
 * quick grid has three fractions only, multiples of the one that is asked.
 * Pitfall: ks whose dictionary would exceed min(d1, d2) do not exist and are skipped, not reused.
 * Source: ROCKET, arXiv 2602.11008, sections 3, 4 and appendices A, C. */
#include <math.h>
#include <string.h>

#include "compress/truncate.h"
#include "compress/rocket_layer.h"
#include "compress/systems.h"
#include "linalg/linalg.h"

enum { GRID_COARSE = 0, GRID_FULL = 1, GRID_QUICK = 2 };

typedef struct rocket_opts {
    uint32_t struct_size;
    int32_t grid;   /* GRID_*                           */
    int32_t error;  /* 0 original, 1 output             */
    int32_t select; /* 0 whitened, 1 original           */
    int32_t als;
    double lambda, beta, ridge;
} rocket_opts;

static const ln_param params[] = {
    LN_P_CHOICE(rocket_opts, grid, GRID_COARSE, "coarse|full|quick",
                "fractions and ratios tried per layer; quick: three fractions around --remove, for a first look"),
    LN_P_CHOICE(rocket_opts, error, 0, "original|output",
                "error the ratios and the budget minimise: of the weight, or of its outputs"),
    LN_P_CHOICE(rocket_opts, select, 0, "whitened|original", "error that decides whether the updated dictionary stays"),
    LN_P_INT(rocket_opts, als, 0, 0, 100, "rounds of alternating exact solves for codes and dictionary"),
    LN_P_REAL(rocket_opts, lambda, 0.5, 0, 1, "weight of the original space in the importance of a code"),
    LN_P_REAL(rocket_opts, beta, 0.005, 0, 0.5, "fraction of codes dropped per column and recovered over the matrix"),
    LN_P_REAL(rocket_opts, ridge, 1e-3, 0, 1, "ridge of the dictionary update, relative to the mean squared code"),
    LN_P_END
};

enum { RATIOS = 21 }; /* 1.0, 1.1 … 3.0 */

static ln__rocket_method method_of(const rocket_opts *o)
{
    return (ln__rocket_method){
        .lambda = o->lambda, .beta = o->beta, .ridge = o->ridge, .als = o->als, .select_original = o->select == 1
    };
}

static int64_t grid(double *cr, double remove, const void *opts)
{
    static const double quick[] = { 0.5, 1, 2 };
    const rocket_opts *o = opts;
    int64_t n = 0;
    if (o->grid != GRID_QUICK)
        return ln__cr_grid(cr, o->grid == GRID_FULL ? 0.05 : 0.1, remove);
    for (int64_t i = 0; i < LN_COUNT(quick); i++)
        if (i < 2 || quick[i] * remove < 0.9)
            cr[n++] = quick[i] * remove;
    return n;
}

/* The layer being profiled; for one fraction, the errors of the ratios tried so far. */
typedef struct search {
    const ln__whitened *wh;
    const uint16_t *order;
    ln__rocket_work *work;
    ln__rocket_method method;
    bool by_output;
    double cr;
    bool tried[RATIOS];
    double error[RATIOS]; /* INFINITY: there is no such dictionary */
    int at;               /* the best ratio                        */
    ln__option best;      /* removed 0: none yet                   */
} search;

static ln_status try_ratio(search *s, int ratio)
{
    ln_status st = LN_OK;
    ln__rocket_fit fit;
    int64_t k, nonzeros;
    const int64_t d1 = s->wh->d1, d2 = s->wh->d2;
    const double ks = 1 + 0.1 * ratio;
    if (ratio < 0 || ratio >= RATIOS || s->tried[ratio])
        return LN_OK;
    s->tried[ratio] = true;
    s->error[ratio] = INFINITY;
    if (!ln__rocket_budget(&k, &nonzeros, d1, d2, s->cr, ks))
        return LN_OK;
    LN_TRY(ln__rocket_fit_layer(&fit, s->work, s->wh, s->order, k, nonzeros, &s->method));
    s->error[ratio] = s->by_output ? fit.whitened : fit.original;
    if (s->best.removed == 0 || s->error[ratio] < s->best.error) {
        s->at = ratio;
        s->best = (ln__option){ .cr = s->cr,
                                .ks = ks,
                                .removed = d1 * d2 - k * d1 - nonzeros * d2,
                                .error = s->error[ratio],
                                .output_error = fit.whitened };
    }
done:
    return st;
}

/* Moves in steps until both neighbours are worse. */
static ln_status climb(search *s, int step)
{
    ln_status st = LN_OK;
    for (int from = -1; from != s->at;) {
        from = s->at;
        LN_TRY(try_ratio(s, from - step));
        LN_TRY(try_ratio(s, from + step));
    }
done:
    return st;
}

/* The lowest point of the parabola through the best ratio and its two neighbours at +-step. */
static int parabola(const search *s, int step)
{
    const int lo = s->at - step, hi = s->at + step;
    if (lo < 0 || hi >= RATIOS || !s->tried[lo] || !s->tried[hi])
        return s->at;
    const double a = s->error[lo], b = s->error[s->at], c = s->error[hi], curvature = a - 2 * b + c;
    if (!(curvature > 0) || !isfinite(curvature))
        return s->at;
    return s->at + (int)lround(0.5 * step * (a - c) / curvature);
}

static ln_status search_ratios(search *s, bool full, int start)
{
    ln_status st = LN_OK;
    LN_TRY(try_ratio(s, 0));
    if (full) {
        for (int i = 1; i < RATIOS; i++)
            LN_TRY(try_ratio(s, i));
        return LN_OK;
    }
    LN_TRY(try_ratio(s, start));
    if (start != s->at) /* a ratio that does not exist, or no better than none */
        LN_TRY(try_ratio(s, start / 2));
    LN_TRY(climb(s, 2));
    LN_TRY(try_ratio(s, parabola(s, 2)));
done:
    return st;
}

static ln_status profile(ln__option_list *list, const ln__whitened *wh, const double *cr, int64_t n, const void *opts,
                         const char *what)
{
    (void)what;
    ln_status st = LN_OK;
    const rocket_opts *o = opts;
    uint16_t *order = NULL;
    ln__rocket_work work = { 0 };
    int start = 8;
    LN_TRY(ln__rocket_order(&order, wh, o->lambda));
    LN_TRY(ln__rocket_work_new(&work, wh));
    for (int64_t c = 0; c < n; c++) {
        search s = {
            .wh = wh, .order = order, .work = &work, .method = method_of(o), .by_output = o->error == 1, .cr = cr[c]
        };
        s.method.als = 0; /* the extension refines the final factors only */
        LN_TRY(search_ratios(&s, o->grid == GRID_FULL, start));
        if (s.best.removed > 0)
            list->items[list->n++] = s.best;
        if (s.at > 0)
            start = s.at;
    }
done:
    ln__free(order);
    ln__rocket_work_free(&work);
    return st;
}

/* atoms (k, d1) x codes (d2, k) as an operator: a dictionary, or a low-rank pair when no code is zero. */
static ln_status build(ln_linop **out, const double *atoms, const double *codes, int64_t k, int64_t s, int64_t d1,
                       int64_t d2, ln_dtype storage)
{
    ln_status st = LN_OK;
    ln_tensor *d = NULL, *c = NULL;
    LN_TRY(ln__matrix_as(&d, atoms, k, d1, storage));
    LN_TRY(ln__matrix_as(&c, codes, d2, k, storage));
    if (s >= k)
        LN_TRY(ln_linop_lowrank(out, c, d));
    else
        LN_TRY(ln_linop_dict(out, d, c, storage));
done:
    ln_tensor_release(d);
    ln_tensor_release(c);
    return st;
}

static ln_status factor(ln_linop **out, const double *w, const ln__whitened *wh, const ln__option *option,
                        ln_dtype storage, const void *opts, json_t *describe, const char *what)
{
    ln_status st = LN_OK;
    (void)w;
    const rocket_opts *o = opts;
    const ln__rocket_method method = method_of(o);
    const int64_t d1 = wh->d1, d2 = wh->d2;
    uint16_t *order = NULL;
    ln__rocket_work work = { 0 };
    ln__rocket_fit fit;
    double *atoms = NULL, *codes = NULL;
    int64_t k, s;
    if (!ln__rocket_budget(&k, &s, d1, d2, option->cr, option->ks))
        LN_FAIL(LN_ERR_RANGE, "%s: no dictionary has cr = %g and ks = %g", what, option->cr, option->ks);
    LN_TRY(ln__rocket_order(&order, wh, o->lambda));
    LN_TRY(ln__rocket_work_new(&work, wh));
    LN_TRY(ln__rocket_fit_layer(&fit, &work, wh, order, k, s, &method));
    LN_TRY(LN_NEW(&atoms, k * d1));
    LN_TRY(LN_NEW(&codes, d2 * k));
    LN_TRY(ln__rocket_factors(atoms, codes, &work, wh, k));
    LN_TRY(ln__json_set(describe, "atoms", json_integer(k)));
    LN_TRY(ln__json_set(describe, "nonzeros_per_output", json_integer(s)));
    LN_TRY(ln__json_set(describe, "dictionary_updated", json_boolean(fit.updated)));
    LN_TRY(build(out, atoms, codes, k, s, d1, d2, storage));
done:
    ln__free(order);
    ln__free(atoms);
    ln__free(codes);
    ln__rocket_work_free(&work);
    return st;
}

/* Multiply-adds of one candidate with k atoms: H and G, the solve, N2 D. */
static double candidate_cost(double d1, double d2, double k)
{
    const double m = fmin(d1, d2);
    return m * k * d2 + 0.5 * k * k * d2 + k * k * k / 6 + m * k * k + m * m * k;
}

static double profile_cost(double d1, double d2, const void *opts)
{
    const rocket_opts *o = opts;
    const double candidates = o->grid == GRID_FULL ? RATIOS - 1 : 5;
    return candidates * candidate_cost(d1, d2, 0.6 * d1 * d2 / (d1 + d2 / 1.7));
}

static double factor_cost(double d1, double d2, const void *opts)
{
    const rocket_opts *o = opts;
    const double k = 0.8 * d1 * d2 / (d1 + d2 / 1.7), s = k / 1.7;
    return candidate_cost(d1, d2, k) + k * d1 * fmin(d1, d2) + o->als * d2 * s * s * s / 6;
}

static const char *const factor_only[] = { "als", NULL };

static const ln__compressor method = {
    .whitened = true,
    .budget = LN_BUDGET_KNAPSACK,
    .grid = grid,
    .profile = profile,
    .factor = factor,
    .factor_only = factor_only,
    .profile_cost = profile_cost,
    .factor_cost = factor_cost,
};

const ln_system ln__system_rocket = {
    .name = "rocket",
    .verb = "compress",
    .summary = "dictionary x sparse codes per layer, the budget spread over layers by a knapsack",
    .paper = "ROCKET, arXiv 2602.11008",
    .example = "linnet compress rocket model.gguf --calib text.txt --remove 0.2 -o small/ --report small.html",
    .params = params,
    .opts_size = sizeof(rocket_opts),
    .impl = &method,
};
