/* linnet/gpt.h - a language model of Llama shape from nothing but a text. */
#ifndef LINNET_GPT_H
#define LINNET_GPT_H

#include <linnet/result.h>
#include <linnet/system.h>
#include <linnet/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ln_gpt_vocab { LN_GPT_CHAR = 0, LN_GPT_BYTE = 1, LN_GPT_TOKENIZER = 2 } ln_gpt_vocab;

/** Table: ln_gpt_params(); its defaults are set by ln_params_defaults. */
typedef struct ln_gpt_opts {
    uint32_t struct_size;
    int32_t vocab;         /* ln_gpt_vocab                                                          */
    const char *tokenizer; /* a model, tokenizer.json or GGUF file whose tokenizer is taken         */
    int64_t layers, hidden, heads;
    int64_t kv_heads; /* 0: heads                                                              */
    int64_t ffn;      /* 0: 8/3 hidden, rounded up to a multiple of 32                         */
    int64_t context;
    int32_t tie;       /* head and embedding are one                                            */
    int32_t optimizer; /* ln_optimizer_kind                                                     */
    int64_t steps, batch;
    int32_t accumulate;
    int32_t remat; /* keep only each block's input                                          */
    double lr, final_lr, decay, beta2, clip;
    int64_t warmup;
    double average; /* decay of a moving average of the weights, 0: none                     */
    double valid;   /* last part of the text, not trained on                                 */
    int64_t eval_every, eval_tokens, log_every, save_every, keep, patience;
    double minutes;
    int32_t resume, force;
    int64_t sample; /* tokens written at each evaluation                                     */
    const char *prompt;
    int64_t seed;
    /** One line for people, without its end; nonzero return values are ignored. May be NULL. */
    void (*say)(void *payload, const char *line);
    ln_progress_fn progress;
    void *payload;
    ln_comm *comm; /* ranks that train together (train.h): all make the same call, rank 0 writes. NULL: none */
} ln_gpt_opts;

LN_API const ln_param *ln_gpt_params(void);

/**
 * Trains on the text file and leaves a Hugging Face checkpoint with its tokenizer in `out`, beside log.jsonl,
 * samples.txt and checkpoints/ of the run. Fills "results" and "series" of `result` (may be NULL).
 */
LN_API LN_MUST_CHECK ln_status ln_gpt_train(const char *text, const char *out, const ln_gpt_opts *opts,
                                            ln_result *result);
/** What such a run will hold, into "results". */
LN_API LN_MUST_CHECK ln_status ln_gpt_plan(const char *text, const ln_gpt_opts *opts, ln_result *result);

#ifdef __cplusplus
}
#endif
#endif
