/* linnet/eval.h - perplexity, multiple choice, minimal pairs, sentence similarity. Logits of a text never all exist. */
#ifndef LINNET_EVAL_H
#define LINNET_EVAL_H

#include <linnet/model.h>
#include <linnet/result.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ln_convention {
    LN_CONVENTION_FIXED = 0,     /* disjoint windows, L-1 predictions each, token-weighted     */
    LN_CONVENTION_STRIDE = 1,    /* sliding windows, only new tokens scored                    */
    LN_CONVENTION_ROLLING = 2,   /* every token once, one token of context between windows     */
    LN_CONVENTION_LLAMACPP = 3,  /* second half of each window                                 */
    LN_CONVENTION_WINDOWMEAN = 4 /* fixed, but the unweighted mean of window means            */
} ln_convention;

typedef struct ln_perplexity_opts {
    uint32_t struct_size;
    int32_t convention; /* ln_convention                                   */
    int64_t context;    /* window, tokens                                  */
    int64_t stride;     /* 0: context / 2 (stride convention)              */
    int64_t max_tokens; /* 0: all                                          */
    ln_progress_fn progress;
    void *payload;
} ln_perplexity_opts;
#define LN_PERPLEXITY_OPTS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(ln_perplexity_opts), 0, 1024, 0, 0, NULL, NULL                                                          \
    }

typedef struct ln_perplexity {
    uint32_t struct_size;
    int64_t tokens, tokens_scored, windows, bytes, words;
    double nll;                                                        /* total, nats */
    double perplexity, bits_per_byte, word_perplexity, standard_error; /* of the mean nll */
    double seconds;
} ln_perplexity;

/** Perplexity of a text (bytes as they are). Text too short for one prediction: LN_ERR_SHAPE. */
LN_API LN_MUST_CHECK ln_status ln_eval_perplexity(ln_perplexity *out, const ln_model *m, const char *text, size_t bytes,
                                                  const ln_perplexity_opts *opts);

typedef struct ln_choices_result {
    uint32_t struct_size;
    int64_t n;
    double accuracy, accuracy_norm, accuracy_tok, ci95; /* ci95: half width for `accuracy` */
    double seconds;
} ln_choices_result;
/** How an item is put to the model: "Question: {q}\nAnswer: {choice}". Static storage. */
LN_API const char *ln_eval_choices_prompt(void);
/** `{"q","choices","answer"}` lines (optionally gzip). limit 0: all. `correct` (may be NULL): n bytes, ln_free. */
LN_API LN_MUST_CHECK ln_status ln_eval_choices(ln_choices_result *out, uint8_t **correct, const ln_model *m,
                                               const char *path, int64_t limit, ln_progress_fn progress, void *payload);
/** `{"sentence_good","sentence_bad"}` lines; with a limit, items are taken evenly spaced over the file. */
LN_API LN_MUST_CHECK ln_status ln_eval_pairs(ln_choices_result *out, uint8_t **correct, const ln_model *m,
                                             const char *path, int64_t limit, ln_progress_fn progress, void *payload);

typedef struct ln_similarity_result {
    uint32_t struct_size;
    int64_t n;
    double spearman, pearson, seconds;
} ln_similarity_result;
/** CSV lines `sentence1,sentence2,score` (no header), encoder models. limit 0: all. */
LN_API LN_MUST_CHECK ln_status ln_eval_similarity(ln_similarity_result *out, const ln_model *m, const char *path,
                                                  int64_t limit, ln_progress_fn progress, void *payload);
/** Mean-pooled, normalised sentence vector (hidden). Truncated to `max_tokens` (0: 256). */
LN_API LN_MUST_CHECK ln_status ln_model_embed(float *vector, const ln_model *m, const char *text, size_t bytes,
                                              int64_t max_tokens);

#ifdef __cplusplus
}
#endif
#endif
