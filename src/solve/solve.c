/* solve.c - the driver of the iterative methods: what is asked is checked, cycles run, and after each the true residual
 * decides. One that believed to be done and was not starts again from there; three such in vain end it. */
#include <linnet/solve.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/core.h"
#include "solve/krylov.h"

enum { IN_VAIN = 3, SCALARS = 300 };
static const double DIVERGED = 1e5;

struct ln_solver {
    ln__matrix m;
    ln__pc *pc;
    ln_solve_opts o;
    double *block; /* what follows, and the method's room */
    ln__krylov k;
    double *r, *best, *x;
    bool stale; /* the preconditioner is of another matrix */
};

static const char *const method_names[] = { "cg", "minres", "gmres", "bicgstab", "sor", "ssor", "jacobi" };
enum { METHODS = sizeof method_names / sizeof *method_names };

const char *ln_solve_reason_name(ln_solve_reason reason)
{
    static const char *const names[] = {
        "rtol",      "atol",    "iterations", "diverged", "breakdown", "indefinite matrix", "indefinite preconditioner",
        "stagnated", "overflow"
    };
    return (unsigned)reason < sizeof names / sizeof *names ? names[reason] : "unknown";
}

bool ln_solved(ln_solve_reason reason)
{
    return reason == LN_SOLVED_RTOL || reason == LN_SOLVED_ATOL;
}

/* ---- what cycles call ---- */

ln_status ln__krylov_apply(ln__krylov *k, double *y, const double *x, double *dot)
{
    k->rep.applications++;
    return ln__matrix_mult(k->m, y, x, k->work, dot);
}

void ln__krylov_precondition(ln__krylov *k, double *z, const double *r)
{
    if (!k->pc) {
        memcpy(z, r, (size_t)k->n * sizeof *z);
        return;
    }
    k->rep.pc_applications++;
    ln__pc_apply(k->pc, z, r);
}

static void record(ln__krylov *k, double residual)
{
    if (k->o->history && k->rep.history < k->o->history_room)
        k->o->history[k->rep.history++] = residual;
}

ln_status ln__krylov_note(ln__krylov *k, double residual)
{
    k->rep.iterations++;
    k->rep.residual = residual;
    record(k, residual);
    if (!isfinite(residual))
        k->reason = LN_UNSOLVED_NAN;
    else if (residual > k->worst)
        k->reason = LN_UNSOLVED_DIVERGED;
    k->claimed = residual <= k->target;
    if (k->o->progress && k->o->progress(k->o->payload, "iteration", k->rep.iterations, k->o->max_iter))
        return ln__fail(LN_ERR_CANCELLED, "%s: stopped after %lld iterations", method_names[k->o->method],
                        (long long)k->rep.iterations);
    return LN_OK;
}

/* ---- making a solver ---- */

static ln_status check_opts(const ln_solve_opts *o)
{
    if (o->method < 0 || o->method >= METHODS)
        return ln__fail(LN_ERR_RANGE, "solve: method %d, there are 0 to %d", o->method, METHODS - 1);
    if (o->pc < 0 || o->pc > LN_PC_IC0)
        return ln__fail(LN_ERR_RANGE, "solve: preconditioner %d, there are 0 to %d", o->pc, LN_PC_IC0);
    if (o->relative != LN_RELATIVE_RHS && o->relative != LN_RELATIVE_START)
        return ln__fail(LN_ERR_RANGE, "solve: relative = %d, expected 0 or 1", o->relative);
    if (o->pc != LN_PC_NONE && o->method >= LN_SOLVE_SOR)
        return ln__fail(LN_ERR_ARG, "solve: %s takes no preconditioner", method_names[o->method]);
    if (!(o->rtol >= 0 && o->rtol < 1) || !(o->atol >= 0) || !isfinite(o->atol))
        return ln__fail(LN_ERR_RANGE, "solve: rtol = %g and atol = %g, expected 0 to 1 and 0 or more", o->rtol,
                        o->atol);
    if (o->max_iter < 0)
        return ln__fail(LN_ERR_RANGE, "solve: max_iter = %lld, expected 0 or more", (long long)o->max_iter);
    if (!(o->omega > 0 && o->omega < 2))
        return ln__fail(LN_ERR_RANGE, "solve: omega = %g, expected a number between 0 and 2", o->omega);
    if (o->restart < 1)
        return ln__fail(LN_ERR_RANGE, "solve: restart = %d, expected 1 or more", o->restart);
    if (o->history_room < 0 || (o->history && o->history_room == 0))
        return ln__fail(LN_ERR_RANGE, "solve: room for %lld norms", (long long)o->history_room);
    return LN_OK;
}

/* Numbers that the method's cycle works on. */
static ln_status room_of(int64_t *count, int64_t n, const ln_solve_opts *o)
{
    static const int vectors[] = { 3, 8, 2, 6, 1, 1, 1 };
    const int64_t m = o->method == LN_SOLVE_GMRES ? LN_MIN(o->restart, LN_MAX(n, 1)) : 0;
    int64_t extra = 0;
    if (__builtin_mul_overflow(n, vectors[o->method] + m, count) || __builtin_mul_overflow(m + 4, m + 1, &extra) ||
        __builtin_add_overflow(*count, extra, count))
        return ln__fail(LN_ERR_NOMEM, "solve: %lld rows and %lld vectors are more than can be addressed", (long long)n,
                        (long long)(vectors[o->method] + m));
    return LN_OK;
}

static ln_status check_matrix(const ln_solver *s)
{
    const int32_t method = s->o.method;
    ln_status st = LN_OK;
    if (method == LN_SOLVE_CG || method == LN_SOLVE_MINRES)
        LN_TRY(ln__matrix_needs_symmetry(&s->m, method_names[method]));
    if (method >= LN_SOLVE_SOR)
        LN_TRY(ln__matrix_needs_diagonal(&s->m, method_names[method]));
done:
    return st;
}

static ln_status make_room(ln_solver *s)
{
    ln_status st = LN_OK;
    const int64_t n = s->m.n, partials = ln__matrix_partials(&s->m);
    const int64_t scalars = s->o.method == LN_SOLVE_CG ? SCALARS : 0;
    int64_t room = 0;
    LN_TRY(room_of(&room, n, &s->o));
    LN_TRY(LN_NEW(&s->block, room + 3 * n + partials + 4 * scalars + 1));
    s->k = (ln__krylov){ .m = &s->m, .pc = s->pc, .n = n, .o = &s->o, .room = s->block, .scalars_room = scalars };
    s->r = s->block + room;
    s->best = s->r + n;
    s->x = s->best + n;
    s->k.work = s->x + n;
    s->k.alpha = s->k.work + partials;
    s->k.beta = s->k.alpha + scalars;
done:
    return st;
}

ln_status ln_solver_new(ln_solver **out, const ln_linop *a, const ln_solve_opts *opts)
{
    static const ln_solve_opts defaults = LN_SOLVE_OPTS_INIT;
    ln_status st = LN_OK;
    ln_solver *s = NULL;
    if (!out || !a)
        return ln__fail(LN_ERR_ARG, "solve: a matrix and a place for the solver are needed");
    LN_TRY(LN_NEW0(&s, 1));
    s->o = defaults;
    if (opts)
        memcpy(&s->o, opts, LN_MIN(opts->struct_size, sizeof s->o));
    LN_TRY(check_opts(&s->o));
    LN_TRY(ln__matrix_make(&s->m, a));
    LN_TRY(check_matrix(s));
    LN_TRY(ln__pc_make(&s->pc, &s->m, &s->o));
    LN_TRY(make_room(s));
    s->stale = true;
    *out = s;
    s = NULL;
done:
    ln_solver_free(s);
    return st;
}

void ln_solver_free(ln_solver *s)
{
    if (!s)
        return;
    ln__pc_free(s->pc);
    ln__matrix_free(&s->m);
    ln__free(s->block);
    ln__free(s);
}

ln_status ln_solver_set_matrix(ln_solver *s, double alpha, double beta)
{
    if (!isfinite(alpha) || !isfinite(beta))
        return ln__fail(LN_ERR_NUMERIC, "solve: %g A + %g I", alpha, beta);
    const double scale = s->m.scale, shift = s->m.shift;
    ln__matrix_set(&s->m, alpha, beta);
    const ln_status st = check_matrix(s);
    if (st != LN_OK)
        ln__matrix_set(&s->m, scale, shift);
    else
        s->stale = true;
    return st;
}

ln_status ln_solver_set_omega(ln_solver *s, double omega)
{
    if (!(omega > 0 && omega < 2))
        return ln__fail(LN_ERR_RANGE, "solve: omega = %g, expected a number between 0 and 2", omega);
    s->stale = s->stale || (s->pc && s->o.pc == LN_PC_SSOR);
    s->o.omega = omega;
    return LN_OK;
}

int64_t ln_solver_size(const ln_solver *s)
{
    return s->m.n;
}

ln_status ln_solver_multiply(const ln_solver *s, double *y, const double *x)
{
    return ln__matrix_mult(&s->m, y, x, NULL, NULL);
}

/* ---- solving ---- */

static ln_status check_vector(const double *v, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return ln__fail(LN_ERR_NUMERIC, "solve: row %lld of %s is %g", (long long)i + 1, what, v[i]);
    return LN_OK;
}

/* r = b - A x */
static ln_status true_residual(ln_solver *s, double *norm)
{
    ln__krylov *k = &s->k;
    const ln_status st = ln__matrix_mult(&s->m, s->r, k->x, k->work, NULL);
    *norm = sqrt(ln__vec_residual(s->r, k->b, s->r, k->n, k->work));
    return st;
}

/* What the true residual says; true: it is over. */
static bool decide(ln_solver *s, double norm, double *least, int *vain)
{
    ln__krylov *k = &s->k;
    const bool better = isfinite(norm) && norm < *least;
    if (norm <= k->target) {
        k->rep.reason = k->target > s->o.atol ? LN_SOLVED_RTOL : LN_SOLVED_ATOL;
    } else if (k->reason != LN_RUNNING) {
        k->rep.reason = k->reason;
    } else if (!isfinite(norm)) {
        k->rep.reason = LN_UNSOLVED_NAN;
    } else if (k->rep.iterations >= s->o.max_iter) {
        k->rep.reason = LN_UNSOLVED_ITERATIONS;
    } else {
        if (k->claimed) {
            k->rep.restarts++;
            *vain = norm < 0.9 * *least ? 0 : *vain + 1;
        }
        k->rep.reason = *vain >= IN_VAIN ? LN_UNSOLVED_STAGNATED : LN_RUNNING;
    }
    if (better) {
        *least = norm;
        memcpy(s->best, k->x, (size_t)k->n * sizeof *k->x);
    }
    return k->rep.reason != LN_RUNNING;
}

static ln_status cycles(ln_solver *s)
{
    static const ln__cycle_fn cycle[] = { ln__cycle_cg,        ln__cycle_minres,     ln__cycle_gmres,
                                          ln__cycle_bicgstab,  ln__cycle_stationary, ln__cycle_stationary,
                                          ln__cycle_stationary };
    ln_status st = LN_OK;
    ln__krylov *k = &s->k;
    double norm = 0, least = INFINITY;
    int vain = 0;
    LN_TRY(true_residual(s, &norm));
    k->rep.start_residual = norm;
    k->target = fmax(s->o.rtol * (s->o.relative == LN_RELATIVE_START ? norm : k->rep.rhs_norm), s->o.atol);
    k->worst = DIVERGED * fmax(k->rep.rhs_norm, norm);
    record(k, norm);
    while (!decide(s, norm, &least, &vain)) {
        k->claimed = false;
        LN_TRY(cycle[s->o.method](k, s->r, norm));
        LN_TRY(true_residual(s, &norm));
    }
    memcpy(k->x, s->best, (size_t)k->n * sizeof *k->x);
    k->rep.true_residual = least;
    if (k->scalars > 1)
        ln__cg_extremes(&k->rep.lambda_min, &k->rep.lambda_max, k->alpha, k->beta, k->scalars,
                        k->alpha + 2 * k->scalars_room);
done:
    return st;
}

ln_status ln_solver_solve(ln_solver *s, const double *b, double *x, ln_solve_report *report)
{
    ln_status st = LN_OK;
    ln__krylov *k = &s->k;
    const size_t bytes = (size_t)s->m.n * sizeof *x;
    k->rep = (ln_solve_report){ .struct_size = report ? report->struct_size : 0, .shift = k->rep.shift };
    k->reason = LN_RUNNING;
    k->claimed = false;
    k->scalars = 0;
    k->b = b;
    LN_TRY(check_vector(b, s->m.n, "the right-hand side"));
    LN_TRY(check_vector(x, s->m.n, "the first guess"));
    if (s->pc && s->stale)
        LN_TRY(ln__pc_update(s->pc, s->o.omega, &k->rep.shift));
    s->stale = false;
    k->rep.rhs_norm = ln__vec_norm(b, s->m.n, k->work);
    k->x = s->x;
    memcpy(k->x, x, bytes);
    if (k->rep.rhs_norm == 0) {
        memset(k->x, 0, bytes);
        k->rep.reason = LN_SOLVED_ATOL;
    } else {
        LN_TRY(cycles(s));
    }
    memcpy(x, k->x, bytes);
    if (report)
        memcpy(report, &k->rep, LN_MIN(report->struct_size, sizeof k->rep));
done:
    return st;
}

ln_status ln_solve(const ln_linop *a, const double *b, double *x, const ln_solve_opts *opts, ln_solve_report *report)
{
    ln_status st = LN_OK;
    ln_solver *s = NULL;
    LN_TRY(ln_solver_new(&s, a, opts));
    LN_TRY(ln_solver_solve(s, b, x, report));
done:
    ln_solver_free(s);
    return st;
}
