/* bench.c - what all benches need: repeated timing, and the machine's own limits. The fastest run counts, because noise
 * on a shared machine only ever adds time; median and worst show how much. */
#include <stdlib.h>

#include "bench.h"
#include "core/file.h"
#include "core/kernels.h"
#include "core/outdir.h"
#include "core/threads.h"
#include "linalg/linalg.h"

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

ln_status bench_time(bench_times *out, int n, ln_status (*fn)(void *arg), void *arg)
{
    ln_status st = LN_OK;
    double *seconds = NULL;
    LN_TRY(LN_NEW(&seconds, n));
    LN_TRY(fn(arg));
    for (int i = 0; i < n; i++) {
        const double start = ln__now();
        LN_TRY(fn(arg));
        seconds[i] = ln__now() - start;
        if (cli_cancel)
            LN_FAIL(LN_ERR_CANCELLED, "interrupted");
    }
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    *out = (bench_times){ seconds[0], seconds[n / 2], seconds[n - 1], n };
done:
    ln__free(seconds);
    return st;
}

/* ---- limits ---- */

enum { GEMM_SIDE = 1024, READ_FLOATS = 64 << 20, READ_CHUNK = 1 << 18 };

typedef struct limit_work {
    float *a, *b, *c;
    float *maxima;
} limit_work;

static ln_status gemm_once(void *arg)
{
    const limit_work *w = arg;
    return ln__sgemm(false, true, GEMM_SIDE, GEMM_SIDE, GEMM_SIDE, 1, w->a, GEMM_SIDE, w->b, GEMM_SIDE, 0, w->c,
                     GEMM_SIDE);
}

static void read_chunk(void *arg, int64_t begin, int64_t end)
{
    const limit_work *w = arg;
    w->maxima[begin / READ_CHUNK] = ln__k()->max(w->a + begin, end - begin);
}

static ln_status read_once(void *arg)
{
    ln__parallel_for(READ_FLOATS, READ_CHUNK, read_chunk, arg);
    return LN_OK;
}

static void fill_chunk(void *arg, int64_t begin, int64_t end)
{
    const limit_work *w = arg;
    for (int64_t i = begin; i < end; i++)
        w->a[i] = (float)(i % 251) * 0.01f;
}

ln_status bench_limits_measure(bench_limits *out)
{
    ln_status st = LN_OK;
    limit_work w = { 0 };
    bench_times t = { 0 };
    const int64_t side = GEMM_SIDE;
    LN_TRY(LN_NEW(&w.a, READ_FLOATS));
    LN_TRY(LN_NEW(&w.b, side * side));
    LN_TRY(LN_NEW(&w.c, side * side));
    LN_TRY(LN_NEW(&w.maxima, READ_FLOATS / READ_CHUNK));
    ln__parallel_for(READ_FLOATS, READ_CHUNK, fill_chunk, &w);
    for (int64_t i = 0; i < side * side; i++)
        w.b[i] = (float)(i % 17) * 0.1f;
    LN_TRY(bench_time(&t, 10, gemm_once, &w));
    out->gflops = 2.0 * (double)(side * side * side) / t.best * 1e-9;
    LN_TRY(bench_time(&t, 10, read_once, &w));
    out->read_gbs = (double)READ_FLOATS * sizeof(float) / t.best * 1e-9;
done:
    ln__free(w.a);
    ln__free(w.b);
    ln__free(w.c);
    ln__free(w.maxima);
    return st;
}

ln_status bench_limits_report(cli_ctx *ctx, const bench_limits *limits)
{
    ln_status st = LN_OK;
    LN_TRY(cli_number(ctx, "machine.gflops", "machine: f32 product", "%.1f GFLOP/s", limits->gflops));
    LN_TRY(cli_number(ctx, "machine.read_gb_per_second", "machine: memory read", "%.1f GB/s", limits->read_gbs));
    LN_TRY(ln_result_text(ctx->result, "machine.kernels", ln__cpu_name(ln__k())));
    LN_TRY(ln_result_integer(ctx->result, "machine.threads", ln_threads()));
    LN_TRY(ln_result_text(ctx->result, "machine.linnet", ln_version()));
    cli_row(ctx, "machine: kernels", "%s", ln__cpu_name(ln__k()));
done:
    return st;
}

ln_status bench_rate(cli_ctx *ctx, const char *key, const char *label, const bench_times *t, double work,
                     const char *unit)
{
    ln_status st = LN_OK;
    const struct {
        const char *name;
        double seconds;
    } parts[] = { { "best", t->best }, { "median", t->median }, { "worst", t->worst } };
    char full[96];
    for (int i = 0; i < LN_COUNT(parts); i++) {
        snprintf(full, sizeof full, "%s.%s", key, parts[i].name);
        LN_TRY(ln_result_number(ctx->result, full, parts[i].seconds > 0 ? work / parts[i].seconds : 0));
    }
    snprintf(full, sizeof full, "%s.runs", key);
    LN_TRY(ln_result_integer(ctx->result, full, t->n));
    snprintf(full, sizeof full, "%s.unit", key);
    LN_TRY(ln_result_text(ctx->result, full, unit));
    cli_row(ctx, label, "%.4g %s (best of %d; median %.4g, worst %.4g)", work / t->best, unit, t->n, work / t->median,
            work / t->worst);
done:
    return st;
}

ln_status bench_temp_dir(char **dir)
{
    ln_status st = LN_OK;
    char *path = NULL;
    const char *base = getenv("TMPDIR");
    LN_TRY(ln__path_join(&path, base && *base ? base : P_tmpdir, "linnet-bench-XXXXXX"));
    if (!mkdtemp(path))
        LN_FAIL(LN_ERR_IO, "%s: cannot make a temporary directory", path);
    *dir = path;
    path = NULL;
done:
    ln__free(path);
    return st;
}

void bench_temp_remove(char *dir)
{
    if (dir)
        (void)ln__remove_tree(dir);
    ln__free(dir);
}
