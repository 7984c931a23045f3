/* bench_sbm.c - `linnet bench sbm`: nested fits per second of a weighted graph with n = 300 and planted groups, one
 * start of the plain and one of the degree-corrected model, on one thread. */
#include <math.h>
#include <string.h>

#include <linnet/connectome.h>

#include "bench.h"
#include "core/file.h"
#include "core/rng.h"

enum { NODES = 300, GROUPS = 10, EDGES = 2000 };

typedef struct work {
    int32_t from[EDGES], to[EDGES];
    double weight[EDGES];
    ln_sbm_graph g;
    ln_sbm_opts o;
    double length[2];
} work;

/* Distinct pairs, four times as likely and of three times the weight inside groups. */
static void make_graph(work *w, uint64_t seed)
{
    static unsigned char taken[NODES][NODES];
    ln__rng rng = ln__rng_make(seed, 0x5b3);
    memset(taken, 0, sizeof taken);
    w->g = (ln_sbm_graph){ NODES, 0, w->from, w->to, w->weight };
    while (w->g.edges < EDGES) {
        const int32_t i = (int32_t)ln__rng_below(&rng, NODES), j = (int32_t)ln__rng_below(&rng, NODES);
        const bool inside = i % GROUPS == j % GROUPS;
        if (i >= j || taken[i][j] || ln__rng_uniform(&rng) > (inside ? 1 : 0.05))
            continue;
        taken[i][j] = 1;
        w->from[w->g.edges] = i;
        w->to[w->g.edges] = j;
        w->weight[w->g.edges++] = -log1p(-ln__rng_uniform(&rng)) * (inside ? 3 : 1) + 1e-6;
    }
}

static ln_status fit_both(void *arg)
{
    ln_status st = LN_OK;
    work *w = arg;
    for (int corrected = 0; corrected < 2; corrected++) {
        ln_sbm *s = NULL;
        w->o.correction = corrected ? LN_SBM_CORRECTED : LN_SBM_PLAIN;
        LN_TRY(ln_sbm_fit(&s, &w->g, &w->o));
        w->length[corrected] = ln_sbm_length(s);
        ln_sbm_free(s);
    }
done:
    return st;
}

static ln_status run_peer(cli_ctx *ctx, const work *w, const bench_opts *o, double ours)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    char repeat[16], *dir = NULL, *path = NULL;
    LN_TRY(bench_temp_dir(&dir));
    LN_TRY(ln__path_join(&path, dir, "graph.txt"));
    LN_TRY(ln__buf_printf(&text, "%d %lld\n", w->g.nodes, (long long)w->g.edges));
    for (int64_t i = 0; i < w->g.edges; i++)
        LN_TRY(ln__buf_printf(&text, "%d %d %.17g\n", w->from[i], w->to[i], w->weight[i]));
    LN_TRY(ln__file_write(path, text.data, text.len));
    snprintf(repeat, sizeof repeat, "%d", o->repeat);
    const char *const args[] = { path, repeat };
    LN_TRY(bench_peers(ctx, "sbm", args, LN_COUNT(args), ours, "fits/s"));
done:
    ln__free(path);
    bench_temp_remove(dir);
    ln__buf_free(&text);
    return st;
}

static ln_status run(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    ln_status st = LN_OK;
    (void)result;
    work *w = NULL;
    bench_times t = { 0 };
    LN_TRY(LN_NEW0(&w, 1));
    make_graph(w, (uint64_t)ctx->common.seed);
    w->o = (ln_sbm_opts)LN_SBM_OPTS_INIT;
    w->o.restarts = 1;
    w->o.compat = w->o.compat_q = 1; /* the same length as the peer's */
    w->o.seed = ctx->common.seed;
    cli_row(ctx, "graph", "%d nodes, %d edges, %d groups", NODES, EDGES, GROUPS);
    ln_threads_set(1);
    LN_TRY(bench_time(&t, o->repeat, fit_both, w));
    ln_threads_set(ctx->common.threads);
    LN_TRY(bench_rate(ctx, "fits", "nested fits", &t, 2, "fits/s"));
    LN_TRY(cli_number(ctx, "length_plain", "length, plain", "%.1f nats", w->length[0]));
    LN_TRY(cli_number(ctx, "length_corrected", "length, corrected", "%.1f nats", w->length[1]));
    if (o->peer)
        LN_TRY(run_peer(ctx, w, o, 2 / t.best));
done:
    ln__free(w);
    return st;
}

const cli_bench bench_sbm = { .name = "sbm",
                              .summary = "nested block model fits per second of a weighted graph of 300 nodes",
                              .run = run };
