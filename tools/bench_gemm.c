/* bench_gemm.c - `linnet bench gemm`: f32 matrix products of the shapes that a small language model has, beside the
 * best square one. */
#include "bench.h"
#include "linalg/linalg.h"

typedef struct shape {
    const char *key, *label;
    int64_t m, n, k;
} shape;

static const shape shapes[] = {
    { "square_1024", "1024 x 1024 x 1024", 1024, 1024, 1024 },
    { "qkv_512", "512 x 960 x 576", 512, 960, 576 },
    { "up_512", "512 x 3072 x 576", 512, 3072, 576 },
    { "down_512", "512 x 576 x 1536", 512, 576, 1536 },
    { "few_8", "8 x 1536 x 576", 8, 1536, 576 },
    { "one_1", "1 x 1536 x 576", 1, 1536, 576 },
};

typedef struct work {
    const shape *s;
    float *a, *b, *c;
    int64_t calls; /* small products are repeated, so that the clock sees them */
} work;

static ln_status multiply(void *arg)
{
    const work *w = arg;
    const shape *s = w->s;
    ln_status st = LN_OK;
    for (int64_t i = 0; i < w->calls && st == LN_OK; i++)
        st = s->m == 1 ? ln__sgemv(false, s->n, s->k, 1, w->b, s->k, w->a, 0, w->c)
                       : ln__sgemm(false, true, s->m, s->n, s->k, 1, w->a, s->k, w->b, s->k, 0, w->c, s->n);
    return st;
}

static ln_status run(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    enum { MOST = 3072 * 1024 };
    work w = { 0 };
    bench_limits limits = { 0 };
    double square = 0;
    char key[64];
    LN_TRY(bench_limits_measure(&limits));
    LN_TRY(bench_limits_report(ctx, &limits));
    LN_TRY(LN_NEW(&w.a, MOST));
    LN_TRY(LN_NEW(&w.b, MOST));
    LN_TRY(LN_NEW(&w.c, MOST));
    for (int64_t i = 0; i < MOST; i++) {
        w.a[i] = (float)(i % 113) * 0.01f - 0.5f;
        w.b[i] = (float)(i % 127) * 0.01f - 0.6f;
    }
    for (int i = 0; i < LN_COUNT(shapes); i++) {
        bench_times t = { 0 };
        w.s = &shapes[i];
        const double flops = 2.0 * (double)(w.s->m * w.s->n * w.s->k);
        w.calls = LN_MAX(1, (int64_t)(4e8 / flops));
        LN_TRY(bench_time(&t, o->repeat, multiply, &w));
        const double rate = flops * (double)w.calls * 1e-9 / t.best;
        LN_TRY(bench_rate(ctx, w.s->key, w.s->label, &t, flops * (double)w.calls * 1e-9, "GFLOP/s"));
        snprintf(key, sizeof key, "%s.of_machine", w.s->key);
        LN_TRY(ln_result_number(result, key, rate / limits.gflops));
        square = i == 0 ? rate : square;
    }
    if (o->peer) {
        char threads[16], repeat[16];
        snprintf(threads, sizeof threads, "%d", ln_threads());
        snprintf(repeat, sizeof repeat, "%d", o->repeat);
        const char *const args[] = { threads, repeat };
        LN_TRY(bench_peers(ctx, "gemm", args, LN_COUNT(args), square, "GFLOP/s"));
    }
done:
    ln__free(w.a);
    ln__free(w.b);
    ln__free(w.c);
    return st;
}

const cli_bench bench_gemm = { .name = "gemm", .summary = "matrix products of a model's shapes", .run = run };
