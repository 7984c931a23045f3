/* products.c - Y = X P^T for one, few or many tokens, for several parts in one parallel region.
 *
 * Few tokens: each chunk is a run of rows, handed to the GEMV kernel of the storage type; a quantised part takes X
 * packed to int8 blocks (unless exact). Many tokens: each chunk is a tile of rows, widened to f32 in scratch that stays
 * in the cache, times a block of tokens by SGEMM on one thread; f32 parts go to SGEMM as they lie.
 * Chunks depend on sizes only, each entry of Y is made by one chunk: 1 and 2 threads give the same bytes.
 * Pitfall: GEMM for a handful of tokens is up to ten times slower than the GEMV kernels, and those slower than GEMM for
 * many; where they meet is measured per type and CPU level (dispatch.c, docs/kernels.md). */
#include "linop/products.h"

#include <string.h>

#include "core/kernels.h"
#include "linalg/claim.h"
#include "linalg/single.h"
#include "linop/dispatch.h"
#include "linop/scratch.h"

enum {
    FEW_BYTES = 32 << 10, /* of weights per chunk, at least */
    FEW_BYTES_MOST = 256 << 10,
    FEW_PARTS = 64,        /* chunks wanted of a large part  */
    FEW_TILE = 16 << 10,   /* floats of a tile for one chunk */
    MANY_TILE = 384 << 10, /* floats of a tile               */
    MANY_ROWS = 384,
    MANY_ROWS_WIDE = 1536, /* of f32 parts with more than four times as many */
    MANY_ROWS_LEAST = 64,
    MANY_TOKENS = 256,       /* per block when P is f32        */
    MANY_TOKENS_TILED = 512, /* when each block widens its tile again */
    MANY_CHUNKS = 4,         /* of one part, at least          */
    MANY_SPLIT_LEAST = 96,   /* rows below which a tile is not split for the sake of that */
    PACK_CHUNK = 16          /* tokens */
};

typedef enum form {
    DIRECT,  /* the part as it lies               */
    COLUMNS, /* f32, transposed as it lies        */
    TILED,   /* rows widened to f32 first         */
    BF16     /* GEMM over bf16, activations too   */
} form;

typedef struct job {
    ln__product p;
    bool few;
    form form;
    int64_t rows, tokens;   /* of a chunk */
    int64_t across, chunks; /* token blocks; chunks of this job */
    const void *packed;     /* activations, or NULL: p.x as it is */
    int64_t ldp;            /* of packed: blocks or elements */
} job;

typedef struct run {
    const ln__kernels *k;
    job job[LN_PRODUCTS];
    int n;
    int64_t T, tile; /* floats of scratch per place */
    float *tiles;
    ln__claims places;
} run;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* `n` in nearly equal pieces of at most `most`, each a multiple of `step`. */
static int64_t piece(int64_t n, int64_t most, int64_t step)
{
    return LN_MIN(n, ceil_div(ceil_div(n, ceil_div(n, most)), step) * step);
}

static void plan_few(run *r, job *j, bool exact)
{
    const ln__part *p = j->p.part;
    const bool kernel = p->sparse
                            ? r->k->codes[p->dtype] != NULL
                            : ln__part_by_rows(p) && r->k->gemv[p->dtype] && !(exact && r->k->gemv_takes_q8[p->dtype]);
    j->form = kernel ? DIRECT : p->dtype == LN_F32 && ln__part_by_columns(p) ? COLUMNS : TILED;
    const int64_t bytes = ln__part_bytes(p), row = LN_MAX(bytes / p->rows, 1);
    const int64_t chunk = LN_MAX(FEW_BYTES, LN_MIN(bytes / FEW_PARTS, FEW_BYTES_MOST));
    j->rows = LN_MAX(chunk / row / 16 * 16, 16);
    if (j->form == TILED) {
        j->rows = LN_MAX(FEW_TILE / p->cols / 8 * 8, 8);
        r->tile = LN_MAX(r->tile, LN_MIN(j->rows, p->rows) * p->cols);
    }
    j->tokens = r->T;
}

static void plan_many(run *r, job *j, bool exact)
{
    const ln__part *p = j->p.part;
    if (p->dtype == LN_F32 && (ln__part_by_rows(p) || ln__part_by_columns(p)))
        j->form = ln__part_by_rows(p) ? DIRECT : COLUMNS;
    else if (!exact && p->dtype == LN_BF16 && ln__part_by_rows(p) && r->k->gemm_bf16)
        j->form = BF16;
    else
        j->form = TILED;
    int64_t most = p->rows > 4 * MANY_ROWS_WIDE && j->form != TILED ? MANY_ROWS_WIDE : MANY_ROWS;
    if (j->form == TILED)
        most = LN_MAX(LN_MIN(most, MANY_TILE / p->cols), MANY_ROWS_LEAST);
    j->tokens = piece(r->T, j->form == TILED ? MANY_TOKENS_TILED : MANY_TOKENS, 8);
    const int64_t blocks = ceil_div(r->T, j->tokens);
    while (ceil_div(p->rows, most) * blocks < MANY_CHUNKS &&
           p->rows / (ceil_div(p->rows, most) + 1) >= MANY_SPLIT_LEAST)
        most = ceil_div(p->rows, ceil_div(p->rows, most) + 1);
    j->rows = piece(p->rows, most, 16);
    if (j->form == TILED)
        r->tile = LN_MAX(r->tile, j->rows * p->cols);
}

static void plan(run *r, const ln__product *product, int n, int64_t T)
{
    const bool exact = ln__linop_is_exact();
    r->n = n;
    r->T = T;
    for (int i = 0; i < n; i++) {
        job *j = &r->job[i];
        *j = (job){ .p = product[i] };
        j->few = T <= ln__few_tokens(r->k, product[i].part, exact);
        if (j->few)
            plan_few(r, j, exact);
        else
            plan_many(r, j, exact);
        j->rows = LN_MIN(j->rows, product[i].part->rows);
        j->across = ceil_div(T, j->tokens);
        j->chunks = ceil_div(product[i].part->rows, j->rows) * j->across;
    }
}

/* ---- activations in the form the kernels take ---- */

typedef struct pack_job {
    const ln__kernels *k;
    const float *x;
    int64_t ldx, n, ldp;
    bool q8;
    void *to;
} pack_job;

static void pack_tokens(void *ctx, int64_t begin, int64_t end)
{
    const pack_job *s = ctx;
    for (int64_t t = begin; t < end; t++)
        if (s->q8)
            s->k->q8_pack((ln__q8 *)s->to + t * s->ldp, s->x + t * s->ldx, s->n);
        else
            s->k->from_f32[LN_BF16]((uint16_t *)s->to + t * s->ldp, s->x + t * s->ldx, s->n);
}

static bool wants_q8(const run *r, const job *j)
{
    return j->few && j->form == DIRECT && !j->p.part->sparse && r->k->gemv_takes_q8[j->p.part->dtype];
}

static bool wants_bf16(const job *j)
{
    return !j->few && j->form == BF16;
}

/* Bytes for the packed activations of job i; 0 when it takes them as they are or shares those of an earlier job. */
static size_t packed_bytes(const run *r, int i, int *shared)
{
    const job *j = &r->job[i];
    const bool q8 = wants_q8(r, j), bf16 = wants_bf16(j);
    *shared = i;
    if (!q8 && !bf16)
        return 0;
    for (int e = 0; e < i; e++) {
        const job *o = &r->job[e];
        if (o->p.x == j->p.x && o->p.ldx == j->p.ldx && o->p.part->cols == j->p.part->cols && wants_q8(r, o) == q8 &&
            wants_bf16(o) == bf16) {
            *shared = e;
            return 0;
        }
    }
    const size_t row = q8 ? (size_t)ceil_div(j->p.part->cols, 32) * sizeof(ln__q8)
                          : (size_t)ceil_div(j->p.part->cols, 32) * 32 * sizeof(uint16_t);
    return ((size_t)r->T * row + 63) / 64 * 64;
}

static void pack(run *r, unsigned char *to)
{
    for (int i = 0; i < r->n; i++) {
        job *j = &r->job[i];
        int shared;
        const size_t bytes = packed_bytes(r, i, &shared);
        if (shared != i) {
            j->packed = r->job[shared].packed;
            j->ldp = r->job[shared].ldp;
        } else if (bytes) {
            const bool q8 = wants_q8(r, j);
            j->ldp = ceil_div(j->p.part->cols, 32) * (q8 ? 1 : 32);
            j->packed = to;
            pack_job s = { r->k, j->p.x, j->p.ldx, j->p.part->cols, j->ldp, q8, to };
            ln__parallel_for(r->T, PACK_CHUNK, pack_tokens, &s);
            to += bytes;
        }
    }
}

/* ---- chunks ---- */

/* y (m, n) = x (m, k) B^T, or x B with B (k, n) when `columns`; on this thread. One token is a GEMV. */
static void gemm(bool columns, int64_t m, int64_t n, int64_t k, const float *x, int64_t ldx, const float *b,
                 int64_t ldb, float *y, int64_t ldy)
{
    const int before = ln__blas_one();
    if (m == 1) {
        memset(y, 0, (size_t)n * sizeof *y); /* beta = 0 in BLAS may be a product, and 0 * NaN is NaN */
        cblas_sgemv(CblasRowMajor, columns ? CblasTrans : CblasNoTrans, (int)(columns ? k : n), (int)(columns ? n : k),
                    1, b, (int)ldb, x, 1, 0, y, 1);
    } else {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, columns ? CblasNoTrans : CblasTrans, (int)m, (int)n, (int)k, 1, x,
                    (int)ldx, b, (int)ldb, 0, y, (int)ldy);
    }
    ln__blas_many(before);
}

static void few_rows(run *r, const job *j, int64_t row, int64_t n, float *tile)
{
    const ln__part *p = j->p.part;
    const float *data = (const void *)p->data;
    float *y = j->p.y + row;
    if (j->form == DIRECT && p->sparse) {
        r->k->codes[p->dtype](y, j->p.ldy, p->data, p->offsets + row, p->mask + row * p->mask_bytes, n, p->cols, j->p.x,
                              j->p.ldx, r->T);
    } else if (j->form == DIRECT) {
        r->k->gemv[p->dtype](y, j->p.ldy, p->data + row * (int64_t)p->row_bytes, p->row_bytes, n, p->cols,
                             j->packed ? j->packed : j->p.x, j->packed ? j->ldp : j->p.ldx, r->T);
    } else if (j->form == COLUMNS) {
        for (int64_t t = 0; t < r->T; t++)
            gemm(true, 1, n, p->cols, j->p.x + t * j->p.ldx, j->p.ldx, data + row, p->cs, y + t * j->p.ldy, j->p.ldy);
    } else {
        ln__part_tile_f32(p, row, n, 0, p->cols, tile, p->cols);
        r->k->gemv[LN_F32](y, j->p.ldy, tile, (size_t)p->cols * sizeof *tile, n, p->cols, j->p.x, j->p.ldx, r->T);
    }
}

static void many_rows(run *r, const job *j, int64_t row, int64_t n, int64_t t, int64_t m, float *tile)
{
    const ln__part *p = j->p.part;
    const float *x = j->p.x + t * j->p.ldx, *data = (const void *)p->data;
    float *y = j->p.y + t * j->p.ldy + row;
    if (j->form == BF16) {
        r->k->gemm_bf16(y, j->p.ldy, (const uint16_t *)j->packed + t * j->ldp, j->ldp,
                        (const uint16_t *)(p->data + row * (int64_t)p->row_bytes), p->rs, m, n, p->cols);
    } else if (j->form == TILED) {
        ln__part_tile_f32(p, row, n, 0, p->cols, tile, p->cols);
        gemm(false, m, n, p->cols, x, j->p.ldx, tile, p->cols, y, j->p.ldy);
    } else if (j->form == COLUMNS) {
        gemm(true, m, n, p->cols, x, j->p.ldx, data + row, p->cs, y, j->p.ldy);
    } else {
        gemm(false, m, n, p->cols, x, j->p.ldx, data + row * p->rs, p->rs, y, j->p.ldy);
    }
}

static void chunks(void *ctx, int64_t begin, int64_t end)
{
    run *r = ctx;
    for (int64_t c = begin; c < end; c++) {
        const job *j = r->job;
        int64_t at = c;
        for (; at >= j->chunks; j++)
            at -= j->chunks;
        const int64_t row = at / j->across * j->rows, n = LN_MIN(j->rows, j->p.part->rows - row);
        const int64_t t = at % j->across * j->tokens, m = LN_MIN(j->tokens, r->T - t);
        const int place = j->form == TILED ? ln__claim(&r->places) : 0;
        float *tile = r->tiles + place * r->tile;
        if (j->few)
            few_rows(r, j, row, n, tile);
        else
            many_rows(r, j, row, n, t, m, tile);
        if (j->form == TILED)
            ln__claim_end(&r->places, place);
    }
}

ln_status ln__products_with(const ln__kernels *k, const ln__product *product, int n, int64_t T)
{
    ln_status st = LN_OK;
    run r = { .k = k };
    ln__scratch scratch = { NULL, 0 };
    size_t packed = 0;
    int64_t total = 0;
    plan(&r, product, n, T);
    for (int i = 0; i < n; i++) {
        int shared;
        packed += packed_bytes(&r, i, &shared);
        total += r.job[i].chunks;
    }
    r.tile = ceil_div(r.tile, 16) * 16;
    if (r.tile)
        ln__claims_init(&r.places, LN_MIN(ln_threads(), total));
    const size_t bytes = packed + (size_t)r.tile * sizeof(float) * (size_t)r.places.n;
    if (bytes) {
        LN_TRY(ln__scratch_get(&scratch, bytes));
        r.tiles = (void *)((unsigned char *)scratch.data + packed);
        pack(&r, scratch.data);
    }
    ln__parallel_for(total, 1, chunks, &r);
done:
    ln__scratch_put(&scratch);
    return st;
}

ln_status ln__products(const ln__product *product, int n, int64_t T)
{
    return ln__products_with(ln__k(), product, n, T);
}
