/* checkpoint.h - writing a model as a checkpoint directory. GGUF: compress/convert.h. */
#ifndef LINNET_MODEL_CHECKPOINT_H
#define LINNET_MODEL_CHECKPOINT_H

#include <jansson.h>
#include <linnet/model.h>

#include "core/core.h"
#include "core/outdir.h"

/* The operator of the i-th linear layer; owned by the caller. */
typedef ln_status (*ln__linear_source)(ln_linop **out, void *ctx, int64_t i);

typedef struct ln__checkpoint_plan {
    const ln_model *model;
    ln_dtype type;            /* of embeddings and dense matrices; vectors stay f32      */
    bool merge;               /* factored operators become dense weights                 */
    ln__linear_source source; /* NULL: the model's own operators                         */
    void *ctx;
    ln_progress_fn progress;
    void *payload;
} ln__checkpoint_plan;

/* model.safetensors, config.json, tokenizer.json and tokenizer_config.json into an existing directory. */
ln_status ln__checkpoint_write_dir(const char *dir, const ln__checkpoint_plan *plan);
/* Its last two files. */
ln_status ln__checkpoint_write_tokenizer(const char *dir, const ln_tokenizer *t);
/* Content hash and size of a checkpoint: its file, or the weight, config and tokenizer files of its directory. */
ln_status ln__checkpoint_hash(uint64_t *hash, int64_t *bytes, const char *path);

/* Refuses an existing file, or a non-empty directory without force. */
ln_status ln__checkpoint_may_write(const char *out, bool force);

/* The i-th operator as the plan wants it: `*dense` (O, I) of plan->type when it is merged or dense, else `*op`. */
ln_status ln__checkpoint_linear(ln_tensor **dense, ln_linop **op, const ln__checkpoint_plan *plan, int64_t i);

#endif
