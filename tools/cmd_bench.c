/* cmd_bench.c - `linnet bench NAME`: speed, beside the machine's own limit measured in the same run. */
#include <string.h>

#include "bench.h"
#include "cli.h"

static const ln_param params[] = {
    LN_P_TEXT(bench_opts, text, NULL, "FILE", "text to work on; the default is made from a fixed seed"),
    LN_P_BOOL(bench_opts, peer, 0, "also run the peers that are installed, and print ratios"),
    LN_P_INT(bench_opts, repeat, 5, 1, 1000, "runs; the fastest counts, the spread is shown"),
    LN_P_INT64(bench_opts, tokens, 0, 0, 1 << 24, "tokens per run, 0 for the bench's own choice"),
    LN_P_INT64(bench_opts, context, 0, 0, 1 << 24, "tokens already in the cache, 0 for the bench's own choice"),
    LN_P_END,
};

static ln_status no_bench(const char *name)
{
    const char *names[64] = { NULL };
    char list[512] = "";
    int64_t n = 0;
    for (const cli_bench *const *b = cli_benches; *b && n < LN_COUNT(names); b++) {
        const size_t len = strlen(list);
        snprintf(list + len, sizeof list - len, "%s%s", n ? ", " : "", (*b)->name);
        names[n++] = (*b)->name;
    }
    const char *near = cli_nearest(name, names, n);
    if (near)
        return ln__fail(LN_ERR_ARG, "no bench '%s'; did you mean %s?", name, near);
    return ln__fail(LN_ERR_ARG, "no bench '%s': there are %s", name, list);
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    const char *name = ctx->operand[0];
    const cli_bench *const *b = cli_benches;
    while (*b && strcmp((*b)->name, name) != 0)
        b++;
    if (!*b)
        return no_bench(name);
    if ((*b)->operands && *(*b)->operands != '[' && ctx->operands < 2)
        return ln__fail(LN_ERR_ARG, "bench %s wants %s", name, (*b)->operands);
    if (!(*b)->operands && ctx->operands > 1)
        return ln__fail(LN_ERR_ARG, "bench %s takes no operand: '%s' is one too many", name, ctx->operand[1]);
    LN_TRY(ln_result_text(ctx->result, "bench", name));
    cli_say(ctx, "%s, %d thread%s\n", name, ln_threads(), ln_threads() == 1 ? "" : "s");
    LN_TRY((*b)->run(ctx, ctx->opts, ctx->result));
done:
    return st;
}

const cli_verb cmd_bench = {
    .name = "bench",
    .group = "Measuring",
    .summary = "speed, beside the machine's own limit and installed peers",
    .operands = "NAME [MODEL]",
    .example = "linnet bench decode smollm2.gguf --threads 2\nlinnet bench gemm --peer",
    .details =
        "linnet list names the benches. Each figure is the fastest of --repeat runs with the spread beside it; the "
        "best matrix product and streaming read of this machine are measured in the same run with the same "
        "threads. Peers are found through $LINNET_PEER_PYTHON or python3; one that cannot be imported is left out.",
    .params = params,
    .opts_size = sizeof(bench_opts),
    .min_operands = 1,
    .max_operands = 2,
    .run = run,
};
