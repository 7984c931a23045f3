/* adapter.h - LoRA adapters as peft writes them, put into a model. */
#ifndef LINNET_MODEL_ADAPTER_H
#define LINNET_MODEL_ADAPTER_H

#include <linnet/model.h>

/* W + scale B A, dense f32: A (r, I), B (O, r) row-major f32. */
ln_status ln__lora_merged(ln_linop **out, const ln_linop *w, const float *a, const float *b, int64_t r, double scale);

/* Every pair of the directory `dir` (adapter_config.json, adapter_model.safetensors) is merged into its layer of m.
 * What peft can say and this cannot (DoRA, trained biases, ranks that differ, whole modules) is refused by name, as is
 * a tensor that no layer takes. `*n` layers were changed. On failure m may have been changed in part: throw it away. */
ln_status ln__adapter_merge(ln_model *m, const char *dir, int64_t *n);

#endif
