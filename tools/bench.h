/* bench.h - how a speed measurement plugs into `linnet bench NAME`.
 *
 * A bench is one `const cli_bench` in tools/bench_<name>.c, listed in tools/benches.c. It fills ctx->result and prints
 * through cli_say / cli_row. It measures the machine's own limit in the same run (bench_limits) and gives ratios to it.
 */
#ifndef LINNET_TOOLS_BENCH_H
#define LINNET_TOOLS_BENCH_H

#include "cli.h"

typedef struct bench_opts {
    int32_t peer;     /* run bench/peer_<name>.py beside it            */
    int32_t repeat;   /* runs; the fastest counts, the spread is shown */
    int64_t tokens;   /* 0: the bench's own choice                     */
    int64_t context;  /* 0: likewise                                   */
    const char *text; /* text file, or NULL                            */
} bench_opts;

typedef struct cli_bench {
    const char *name;
    const char *summary;
    const char *operands;                                                      /* "MODEL", "[MODEL]", or NULL */
    ln_status (*run)(cli_ctx *ctx, const bench_opts *opts, ln_result *result); /* operands: ctx->operand[1 …] */
} cli_bench;

/* NULL-terminated. */
extern const cli_bench *const cli_benches[];

/* Repeated timings of one thing. */
typedef struct bench_times {
    double best, median, worst; /* seconds */
    int n;
} bench_times;
/* Runs `fn` once to warm up, then n times. Stops at the first failure, or LN_ERR_CANCELLED. */
ln_status bench_time(bench_times *out, int n, ln_status (*fn)(void *arg), void *arg);

/* The machine's own limit with the same threads. */
typedef struct bench_limits {
    double gflops;   /* best f32 matrix product (1024^3) */
    double read_gbs; /* best streaming read, GB/s, over 256 MiB */
} bench_limits;
ln_status bench_limits_measure(bench_limits *out);
/* Puts them into "machine" of the result (with CPU level and versions) and prints two rows. */
ln_status bench_limits_report(cli_ctx *ctx, const bench_limits *limits);
/* KEY.best, KEY.median, KEY.worst, KEY.runs in `unit`s per second for `work` units per run, and one row. */
ln_status bench_rate(cli_ctx *ctx, const char *key, const char *label, const bench_times *t, double work,
                     const char *unit);

/* A new directory for what a peer reads ($TMPDIR); and gone with all that is in it, NULL: nothing to do. */
ln_status bench_temp_dir(char **dir);
void bench_temp_remove(char *dir);

/* Other people's programs on the same work: runs `bench/peer_NAME.py ARGS…` with $LINNET_PEER_PYTHON or python3. The
 * script prints one JSON object {"peers": [{"peer", "version", "rate"}, …], "missing": ["package", …]}, rates in the
 * same unit as `ours`. Each peer gets a row with ours / theirs and an entry in "peers" of the result. What is missing
 * is said, and is no error. */
ln_status bench_peers(cli_ctx *ctx, const char *name, const char *const *args, int n_args, double ours,
                      const char *unit);
/* The same for a bench that has several: into `key` of the result. our_bytes > 0: compared with the peer's "bytes". */
ln_status bench_peers_of(cli_ctx *ctx, const char *key, const char *name, const char *const *args, int n_args,
                         double ours, const char *unit, int64_t our_bytes);
/* A text of `bytes` bytes made from the seed: words, numbers, punctuation, some accents, CJK and emoji. ln_free. */
ln_status bench_text(char **text, size_t bytes, uint64_t seed);

#endif
