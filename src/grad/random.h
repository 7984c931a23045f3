/* random.h - a node's random words in pieces: word i of the node belongs to element i, whichever thread makes it. */
#ifndef LINNET_GRAD_RANDOM_H
#define LINNET_GRAD_RANDOM_H

#include "grad/straight_vec.h"
#include "grad/tape.h"

enum { LN__RANDOM_PIECE = 1024 };

/* Room for a piece: a block may begin before it, and blocks are made LN__WORDS_STEP at a time. */
typedef struct ln__random_piece {
    uint32_t word[LN__RANDOM_PIECE + 4 * LN__WORDS_STEP + 4];
} ln__random_piece;

/* Words [begin, begin + n) of the node whose first is r.position; n <= LN__RANDOM_PIECE. */
static inline const uint32_t *ln__random_words(ln__random_piece *p, const ln__straight_loops *loops, ln__rng r,
                                               int64_t begin, int64_t n)
{
    const uint64_t at = r.position + (uint64_t)begin, skip = at % 4;
    loops->words(p->word, r.seed, r.stream, at / 4, (int64_t)(skip + (uint64_t)n + 3) / 4);
    return p->word + skip;
}

/* Uniform in (0, 1), the same number in both types: 23 bits and a half. */
static inline double ln__word_uniform(uint32_t word)
{
    return ((double)(word >> 9) + 0.5) * 0x1p-23;
}

#endif
