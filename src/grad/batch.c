/* batch.c - the loops of a batch: which operands meet for each destination, and in which order. */
#include "grad/batch.h"

/* Stride of batch dimension i of `out` in v, 0 where v is broadcast. */
static int64_t stride_of(const ln_var *v, const ln_var *out, int i)
{
    const int k = i - (out->ndim - v->ndim);
    return k < 0 || v->dim[k] == 1 ? 0 : v->stride[k];
}

static int64_t count_of(const int64_t *dim, int n)
{
    int64_t count = 1;
    for (int i = 0; i < n; i++)
        count *= dim[i];
    return count;
}

ln__batch ln__batch_of(const ln_var *out, int inner, const ln_var *to, const ln_var *p, const ln_var *q)
{
    int64_t dim[2][LN_MAX_DIMS], a[2][LN_MAX_DIMS], b[2][LN_MAX_DIMS];
    int n[2] = { 0, 0 };
    for (int i = 0; i < out->ndim - inner; i++) {
        const int it = i - (out->ndim - to->ndim);
        const int lost = it < 0 || (to->dim[it] == 1 && out->dim[i] != 1);
        dim[lost][n[lost]] = out->dim[i];
        a[lost][n[lost]] = stride_of(p, out, i);
        b[lost][n[lost]++] = stride_of(q, out, i);
    }
    return (ln__batch){ .keep = ln__loops_of(n[0], dim[0], a[0], b[0]),
                        .lost = ln__loops_of(n[1], dim[1], a[1], b[1]),
                        .kept = count_of(dim[0], n[0]),
                        .terms = count_of(dim[1], n[1]) };
}

ln_status ln__batch_shape(const ln__node *n, int64_t *dims, int *ndim, const ln_var *a, const ln_var *b, int inner)
{
    ln_var p = *a, q = *b;
    p.ndim -= inner;
    q.ndim -= inner;
    return ln__broadcast(n, dims, ndim, &p, &q);
}
