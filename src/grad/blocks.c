/* blocks.c - strided copies. Three shapes of loop: lines that are contiguous on both sides, tiles of 32 x 32 where one
 * side is contiguous along another axis than the other (a transposed matrix), and lines with steps for the rest. A tile
 * goes through a buffer, so that each cache line of either side is touched once: rows a power of two apart would drive
 * each other out of the cache. Chunks are lines or strips of tiles: what is written does not depend on threads. */
#include "grad/blocks.h"

#include <string.h>

#include "core/threads.h"
#include "grad/loops.h"

enum { TILE = 32, CHUNK = 8192 };

typedef struct block_job {
    ln__loops l; /* a: source, b: destination */
    int across;  /* the loop along which the source is contiguous, -1: no tiles */
    char *dst;
    const char *src;
    size_t width;
    bool add, zero;
} block_job;

#define LINE(fn, type)                                                                                                 \
    static void fn##_copy(char *dst, const char *src, int64_t n, int64_t to, int64_t from)                             \
    {                                                                                                                  \
        type *d = (type *)(void *)dst;                                                                                 \
        const type *s = (const type *)(const void *)src;                                                               \
        for (int64_t i = 0; i < n; i++)                                                                                \
            d[i * to] = s[i * from];                                                                                   \
    }
#define ADD_LINE(fn, type)                                                                                             \
    static void fn##_add(char *dst, const char *src, int64_t n, int64_t to, int64_t from)                              \
    {                                                                                                                  \
        type *d = (type *)(void *)dst;                                                                                 \
        const type *s = (const type *)(const void *)src;                                                               \
        if (to == 1 && from == 1) {                                                                                    \
            for (int64_t i = 0; i < n; i++)                                                                            \
                d[i] += s[i];                                                                                          \
        } else {                                                                                                       \
            for (int64_t i = 0; i < n; i++)                                                                            \
                d[i * to] += s[i * from];                                                                              \
        }                                                                                                              \
    }
LINE(b1, uint8_t)
LINE(b2, uint16_t)
LINE(b4, uint32_t)
LINE(b8, uint64_t)
ADD_LINE(f32, float)
ADD_LINE(f64, double)

/* dst (rows, columns), rows `to` apart = or += the transpose of src (columns, rows), columns `from` apart. */
#define TILES(fn, type, assign)                                                                                        \
    static void fn(char *dst, const char *src, int64_t rows, int64_t columns, int64_t to, int64_t from)                \
    {                                                                                                                  \
        type *d = (type *)(void *)dst, tile[TILE][TILE];                                                               \
        const type *s = (const type *)(const void *)src;                                                               \
        for (int64_t c = 0; c < columns; c++)                                                                          \
            memcpy(tile[c], s + c * from, (size_t)rows * sizeof(type));                                                \
        for (int64_t r = 0; r < rows; r++)                                                                             \
            for (int64_t c = 0; c < columns; c++)                                                                      \
                d[r * to + c] assign tile[c][r];                                                                       \
    }
TILES(tile_b4, uint32_t, =)
TILES(tile_b8, uint64_t, =)
TILES(tile_f32, float, +=)
TILES(tile_f64, double, +=)

static void line(const block_job *j, char *dst, const char *src, int64_t n, int64_t to, int64_t from)
{
    if (j->add)
        (j->width == 4 ? f32_add : f64_add)(dst, src, n, to, from);
    else if (j->zero && to == 1)
        memset(dst, 0, (size_t)n * j->width);
    else if (to == 1 && from == 1)
        memcpy(dst, src, (size_t)n * j->width);
    else
        (j->width == 4 ? b4_copy : j->width == 8 ? b8_copy : j->width == 2 ? b2_copy : b1_copy)(dst, src, n, to, from);
}

/* A position of all loops but the innermost (and, when tiled, `across`), moved on without divisions. */
typedef struct place {
    int64_t at[LN_MAX_DIMS], a, b;
} place;

static place place_of(const block_job *j, int64_t i)
{
    place p = { 0 };
    for (int k = j->l.n - 2; k >= 0; k--) {
        if (k == j->across)
            continue;
        p.at[k] = i % j->l.dim[k];
        i /= j->l.dim[k];
        p.a += p.at[k] * j->l.a[k];
        p.b += p.at[k] * j->l.b[k];
    }
    return p;
}

static void move_on(place *p, const block_job *j)
{
    for (int k = j->l.n - 2; k >= 0; k--) {
        if (k == j->across)
            continue;
        p->a += j->l.a[k];
        p->b += j->l.b[k];
        if (++p->at[k] < j->l.dim[k])
            return;
        p->a -= j->l.dim[k] * j->l.a[k];
        p->b -= j->l.dim[k] * j->l.b[k];
        p->at[k] = 0;
    }
}

static void lines(void *ctx, int64_t begin, int64_t end)
{
    const block_job *j = ctx;
    const int last = j->l.n - 1;
    const int64_t w = (int64_t)j->width;
    place p = place_of(j, begin);
    for (int64_t i = begin; i < end; i++, move_on(&p, j))
        line(j, j->dst + p.b * w, j->src + p.a * w, j->l.dim[last], j->l.b[last], j->l.a[last]);
}

/* [begin, end) are strips: TILE steps along `across`, all of the innermost loop, at one place of the others. */
static void strips(void *ctx, int64_t begin, int64_t end)
{
    const block_job *j = ctx;
    const int last = j->l.n - 1;
    const int64_t w = (int64_t)j->width, inner = j->l.dim[last], rows = j->l.dim[j->across];
    const int64_t per_place = (rows + TILE - 1) / TILE, to = j->l.b[j->across], from = j->l.a[last];
    for (int64_t i = begin; i < end; i++) {
        const place p = place_of(j, i / per_place);
        const int64_t r = i % per_place * TILE;
        for (int64_t c = 0; c < inner; c += TILE) {
            char *dst = j->dst + (p.b + r * to + c) * w;
            const char *src = j->src + (p.a + r + c * from) * w;
            (j->add          ? w == 4 ? tile_f32 : tile_f64
             : j->width == 4 ? tile_b4
                             : tile_b8)(dst, src, LN_MIN(TILE, rows - r), LN_MIN(TILE, inner - c), to, from);
        }
    }
}

/* One long line becomes two loops, so that it can be shared out. */
static void cut_line(ln__loops *l)
{
    if (l->n != 1 || l->dim[0] < 2 * CHUNK)
        return;
    int64_t cut = CHUNK;
    while (l->dim[0] % cut != 0)
        cut /= 2;
    if (cut < CHUNK / 32)
        return;
    *l = (ln__loops){ 2, { l->dim[0] / cut, cut }, { l->a[0] * cut, l->a[0] }, { l->b[0] * cut, l->b[0] } };
}

static void run(const ln__block *b, char *dst, const char *src, const int64_t *to, const int64_t *from, ln_dtype dt,
                bool add, bool zero)
{
    int64_t count = 1;
    for (int i = 0; i < b->ndim; i++)
        count *= b->dim[i];
    if (count == 0)
        return;
    block_job j = { .l = ln__loops_of(b->ndim, b->dim, from, to),
                    .across = -1,
                    .dst = dst,
                    .src = src,
                    .width = ln_dtype_bytes(dt, 1),
                    .add = add,
                    .zero = zero };
    cut_line(&j.l);
    const int last = j.l.n - 1;
    const bool tiles = j.width >= 4 && j.l.b[last] == 1 && j.l.a[last] != 1;
    for (int k = 0; k < last && tiles; k++)
        if (j.l.a[k] == 1 && j.l.dim[k] >= 4)
            j.across = k;
    const int64_t inner = j.l.dim[last];
    if (j.across >= 0) {
        const int64_t rows = j.l.dim[j.across], per_place = (rows + TILE - 1) / TILE;
        ln__parallel_for(count / inner / rows * per_place, LN_MAX(CHUNK / (inner * TILE), 1), strips, &j);
    } else {
        ln__parallel_for(count / inner, LN_MAX(CHUNK / inner, 1), lines, &j);
    }
}

void ln__block_copy(const ln__block *b, void *dst, const void *src, ln_dtype dt, bool add)
{
    const int64_t w = (int64_t)ln_dtype_bytes(dt, 1);
    run(b, (char *)dst + b->to_at * w, (const char *)src + b->from_at * w, b->to, b->from, dt, add, false);
}

void ln__block_back(const ln__block *b, void *src, const void *dst, ln_dtype dt, bool add)
{
    const int64_t w = (int64_t)ln_dtype_bytes(dt, 1);
    run(b, (char *)src + b->from_at * w, (const char *)dst + b->to_at * w, b->from, b->to, dt, add, false);
}

void ln__block_zero(const ln__block *b, void *dst, ln_dtype dt)
{
    static const uint64_t zero = 0;
    const int64_t none[LN_MAX_DIMS] = { 0 };
    run(b, (char *)dst + b->to_at * (int64_t)ln_dtype_bytes(dt, 1), (const char *)&zero, b->to, none, dt, false, true);
}

void ln__row_major(int64_t *stride, int ndim, const int64_t *dim)
{
    int64_t step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        stride[i] = step;
        step *= LN_MAX(dim[i], 1);
    }
}
