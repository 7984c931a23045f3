/* quants.h - memory layout of the block-quantised types, as GGUF stores them. Every field is bytes: rows of a mapped
 * file may start anywhere, so nothing here may be assumed aligned. Formulas: docs/kernels.md. */
#ifndef LINNET_CORE_QUANTS_H
#define LINNET_CORE_QUANTS_H

#include <stdint.h>
#include <string.h>

enum { LN_BLOCK = 32, LN_KBLOCK = 256 };

/* 32 weights: element j sits in the low nibble of qs[j], element j + 16 in the high one. */
typedef struct ln__block_q8_0 {
    uint8_t d[2], qs[32];
} ln__block_q8_0;
typedef struct ln__block_q4_0 {
    uint8_t d[2], qs[16];
} ln__block_q4_0;
typedef struct ln__block_q4_1 {
    uint8_t d[2], m[2], qs[16];
} ln__block_q4_1;
typedef struct ln__block_q5_0 {
    uint8_t d[2], qh[4], qs[16];
} ln__block_q5_0;
typedef struct ln__block_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
} ln__block_q5_1;

/* 256 weights in sub-blocks of 16 (Q2_K Q3_K Q6_K) or 32 (Q4_K Q5_K). */
typedef struct ln__block_q2_k {
    uint8_t scales[16], qs[64], d[2], dmin[2];
} ln__block_q2_k;
typedef struct ln__block_q3_k {
    uint8_t hmask[32], qs[64], scales[12], d[2];
} ln__block_q3_k;
typedef struct ln__block_q4_k {
    uint8_t d[2], dmin[2], scales[12], qs[128];
} ln__block_q4_k;
typedef struct ln__block_q5_k {
    uint8_t d[2], dmin[2], scales[12], qh[32], qs[128];
} ln__block_q5_k;
typedef struct ln__block_q6_k {
    uint8_t ql[128], qh[64], scales[16], d[2];
} ln__block_q6_k;

static inline uint16_t ln__load16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t ln__load32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t ln__load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Q4_K and Q5_K: the eight 6-bit scales and eight 6-bit minima packed in 12 bytes. The first four of each have bytes
 * of their own (0-3, 4-7); the others take a nibble of bytes 8-11 and the top two bits of those. */
static inline void ln__k4_scales(uint8_t scale[8], uint8_t min[8], const uint8_t packed[12])
{
    for (int j = 0; j < 4; j++) {
        scale[j] = packed[j] & 63;
        min[j] = packed[j + 4] & 63;
        scale[j + 4] = (uint8_t)((packed[j + 8] & 15) | (packed[j] >> 6) << 4);
        min[j + 4] = (uint8_t)(packed[j + 8] >> 4 | (packed[j + 4] >> 6) << 4);
    }
}

/* Q3_K: sixteen 6-bit scales, stored plus 32: low nibbles in bytes 0-7, the top two bits in bytes 8-11. */
static inline void ln__k3_scales(int8_t scale[16], const uint8_t packed[12])
{
    for (int j = 0; j < 16; j++) {
        const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
        const int high = packed[8 + j % 4] >> (2 * (j / 4)) & 3;
        scale[j] = (int8_t)((low | high << 4) - 32);
    }
}

#endif
