/* bench_factor.c - `linnet bench factor`: fits to one loss, NMF, semi-NMF, CP and non-negative CP, from random starts.
 * The loss to reach is 1.01 times what a long run of ours comes to; peers fit the same file to the same loss. */
#include <string.h>

#include <linnet/factor.h>
#include <linnet/io.h>

#include "bench.h"
#include "core/file.h"
#include "core/rng.h"

typedef struct shape {
    const char *key, *label;
    int order;
    int64_t dims[3];
    int32_t rank;
} shape;

static const shape shapes[] = {
    { "nmf", "NMF 2000 x 1000, rank 20", 2, { 2000, 1000, 1 }, 20 },
    { "seminmf", "semi-NMF 1000 x 2000, rank 20", 2, { 1000, 2000, 1 }, 20 },
    { "cp", "CP 150 x 150 x 100, rank 10", 3, { 150, 150, 100 }, 10 },
    { "ntf", "NTF 150 x 150 x 100, rank 10", 3, { 150, 150, 100 }, 10 },
};

typedef struct work {
    const shape *s;
    ln_tensor *x;
    ln_factor_opts o;
    ln_factor_report r;
} work;

/* A model of this rank, and noise of a tenth of its size. */
static ln_status make(ln_tensor **out, const shape *s)
{
    ln_status st = LN_OK;
    ln_tensor *x = NULL;
    double *f[3] = { NULL };
    ln__rng rng = ln__rng_make(7, 0xbe);
    const bool free_all = strcmp(s->key, "cp") == 0, free_first = free_all || strcmp(s->key, "seminmf") == 0;
    LN_TRY(ln_tensor_new(&x, LN_F64, s->order, s->dims));
    for (int n = 0; n < 3; n++) {
        LN_TRY(LN_NEW(&f[n], s->dims[n] * s->rank));
        for (int64_t i = 0; i < s->dims[n] * s->rank; i++) {
            const double u = ln__rng_uniform(&rng);
            f[n][i] = n >= s->order ? 1 : free_all || (n == 0 && free_first) ? 2 * u - 1 : u < 0.5 ? 0 : u;
        }
    }
    double *data = ln_tensor_data(x);
    for (int64_t i = 0; i < ln_tensor_count(x); i++) {
        const double *a = f[0] + i / (s->dims[1] * s->dims[2]) * s->rank;
        const double *b = f[1] + i / s->dims[2] % s->dims[1] * s->rank, *c = f[2] + i % s->dims[2] * s->rank;
        for (int32_t r = 0; r < s->rank; r++)
            data[i] += a[r] * b[r] * c[r];
        data[i] += (ln__rng_uniform(&rng) - (free_first ? 0.5 : 0)) * 0.2;
    }
    *out = x;
    x = NULL;
done:
    ln_tensor_release(x);
    for (int n = 0; n < 3; n++)
        ln__free(f[n]);
    return st;
}

static ln_status fit(void *arg)
{
    work *w = arg;
    ln_status st = LN_OK;
    ln_tensor *f[4] = { NULL };
    w->r.struct_size = sizeof w->r;
    if (w->s->order == 3)
        st = (strcmp(w->s->key, "cp") == 0 ? ln_cp : ln_ntf)(&f[0], f + 1, w->x, NULL, &w->o, &w->r);
    else
        st = (strcmp(w->s->key, "nmf") == 0 ? ln_nmf : ln_seminmf)(&f[0], &f[1], w->x, NULL, &w->o, &w->r);
    for (int n = 0; n < 4; n++)
        ln_tensor_release(f[n]);
    return st;
}

static ln_status peers(cli_ctx *ctx, const work *w, double ours)
{
    ln_status st = LN_OK;
    char key[64], rank[16], target[40], threads[16], *dir = NULL, *path = NULL;
    LN_TRY(bench_temp_dir(&dir));
    LN_TRY(ln__path_join(&path, dir, "x.npy"));
    snprintf(key, sizeof key, "peers_%s", w->s->key);
    snprintf(rank, sizeof rank, "%d", w->s->rank);
    snprintf(threads, sizeof threads, "%d", ln_threads());
    ln__format(target, sizeof target, "%.17g", w->o.target);
    const char *const args[] = { w->s->key, path, rank, target, threads };
    LN_TRY(ln_npy_save(path, w->x));
    LN_TRY(bench_peers_of(ctx, key, "factor", args, LN_COUNT(args), ours, "fits/s", 0));
done:
    ln__free(path);
    bench_temp_remove(dir);
    return st;
}

static ln_status run(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    bench_limits limits = { 0 };
    work w = { 0 };
    char key[64];
    LN_TRY(bench_limits_measure(&limits));
    LN_TRY(bench_limits_report(ctx, &limits));
    for (int i = 0; i < LN_COUNT(shapes); i++) {
        bench_times t = { 0 };
        w.s = &shapes[i];
        w.o = (ln_factor_opts)LN_FACTOR_OPTS_INIT;
        w.o.rank = w.s->rank;
        LN_TRY(make(&w.x, w.s));
        LN_TRY(fit(&w));
        w.o.target = 1.01 * w.r.relative * w.r.relative;
        LN_TRY(bench_time(&t, o->repeat, fit, &w));
        LN_TRY(bench_rate(ctx, w.s->key, w.s->label, &t, 1, "fits/s"));
        snprintf(key, sizeof key, "%s.sweeps", w.s->key);
        LN_TRY(ln_result_integer(result, key, w.r.sweeps));
        snprintf(key, sizeof key, "%s.relative_error", w.s->key);
        LN_TRY(ln_result_number(result, key, w.r.relative));
        if (o->peer)
            LN_TRY(peers(ctx, &w, 1 / t.best));
        ln_tensor_release(w.x);
        w.x = NULL;
    }
done:
    ln_tensor_release(w.x);
    return st;
}

const cli_bench bench_factor = { .name = "factor",
                                 .summary = "matrix and tensor factorisations to one loss",
                                 .run = run };
