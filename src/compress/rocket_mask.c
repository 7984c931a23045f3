/* rocket_mask.c - which codes stay.
 *
 * Stage 1 keeps, in every column j, the floor(s - beta k) entries of largest |c_ij| nu_i^lambda among the first k rows.
 * Stage 2 adds, over the whole matrix, the largest |c_ij| nu_i of the rest until exactly d2*s entries are kept (the
 * published code keeps one more per column). The orderings are made once per layer: for every k the first k rows are a
 * filter of the same order. Source: ROCKET, arXiv 2602.11008, section 3. */
#include "compress/rocket_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool ln__rocket_budget(int64_t *k, int64_t *s, int64_t d1, int64_t d2, double cr, double ks)
{
    const double real = (1 - cr) * (double)d1 * (double)d2 / ((double)d1 + (double)d2 / ks);
    *k = (int64_t)floor(real);
    *s = (int64_t)floor(real / ks);
    return *k >= 1 && *s >= 1 && *k <= LN_MIN(d1, d2);
}

typedef struct ranked {
    double score;
    int64_t index;
} ranked;

static int by_score_down(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

ln_status ln__rocket_order(uint16_t **order, const ln__whitened *wh, double lambda)
{
    ln_status st = LN_OK;
    const int64_t m = wh->m, d2 = wh->d2;
    ranked *column = NULL;
    uint16_t *o = NULL;
    double *weight = NULL;
    if (m > UINT16_MAX)
        LN_FAIL(LN_ERR_SHAPE, "rocket: a matrix of rank %lld is too large (at most %d)", (long long)m, UINT16_MAX);
    LN_TRY(LN_NEW(&column, m));
    LN_TRY(LN_NEW(&weight, m));
    LN_TRY(LN_NEW(&o, m * d2));
    for (int64_t i = 0; i < m; i++)
        weight[i] = pow(wh->nu[i], lambda);
    for (int64_t j = 0; j < d2; j++) {
        for (int64_t i = 0; i < m; i++)
            column[i] = (ranked){ fabs(wh->c[i * d2 + j]) * weight[i], i };
        qsort(column, (size_t)m, sizeof *column, by_score_down);
        for (int64_t i = 0; i < m; i++)
            o[j * m + i] = (uint16_t)column[i].index;
    }
    *order = o;
    o = NULL;
done:
    ln__free(column);
    ln__free(weight);
    ln__free(o);
    return st;
}

/* Top 16 bits of a non-negative float order as the number does: a histogram key. */
static uint32_t key_of(double score)
{
    union {
        float f;
        uint32_t u;
    } bits = { (float)score };
    return bits.u >> 16;
}

/* keep[] gains the `count` dropped entries of largest |c_ij| nu_i (ties: lower index first). */
static ln_status recover(uint8_t *keep, const ln__whitened *wh, int64_t k, int64_t count)
{
    ln_status st = LN_OK;
    enum { BINS = 1 << 16 };
    const int64_t d2 = wh->d2;
    int64_t *histogram = NULL, above = 0, in_bin = 0, n = 0;
    ranked *edge = NULL;
    LN_TRY(LN_NEW0(&histogram, BINS));
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < d2; j++)
            if (!keep[i * d2 + j])
                histogram[key_of(fabs(wh->c[i * d2 + j]) * wh->nu[i])]++;
    int64_t bin = BINS - 1;
    while (bin > 0 && above + histogram[bin] < count)
        above += histogram[bin--];
    in_bin = histogram[bin];
    LN_TRY(LN_NEW(&edge, in_bin));
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < d2; j++) {
            const int64_t at = i * d2 + j;
            if (keep[at])
                continue;
            const double score = fabs(wh->c[at]) * wh->nu[i];
            const int64_t key = key_of(score);
            if (key > bin)
                keep[at] = 1;
            else if (key == bin)
                edge[n++] = (ranked){ score, at };
        }
    qsort(edge, (size_t)n, sizeof *edge, by_score_down);
    for (int64_t i = 0; i < LN_MIN(n, count - above); i++)
        keep[edge[i].index] = 1;
done:
    ln__free(histogram);
    ln__free(edge);
    return st;
}

ln_status ln__rocket_mask(double *v, uint8_t *keep, const ln__whitened *wh, const uint16_t *order, int64_t k, int64_t s,
                          double beta)
{
    ln_status st = LN_OK;
    const int64_t m = wh->m, d2 = wh->d2;
    if (s >= k) {
        memcpy(v, wh->c, (size_t)(k * d2) * sizeof *v);
        return LN_OK;
    }
    const int64_t per_column = LN_MAX(1, (int64_t)floor((double)s - beta * (double)k));
    memset(keep, 0, (size_t)(k * d2));
    for (int64_t j = 0; j < d2; j++) {
        const uint16_t *o = order + j * m;
        for (int64_t i = 0, kept = 0; i < m && kept < per_column; i++)
            if (o[i] < k) {
                keep[o[i] * d2 + j] = 1;
                kept++;
            }
    }
    LN_TRY(recover(keep, wh, k, d2 * (s - per_column)));
    for (int64_t i = 0; i < k * d2; i++)
        v[i] = keep[i] ? wh->c[i] : 0;
done:
    return st;
}
