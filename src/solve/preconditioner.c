/* preconditioner.c - z = M^-1 r: the diagonal, SSOR, and incomplete Cholesky without fill (Meijerink and van der Vorst
 * 1977).
 *
 *   IC(0): L has the pattern of the lower triangle;  L_ij = (a_ij - sum_k<j L_ik L_jk) / L_jj,
 *          L_ii = sqrt(a_ii - sum_k<i L_ik^2).
 *
 * Where a pivot is not positive the diagonal is raised by sigma a_ii, sigma = 1e-3, 1e-2, … (Manteuffel 1980). */
#include <math.h>
#include <string.h>

#include "solve/krylov.h"
#include "solve/sweep.h"

struct ln__pc {
    ln_pc kind;
    const ln__matrix *m;
    double omega;
    double *inverse; /* Jacobi: 1 / diagonal */
    ln__csr *l;      /* IC(0): lower triangle, the diagonal last in each row */
};

static const double SIGMA_FIRST = 1e-3, SIGMA_LAST = 1e3;

/* ---- incomplete Cholesky ---- */

static ln_status lower_of(ln__csr **out, const ln__csr *a)
{
    ln_status st = LN_OK;
    ln__csr *l = NULL;
    int64_t nnz = 0;
    for (int64_t i = 0; i < a->rows; i++)
        nnz += ln__csr_from(a, i, i + 1) - a->start[i];
    LN_TRY(ln__csr_new(&l, LN_F64, a->rows, a->rows, nnz));
    int64_t at = 0;
    for (int64_t i = 0; i < a->rows; i++) {
        const int64_t from = a->start[i], n = ln__csr_from(a, i, i + 1) - from;
        memcpy(l->column + at, a->column + from, (size_t)n * sizeof *l->column);
        memcpy((double *)l->value + at, (const double *)a->value + from, (size_t)n * sizeof(double));
        at += n;
        l->start[i + 1] = at;
    }
    *out = l;
    l = NULL;
done:
    ln__csr_free(l);
    return st;
}

/* sum_k<j L_ik L_jk: two rows of ascending columns. */
static double shared(const ln__csr *l, int64_t i, int64_t end_i, int64_t j)
{
    const double *v = l->value;
    int64_t p = l->start[i], q = l->start[j];
    const int64_t end_j = l->start[j + 1] - 1;
    double sum = 0;
    while (p < end_i && q < end_j) {
        if (l->column[p] == l->column[q])
            sum += v[p++] * v[q++];
        else if (l->column[p] < l->column[q])
            p++;
        else
            q++;
    }
    return sum;
}

/* In place; false at the first pivot that is not positive. */
static bool factor(ln__csr *l, double sigma)
{
    double *v = l->value;
    for (int64_t i = 0; i < l->rows; i++) {
        const int64_t last = l->start[i + 1] - 1;
        double pivot = v[last] * (1 + sigma);
        for (int64_t p = l->start[i]; p < last; p++) {
            const int64_t j = l->column[p];
            v[p] = (v[p] - shared(l, i, p, j)) / v[l->start[j + 1] - 1];
            pivot -= v[p] * v[p];
        }
        if (!(pivot > 0) || !isfinite(pivot))
            return false;
        v[last] = sqrt(pivot);
    }
    return true;
}

static ln_status make_ic(ln__pc *pc, double *shift)
{
    ln_status st = LN_OK;
    ln__csr *a = NULL, *l = NULL;
    double sigma = 0;
    LN_TRY(ln__matrix_csr(&a, pc->m));
    for (;;) {
        ln__csr_free(l);
        l = NULL;
        LN_TRY(lower_of(&l, a));
        if (factor(l, sigma))
            break;
        sigma = sigma > 0 ? 10 * sigma : SIGMA_FIRST;
        if (sigma > SIGMA_LAST)
            LN_FAIL(LN_ERR_NUMERIC, "ic0: no positive pivots even with the diagonal raised %g times", SIGMA_LAST);
    }
    ln__csr_free(pc->l);
    pc->l = l;
    l = NULL;
    *shift = sigma;
done:
    ln__csr_free(a);
    ln__csr_free(l);
    return st;
}

/* L L^T z = r. */
static void apply_ic(const ln__csr *l, double *z, const double *r)
{
    const double *v = l->value;
    for (int64_t i = 0; i < l->rows; i++) {
        const int64_t last = l->start[i + 1] - 1;
        double sum = r[i];
        for (int64_t p = l->start[i]; p < last; p++)
            sum -= v[p] * z[l->column[p]];
        z[i] = sum / v[last];
    }
    for (int64_t i = l->rows - 1; i >= 0; i--) {
        const int64_t last = l->start[i + 1] - 1;
        const double t = z[i] /= v[last];
        for (int64_t p = l->start[i]; p < last; p++)
            z[l->column[p]] -= v[p] * t;
    }
}

/* ---- either ---- */

ln_status ln__pc_make(ln__pc **out, const ln__matrix *m, const ln_solve_opts *o)
{
    static const char *const names[] = { "none", "jacobi", "ssor", "ic0" };
    ln_status st = LN_OK;
    ln__pc *pc = NULL;
    *out = NULL;
    if (o->pc == LN_PC_NONE)
        return LN_OK;
    LN_TRY(ln__matrix_needs_diagonal(m, names[o->pc]));
    LN_TRY(LN_NEW0(&pc, 1));
    pc->kind = (ln_pc)o->pc;
    pc->m = m;
    if (pc->kind == LN_PC_JACOBI)
        LN_TRY(LN_NEW(&pc->inverse, m->n));
    if (pc->kind == LN_PC_IC0)
        LN_TRY(ln__matrix_needs_symmetry(m, "ic0"));
    *out = pc;
    pc = NULL;
done:
    ln__pc_free(pc);
    return st;
}

void ln__pc_free(ln__pc *pc)
{
    if (!pc)
        return;
    ln__free(pc->inverse);
    ln__csr_free(pc->l);
    ln__free(pc);
}

ln_status ln__pc_update(ln__pc *pc, double omega, double *shift)
{
    ln_status st = LN_OK;
    *shift = 0;
    pc->omega = omega;
    LN_TRY(ln__matrix_needs_diagonal(pc->m, "the preconditioner"));
    if (pc->kind == LN_PC_IC0)
        LN_TRY(make_ic(pc, shift));
    if (pc->kind == LN_PC_JACOBI) {
        ln__matrix_diagonal(pc->m, pc->inverse);
        for (int64_t i = 0; i < pc->m->n; i++)
            pc->inverse[i] = 1 / pc->inverse[i];
    }
done:
    return st;
}

void ln__pc_apply(ln__pc *pc, double *z, const double *r)
{
    if (pc->kind == LN_PC_JACOBI)
        ln__vec_multiply(z, pc->inverse, r, pc->m->n);
    else if (pc->kind == LN_PC_SSOR)
        ln__sweep_ssor(pc->m, pc->omega, z, r);
    else
        apply_ic(pc->l, z, r);
}
