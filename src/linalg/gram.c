/* gram.c - streaming Gram matrix G += X^T X of a layer's inputs.
 *
 * Tokens come in tiles of 512. Within a tile the upper triangle is cut into blocks; each block is one f32 product and
 * is added to the f64 sums while it still sits in the cache, so the f64 matrix is touched once per 512 tokens. Pitfall:
 * f32 products overflow long before f64 sums do. Every input is checked against a bound that makes overflow impossible,
 * which also catches NaN and Inf; nothing is added when one token is bad. Method: Structured-linear 4; SVD-LLM (arXiv
 * 2403.07378) for the use of it. */
#include <math.h>

#include "linalg/blas.h"
#include "linalg/claim.h"

enum { TILE = 512, BLOCK = 192, CHECK_TOKENS = 64 };

/* Above this, 512 squares no longer fit into f32. */
static const float largest = 8e17f;

typedef struct gram_job {
    double *g;
    const float *x;
    int64_t ldx, I;
    int tokens, across; /* of this tile; blocks per side */
    float *work;
    bool own_place; /* each block has its place in `work`, for when threads' places would not fit */
    ln__claims places;
    _Atomic int64_t bad; /* first token that fails the check */
} gram_job;

static bool fits(const float *x, int64_t n)
{
    int bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= !(fabsf(x[i]) <= largest);
    return !bad;
}

static void check_tokens(void *ctx, int64_t begin, int64_t end)
{
    gram_job *s = ctx;
    for (int64_t t = begin; t < end; t++) {
        if (fits(s->x + t * s->ldx, s->I))
            continue;
        int64_t seen = atomic_load(&s->bad);
        while (t < seen && !atomic_compare_exchange_weak(&s->bad, &seen, t))
            ;
        return;
    }
}

static ln_status check_inputs(gram_job *s, int64_t T)
{
    atomic_store(&s->bad, T);
    ln__parallel_for(T, CHECK_TOKENS, check_tokens, s);
    const int64_t t = atomic_load(&s->bad);
    if (t == T)
        return LN_OK;
    const float *x = s->x + t * s->ldx;
    int64_t i = 0;
    while (fabsf(x[i]) <= largest)
        i++;
    return ln__fail(LN_ERR_NUMERIC, "gram: input %lld of token %lld is %g", (long long)i, (long long)t, (double)x[i]);
}

static void add_block(double *g, int64_t I, const float *p, int64_t ldp, int ni, int nj, bool diagonal)
{
    for (int r = 0; r < ni; r++) {
        double *gr = g + (int64_t)r * I;
        const float *pr = p + (int64_t)r * ldp;
        for (int q = diagonal ? r : 0; q < nj; q++)
            gr[q] += (double)pr[q];
    }
}

static void gram_blocks(void *ctx, int64_t begin, int64_t end)
{
    gram_job *s = ctx;
    const int before = ln__blas_one(), place = s->own_place ? 0 : ln__claim(&s->places);
    for (int64_t t = begin; t < end; t++) {
        int bi, bj;
        ln__upper_block(t, s->across, &bi, &bj);
        const int64_t i = (int64_t)bi * BLOCK, j = (int64_t)bj * BLOCK;
        const int ni = (int)LN_MIN(BLOCK, s->I - i), nj = (int)LN_MIN(BLOCK, s->I - j), ldx = (int)s->ldx;
        float *p = s->own_place ? s->work + i * s->I + j : s->work + (int64_t)place * BLOCK * BLOCK;
        const int ldp = s->own_place ? (int)s->I : BLOCK;
        if (bi == bj)
            cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, ni, s->tokens, 1, s->x + i, ldx, 0, p, ldp);
        else
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, ni, nj, s->tokens, 1, s->x + i, ldx, s->x + j, ldx, 0,
                        p, ldp);
        add_block(s->g + i * s->I + j, s->I, p, ldp, ni, nj, bi == bj);
    }
    if (!s->own_place)
        ln__claim_end(&s->places, place);
    ln__blas_many(before);
}

ln_status ln__gram_add(double *g, const float *x, int64_t ldx, int64_t T, int64_t I, float *work)
{
    ln_status st = LN_OK;
    gram_job s = { .g = g, .x = x, .ldx = ldx, .I = I, .work = work };
    int n, ld;
    if (T < 0)
        LN_FAIL(LN_ERR_ARG, "gram: T = %lld is negative", (long long)T);
    LN_TRY(ln__blas_int(&n, I, "gram", "I"));
    LN_TRY(ln__blas_ld(&ld, ldx, I, "gram", "ldx"));
    if (T == 0 || n == 0)
        goto done;
    LN_TRY(check_inputs(&s, T));
    const int64_t room = I * I / (BLOCK * BLOCK);
    s.own_place = room < ln_threads();
    ln__claims_init(&s.places, LN_MIN(room, ln_threads()));
    s.across = (int)((I + BLOCK - 1) / BLOCK);
    for (int64_t t = 0; t < T; t += TILE) {
        s.x = x + t * ldx;
        s.tokens = (int)LN_MIN(TILE, T - t);
        ln__parallel_for((int64_t)s.across * (s.across + 1) / 2, 1, gram_blocks, &s);
    }
done:
    return st;
}

void ln__gram_symmetrise(double *g, int64_t I)
{
    for (int64_t i = 1; i < I; i++)
        for (int64_t j = 0; j < i; j++)
            g[i * I + j] = g[j * I + i];
}
