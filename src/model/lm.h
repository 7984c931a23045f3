/* lm.h - training on next tokens, as `train gpt` and `tune` share it: a tape model, the tokens of a text with its last
 * part set aside, windows of them as samples, validation, samples of text on the way, the report.
 *
 * A window is context + 1 tokens. `stride` 1: one starts at every token, so a pass over the samples sees each token
 * `context` times; `stride` = context: windows do not overlap. The validation loss is that of disjoint windows, in nats
 * per token, sums in f64. */
#ifndef LINNET_MODEL_LM_H
#define LINNET_MODEL_LM_H

#include <linnet/result.h>
#include <linnet/tokenizer.h>
#include <linnet/train.h>

#include "core/core.h"
#include "model/tape.h"

/* What both verbs offer, in fields of the same names: its part of their option tables, and the copy that a run keeps.
 */
typedef struct ln__lm_opts {
    int64_t context, steps, batch;
    double epochs; /* counts when steps is 0 */
    int32_t optimizer, accumulate;
    double lr, final_lr, decay, beta2, clip;
    int64_t warmup;
    double average, valid;
    int64_t eval_every, eval_tokens, log_every, save_every, keep, patience;
    double minutes;
    int32_t resume, force;
    int64_t sample;
    const char *prompt;
    int64_t seed;
    void (*say)(void *payload, const char *line);
    ln_progress_fn progress;
    void *payload;
    ln_comm *comm;
} ln__lm_opts;

#define LN__LM_TAKE(o)                                                                                                 \
    .context = (o)->context, .steps = (o)->steps, .batch = (o)->batch, .optimizer = (o)->optimizer,                    \
    .accumulate = (o)->accumulate, .lr = (o)->lr, .final_lr = (o)->final_lr, .decay = (o)->decay, .beta2 = (o)->beta2, \
    .clip = (o)->clip, .warmup = (o)->warmup, .average = (o)->average, .valid = (o)->valid,                            \
    .eval_every = (o)->eval_every, .eval_tokens = (o)->eval_tokens, .log_every = (o)->log_every,                       \
    .save_every = (o)->save_every, .keep = (o)->keep, .patience = (o)->patience, .minutes = (o)->minutes,              \
    .resume = (o)->resume, .force = (o)->force, .sample = (o)->sample, .prompt = (o)->prompt, .seed = (o)->seed,       \
    .say = (o)->say, .progress = (o)->progress, .payload = (o)->payload, .comm = (o)->comm

/* Table entries after the steps: S is the options struct; batch, warm-up, decay, part to validate on and length of the
 * samples are the verb's own defaults. */
#define LN__LM_PARAMS(S, BATCH, WARMUP, DECAY, VALID, EVERY, SAMPLE)                                                   \
    LN_P_CHOICE(S, optimizer, LN_ADAMW, "sgd|adam|adamw|lion|muon|adafactor", "how weights are moved"),                \
        LN_P_INT64(S, batch, BATCH, 1, 1 << 24, "windows per step"),                                                   \
        LN_P_INT(S, accumulate, 1, 1, 1 << 20, "parts a step is computed in, to save memory"),                         \
        LN_P_BOOL(S, remat, 0, "keep only each block's input and compute the block again: less memory"),               \
        LN_P_REAL(S, final_lr, 0.1, 0, 1, "learning rate at the end, times lr (cosine schedule)"),                     \
        LN_P_REAL(S, decay, DECAY, 0, 1e3, "weight decay (not of norms)"),                                             \
        LN_P_REAL(S, beta2, 0.99, 0, 0.999999, "decay of the second moment"),                                          \
        LN_P_REAL(S, clip, 1, 0, 1e30, "most norm of the gradient; 0: no limit"),                                      \
        LN_P_INT64(S, warmup, WARMUP, 0, 1e12, "steps over which the learning rate rises"),                            \
        LN_P_REAL(S, average, 0, 0, 0.999999, "decay of an average of the weights, which is kept; 0: none"),           \
        LN_P_REAL(S, valid, VALID, 0, 0.9, "last part of the text, to validate on"),                                   \
        LN_P_INT64(S, eval_every, EVERY, 0, 1e12, "steps between validations; 0: none"),                               \
        LN_P_INT64(S, eval_tokens, 0, 0, 1e15, "validation tokens at most; 0: all"),                                   \
        LN_P_INT64(S, log_every, 50, 0, 1e12, "steps between lines of log"),                                           \
        LN_P_INT64(S, save_every, 250, 0, 1e12, "steps between checkpoints; 0: only at the end"),                      \
        LN_P_INT64(S, keep, 2, 1, 1 << 20, "checkpoints to keep"),                                                     \
        LN_P_INT64(S, patience, 0, 0, 1e12, "stop after so many validations without a better loss; 0: never"),         \
        LN_P_REAL(S, minutes, 0, 0, 1e9, "stop after so many minutes, with a checkpoint; 0: no limit"),                \
        LN_P_BOOL(S, resume, 0, "go on from the newest checkpoint of the output directory"),                           \
        LN_P_BOOL(S, force, 0, "begin again where a run was begun; with --resume: although options differ"),           \
        LN_P_INT64(S, sample, SAMPLE, 0, 1 << 20, "tokens to write at each validation"),                               \
        LN_P_TEXT(S, prompt, NULL, "TEXT", "what the samples begin with; a line break unless given")

typedef struct ln__lm {
    ln__lm_opts o;
    const char *who; /* "train gpt", for messages                  */
    const char *text_path;
    const char *out; /* NULL: only a plan                          */
    ln_tokenizer *tokenizer;
    uint64_t fingerprint; /* of the text                               */
    int32_t *ids;
    int64_t train, valid; /* tokens; the valid ones follow              */
    int64_t stride;
    double valid_bytes; /* of the text of the validation part         */
    ln__tape_model *model;
    char *config;            /* what a checkpoint must agree with, JSON    */
    int32_t *rows, *targets; /* of one micro-batch                         */
    int64_t *start;          /* where its windows start                    */
    int64_t rows_cap;        /* windows                                    */
    ln_tape *sampler;
    bool sampled;  /* samples.txt belongs to this run            */
    float *logits; /* (vocab) of the last position               */
    double before; /* validation loss before the first step; NaN */
} ln__lm;

/* ---- lm_run.c: fill who, o, text_path, out and stride, read the text, set model and config, then run ---- */

/* The text at text_path as valid UTF-8, and its fingerprint. Free with ln_free. */
ln_status ln__lm_read(char **text, size_t *bytes, ln__lm *g, ln_clean clean);
/* Tokens of a text with the tokenizer that is set, `most` of them at most (0: all): ids, train, valid. `text` is valid
 * UTF-8, or bytes for a vocabulary of bytes. */
ln_status ln__lm_tokens(ln__lm *g, const char *text, size_t bytes, int64_t most);
/* Is this the rank that speaks and writes? */
bool ln__lm_leads(const ln__lm *g);
/* Buffers of a micro-batch; the model is set. */
ln_status ln__lm_ready(ln__lm *g);
/* Mean validation loss of the weights as they are. */
ln_status ln__lm_validate(double *loss, ln__lm *g);
ln_status ln__lm_train(ln__lm *g, ln_train_report *report);
/* bytes.*, parameters, tokens of such a run. */
ln_status ln__lm_plan(ln__lm *g, ln_result *result);
void ln__lm_close(ln__lm *g);

/* ---- lm_sample.c ---- */

/* Continues the prompt by o.sample tokens; ln__free. */
ln_status ln__lm_sample(char **text, size_t *bytes, ln__lm *g, int64_t seed);
/* The same, appended to OUT/samples.txt and said. */
ln_status ln__lm_show_sample(ln__lm *g, int64_t step);

/* ---- lm_report.c ---- */

ln_status ln__lm_report(ln__lm *g, const ln_train_report *r, ln_result *result);
__attribute__((format(printf, 2, 3))) void ln__lm_say(const ln__lm *g, const char *fmt, ...);

#endif
