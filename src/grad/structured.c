/* structured.c - products with matrices that are made of small ones: block diagonals, Monarch, Kronecker, Hadamard.
 *
 *     block diagonal  y_i = B_i x_i: dx_i = B_i^T g_i, dB_i = sum over rows of g_i x_i^T; blocks of x and y lie side by
 *                     side, so each is one GEMM with gaps between its rows and nothing is moved
 *     Monarch         P L P^T R (Dao et al. 2022): two block diagonals with the permutation (k,l) -> (l,k) between
 *     Kronecker       x (q,s) as a matrix: A x B^T, the cheaper side first
 *     Hadamard        H x / sqrt n is its own inverse and transpose */
#include <math.h>
#include <string.h>

#include "grad/gemm.h"
#include "grad/places.h"
#include "grad/product_vec.h"

enum { CHUNK = 1 << 14, SHARE_INSIDE = 1 << 23 };

static int64_t last(const ln_var *x)
{
    return x->dim[x->ndim - 1];
}

/* ---- block diagonal ---- */

typedef struct blocks_job {
    enum { FORWARD, BACK_X, BACK_BLOCKS } what;
    bool f64, add;
    int64_t rows, k, p, q;
    const char *x, *b; /* what is multiplied: x or g; blocks, or x again */
    char *y;
    int failed; /* atomic: a status from inside a parallel region */
} blocks_job;

static void blocks(void *ctx, int64_t begin, int64_t end)
{
    blocks_job *j = ctx;
    const int64_t w = j->f64 ? 8 : 4, p = j->p, q = j->q, kp = j->k * p, kq = j->k * q;
    for (int64_t i = begin; i < end; i++) {
        ln_status st;
        if (j->what == FORWARD)
            st = ln__gemm_any(j->f64, false, true, j->rows, p, q, j->x + i * q * w, kq, j->b + i * p * q * w, q, false,
                              j->y + i * p * w, kp);
        else if (j->what == BACK_X)
            st = ln__gemm_any(j->f64, false, false, j->rows, q, p, j->x + i * p * w, kp, j->b + i * p * q * w, q,
                              j->add, j->y + i * q * w, kq);
        else
            st = ln__gemm_any(j->f64, true, false, p, q, j->rows, j->x + i * p * w, kp, j->b + i * q * w, kq, j->add,
                              j->y + i * p * q * w, q);
        if (st != LN_OK) /* sizes were checked by infer: it does not come to this */
            __atomic_store_n(&j->failed, (int)st, __ATOMIC_RELAXED);
    }
}

static ln_status run_blocks(blocks_job *j)
{
    const double work = (double)j->rows * (double)j->p * (double)j->q;
    if (work >= SHARE_INSIDE)
        blocks(j, 0, j->k);
    else
        ln__parallel_for(j->k, (int64_t)LN_MAX(CHUNK / LN_MAX(work, 1), 1), blocks, j);
    return j->failed ? ln__fail((ln_status)j->failed, "a matrix product failed") : LN_OK;
}

static ln_status block_diagonal_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    LN_TRY(ln__want_float(n, 0, -1));
    LN_TRY(ln__want_float(n, 1, 3));
    const ln_var *x = n->in[0], *b = n->in[1];
    if (x->ndim < 1 || last(x) != b->dim[0] * b->dim[2])
        LN_TRY(ln__shape_error(n, "x (...,k q) and blocks (k,p,q)"));
    if (ln__var_rows(x) > INT32_MAX || LN_MAX(last(x), b->dim[0] * b->dim[1]) > INT32_MAX)
        LN_TRY(ln__shape_error(n, "dimensions that BLAS can count"));
    memcpy(dims, x->dim, sizeof dims);
    dims[x->ndim - 1] = b->dim[0] * b->dim[1];
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, dims));
done:
    return st;
}

static blocks_job blocks_of(const ln__node *n)
{
    const ln_var *b = n->in[1];
    return (blocks_job){
        .f64 = b->dtype == LN_F64, .rows = ln__var_rows(n->in[0]), .k = b->dim[0], .p = b->dim[1], .q = b->dim[2]
    };
}

static ln_status block_diagonal_forward(ln_tape *t, const ln__node *n)
{
    blocks_job j = blocks_of(n);
    (void)t;
    j.x = n->in[0]->data;
    j.b = n->in[1]->data;
    j.y = n->out[0]->data;
    return run_blocks(&j);
}

static ln_status block_diagonal_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    (void)t;
    for (int i = 0; i < 2; i++) {
        blocks_job j = blocks_of(n);
        if (!g->in[i])
            continue;
        j.what = i == 0 ? BACK_X : BACK_BLOCKS;
        j.x = g->out[0];
        j.b = n->in[1 - i]->data;
        j.y = g->in[i];
        j.add = g->add[i];
        LN_TRY(run_blocks(&j));
    }
done:
    return st;
}

extern const ln__op ln__op_block_diagonal, ln__op_hadamard;

static ln_var *block_diagonal_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][4] = { { 3, 2, 3, 4 }, { 1, 3, 2, 2 }, { 5, 1, 4, 1 }, { 0, 2, 2, 3 },
                                       { 2, 2, 3, 0 }, { 2, 0, 3, 2 }, { 2, 2, 0, 3 }, { 34, 2, 5, 3 } };
    if (k >= (int)LN_COUNT(dims))
        return NULL;
    const int64_t *d = dims[k];
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(1, d[0], d[1] * d[3]), -1, 1);
    return ln_block_diagonal(t, x, ln__case_leaf(t, c, LN_DIMS(d[1], d[2], d[3]), -1, 1));
}

const ln__op ln__op_block_diagonal = { .name = "block_diagonal",
                                       .infer = block_diagonal_infer,
                                       .forward = { block_diagonal_forward, block_diagonal_forward },
                                       .backward = { block_diagonal_backward, block_diagonal_backward },
                                       .reads = 3u,
                                       .build = block_diagonal_build };

ln_var *ln_block_diagonal(ln_tape *t, ln_var *x, ln_var *b)
{
    ln_var *in[2] = { x ? ln_contiguous(t, x) : NULL, b ? ln_contiguous(t, b) : NULL };
    return ln__run1(t, &ln__op_block_diagonal, 2, in, NULL, 0);
}

/* ---- compositions ---- */

/* (…, a b) -> (…, b a). */
static ln_var *shuffle(ln_tape *t, ln_var *x, int64_t a, int64_t b)
{
    int64_t dims[LN_MAX_DIMS + 1];
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    const int n = x->ndim;
    memcpy(dims, x->dim, (size_t)(n - 1) * sizeof *dims);
    dims[n - 1] = a;
    dims[n] = b;
    x = ln_transpose(t, ln_reshape(t, x, n + 1, dims), n - 1, n);
    dims[n - 1] = a * b;
    return ln_reshape(t, x, n, dims);
}

static ln_var *refuse(ln_tape *t, const char *op, const char *expected, const ln_var *const *v)
{
    char text[3][96];
    for (int i = 0; i < 3; i++)
        if (!v[i])
            return ln__tape_fail(t, ln__fail(LN_ERR_ARG, "%s: input %d is NULL", op, i));
    return ln__tape_fail(t, ln__fail(LN_ERR_SHAPE, "%s: expected %s, found %s, %s and %s", op, expected,
                                     ln__var_text(text[0], v[0]), ln__var_text(text[1], v[1]),
                                     ln__var_text(text[2], v[2])));
}

ln_var *ln_monarch(ln_tape *t, ln_var *x, ln_var *left, ln_var *right)
{
    const ln_var *const all[3] = { x, left, right };
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    if (!x || !left || !right || x->ndim < 1 || x->ndim >= LN_MAX_DIMS || left->ndim != 3 || right->ndim != 3 ||
        last(x) != right->dim[0] * right->dim[2] || right->dim[0] * right->dim[1] != left->dim[0] * left->dim[2])
        return refuse(t, "monarch", "x (...,k i), left (l,o,r) and right (k,j,i) with k j = l r", all);
    const int64_t l = left->dim[0], o = left->dim[1], r = left->dim[2];
    return shuffle(t, ln_block_diagonal(t, shuffle(t, ln_block_diagonal(t, x, right), r, l), left), l, o);
}

ln_var *ln_kron_apply(ln_tape *t, ln_var *x, ln_var *a, ln_var *b)
{
    const ln_var *const all[3] = { x, a, b };
    int64_t dims[LN_MAX_DIMS + 1];
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    if (!x || !a || !b || x->ndim < 1 || x->ndim >= LN_MAX_DIMS || a->ndim != 2 || b->ndim != 2 ||
        last(x) != a->dim[1] * b->dim[1])
        return refuse(t, "kron_apply", "x (...,q s), A (p,q) and B (r,s)", all);
    const int n = x->ndim;
    const double p = (double)a->dim[0], q = (double)a->dim[1], r = (double)b->dim[0], s = (double)b->dim[1];
    memcpy(dims, x->dim, (size_t)n * sizeof *dims);
    dims[n - 1] = a->dim[1];
    dims[n] = b->dim[1];
    ln_var *y = ln_reshape(t, x, n + 1, dims);
    if (q * s * r + p * q * r <= p * q * s + p * s * r)
        y = ln_matmul(t, a, ln_matmul(t, y, b, 0, 1), 0, 0);
    else
        y = ln_matmul(t, ln_matmul(t, a, y, 0, 0), b, 0, 1);
    dims[n - 1] = a->dim[0] * b->dim[0];
    return ln_reshape(t, y, n, dims);
}

/* ---- Hadamard ---- */

typedef struct hadamard_attrs {
    size_t place;
} hadamard_attrs;

typedef struct hadamard_job {
    const ln__product_loops *loops;
    bool f64, add;
    int64_t n;
    double scale;
    const char *x;
    char *y, *scratch;
    size_t place;
    ln__claims places;
} hadamard_job;

static void hadamard_rows(void *ctx, int64_t begin, int64_t end)
{
    hadamard_job *j = ctx;
    const size_t bytes = (size_t)j->n * (j->f64 ? 8 : 4);
    const int place = ln__claim(&j->places);
    for (int64_t r = begin; r < end; r++) {
        char *const y = j->y + (size_t)r * bytes;
        j->loops->hadamard[j->f64](y, j->x + (size_t)r * bytes, j->scale, j->n, j->add,
                                   j->add ? j->scratch + (size_t)place * j->place : y);
    }
    ln__claim_end(&j->places, place);
}

static ln_status hadamard_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    hadamard_attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (x->ndim < 1 || last(x) < 1 || (last(x) & (last(x) - 1)) != 0)
        LN_TRY(ln__shape_error(n, "(...,n) with n a power of two"));
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, x->dim));
    a->place = ln__place_bytes(ln_dtype_bytes(x->dtype, last(x)));
    n->scratch = ln__places_bytes(a->place, ln__var_rows(x));
done:
    return st;
}

static void run_hadamard(ln_tape *t, const ln__node *n, const void *x, void *y, bool add)
{
    const hadamard_attrs *a = n->attrs;
    const int64_t length = last(n->in[0]);
    hadamard_job j = { .loops = LN__LEVELS(ln__product),
                       .f64 = n->in[0]->dtype == LN_F64,
                       .add = add,
                       .n = length,
                       .scale = 1 / sqrt((double)length),
                       .x = x,
                       .y = y,
                       .scratch = ln__scratch(t),
                       .place = a->place };
    ln__places_init(&j.places, n, a->place);
    ln__parallel_for(ln__var_rows(n->in[0]), LN_MAX(CHUNK / length, 1), hadamard_rows, &j);
}

static ln_status hadamard_forward(ln_tape *t, const ln__node *n)
{
    run_hadamard(t, n, n->in[0]->data, n->out[0]->data, false);
    return LN_OK;
}

static ln_status hadamard_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    if (g->in[0])
        run_hadamard(t, n, g->out[0], g->in[0], g->add[0]);
    return LN_OK;
}

static ln_var *hadamard_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][2] = {
        { 3, 8 }, { 2, 1 }, { 2, 2 }, { 3, 4 }, { 0, 4 }, { 2, 16 }, { 1, 32 }, { 2, 64 }
    };
    return k < (int)LN_COUNT(dims) ? ln_hadamard(t, ln__case_leaf(t, c, LN_DIMS(dims[k][0], 1, dims[k][1]), -1, 1))
                                   : NULL;
}

const ln__op ln__op_hadamard = { .name = "hadamard",
                                 .flags = LN__OP_LINEAR,
                                 .infer = hadamard_infer,
                                 .forward = { hadamard_forward, hadamard_forward },
                                 .backward = { hadamard_backward, hadamard_backward },
                                 .build = hadamard_build };

ln_var *ln_hadamard(ln_tape *t, ln_var *x)
{
    const hadamard_attrs a = { 0 };
    ln_var *c = x ? ln_contiguous(t, x) : NULL;
    return ln__run1(t, &ln__op_hadamard, 1, &c, &a, sizeof a);
}
