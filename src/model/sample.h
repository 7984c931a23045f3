/* sample.h - the sampler with its buffers, so that a generation allocates once. Internal. */
#ifndef LINNET_MODEL_SAMPLE_H
#define LINNET_MODEL_SAMPLE_H

#include <linnet/generate.h>

#include "core/core.h"

typedef struct ln__sampler {
    int64_t vocab;
    float *weight;  /* (vocab) */
    int32_t *order; /* (vocab) candidates; a heap while they are taken out */
} ln__sampler;

ln_status ln__sampler_init(ln__sampler *s, int64_t vocab);
void ln__sampler_free(ln__sampler *s);
/* Our defaults overlaid with the caller's, and every bound checked. */
ln_status ln__generate_adopt(ln_generate_opts *out, const ln_generate_opts *user);
/* As ln_sample, with options already adopted. Allocates nothing. */
ln_status ln__sampler_draw(int32_t *token, ln__sampler *s, const float *logits, const int32_t *history,
                           int64_t n_history, const ln_generate_opts *o, uint64_t state[2]);

#endif
