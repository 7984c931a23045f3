/* linnet/tune.h - adapt a trained model to a text: all weights, LoRA pairs beside them, or the factors of a compressed
 * checkpoint (healing). */
#ifndef LINNET_TUNE_H
#define LINNET_TUNE_H

#include <linnet/result.h>
#include <linnet/system.h>
#include <linnet/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What every system of the verb shares. Table: ln_tune_params(); its defaults are set by ln_params_defaults. */
typedef struct ln_tune_opts {
    uint32_t struct_size;
    int32_t clean;      /* ln_clean, of the text                                                     */
    const char *text;   /* file to learn from                                                        */
    int64_t max_tokens; /* of the text, at most; 0: all                                              */
    int64_t context;    /* tokens of a window; windows do not overlap                                */
    double epochs;      /* passes over the windows                                                   */
    int64_t steps;      /* instead, when not 0                                                       */
    int64_t batch;      /* windows per step                                                          */
    int32_t optimizer;  /* ln_optimizer_kind                                                         */
    int32_t accumulate;
    int32_t remat; /* keep only each block's input                                              */
    int32_t resume;
    int32_t force;
    double lr; /* 0: the system's own                                                       */
    double final_lr, decay, beta2, clip;
    int64_t warmup;
    double average, valid;
    int64_t eval_every, eval_tokens, log_every, save_every, keep, patience;
    double minutes;
    int64_t sample;
    const char *prompt;
    int64_t seed;
    /** One line for people, without its end. May be NULL. */
    void (*say)(void *payload, const char *line);
    ln_progress_fn progress;
    void *payload;
    ln_comm *comm; /* ranks that train together (train.h): all make the same call, rank 0 writes. NULL: none */
} ln_tune_opts;

LN_API const ln_param *ln_tune_params(void);

/** Options of the system "lora" (Hu et al., LoRA, 2022): W + (alpha / rank) B A, B zero at first. */
typedef struct ln_lora_opts {
    uint32_t struct_size;
    int32_t reserved;
    int64_t rank;
    double alpha;
    const char *targets; /* patterns of module paths or their last parts, by commas; NULL: every linear layer  */
} ln_lora_opts;

/**
 * Trains the model at `model` (a checkpoint of the Llama family) with `system` ("full", "lora", "heal") on
 * opts->text and leaves in `out`: full: a Hugging Face checkpoint; lora: adapter_model.safetensors and
 * adapter_config.json as peft names them; heal: a checkpoint of the same factored layers. Beside it log.jsonl,
 * checkpoints/ and, with opts->sample, samples.txt of the run. Fills "results" and "series" of `result` (may be NULL).
 */
LN_API LN_MUST_CHECK ln_status ln_tune(const ln_system *system, const char *model, const char *out,
                                       const ln_tune_opts *opts, const void *system_opts, ln_result *result);
/** What such a run will hold, into "results". */
LN_API LN_MUST_CHECK ln_status ln_tune_plan(const ln_system *system, const char *model, const ln_tune_opts *opts,
                                            const void *system_opts, ln_result *result);

#ifdef __cplusplus
}
#endif
#endif
