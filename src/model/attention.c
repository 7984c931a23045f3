/* attention.c - softmax(q k^T scale) v for a block of queries, never holding more than a tile of scores.
 *
 * Many queries: tiles of LN_KEY_BLOCK keys with a running maximum and sum (online softmax, Milakov and Gimelshein 2018;
 * tiling as in FlashAttention, arXiv 2205.14135). The `group` heads that share a key head are stacked into one matrix,
 * so the two products of a tile are GEMMs of rows * group rows. One query (decode): keys are cut into pieces of
 * LN_KEY_SPLIT that any thread may take, and the pieces' sums are joined afterwards. Both partitions depend on sizes
 * only. Pitfall: a masked tile has no maximum; whole tiles outside the mask are skipped, partial ones masked by range.
 */
#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "linalg/linalg.h"
#include "model/model.h"

int64_t ln__attend_query_block(int64_t group)
{
    return LN_MAX(4, LN_MIN(LN_QUERY_BLOCK, 256 / group));
}

int64_t ln__attend_scratch(int64_t group, int64_t dim)
{
    const int64_t rows = ln__attend_query_block(group) * group;
    return rows * (2 * dim + LN_KEY_BLOCK + 2) + 2 * LN_KEY_BLOCK * dim + group * LN_KEY_SPLIT + 64;
}

/* The keys that query row r may see: [*first, *last). */
static void visible(const ln__attend *a, int64_t r, int64_t *first, int64_t *last)
{
    const int64_t position = a->position + r;
    *first = a->window > 0 ? LN_MAX(0, position - a->window + 1) : 0;
    *last = a->causal ? LN_MIN(a->keys, position + 1) : a->keys;
}

typedef struct tile {
    float *q, *sum, *score, *max, *norm; /* q, sum (m, dim); score (m, LN_KEY_BLOCK); max, norm (m) */
    float *k, *v;                        /* f32 copies of f16 tiles */
    int64_t m;
} tile;

static void carve(tile *t, const ln__attend *a, float *scratch)
{
    t->m = a->rows * a->group;
    t->q = scratch;
    t->sum = t->q + t->m * a->dim;
    t->score = t->sum + t->m * a->dim;
    t->max = t->score + t->m * LN_KEY_BLOCK;
    t->norm = t->max + t->m;
    t->k = t->norm + t->m;
    t->v = t->k + LN_KEY_BLOCK * a->dim;
}

/* Softmax weights of one tile in place of its scores; earlier sums are rescaled to the new maximum. */
static void softmax_tile(const ln__attend *a, tile *t, int64_t from, int64_t n)
{
    const ln__kernels *k = ln__k();
    for (int64_t i = 0; i < t->m; i++) {
        float *row = t->score + i * LN_KEY_BLOCK;
        int64_t first, last;
        visible(a, i / a->group, &first, &last);
        first = LN_MIN(LN_MAX(first - from, 0), n);
        last = LN_MIN(LN_MAX(last - from, first), n);
        memset(row, 0, (size_t)first * sizeof *row);
        memset(row + last, 0, (size_t)(n - last) * sizeof *row);
        if (first == last)
            continue;
        const float top = k->max(row + first, last - first), old = t->max[i];
        if (top > old) {
            const float shrink = old > -INFINITY ? expf(old - top) : 0;
            float *sum = t->sum + i * a->dim;
            for (int64_t d = 0; d < a->dim; d++)
                sum[d] *= shrink;
            t->norm[i] *= shrink;
            t->max[i] = top;
        }
        t->norm[i] += (float)k->exp_sum(row + first, row + first, t->max[i], last - first);
    }
}

/* Keys and values of a tile as f32: the cache itself, or a widened copy. */
static void tile_operands(const ln__attend *a, tile *t, int64_t from, int64_t n, const float **k, int64_t *ldk,
                          const float **v, int64_t *ldv)
{
    if (!a->f16) {
        *k = (const float *)a->k + from * a->ldk;
        *v = (const float *)a->v + (a->v_transposed ? from : from * a->ldv);
        *ldk = a->ldk, *ldv = a->ldv;
        return;
    }
    const ln__kernels *kernel = ln__k();
    for (int64_t u = 0; u < n; u++)
        kernel->to_f32[LN_F16](t->k + u * a->dim, (const uint16_t *)a->k + (from + u) * a->ldk, a->dim);
    for (int64_t d = 0; d < a->dim; d++) /* f16 caches always hold their values transposed */
        kernel->to_f32[LN_F16](t->v + d * LN_KEY_BLOCK, (const uint16_t *)a->v + d * a->ldv + from, n);
    *k = t->k, *v = t->v;
    *ldk = a->dim, *ldv = LN_KEY_BLOCK;
}

ln_status ln__attend_block(const ln__attend *a, float *scratch)
{
    int64_t first, last, unused;
    tile t;
    carve(&t, a, scratch);
    for (int64_t i = 0; i < t.m; i++) {
        const float *q = a->q + i / a->group * a->ldq + i % a->group * a->dim;
        for (int64_t d = 0; d < a->dim; d++)
            t.q[i * a->dim + d] = q[d] * a->scale;
        t.max[i] = -INFINITY;
        t.norm[i] = 0;
    }
    memset(t.sum, 0, (size_t)(t.m * a->dim) * sizeof *t.sum);
    visible(a, 0, &first, &unused);
    visible(a, a->rows - 1, &unused, &last);
    for (int64_t from = first; from < last; from += LN_KEY_BLOCK) {
        const int64_t n = LN_MIN(LN_KEY_BLOCK, last - from);
        const float *k, *v;
        int64_t ldk, ldv;
        tile_operands(a, &t, from, n, &k, &ldk, &v, &ldv);
        ln_status st = ln__sgemm(false, true, t.m, n, a->dim, 1, t.q, a->dim, k, ldk, 0, t.score, LN_KEY_BLOCK);
        if (st != LN_OK)
            return st;
        softmax_tile(a, &t, from, n);
        st = ln__sgemm(false, a->v_transposed, t.m, a->dim, n, 1, t.score, LN_KEY_BLOCK, v, ldv, 1, t.sum, a->dim);
        if (st != LN_OK)
            return st;
    }
    for (int64_t i = 0; i < t.m; i++) {
        float *out = a->out + i / a->group * a->ldo + i % a->group * a->dim;
        const float r = 1.0f / t.norm[i];
        for (int64_t d = 0; d < a->dim; d++)
            out[d] = t.sum[i * a->dim + d] * r;
    }
    return LN_OK;
}

void ln__attend_split(const ln__attend *a, int64_t first, int64_t last, float *out, float *scratch)
{
    const ln__kernels *kernel = ln__k();
    const ln_dtype type = a->f16 ? LN_F16 : LN_F32;
    const size_t width = a->f16 ? 2 : 4;
    const int64_t n = last - first;
    const char *k = (const char *)a->k + (size_t)(first * a->ldk) * width;
    const char *v = (const char *)a->v + (size_t)first * width;
    float *max = out + a->group * a->dim, *norm = max + a->group;
    kernel->gemv[type](scratch, LN_KEY_SPLIT, k, (size_t)a->ldk * width, n, a->dim, a->q, a->dim, a->group);
    for (int64_t g = 0; g < a->group; g++) {
        float *score = scratch + g * LN_KEY_SPLIT;
        for (int64_t u = 0; u < n; u++)
            score[u] *= a->scale;
        max[g] = kernel->max(score, n);
        norm[g] = (float)kernel->exp_sum(score, score, max[g], n);
    }
    kernel->gemv[type](out, a->dim, v, (size_t)a->ldv * width, a->dim, n, scratch, LN_KEY_SPLIT, a->group);
}

void ln__attend_combine(float *out, const float *parts, int64_t n, int64_t group, int64_t dim)
{
    const int64_t size = group * (dim + 2);
    for (int64_t g = 0; g < group; g++) {
        float top = -INFINITY, norm = 0;
        for (int64_t i = 0; i < n; i++)
            top = LN_MAX(top, parts[i * size + group * dim + g]);
        memset(out + g * dim, 0, (size_t)dim * sizeof *out);
        for (int64_t i = 0; i < n; i++) {
            const float *part = parts + i * size;
            const float weight = expf(part[group * dim + g] - top);
            norm += weight * part[group * (dim + 1) + g];
            for (int64_t d = 0; d < dim; d++)
                out[g * dim + d] += weight * part[g * dim + d];
        }
        const float r = 1.0f / norm;
        for (int64_t d = 0; d < dim; d++)
            out[g * dim + d] *= r;
    }
}
