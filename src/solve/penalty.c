/* penalty.c - `linnet regress lasso`, `elasticnet` and `ridge`: one objective, three values of mix.
 *
 * lasso and elasticnet: enet.c. ridge: with X = V S U^T, w = U diag(s / (s^2 + n lambda)) V^T y, exact for every lambda
 * of the path from one SVD. scikit-learn's Ridge(alpha) is lambda = alpha / n, its ElasticNet(alpha, l1_ratio) has the
 * same lambda and mix. */
#include <math.h>
#include <string.h>

#include "linalg/linalg.h"
#include "solve/enet.h"
#include "solve/regress.h"
#include "solve/systems.h"

#define PATH_PARAMS(ratio_of_path)                                                                                     \
    LN_P_REAL(ln_penalty_opts, lambda, 0, 0, 1e300, "strength of the penalty; 0: by cross-validation"),                \
        LN_P_INT(ln_penalty_opts, lambdas, 100, 1, 100000, "steps of the path"),                                       \
        LN_P_REAL(ln_penalty_opts, ratio, ratio_of_path, 1e-12, 0.999, "least lambda of the path over the greatest")

#define DESCENT_PARAMS                                                                                                 \
    LN_P_REAL(ln_penalty_opts, tol, 1e-6, 1e-14, 0.1, "duality gap to reach, over the mean square of the target"),     \
        LN_P_INT64(ln_penalty_opts, max_iter, 100000, 1, 1e12, "sweeps over the coordinates for one lambda"),          \
        LN_P_BOOL(ln_penalty_opts, screen, 1, "leave out columns that Gap-Safe spheres prove to be zero")

static const ln_param lasso_params[] = { PATH_PARAMS(1e-3), DESCENT_PARAMS, LN_P_END };
static const ln_param elasticnet_params[] = { LN_P_REAL(ln_penalty_opts, mix, 0.5, 1e-3, 1,
                                                        "share of |w|_1 in the penalty, the rest is |w|^2/2"),
                                              PATH_PARAMS(1e-3), DESCENT_PARAMS, LN_P_END };
static const ln_param ridge_params[] = { PATH_PARAMS(1e-7), LN_P_END };

/* ---- the path ---- */

static ln_status grid(ln__grid *g, const ln_penalty_opts *p, double top)
{
    ln_status st = LN_OK;
    const double last = p->lambda > 0 ? p->lambda : p->ratio * top;
    const int64_t steps = p->lambda >= top ? 1 : p->lambdas; /* also when the target is constant */
    LN_TRY(ln__grid_new(g, 1, steps));
    for (int64_t t = 0; t + 1 < steps; t++)
        g->value[t] = top * pow(last / top, (double)t / (double)(steps - 1));
    g->value[steps - 1] = last;
    if (p->lambda > 0)
        g->chosen = steps - 1;
done:
    return st;
}

static ln_status enet_grid(ln__grid *g, const ln__design *X, const ln_penalty_opts *p, double mix)
{
    ln_status st = LN_OK;
    double top = 0;
    LN_TRY(ln__enet_lambda_max(&top, X, mix));
    LN_TRY(grid(g, p, top > 0 ? top : 1));
done:
    return st;
}

static ln_status enet_solve(ln__solution *s, const ln__design *X, const ln__grid *g, const ln_penalty_opts *p,
                            double mix)
{
    ln_status st = LN_OK;
    ln__enet_stat *stats = NULL;
    const ln__enet_opts o = { .mix = mix, .tol = p->tol, .max_iter = p->max_iter, .screen = p->screen != 0 };
    LN_TRY(LN_NEW(&stats, g->steps));
    LN_TRY(ln__enet_path(s->w, stats, X, g->value, g->steps, &o));
    for (int64_t t = 0; t < g->steps; t++) {
        s->gap[t] = stats[t].gap;
        s->converged = s->converged && stats[t].converged;
        s->iterations += stats[t].sweeps;
        s->screened += stats[t].screened;
    }
done:
    ln__free(stats);
    return st;
}

static ln_status lasso_grid(ln__grid *g, const ln__design *X, int64_t least, const void *opts, const ln_regress_opts *o)
{
    (void)least;
    (void)o;
    return enet_grid(g, X, opts, 1);
}

static ln_status lasso_solve(ln__solution *s, const ln__design *X, const ln__grid *g, int64_t group, const void *opts,
                             uint64_t seed)
{
    (void)group;
    (void)seed;
    return enet_solve(s, X, g, opts, 1);
}

static ln_status elasticnet_grid(ln__grid *g, const ln__design *X, int64_t least, const void *opts,
                                 const ln_regress_opts *o)
{
    (void)least;
    (void)o;
    return enet_grid(g, X, opts, ((const ln_penalty_opts *)opts)->mix);
}

static ln_status elasticnet_solve(ln__solution *s, const ln__design *X, const ln__grid *g, int64_t group,
                                  const void *opts, uint64_t seed)
{
    (void)group;
    (void)seed;
    return enet_solve(s, X, g, opts, ((const ln_penalty_opts *)opts)->mix);
}

/* ---- ridge ---- */

/* From a lambda that beats every direction: the sum of all squares. */
static ln_status ridge_grid(ln__grid *g, const ln__design *X, int64_t least, const void *opts, const ln_regress_opts *o)
{
    double sum = 0;
    (void)least;
    (void)o;
    for (int64_t j = 0; j < X->d; j++)
        sum += X->square[j] / (double)X->n;
    return grid(g, opts, sum > 0 ? sum : 1);
}

static ln_status ridge_solve(ln__solution *s, const ln__design *X, const ln__grid *g, int64_t group, const void *opts,
                             uint64_t seed)
{
    ln_status st = LN_OK;
    const int64_t d = X->d, n = X->n, p = LN_MIN(d, n);
    double *u = NULL, *sigma = NULL, *vt = NULL, *b = NULL, *c = NULL;
    (void)group;
    (void)opts;
    (void)seed;
    LN_TRY(ln__alloc((void **)&u, (size_t)d, (size_t)p * sizeof *u));
    LN_TRY(ln__alloc((void **)&vt, (size_t)p, (size_t)n * sizeof *vt));
    LN_TRY(LN_NEW(&sigma, p));
    LN_TRY(LN_NEW(&b, p));
    LN_TRY(LN_NEW(&c, p));
    LN_TRY(ln__svd(X->x, d, n, u, sigma, vt)); /* of X^T */
    LN_TRY(ln__dgemv(false, p, n, 1, vt, n, X->y, 0, b));
    for (int64_t t = 0; t < g->steps; t++) {
        const double shift = (double)n * g->value[t];
        for (int64_t i = 0; i < p; i++)
            c[i] = sigma[i] > 0 ? b[i] * sigma[i] / (sigma[i] * sigma[i] + shift) : 0;
        LN_TRY(ln__dgemv(false, d, p, 1, u, p, c, 0, s->w + t * d));
        for (int64_t j = 0; j < d; j++)
            if (X->square[j] == 0)
                s->w[t * d + j] = 0; /* not what rounding makes of it */
    }
done:
    ln__free(u);
    ln__free(vt);
    ln__free(sigma);
    ln__free(b);
    ln__free(c);
    return st;
}

/* ---- descriptors ---- */

#define PENALTY_SYSTEM(which, its_summary, its_paper, its_example)                                                     \
    LN_REGRESS_SYSTEM(which, ln_penalty_opts, "lambda", true, which##_grid, its_summary, its_paper, its_example)

PENALTY_SYSTEM(lasso, "few coefficients by a penalty on |w|_1, to a stated duality gap",
               "Tibshirani 1996; Gap-Safe screening: Ndiaye et al., JMLR 2017",
               "linnet regress lasso diabetes.csv --target progression --report lasso.html");
PENALTY_SYSTEM(elasticnet, "Lasso with a share of ridge, which keeps correlated columns together",
               "Zou and Hastie 2005", "linnet regress elasticnet diabetes.csv --target progression --mix 0.5");
PENALTY_SYSTEM(ridge, "all coefficients, shrunk; the whole path from one SVD", "Hoerl and Kennard 1970",
               "linnet regress ridge diabetes.csv --target progression -o fit/");
