/* bench_model.h - what the benches of a whole model share. */
#ifndef LINNET_TOOLS_BENCH_MODEL_H
#define LINNET_TOOLS_BENCH_MODEL_H

#include "bench.h"

/* A model with one session, a token sequence that depends only on the seed, and room for hidden states and logits. */
typedef struct bench_model {
    ln_model *model;
    ln_session *session;
    int32_t *tokens;
    float *hidden, *logits;
    int64_t n_tokens, context;
} bench_model;
ln_status bench_model_open(bench_model *b, cli_ctx *ctx, int64_t context, int64_t n_tokens);
void bench_model_close(bench_model *b);
int64_t bench_model_linear_flops(const ln_model *m); /* of all linear layers, per token */
int64_t bench_model_read_bytes(const ln_model *m);   /* weights that one decoded token reads */

#endif
