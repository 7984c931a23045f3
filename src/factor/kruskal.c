/* kruskal.c - factors, their Khatri-Rao products, the form in which they are shown, and how alike two models are. */
#include "factor/kruskal.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"

enum { CHUNK = 512 };

ln_status ln__kruskal_new(ln__kruskal *k, int order, const int64_t *dims, int64_t rank)
{
    ln_status st = LN_OK;
    ln__kruskal own = { .order = order, .rank = rank };
    for (int n = 0; n < order; n++) {
        own.dims[n] = dims[n];
        LN_TRY(ln__calloc((void **)&own.f[n], (size_t)dims[n], (size_t)rank * sizeof(double)));
    }
    LN_TRY(LN_NEW(&own.weights, rank));
    for (int64_t r = 0; r < rank; r++)
        own.weights[r] = 1;
    *k = own;
    own = (ln__kruskal){ 0 };
done:
    ln__kruskal_free(&own);
    return st;
}

void ln__kruskal_free(ln__kruskal *k)
{
    for (int n = 0; n < k->order; n++)
        ln__free(k->f[n]);
    ln__free(k->weights);
    *k = (ln__kruskal){ 0 };
}

void ln__kruskal_copy(ln__kruskal *to, const ln__kruskal *from)
{
    for (int n = 0; n < from->order; n++)
        memcpy(to->f[n], from->f[n], (size_t)(from->dims[n] * from->rank) * sizeof(double));
    memcpy(to->weights, from->weights, (size_t)from->rank * sizeof(double));
}

/* ---- Khatri-Rao ---- */

int64_t ln__khatri_rao_rows(const ln__kruskal *k, int from, int to, int skip)
{
    int64_t rows = 1;
    for (int n = from; n < to; n++)
        rows *= n == skip ? 1 : k->dims[n];
    return rows;
}

typedef struct khatri_rao {
    double *out;
    const ln__kruskal *k;
    int from, to, skip;
} khatri_rao;

static void rows_of(void *ctx, int64_t begin, int64_t end)
{
    const khatri_rao *j = ctx;
    const int64_t rank = j->k->rank;
    for (int64_t row = begin; row < end; row++) {
        double *out = j->out + row * rank;
        int64_t rest = row;
        bool first = true;
        for (int n = j->to - 1; n >= j->from; n--) {
            if (n == j->skip)
                continue;
            const double *f = j->k->f[n] + rest % j->k->dims[n] * rank;
            rest /= j->k->dims[n];
            for (int64_t r = 0; r < rank; r++)
                out[r] = first ? f[r] : out[r] * f[r];
            first = false;
        }
        for (int64_t r = 0; first && r < rank; r++)
            out[r] = 1;
    }
}

void ln__khatri_rao(double *out, const ln__kruskal *k, int from, int to, int skip)
{
    khatri_rao j = { .out = out, .k = k, .from = from, .to = to, .skip = skip };
    ln__parallel_for(ln__khatri_rao_rows(k, from, to, skip), CHUNK, rows_of, &j);
}

/* ---- form ---- */

static double column_norm(const double *f, int64_t rows, int64_t rank, int64_t r)
{
    double most = 0, sum = 0; /* scaled, so that squares neither overflow nor vanish */
    for (int64_t i = 0; i < rows; i++)
        most = fmax(most, fabs(f[i * rank + r]));
    if (!(most > 0) || !isfinite(most))
        return most;
    for (int64_t i = 0; i < rows; i++) {
        const double v = f[i * rank + r] / most;
        sum += v * v;
    }
    return most * sqrt(sum);
}

static void scale_column(double *f, int64_t rows, int64_t rank, int64_t r, double by)
{
    for (int64_t i = 0; i < rows; i++)
        f[i * rank + r] *= by;
}

void ln__kruskal_gather(ln__kruskal *k)
{
    for (int64_t r = 0; r < k->rank; r++)
        for (int n = 1; n < k->order; n++) {
            const double norm = column_norm(k->f[n], k->dims[n], k->rank, r);
            if (norm > 0) {
                scale_column(k->f[n], k->dims[n], k->rank, r, 1 / norm);
                scale_column(k->f[0], k->dims[0], k->rank, r, norm);
            }
        }
}

/* Components in the order of `order`, one factor after the other. */
static void permute(ln__kruskal *k, const int64_t *order, double *row)
{
    for (int n = 0; n < k->order; n++)
        for (int64_t i = 0; i < k->dims[n]; i++) {
            double *f = k->f[n] + i * k->rank;
            for (int64_t r = 0; r < k->rank; r++)
                row[r] = f[order[r]];
            memcpy(f, row, (size_t)k->rank * sizeof *f);
        }
    for (int64_t r = 0; r < k->rank; r++)
        row[r] = k->weights[order[r]];
    memcpy(k->weights, row, (size_t)k->rank * sizeof *row);
}

/* The largest entry of each column becomes positive; the last factor takes the sign. */
static void fix_sign(ln__kruskal *k, int n, int64_t r)
{
    const double *f = k->f[n];
    int64_t at = 0;
    for (int64_t i = 1; i < k->dims[n]; i++)
        if (fabs(f[i * k->rank + r]) > fabs(f[at * k->rank + r]))
            at = i;
    if (f[at * k->rank + r] < 0) {
        scale_column(k->f[n], k->dims[n], k->rank, r, -1);
        scale_column(k->f[k->order - 1], k->dims[k->order - 1], k->rank, r, -1);
    }
}

static bool signed_column(const ln__kruskal *k, int n, int64_t r)
{
    for (int64_t i = 0; i < k->dims[n]; i++)
        if (k->f[n][i * k->rank + r] < 0)
            return true;
    return false;
}

ln_status ln__kruskal_arrange(ln__kruskal *k)
{
    ln_status st = LN_OK;
    int64_t *order = NULL;
    double *row = NULL;
    LN_TRY(LN_NEW(&order, k->rank));
    LN_TRY(LN_NEW(&row, k->rank));
    for (int64_t r = 0; r < k->rank; r++) {
        for (int n = 0; n < k->order; n++) {
            const double norm = column_norm(k->f[n], k->dims[n], k->rank, r);
            k->weights[r] *= norm;
            if (norm > 0)
                scale_column(k->f[n], k->dims[n], k->rank, r, 1 / norm);
        }
        if (signed_column(k, k->order - 1, r)) /* a last factor that may be negative can take signs */
            for (int n = 0; n + 1 < k->order; n++)
                fix_sign(k, n, r);
        int64_t at = r; /* insertion: equal weights keep their order */
        for (; at > 0 && k->weights[order[at - 1]] < k->weights[r]; at--)
            order[at] = order[at - 1];
        order[at] = r;
    }
    permute(k, order, row);
done:
    ln__free(order);
    ln__free(row);
    return st;
}

void ln__kruskal_pair(double *w, double *h, const ln__kruskal *k)
{
    for (int64_t i = 0; i < k->dims[0]; i++)
        for (int64_t r = 0; r < k->rank; r++)
            w[i * k->rank + r] = k->f[0][i * k->rank + r] * k->weights[r];
    for (int64_t i = 0; i < k->dims[1]; i++)
        for (int64_t r = 0; r < k->rank; r++)
            h[r * k->dims[1] + i] = k->f[1][i * k->rank + r];
}

/* ---- likeness ---- */

static double congruence(const ln__kruskal *a, const ln__kruskal *b, int64_t r, int64_t s)
{
    double all = 1;
    for (int n = 0; n < a->order; n++) {
        double dot = 0;
        const double x = column_norm(a->f[n], a->dims[n], a->rank, r);
        const double y = column_norm(b->f[n], b->dims[n], b->rank, s);
        if (!(x > 0) || !(y > 0))
            return 0;
        for (int64_t i = 0; i < a->dims[n]; i++)
            dot += a->f[n][i * a->rank + r] / x * (b->f[n][i * b->rank + s] / y);
        all *= fabs(dot);
    }
    return all;
}

ln_status ln__kruskal_match(double *score, const ln__kruskal *a, const ln__kruskal *b)
{
    ln_status st = LN_OK;
    double *c = NULL, sum = 0;
    const int64_t rank = a->rank;
    LN_TRY(ln__alloc((void **)&c, (size_t)rank, (size_t)rank * sizeof *c));
    for (int64_t r = 0; r < rank; r++)
        for (int64_t s = 0; s < rank; s++)
            c[r * rank + s] = congruence(a, b, r, s);
    for (int64_t pair = 0; pair < rank; pair++) {
        int64_t best = 0;
        for (int64_t i = 1; i < rank * rank; i++)
            if (c[i] > c[best])
                best = i;
        sum += c[best];
        for (int64_t i = 0; i < rank; i++)
            c[best / rank * rank + i] = c[i * rank + best % rank] = -1;
    }
    *score = sum / (double)rank;
done:
    ln__free(c);
    return st;
}
