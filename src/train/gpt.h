/* gpt.h - what the parts of `linnet train gpt` share: the text as tokens, the model on the tape, samples, the report.
 */
#ifndef LINNET_TRAIN_GPT_H
#define LINNET_TRAIN_GPT_H

#include <linnet/gpt.h>
#include <linnet/tokenizer.h>

#include "core/core.h"
#include "model/tape.h"

/* ---- gpt_vocab.c ---- */

/* A tokenizer of the characters that occur in a (valid UTF-8) text, <unk> first, or of the 256 bytes. */
ln_status ln__vocab_of_characters(ln_tokenizer **out, const char *text, size_t bytes);
ln_status ln__vocab_of_bytes(ln_tokenizer **out);

/* ---- a run ---- */

typedef struct ln__gpt {
    ln_gpt_opts o;
    const char *text_path;
    const char *out; /* NULL: only a plan */
    ln_tokenizer *tokenizer;
    uint64_t fingerprint;
    int32_t *ids;
    int64_t train, valid; /* tokens; the valid ones follow */
    double valid_bytes;   /* bytes per token of the validation part, times their number */
    int64_t text_bytes;
    ln__tape_model *model;
    char *config;            /* what a checkpoint must agree with */
    int32_t *rows, *targets; /* of one micro-batch */
    int64_t rows_cap;        /* sequences */
    ln_tape *sampler;
    bool sampled;  /* samples.txt belongs to this run */
    float *logits; /* (vocab) of the last position */
    double seconds, tokens_per_second;
    ln_train_event last;
} ln__gpt;

ln_status ln__gpt_open(ln__gpt *g, const char *text, const char *out, const ln_gpt_opts *opts);
void ln__gpt_close(ln__gpt *g);
ln_training ln__gpt_training(ln__gpt *g);

/* ---- gpt_sample.c ---- */

/* Continues the prompt by o.sample tokens; ln__free. */
ln_status ln__gpt_sample(char **text, size_t *bytes, ln__gpt *g, int64_t seed);
/* The same, appended to OUT/samples.txt and said. */
ln_status ln__gpt_show_sample(ln__gpt *g, int64_t step);

/* ---- gpt_report.c ---- */

ln_status ln__gpt_report(const ln__gpt *g, const ln_train_report *r, ln_result *result);
__attribute__((format(printf, 2, 3))) void ln__gpt_say(const ln__gpt *g, const char *fmt, ...);

#endif
