/* mttkrp.c - MTTKRP: P_n = X_(n) (f_N (x) … without f_n … (x) f_1), for all modes of a half from one product with X.
 *
 * With X as the matrix (left, right): half = X (Khatri-Rao of the right factors), (left, rank), once; then for each
 * mode of the left half the other left factors are summed out of it, which costs `left` rank and not left right rank.
 */
#include "factor/mttkrp.h"

#include <string.h>

#include "core/threads.h"
#include "factor/fit.h"

ln_status ln__halves_new(ln__halves *h, const ln__data *d, int64_t rank)
{
    ln_status st = LN_OK;
    int64_t most = 0;
    ln__halves own = { .d = d, .rank = rank };
    for (int n = 0; n < d->order; n++)
        most = LN_MAX(most, d->dims[n]);
    const size_t row = (size_t)rank * sizeof(double);
    LN_TRY(ln__alloc((void **)&own.half, (size_t)LN_MAX(d->left, d->right), row));
    LN_TRY(ln__alloc((void **)&own.product, (size_t)LN_MAX(d->left, d->right), row));
    if (d->order > 2)
        LN_TRY(ln__alloc((void **)&own.out, (size_t)most, row));
    *h = own;
    own = (ln__halves){ 0 };
done:
    ln__halves_free(&own);
    return st;
}

void ln__halves_free(ln__halves *h)
{
    ln__free(h->half);
    ln__free(h->product);
    ln__free(h->out);
    *h = (ln__halves){ 0 };
}

ln_status ln__halves_begin(ln__halves *h, const ln__kruskal *k, int mode)
{
    const ln__data *d = h->d;
    const bool left = mode < d->split;
    const int from = left ? d->split : 0, to = left ? d->order : d->split;
    const double *b = k->f[from];
    if (to - from > 1) {
        ln__khatri_rao(h->product, k, from, to, -1);
        b = h->product;
    }
    return left ? ln__data_right(h->half, d, b, h->rank) : ln__data_left(h->half, d, b, h->rank);
}

typedef struct contraction {
    const double *half, *others;
    double *out;
    int64_t rank, dim, before, after; /* half is (before, dim, after, rank) */
} contraction;

static void contract_rows(void *ctx, int64_t begin, int64_t end)
{
    const contraction *c = ctx;
    for (int64_t i = begin; i < end; i++) {
        double *out = c->out + i * c->rank;
        memset(out, 0, (size_t)c->rank * sizeof *out);
        for (int64_t l = 0; l < c->before; l++)
            for (int64_t q = 0; q < c->after; q++) {
                const double *y = c->half + ((l * c->dim + i) * c->after + q) * c->rank;
                const double *o = c->others + (l * c->after + q) * c->rank;
                for (int64_t r = 0; r < c->rank; r++)
                    out[r] += y[r] * o[r];
            }
    }
}

const double *ln__halves_mode(ln__halves *h, const ln__kruskal *k, int mode)
{
    const ln__data *d = h->d;
    const int from = mode < d->split ? 0 : d->split, to = mode < d->split ? d->split : d->order;
    if (to - from == 1)
        return h->half;
    contraction c = { .half = h->half, .others = h->product, .out = h->out, .rank = h->rank, .dim = d->dims[mode] };
    c.before = ln__khatri_rao_rows(k, from, mode, -1);
    c.after = ln__khatri_rao_rows(k, mode + 1, to, -1);
    ln__khatri_rao(h->product, k, from, to, mode);
    ln__parallel_for(c.dim, LN_MAX(1, (1 << 14) / (c.before * c.after * c.rank)), contract_rows, &c);
    return h->out;
}

ln_status ln__mttkrp(double *p, const ln__data *d, const ln__kruskal *k, int mode)
{
    ln_status st = LN_OK;
    ln__halves h = { 0 };
    LN_TRY(ln__halves_new(&h, d, k->rank));
    LN_TRY(ln__halves_begin(&h, k, mode));
    memcpy(p, ln__halves_mode(&h, k, mode), (size_t)(d->dims[mode] * k->rank) * sizeof *p);
done:
    ln__halves_free(&h);
    return st;
}

ln_status ln__mttkrp_reference(double *p, const ln__data *d, const ln__kruskal *k, int mode)
{
    memset(p, 0, (size_t)(d->dims[mode] * k->rank) * sizeof *p);
    for (int64_t flat = 0; flat < d->left * d->right; flat++) {
        int64_t index[LN_MAX_DIMS], rest = flat;
        for (int n = d->order - 1; n >= 0; n--) {
            index[n] = rest % d->dims[n];
            rest /= d->dims[n];
        }
        for (int64_t r = 0; r < k->rank; r++) {
            double product = d->x[flat];
            for (int n = 0; n < d->order; n++)
                product *= n == mode ? 1 : k->f[n][index[n] * k->rank + r];
            p[index[mode] * k->rank + r] += product;
        }
    }
    return LN_OK;
}
