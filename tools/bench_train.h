/* bench_train.h - what the parts of `linnet bench train` share. */
#ifndef LINNET_TOOLS_BENCH_TRAIN_H
#define LINNET_TOOLS_BENCH_TRAIN_H

#include <linnet/train.h>

#include "bench.h"

/* A model whose step (forward, backward, AdamW) is timed. */
typedef struct bench_step {
    ln_weights *w;
    bool borrowed; /* w is somebody else's */
    ln_tape *t;
    ln_optimizer *opt;
    int32_t *ids;
    float *x;
    const char *model; /* for the peer; NULL: none */
    int64_t held_before, nodes;
    double seconds;                        /* of the fastest step, after bench_step_run */
    ln_var *(*loss)(struct bench_step *s); /* sets nodes */
} bench_step;
ln_status bench_step_begin(bench_step *s, uint64_t seed);
ln_status bench_step_seal(bench_step *s); /* after the weights were added */
/* Instead of both: memory is counted from here on, then sealed weights of a model are taken. */
void bench_step_count(bench_step *s);
ln_status bench_step_adopt(bench_step *s, ln_weights *w);
/* Times it as results WHAT.*, with the peer of that name when asked. `work` per step, in `unit`. */
ln_status bench_step_run(cli_ctx *ctx, const bench_opts *o, bench_step *s, const char *what, double work,
                         const char *unit);
void bench_step_end(bench_step *s);

ln_status bench_train_gpt(cli_ctx *ctx, const bench_opts *o, const bench_limits *limits);
ln_status bench_train_lora(cli_ctx *ctx, const bench_opts *o, const bench_limits *limits); /* operand 1: the model */

#endif
