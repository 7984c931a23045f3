/* linnet/compress.h - make a checkpoint smaller: calibrate -> profile -> allocate -> factor -> write. */
#ifndef LINNET_COMPRESS_H
#define LINNET_COMPRESS_H

#include <linnet/model.h>
#include <linnet/result.h>
#include <linnet/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What every compressor shares. Start from LN_COMPRESS_OPTS_INIT; table: ln_compress_params(). */
typedef struct ln_compress_opts {
    uint32_t struct_size;
    int32_t force;         /* replace an existing output directory                                        */
    double remove;         /* fraction of the linear layers' parameters to remove                         */
    const char *calib;     /* calibration text file; NULL where none is needed                            */
    int64_t calib_tokens;  /* calibration tokens at most                                                  */
    int64_t calib_context; /* tokens per calibration sequence                                             */
    int32_t clean;         /* ln_clean                                                                    */
    int32_t skip_first;    /* leave the first token of each sequence out of the Grams                     */
    int32_t budget;        /* ln_budget                                                                   */
    double alpha;          /* knapsack: cap on a layer's error, times the mean at cr = remove; 0: automatic */
    int32_t precision;     /* knapsack: units that all parameters are counted in                          */
    const char *profile;   /* a profile.json of the same model, calibration and method: skips profiling   */
    int32_t storage;       /* ln_storage: type of the factors                                             */
    const char *cache;     /* where Grams are kept; NULL: $LINNET_CACHE or the user's cache; "none": not kept */
    int32_t resume;        /* continue a killed run                                                       */
    ln_progress_fn progress;
    void *payload;
} ln_compress_opts;

typedef enum ln_budget { LN_BUDGET_DEFAULT = 0, LN_BUDGET_UNIFORM = 1, LN_BUDGET_KNAPSACK = 2 } ln_budget;
typedef enum ln_storage { LN_STORAGE_F16 = 0, LN_STORAGE_BF16 = 1, LN_STORAGE_F32 = 2 } ln_storage;

#define LN_COMPRESS_OPTS_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(ln_compress_opts), 0, 0.2, NULL, 32768, 512, 0, 0, 0, 0, 50000, NULL, 0, NULL, 1, NULL, NULL            \
    }

LN_API const ln_param *ln_compress_params(void);

/**
 * Compress the checkpoint at `model` into directory `out` with `system` ("rocket", "svd", "whitened", …).
 * `system_opts` is the system's own struct (see its ln_system), or NULL for defaults. Fills "results" and "series" of
 * `result` (may be NULL). Atomic: `out` appears complete or not at all; a killed run resumes to the same bytes.
 */
LN_API LN_MUST_CHECK ln_status ln_compress(const ln_system *system, const char *model, const char *out,
                                           const ln_compress_opts *opts, const void *system_opts, ln_result *result);
/** Memory, time and disk such a run would need, into "results" of `result`. */
LN_API LN_MUST_CHECK ln_status ln_compress_plan(const ln_system *system, const char *model,
                                                const ln_compress_opts *opts, const void *system_opts,
                                                ln_result *result);

/** Write a checkpoint (compressed or not) as another one: all operators merged to dense unless kept. */
typedef struct ln_convert_opts {
    uint32_t struct_size;
    int32_t merge; /* factored layers become dense weights                                     */
    int32_t gguf;  /* output is one GGUF file, else a Hugging Face directory                   */
    ln_dtype type; /* storage of matrices: F32 F16 BF16, for GGUF also Q8_0 Q4_0 Q4_1          */
    int32_t force;
    const char *adapter; /* directory of a LoRA adapter as peft writes it: merged into the weights; NULL: none    */
    ln_progress_fn progress;
    void *payload;
} ln_convert_opts;
#define LN_CONVERT_OPTS_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(ln_convert_opts), 0, 0, LN_F16, 0, NULL, NULL, NULL                                                     \
    }
LN_API LN_MUST_CHECK ln_status ln_convert(const char *model, const char *out, const ln_convert_opts *opts,
                                          ln_result *result);

#ifdef __cplusplus
}
#endif
#endif
