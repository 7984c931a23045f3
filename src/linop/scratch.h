/* scratch.h - buffers that outlive a call, so that a decode step allocates nothing. A fixed number of slots shared by
 * all threads; a call takes the smallest free one that fits, or grows a free one. */
#ifndef LINNET_LINOP_SCRATCH_H
#define LINNET_LINOP_SCRATCH_H

#include "core/core.h"

typedef struct ln__scratch {
    void *data; /* 64-byte aligned, dirty */
    int slot;   /* -1: allocated for this call alone, when all slots were taken */
} ln__scratch;

ln_status ln__scratch_get(ln__scratch *s, size_t bytes);
void ln__scratch_put(ln__scratch *s); /* a zeroed struct is fine */
/* Gives the memory of free slots back. */
void ln__scratch_trim(void);

#endif
