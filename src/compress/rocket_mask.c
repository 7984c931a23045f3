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

/* Non-negative floats order as their bits do. */
static uint32_t bits_of(double score)
{
    union {
        float f;
        uint32_t u;
    } bits = { (float)score };
    return bits.u;
}

/* order[0 … n) <- indices of keys from the largest to the smallest, equal ones by index: a byte at a time, from the
 * last. `other` is scratch. */
static void sort_down(uint16_t *order, uint16_t *other, const uint32_t *keys, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = (uint16_t)i;
    for (int shift = 0; shift < 32; shift += 8) {
        int64_t start[256] = { 0 };
        for (int64_t i = 0; i < n; i++)
            start[255 - ((keys[i] >> shift) & 255)]++;
        int64_t sum = 0;
        for (int b = 0; b < 256; b++) {
            const int64_t count = start[b];
            start[b] = sum;
            sum += count;
        }
        for (int64_t i = 0; i < n; i++)
            other[start[255 - ((keys[order[i]] >> shift) & 255)]++] = order[i];
        memcpy(order, other, (size_t)n * sizeof *order);
    }
}

ln_status ln__rocket_order(uint16_t **order, const ln__whitened *wh, double lambda)
{
    ln_status st = LN_OK;
    const int64_t m = wh->m, d2 = wh->d2;
    uint32_t *keys = NULL;
    uint16_t *o = NULL, *other = NULL;
    double *weight = NULL;
    if (m > UINT16_MAX)
        LN_FAIL(LN_ERR_SHAPE, "rocket: a matrix of rank %lld is too large (at most %d)", (long long)m, UINT16_MAX);
    LN_TRY(LN_NEW(&keys, m));
    LN_TRY(LN_NEW(&other, m));
    LN_TRY(LN_NEW(&weight, m));
    LN_TRY(LN_NEW(&o, m * d2));
    for (int64_t i = 0; i < m; i++)
        weight[i] = pow(wh->nu[i], lambda);
    for (int64_t j = 0; j < d2; j++) {
        for (int64_t i = 0; i < m; i++)
            keys[i] = bits_of(fabs(wh->c[i * d2 + j]) * weight[i]);
        sort_down(o + j * m, other, keys, m);
    }
    *order = o;
    o = NULL;
done:
    ln__free(keys);
    ln__free(other);
    ln__free(weight);
    ln__free(o);
    return st;
}

/* keep[i, j] for the `count` entries of column j that come first among those with i < k. */
static void keep_per_column(uint8_t *keep, const uint16_t *order, int64_t m, int64_t d2, int64_t k, int64_t count)
{
    memset(keep, 0, (size_t)(k * d2));
    for (int64_t j = 0; j < d2; j++) {
        const uint16_t *o = order + j * m;
        int64_t kept = 0;
        for (int64_t i = 0; kept < count; i++) { /* without a branch: the rest goes to row k, which nobody reads */
            const int64_t row = o[i] < k ? o[i] : k;
            keep[row * d2 + j] = 1;
            kept += o[i] < k;
        }
    }
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

/* The top half of the score's bits for a dropped entry, 0 for a kept one. */
static void keys_of_row(uint16_t *restrict key, const uint8_t *restrict keep, const double *restrict c, double nu,
                        int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        const uint32_t bits = bits_of(fabs(c[j]) * nu) >> 16;
        key[j] = (uint16_t)(keep[j] ? 0 : bits);
    }
}

static void keep_above(uint8_t *restrict keep, const uint16_t *restrict key, int64_t bin, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        keep[i] |= key[i] > bin;
}

/* keep[] gains the `count` dropped entries of largest |c_ij| nu_i (ties: lower index first). */
static ln_status recover(uint8_t *keep, const ln__whitened *wh, int64_t k, int64_t count)
{
    ln_status st = LN_OK;
    enum { BINS = 1 << 16 };
    const int64_t d2 = wh->d2;
    uint32_t *histogram = NULL;
    uint16_t *key = NULL;
    ranked *edge = NULL;
    int64_t above = 0, bin = BINS - 1, n = 0;
    if (count <= 0)
        return LN_OK;
    LN_TRY(LN_NEW0(&histogram, BINS));
    LN_TRY(LN_NEW(&key, k * d2));
    for (int64_t i = 0; i < k; i++) {
        keys_of_row(key + i * d2, keep + i * d2, wh->c + i * d2, wh->nu[i], d2);
        for (int64_t j = 0; j < d2; j++)
            histogram[key[i * d2 + j]]++;
    }
    while (bin > 0 && above + histogram[bin] < count)
        above += histogram[bin--];
    /* Bin 0 also counts what is kept: entries of score 0 are asked one by one. */
    LN_TRY(LN_NEW(&edge, histogram[bin]));
    for (int64_t at = 0; at < k * d2; at++)
        if (key[at] == bin && !keep[at])
            edge[n++] = (ranked){ fabs(wh->c[at]) * wh->nu[at / d2], at };
    keep_above(keep, key, bin, k * d2);
    qsort(edge, (size_t)n, sizeof *edge, by_score_down);
    for (int64_t i = 0; i < LN_MIN(n, count - above); i++)
        keep[edge[i].index] = 1;
done:
    ln__free(histogram);
    ln__free(key);
    ln__free(edge);
    return st;
}

static void masked(double *restrict v, const double *restrict c, const uint8_t *restrict keep, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = keep[i] ? c[i] : 0;
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
    keep_per_column(keep, order, m, d2, k, per_column);
    LN_TRY(recover(keep, wh, k, d2 * (s - per_column)));
    masked(v, wh->c, keep, k * d2);
done:
    return st;
}
