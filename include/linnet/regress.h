/* linnet/regress.h - linear regression with few coefficients: Lasso, elastic net, ridge, greedy methods, best subset.
 *
 *     ln_regress_opts o = LN_REGRESS_OPTS_INIT;
 *     ln_regression *fit = NULL;
 *     ln_status st = ln_regress(&fit, ln_system_find("regress", "lasso"), x, y, &o, NULL, 1);
 *
 * All minimise |y - X w|^2 / (2 n) plus what their own options say, over columns that are centred (intercept) and
 * divided by their standard deviation (divisor n; standardize). Coefficients are given for the columns as they came. */
#ifndef LINNET_REGRESS_H
#define LINNET_REGRESS_H

#include <linnet/estimator.h>
#include <linnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ln_cv_rule { LN_CV_MIN = 0, LN_CV_ONE_SE = 1 } ln_cv_rule;
typedef enum ln_missing { LN_MISSING_REFUSE = 0, LN_MISSING_DROP = 1, LN_MISSING_MEAN = 2 } ln_missing;

/** What all regressions share. Start from LN_REGRESS_OPTS_INIT; table: ln_regress_params(). */
typedef struct ln_regress_opts {
    uint32_t struct_size;
    int32_t intercept;   /* fit one                                                                  */
    int32_t standardize; /* columns are divided by their standard deviation before they are penalised */
    int32_t cv;          /* folds; 0: the strength must be given                                     */
    int32_t rule;        /* ln_cv_rule                                                               */
    int32_t missing;     /* ln_missing: rows or cells of a file without a value                      */
    double holdout;      /* fraction of the rows set aside to test on (files only)                   */
    const char *target;  /* column to predict; NULL: the last (files only)                           */
    const char *ignore;  /* columns to leave out, separated by commas (files only)                   */
    ln_progress_fn progress;
    void *payload;
} ln_regress_opts;

#define LN_REGRESS_OPTS_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(ln_regress_opts), 1, 1, 5, 0, 0, 0, NULL, NULL, NULL, NULL                                              \
    }

LN_API const ln_param *ln_regress_params(void);

/** lasso, elasticnet, ridge: min |y - X w|^2 / 2n + lambda (mix |w|_1 + (1 - mix) |w|^2 / 2). */
typedef struct ln_penalty_opts {
    uint32_t struct_size;
    int32_t lambdas;  /* steps of the path                                        */
    double lambda;    /* 0: by cross-validation                                   */
    double ratio;     /* least lambda of the path over the greatest               */
    double mix;       /* 1: Lasso, 0: ridge                                       */
    double tol;       /* duality gap over |y|^2 / n                               */
    int64_t max_iter; /* sweeps for one lambda                                    */
    int32_t screen;   /* Gap-Safe screening                                       */
} ln_penalty_opts;

/** omp, iht, cosamp, subset: k coefficients. */
typedef struct ln_sparse_opts {
    uint32_t struct_size;
    int32_t k;        /* 0: by cross-validation                                   */
    int32_t max_k;    /* greatest k of the path                                   */
    int32_t max_iter; /* of iht and cosamp, for one k                             */
    double tol;       /* omp: stop at this |residual|^2 over |y|^2; iht: relative change */
} ln_sparse_opts;

/** A fit: coefficients and what led to them. */
typedef struct ln_regression ln_regression;

/**
 * Fit `system` to x (n, d) and y (n), f32 or f64. `shared` and `opts` (the system's own struct) may be NULL.
 * LN_ERR_SHAPE, LN_ERR_NUMERIC (NaN, named), LN_ERR_RANGE, LN_ERR_CANCELLED, LN_ERR_NOMEM; *out untouched then.
 */
LN_API LN_MUST_CHECK ln_status ln_regress(ln_regression **out, const ln_system *system, const ln_tensor *x,
                                          const ln_tensor *y, const ln_regress_opts *shared, const void *opts,
                                          int64_t seed);
LN_API void ln_regression_free(ln_regression *f);
LN_API int64_t ln_regression_columns(const ln_regression *f);
LN_API const double *ln_regression_coefficients(const ln_regression *f); /* of the columns as they came */
LN_API double ln_regression_intercept(const ln_regression *f);
/** lambda, or k, that was chosen. */
LN_API double ln_regression_strength(const ln_regression *f);
/** New f64 (n): predictions for the rows of x (n, d). */
LN_API LN_MUST_CHECK ln_status ln_regression_predict(ln_tensor **out, const ln_regression *f, const ln_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
