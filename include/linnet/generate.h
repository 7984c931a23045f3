/* linnet/generate.h - sampling text from a language model. */
#ifndef LINNET_GENERATE_H
#define LINNET_GENERATE_H

#include <linnet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ln_generate_opts {
    uint32_t struct_size;
    int64_t tokens;        /* new tokens at most                                */
    double temperature;    /* 0: greedy                                         */
    int64_t top_k;         /* 0: off                                            */
    double top_p, min_p;   /* 1 and 0: off                                      */
    double repeat_penalty; /* 1: off; over the last `repeat_window` tokens      */
    int64_t repeat_window;
    int64_t seed;
    int32_t ignore_eos;
    int32_t force_ctx;
    /** Called with each piece of text as it becomes valid UTF-8; nonzero stops. May be NULL. */
    int (*on_text)(void *payload, const char *text, size_t bytes);
    void *payload;
} ln_generate_opts;
#define LN_GENERATE_OPTS_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(ln_generate_opts), 64, 0.8, 0, 1, 0, 1, 64, 0, 0, 0, NULL, NULL                                         \
    }

typedef struct ln_generation {
    uint32_t struct_size;
    int32_t *ids; /* the new ones; ln_free */
    int64_t n, prompt_tokens;
    bool stopped_at_eos;
    double prefill_seconds, decode_seconds; /* decoding: the n - 1 passes after the prefill, and n draws */
} ln_generation;

/** Continue `prompt` (n_prompt >= 1 ids). On failure `out` is untouched. */
LN_API LN_MUST_CHECK ln_status ln_generate(ln_generation *out, const ln_model *m, const int32_t *prompt,
                                           int64_t n_prompt, const ln_generate_opts *opts);

/** One token from logits (vocab) under the same options; `history` may be NULL. `state`: {seed, draws so far}. */
LN_API LN_MUST_CHECK ln_status ln_sample(int32_t *token, const float *logits, int64_t vocab, const int32_t *history,
                                         int64_t n_history, const ln_generate_opts *opts, uint64_t state[2]);

#ifdef __cplusplus
}
#endif
#endif
