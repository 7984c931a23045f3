/* regress.h - what a regression brings to the common driver: a grid of strengths, and its solutions along it.
 *
 * The driver makes designs (all rows, and the rest of each fold), asks for the solutions on each, measures them on the
 * rows that were left out, chooses, reports and saves. */
#ifndef LINNET_SOLVE_REGRESS_H
#define LINNET_SOLVE_REGRESS_H

#include <linnet/regress.h>

#include "solve/design.h"

/* groups x steps candidates, from simple to complex within a group. */
typedef struct ln__grid {
    int64_t groups, steps;
    double *value;  /* (groups, steps): lambda or k as shown                               */
    int64_t chosen; /* index of the only candidate allowed, or -1: cross-validation decides */
} ln__grid;

/* What is known of the solutions of one group. Arrays of `steps`; NULL where a method has nothing to say. */
typedef struct ln__solution {
    double *w;      /* (steps, d) on the scale of the design */
    double *gap;    /* (steps) duality gap, or NULL          */
    bool converged; /* all of them                           */
    int64_t iterations, screened;
} ln__solution;

typedef struct ln__method {
    const ln_system *system;
    const char *axis; /* "lambda" or "k"     */
    bool logarithmic;
    /* `least`: rows of the smallest design that will be solved. */
    ln_status (*grid)(ln__grid *g, const ln__design *X, int64_t least, const void *opts, const ln_regress_opts *o);
    /* s->w and s->gap are there, zeroed. */
    ln_status (*solve)(ln__solution *s, const ln__design *X, const ln__grid *g, int64_t group, const void *opts,
                       uint64_t seed);
} ln__method;

ln_status ln__grid_new(ln__grid *g, int64_t groups, int64_t steps);
void ln__grid_free(ln__grid *g);

/* Errors of all candidates on rows left out. */
typedef struct ln__cv {
    int64_t folds;
    double *mean, *se; /* (groups * steps) mean squared error, and its standard error over folds */
} ln__cv;

struct ln_regression {
    const ln__method *method;
    int64_t n, d;
    ln__grid grid;
    ln__cv cv;
    int64_t group, step; /* chosen */
    ln__solution path;   /* of the chosen group on all rows */
    double *coef;        /* (d) */
    double *scaled;      /* (d) coefficients on the scale of the design */
    double intercept, strength;
};

/* x (n, d) row-major. */
ln_status ln__regression_fit(ln_regression **out, const ln__method *m, const double *x, int64_t ldx, const double *y,
                             int64_t n, int64_t d, const ln_regress_opts *o, const void *opts, uint64_t seed);
void ln__regression_predict(double *out, const double *coef, double intercept, const double *x, int64_t ldx, int64_t n,
                            int64_t d);
ln_status ln__cv_run(ln__cv *cv, const ln__method *m, const ln__grid *g, const double *x, int64_t ldx, const double *y,
                     int64_t n, int64_t d, const ln_regress_opts *o, const void *opts, uint64_t seed);
/* The estimator: files in, report and directory out. */
ln_status ln__regress_run(const ln__method *m, const ln_job *job, const void *opts, ln_result *result);

/* Descriptor of a method, from <name>_params and <name>_solve. */
#define LN_REGRESS_SYSTEM(which, its_opts, its_axis, axis_is_log, its_grid, its_summary, its_paper, its_example)       \
    static ln_status which##_run(const ln_job *job, const void *opts, ln_result *result)                               \
    {                                                                                                                  \
        return ln__regress_run(&ln__method_##which, job, opts, result);                                                \
    }                                                                                                                  \
    static const ln_estimator which##_estimator = { .run = which##_run, .applies = true };                             \
    const ln_system ln__system_##which = {                                                                             \
        .name = #which,                                                                                                \
        .verb = "regress",                                                                                             \
        .summary = its_summary,                                                                                        \
        .paper = its_paper,                                                                                            \
        .example = its_example,                                                                                        \
        .params = which##_params,                                                                                      \
        .opts_size = sizeof(its_opts),                                                                                 \
        .impl = &which##_estimator,                                                                                    \
    };                                                                                                                 \
    const ln__method ln__method_##which = { .system = &ln__system_##which,                                             \
                                            .axis = its_axis,                                                          \
                                            .logarithmic = axis_is_log,                                                \
                                            .grid = its_grid,                                                          \
                                            .solve = which##_solve }

extern const ln__method ln__method_lasso, ln__method_elasticnet, ln__method_ridge, ln__method_omp, ln__method_iht,
    ln__method_cosamp, ln__method_subset;

#endif
