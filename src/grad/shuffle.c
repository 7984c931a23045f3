/* shuffle.c - a permutation of 0 … n-1 that needs no memory: a four-round Feistel network over the smallest even number
 * of bits that holds n, walked until the value is below n (at most four times on average); Philox is the round
 * function. Luby and Rackoff 1988; Black and Rogaway 2002 (cycle walking). */
#include <linnet/train.h>

#include "core/rng.h"

enum { ROUNDS = 4 };

int64_t ln_shuffle(uint64_t seed, int64_t epoch, int64_t n, int64_t i)
{
    if (n <= 1 || i < 0 || i >= n)
        return 0;
    int half = 1;
    while (half < 31 && ((int64_t)1 << (2 * half)) < n)
        half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t x = (uint64_t)i;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (int round = 0; round < ROUNDS; round++) {
            uint32_t words[4];
            ln__philox(words, seed, 0x73687566666c6500u + (uint64_t)round, (uint64_t)epoch << 32 ^ right);
            const uint64_t next = left ^ (words[0] & mask);
            left = right;
            right = next;
        }
        x = left << half | right;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}
