/* muon.c - momentum made orthogonal: a matrix moves along U V^T of its momentum's SVD, approximately, so that all
 * directions move alike.
 *
 *   m = mu m + (1 - mu) g,  x = m (nesterov: (1 - mu) g + mu m),  X = x / |x|_F,  rows <= cols by transposing
 *   five times: A = X X^T,  X <- a X + (b A + c A^2) X,   (a, b, c) = (3.4445, -4.7750, 2.0315)
 *   w = (1 - lr decay) w - lr sqrt(max(1, rows/cols)) X
 *
 * The polynomial does not converge: it moves every singular value into about [0.7, 1.2], which is enough (Jordan et
 * al., Muon, 2024). Weights of more than two dimensions count as (dim 0, the rest). */
#include <math.h>
#include <string.h>

#include "grad/optimizer.h"
#include "linalg/linalg.h"

enum { ROUNDS = 5 };

typedef struct shape {
    int64_t rows, cols, thin, wide;
} shape;

static shape shape_of(const ln__weight *w)
{
    const int64_t rows = w->var.ndim > 1 ? w->var.dim[0] : 0, cols = rows > 0 ? w->var.count / rows : 0;
    return (shape){ rows, cols, LN_MIN(rows, cols), LN_MAX(rows, cols) };
}

bool ln__muon_takes(const ln_optimizer_opts *o, const ln__weight *w, const char *name)
{
    return o->kind == LN_MUON && w->var.ndim >= 2 && w->var.count > 0 && !ln__name_listed(o->rest, name);
}

int64_t ln__muon_work(const ln_weights *w, const ln_optimizer_opts *o)
{
    int64_t most = 0;
    for (int64_t i = 0; i < w->names.n; i++) {
        const shape s = shape_of(&w->list[i]);
        if (ln__muon_takes(o, &w->list[i], ln__names_get(&w->names, i)))
            most = LN_MAX(most, 3 * s.thin * s.wide + 2 * s.thin * s.thin);
    }
    return most;
}

/* y = alpha op(a) op(b) + beta y for the type of the weights. */
static ln_status product(int type, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const void *a, const void *b,
                         double beta, void *y)
{
    const int64_t ldb = tb ? k : n;
    return type ? ln__dgemm(false, tb, m, n, k, alpha, a, k, b, ldb, beta, y, n)
                : ln__sgemm(false, tb, m, n, k, (float)alpha, a, k, b, ldb, (float)beta, y, n);
}

static void transpose(void *dst, const void *src, int64_t rows, int64_t cols, int type)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            if (type)
                ((double *)dst)[j * rows + i] = ((const double *)src)[i * cols + j];
            else
                ((float *)dst)[j * rows + i] = ((const float *)src)[i * cols + j];
}

/* X (thin, wide) in place; `next` (thin, wide), `a` and `b` (thin, thin) are room. *result: where it ended up. */
static ln_status newton_schulz(void **result, const ln_optimizer *o, void *x, void *next, void *a, void *b, shape s)
{
    ln_status st = LN_OK;
    const int type = o->type;
    for (int round = 0; round < ROUNDS; round++) {
        LN_TRY(product(type, true, s.thin, s.thin, s.wide, 1, x, x, 0, a));
        memcpy(b, a, ln_dtype_bytes(o->w->dtype, s.thin * s.thin));
        LN_TRY(product(type, false, s.thin, s.thin, s.thin, 2.0315, a, a, -4.7750, b));
        memcpy(next, x, ln_dtype_bytes(o->w->dtype, s.thin * s.wide));
        LN_TRY(product(type, false, s.thin, s.wide, s.thin, 1, b, x, 3.4445, next));
        void *const swap = x;
        x = next;
        next = swap;
    }
    *result = x;
done:
    return st;
}

static ln_status one(ln_optimizer *o, int64_t i, double lr, double scale, double limit)
{
    ln_status st = LN_OK;
    const ln__weight *w = &o->w->list[i];
    const shape s = shape_of(w);
    const size_t size = ln_dtype_bytes(o->w->dtype, 1), at = size * (size_t)w->at;
    char *x = o->work, *flat = x + size * (size_t)(s.thin * s.wide), *next = flat + size * (size_t)(s.thin * s.wide);
    char *a = next + size * (size_t)(s.thin * s.wide), *b = a + size * (size_t)(s.thin * s.thin);
    void *result = NULL;
    const bool tall = s.rows > s.cols;
    const ln__update u = { .limit = limit, .scale = scale, .beta1 = o->o.momentum, .nesterov = o->o.nesterov != 0 };
    o->loops->momentum[o->type](flat, w->var.grad, (char *)o->m + at, &u, w->var.count);
    const double norm = sqrt(o->loops->sum_of_squares[o->type](flat, INFINITY, w->var.count));
    memset(next, 0, size * (size_t)w->var.count);
    o->loops->move[o->type](next, flat, 0, 1 / (norm + 1e-7), w->var.count);
    if (tall)
        transpose(x, next, s.rows, s.cols, o->type);
    else
        memcpy(x, next, size * (size_t)w->var.count);
    LN_TRY(newton_schulz(&result, o, x, next, a, b, s));
    if (tall) {
        transpose(flat, result, s.cols, s.rows, o->type);
        result = flat;
    }
    const double mine = lr * o->lr_factor[i], keep = 1 - mine * o->o.decay * o->decay_factor[i];
    const double by = -mine * sqrt(LN_MAX(1, (double)s.rows / (double)s.cols));
    o->loops->move[o->type](w->var.data, result, keep, by, w->var.count);
done:
    return st;
}

ln_status ln__muon_step(ln_optimizer *o, double lr, double scale, double limit)
{
    ln_status st = LN_OK;
    for (int64_t i = 0; i < o->w->names.n; i++)
        if (o->alone[i] && ln__weight_trained(&o->w->list[i]))
            LN_TRY(one(o, i, lr, scale, limit));
done:
    return st;
}
