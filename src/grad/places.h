/* places.h - scratch of a node divided into places, one for each thread at work (linalg/claim.h). */
#ifndef LINNET_GRAD_PLACES_H
#define LINNET_GRAD_PLACES_H

#include "grad/tape.h"
#include "linalg/claim.h"

/* Bytes of one place, whole cache lines. */
static inline size_t ln__place_bytes(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* What infer asks for: one place for each thread, but no more than there are chunks. */
static inline size_t ln__places_bytes(size_t place, int64_t chunks)
{
    return place * (size_t)LN_MAX(LN_MIN(LN_MIN(ln_threads(), chunks), LN_CLAIM_MAX), 1);
}

/* As many places as were asked for, however many threads there are now. */
static inline void ln__places_init(ln__claims *c, const ln__node *n, size_t place)
{
    ln__claims_init(c, place > 0 ? (int64_t)(n->scratch / place) : 1);
}

#endif
