/* matmul.c - C = op(A) op(B) over broadcast batches, and what other products reduce to.
 *
 *     dA = g op(B)^T, transposed when A is; dB = op(A)^T g, likewise; summed over what was broadcast.
 * A product over a batch is one job: destinations (`keep` loops), and for each the terms that are summed into it in
 * order (`lost` loops). Where one operand is shared by the whole batch the batch becomes rows of one large product
 * (or, for its gradient, length of the inner dimension). Matrices may lie row by row or column by column with any
 * batch strides: a permuted view costs no copy. At most 32 x 32 goes to own loops, the rest to GEMM; products too
 * small to share out are shared out whole. */
#include <limits.h>
#include <string.h>

#include "core/threads.h"
#include "grad/batch.h"
#include "grad/gemm.h"
#include "grad/small_gemm_vec.h"
#include "grad/tape.h"

enum { SHARE_INSIDE = 1 << 23, CHUNK_WORK = 1 << 18 }; /* multiply-adds */

typedef struct attrs {
    int32_t ta, tb;
} attrs;

/* A stored matrix: row by row with `ld`, or column by column (t). */
typedef struct layout {
    bool t;
    int64_t ld;
} layout;

/* Can BLAS read the last two dimensions of v as they lie? */
static bool layout_of(layout *l, const ln_var *v)
{
    const int64_t rows = v->dim[v->ndim - 2], cols = v->dim[v->ndim - 1];
    const int64_t rs = v->stride[v->ndim - 2], cs = v->stride[v->ndim - 1];
    if ((cs == 1 || cols <= 1) && (rs >= cols || rows <= 1)) {
        *l = (layout){ false, LN_MAX(rows <= 1 ? cols : rs, 1) };
        return true;
    }
    if ((rs == 1 || rows <= 1) && (cs >= rows || cols <= 1)) {
        *l = (layout){ true, LN_MAX(cols <= 1 ? rows : cs, 1) };
        return true;
    }
    return false;
}

/* ---- one job ---- */

typedef struct job {
    bool f64, ta, tb, add;
    int64_t m, n, k, lda, ldb;
    const char *a, *b;
    char *c;
    ln__batch batch;
    int failed; /* atomic: a status from inside a parallel region */
} job;

static ln_status multiply(const job *j, char *c, const char *a, const char *b, bool add)
{
    if (LN_MAX(LN_MAX(j->m, j->n), j->k) > LN__SMALL)
        return ln__gemm_any(j->f64, j->ta, j->tb, j->m, j->n, j->k, a, j->lda, b, j->ldb, add, c, LN_MAX(j->n, 1));
    const ln__small_gemm_loops *const loops = LN__LEVELS(ln__small_gemm);
    loops->gemm[j->f64](c, a, j->ta ? 1 : j->lda, j->ta ? j->lda : 1, b, j->tb ? 1 : j->ldb, j->tb ? j->ldb : 1, j->m,
                        j->n, j->k, add);
    return LN_OK;
}

static void destinations(void *ctx, int64_t begin, int64_t end)
{
    job *j = ctx;
    const int64_t width = j->f64 ? 8 : 4;
    for (int64_t d = begin; d < end; d++) {
        char *const c = j->c + d * j->m * j->n * width;
        const int64_t a = ln__loops_at(&j->batch.keep, d, j->batch.keep.a),
                      b = ln__loops_at(&j->batch.keep, d, j->batch.keep.b);
        for (int64_t r = 0; r < j->batch.terms; r++) {
            const int64_t ar = a + ln__loops_at(&j->batch.lost, r, j->batch.lost.a),
                          br = b + ln__loops_at(&j->batch.lost, r, j->batch.lost.b);
            const ln_status st = multiply(j, c, j->a + ar * width, j->b + br * width, j->add || r > 0);
            if (st != LN_OK) /* sizes were checked by infer: it does not come to this */
                __atomic_store_n(&j->failed, (int)st, __ATOMIC_RELAXED);
        }
    }
}

/* The batch as more rows of A and C, or as a longer inner dimension. */
static void fold(job *j)
{
    if (j->batch.terms == 1 && j->batch.kept > 1 && j->batch.keep.n == 1 && j->batch.keep.b[0] == 0 && !j->ta &&
        (j->batch.keep.a[0] == j->m * j->lda) && j->m * j->batch.kept <= INT_MAX) {
        j->m *= j->batch.kept;
        j->batch.kept = 1;
    }
    if (j->batch.kept == 1 && j->batch.terms > 1 && j->batch.lost.n == 1 && j->ta && !j->tb &&
        j->batch.lost.a[0] == j->k * j->lda && j->batch.lost.b[0] == j->k * j->ldb &&
        j->k * j->batch.terms <= INT_MAX) {
        j->k *= j->batch.terms;
        j->batch.terms = 1;
    }
}

static ln_status run_job(job *j)
{
    if (j->m * j->n * j->batch.kept == 0)
        return LN_OK;
    if (j->batch.terms == 0) {
        if (!j->add)
            memset(j->c, 0, (size_t)(j->m * j->n * j->batch.kept) * (j->f64 ? 8 : 4));
        return LN_OK;
    }
    fold(j);
    const double work = (double)j->m * (double)j->n * (double)LN_MAX(j->k, 1) * (double)j->batch.terms;
    if (j->batch.kept == 1 || work / (double)j->batch.terms >= SHARE_INSIDE)
        destinations(j, 0, j->batch.kept);
    else
        ln__parallel_for(j->batch.kept, (int64_t)LN_MAX(CHUNK_WORK / work, 1), destinations, j);
    return j->failed ? ln__fail((ln_status)j->failed, "a matrix product failed") : LN_OK;
}

/* ---- the operation ---- */

static ln_status matmul_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    int ndim = 0;
    layout l;
    const attrs *at = n->attrs;
    for (int i = 0; i < 2; i++) {
        const ln_var *v = n->in[i];
        if (!v)
            LN_FAIL(LN_ERR_ARG, "%s: input %d is NULL", n->op->name, i);
        if (!ln__is_real(v->dtype))
            LN_FAIL(LN_ERR_DTYPE, "%s: input %d must be f32 or f64, found %s", n->op->name, i, ln_dtype_name(v->dtype));
        if (v->ndim < 2)
            LN_TRY(ln__shape_error(n, "two dimensions or more in each"));
        if (!layout_of(&l, v))
            LN_FAIL(LN_ERR_ARG, "%s: input %d must have rows or columns without gaps", n->op->name, i);
    }
    const ln_var *a = n->in[0], *b = n->in[1];
    const int64_t m = a->dim[a->ndim - 2 + at->ta], ka = a->dim[a->ndim - 1 - at->ta];
    const int64_t kb = b->dim[b->ndim - 2 + at->tb], cols = b->dim[b->ndim - 1 - at->tb];
    if (ka != kb)
        LN_TRY(ln__shape_error(n, at->ta   ? at->tb ? "(...,k,m)^T (...,n,k)^T" : "(...,k,m)^T (...,k,n)"
                                  : at->tb ? "(...,m,k) (...,n,k)^T"
                                           : "(...,m,k) (...,k,n)"));
    if (LN_MAX(LN_MAX(m, cols), ka) > INT_MAX)
        LN_TRY(ln__shape_error(n, "dimensions that BLAS can count"));
    LN_TRY(ln__batch_shape(n, dims, &ndim, a, b, 2));
    dims[ndim++] = m;
    dims[ndim++] = cols;
    LN_TRY(ln__out(t, n, 0, a->dtype, ndim, dims));
done:
    return st;
}

/* A variable as the matrix it stands for: op(A), op(B) or g. */
typedef struct operand {
    const ln_var *v;
    layout l;
} operand;

static operand operand_of(const ln_var *v, bool transposed)
{
    operand o = { .v = v };
    (void)layout_of(&o.l, v);
    o.l.t ^= transposed;
    return o;
}

static operand flip(operand o)
{
    o.l.t = !o.l.t;
    return o;
}

static job job_of(operand p, operand q, int64_t inner)
{
    return (job){ .f64 = p.v->dtype == LN_F64,
                  .a = p.v->data,
                  .b = q.v->data,
                  .ta = p.l.t,
                  .tb = q.l.t,
                  .lda = p.l.ld,
                  .ldb = q.l.ld,
                  .k = inner };
}

static ln_status run_into(job *j, void *c, const ln_var *to, const ln_var *out, const ln_var *p, const ln_var *q)
{
    j->c = c;
    j->m = to->dim[to->ndim - 2];
    j->n = to->dim[to->ndim - 1];
    j->batch = ln__batch_of(out, 2, to, p, q);
    return run_job(j);
}

static ln_status matmul_forward(ln_tape *t, const ln__node *n)
{
    const attrs *at = n->attrs;
    const ln_var *a = n->in[0], *b = n->in[1], *y = n->out[0];
    job j = job_of(operand_of(a, at->ta), operand_of(b, at->tb), a->dim[a->ndim - 1 - at->ta]);
    (void)t;
    return run_into(&j, y->data, y, y, a, b);
}

static ln_status matmul_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    const attrs *at = n->attrs;
    const operand a = operand_of(n->in[0], at->ta), b = operand_of(n->in[1], at->tb);
    ln_var plain = *n->out[0];
    plain.data = (void *)(uintptr_t)g->out[0];
    const operand y = operand_of(&plain, false);
    (void)t;
    if (g->in[0]) { /* g B^T, or its transpose B g^T */
        const operand p = at->ta ? b : y, q = flip(at->ta ? y : b);
        job j = job_of(p, q, plain.dim[plain.ndim - 1]);
        j.add = g->add[0];
        LN_TRY(run_into(&j, g->in[0], a.v, &plain, p.v, q.v));
    }
    if (g->in[1]) { /* A^T g, or its transpose g^T A */
        const operand p = flip(at->tb ? y : a), q = at->tb ? a : y;
        job j = job_of(p, q, plain.dim[plain.ndim - 2]);
        j.add = g->add[1];
        LN_TRY(run_into(&j, g->in[1], b.v, &plain, p.v, q.v));
    }
done:
    return st;
}

static ln_var *run_matmul(ln_tape *t, ln_var *a, ln_var *b, int ta, int tb);

static ln_var *matmul_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int na, nb, ta, tb;
        int64_t a[4], b[4];
    } shape[] = {
        { 2, 2, 0, 0, { 3, 4 }, { 4, 5 } },
        { 2, 2, 1, 0, { 4, 3 }, { 4, 5 } },
        { 2, 2, 0, 1, { 3, 4 }, { 5, 4 } },
        { 2, 2, 1, 1, { 4, 3 }, { 5, 4 } },
        { 3, 2, 0, 0, { 2, 3, 4 }, { 4, 5 } },          /* folded into rows */
        { 2, 3, 1, 0, { 4, 3 }, { 2, 4, 5 } },          /* the first is shared */
        { 4, 4, 0, 1, { 2, 1, 3, 4 }, { 1, 3, 2, 4 } }, /* both broadcast */
        { 4, 3, 1, 1, { 2, 3, 4, 3 }, { 3, 2, 4 } },    /* outer dimension broadcast */
        { 3, 3, 0, 0, { 2, 1, 9 }, { 2, 9, 1 } },       /* one row, one column */
        { 3, 3, 0, 0, { 0, 3, 2 }, { 1, 2, 4 } },       /* no batch: the shared operand's gradient is 0 */
        { 3, 3, 0, 0, { 2, 3, 0 }, { 2, 0, 4 } },       /* no terms */
        { 3, 3, 0, 0, { 2, 0, 3 }, { 2, 3, 4 } },
        { 3, 3, 0, 0, { 2, 35, 3 }, { 2, 3, 34 } }, /* past the small loops */
        { 3, 3, 1, 1, { 2, 33, 2 }, { 1, 18, 33 } },
        { 3, 3, 0, 0, { 2, 21, 19 }, { 2, 19, 18 } },
    };
    if (k >= (int)LN_COUNT(shape))
        return NULL;
    ln_var *a = ln__case_leaf(t, c, shape[k].na, shape[k].a, -1, 1);
    ln_var *b = ln__case_leaf(t, c, shape[k].nb, shape[k].b, -1, 1);
    return run_matmul(t, a, b, shape[k].ta, shape[k].tb);
}

const ln__op ln__op_matmul = { .name = "matmul",
                               .infer = matmul_infer,
                               .forward = { matmul_forward, matmul_forward },
                               .backward = { matmul_backward, matmul_backward },
                               .reads = 3u,
                               .build = matmul_build };

static ln_var *readable(ln_tape *t, ln_var *v)
{
    layout l;
    return v && v->ndim >= 2 && !layout_of(&l, v) ? ln_contiguous(t, v) : v;
}

static ln_var *run_matmul(ln_tape *t, ln_var *a, ln_var *b, int ta, int tb)
{
    const attrs at = { ta != 0, tb != 0 };
    return ln__run1(t, &ln__op_matmul, 2, (ln_var *[]){ readable(t, a), readable(t, b) }, &at, sizeof at);
}

ln_var *ln_matmul(ln_tape *t, ln_var *a, ln_var *b, int transpose_a, int transpose_b)
{
    return run_matmul(t, a, b, transpose_a, transpose_b);
}
