/* llama.h - one pass through the blocks of a Llama model, shared by its linear part and its attention. Internal. */
#ifndef LINNET_MODEL_LLAMA_H
#define LINNET_MODEL_LLAMA_H

#include "core/kernels.h"
#include "core/threads.h"
#include "model/model.h"

enum { LN_ROWS_AT_ONCE = 16 };

typedef struct ln__pass {
    ln_session *s;
    const ln__batch *b;
    const ln__config *c;
    const ln__block *block;
    const ln__kernels *k;
    int64_t layer, n, q_width, kv_width, group;
    float *x, *a, *q, *key, *value, *mix, *gate, *up;
    const float *norm;
    int64_t splits; /* decode: pieces of the longest sequence */
    int failed;     /* atomic: a status from inside a parallel region */
} ln__pass;

/* Row-wise work: in place for a few rows, else shared in pieces of a fixed size. */
void ln__by_rows(ln__pass *p, ln__range_fn fn);
/* q and k of every row normed (Qwen3) and rotated, keys and values put into the caches. */
void ln__position(ln__pass *p);
/* mix = attention of q over the caches. */
ln_status ln__mix(ln__pass *p);

#endif
