/* kernels_gemv_ref.c - y[t*ldy + r] = <row r of w, x_t> for every storage type, and the dictionary codes, in plain C.
 * Weights are turned into f32 a piece at a time by the type's own reader, products and sums are f64: what an exact
 * evaluation of the stored numbers gives, rounded once. */
#include "core/kernels_ref.h"
#include "core/quants.h"

typedef void reader(float *dst, const void *src, int64_t n);

enum { PIECE = 256 };

/* x: f32 rows. */
static void gemv_floats(reader *read, size_t width, float *y, int64_t ldy, const void *w, size_t row_bytes,
                        int64_t rows, int64_t cols, const float *x, int64_t ldx, int64_t T)
{
    float piece[PIECE];
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *row = (const uint8_t *)w + (size_t)r * row_bytes;
        for (int64_t t = 0; t < T; t++) {
            double s = 0;
            for (int64_t i = 0; i < cols; i += PIECE) {
                const int64_t here = LN_MIN(cols - i, PIECE);
                read(piece, row + (size_t)i * width, here);
                for (int64_t j = 0; j < here; j++)
                    s += (double)piece[j] * x[t * ldx + i + j];
            }
            y[t * ldy + r] = (float)s;
        }
    }
}

/* x: rows of ln__q8. */
static void gemv_blocks(reader *read, int64_t block, size_t block_bytes, float *y, int64_t ldy, const void *w,
                        size_t row_bytes, int64_t rows, int64_t cols, const ln__q8 *x, int64_t ldx, int64_t T)
{
    float piece[LN_KBLOCK];
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *row = (const uint8_t *)w + (size_t)r * row_bytes;
        for (int64_t t = 0; t < T; t++) {
            double s = 0;
            for (int64_t i = 0; i < cols; i += block) {
                read(piece, row + (size_t)(i / block) * block_bytes, block);
                const ln__q8 *q = x + t * ldx + i / LN_BLOCK;
                for (int64_t j = 0; j < block; j++) {
                    const ln__q8 *b = q + j / LN_BLOCK;
                    s += (double)piece[j] * b->scale * b->q[j % LN_BLOCK];
                }
            }
            y[t * ldy + r] = (float)s;
        }
    }
}

#define GEMV_FLOATS(type, width)                                                                                       \
    static void gemv_##type(float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,        \
                            const void *x, int64_t ldx, int64_t T)                                                     \
    {                                                                                                                  \
        gemv_floats(ln__ref_to_f32_##type, width, y, ldy, w, row_bytes, rows, cols, x, ldx, T);                        \
    }
#define GEMV_BLOCKS(type, block)                                                                                       \
    static void gemv_##type(float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t rows, int64_t cols,        \
                            const void *x, int64_t ldx, int64_t T)                                                     \
    {                                                                                                                  \
        gemv_blocks(ln__ref_to_f32_##type, block, sizeof(ln__block_##type), y, ldy, w, row_bytes, rows, cols, x, ldx,  \
                    T);                                                                                                \
    }
GEMV_FLOATS(f32, 4)
GEMV_FLOATS(f64, 8)
GEMV_FLOATS(f16, 2)
GEMV_FLOATS(bf16, 2)
GEMV_BLOCKS(q8_0, LN_BLOCK)
GEMV_BLOCKS(q4_0, LN_BLOCK)
GEMV_BLOCKS(q4_1, LN_BLOCK)
GEMV_BLOCKS(q5_0, LN_BLOCK)
GEMV_BLOCKS(q5_1, LN_BLOCK)
GEMV_BLOCKS(q2_k, LN_KBLOCK)
GEMV_BLOCKS(q3_k, LN_KBLOCK)
GEMV_BLOCKS(q4_k, LN_KBLOCK)
GEMV_BLOCKS(q5_k, LN_KBLOCK)
GEMV_BLOCKS(q6_k, LN_KBLOCK)

static void codes(reader *read, size_t width, float *y, int64_t ldy, const void *values, const int64_t *offsets,
                  const uint8_t *mask, int64_t rows, int64_t k, const float *h, int64_t ldh, int64_t T)
{
    const int64_t mask_bytes = (k + 7) / 8;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t t = 0; t < T; t++) {
            const uint8_t *v = (const uint8_t *)values + (size_t)offsets[r] * width, *bits = mask + r * mask_bytes;
            double s = 0;
            for (int64_t i = 0; i < k; i++) {
                float value;
                if (!(bits[i / 8] >> (i % 8) & 1))
                    continue;
                read(&value, v, 1);
                v += width;
                s += (double)value * h[t * ldh + i];
            }
            y[t * ldy + r] = (float)s;
        }
}

#define CODES(type, width)                                                                                             \
    static void codes_##type(float *y, int64_t ldy, const void *values, const int64_t *offsets, const uint8_t *mask,   \
                             int64_t rows, int64_t k, const float *h, int64_t ldh, int64_t T)                          \
    {                                                                                                                  \
        codes(ln__ref_to_f32_##type, width, y, ldy, values, offsets, mask, rows, k, h, ldh, T);                        \
    }
CODES(f32, 4)
CODES(f16, 2)
CODES(bf16, 2)

void ln__kernels_ref_gemv(ln__kernels *k)
{
    k->gemv[LN_F32] = gemv_f32;
    k->gemv[LN_F64] = gemv_f64;
    k->gemv[LN_F16] = gemv_f16;
    k->gemv[LN_BF16] = gemv_bf16;
    k->gemv[LN_Q8_0] = gemv_q8_0;
    k->gemv[LN_Q4_0] = gemv_q4_0;
    k->gemv[LN_Q4_1] = gemv_q4_1;
    k->gemv[LN_Q5_0] = gemv_q5_0;
    k->gemv[LN_Q5_1] = gemv_q5_1;
    k->gemv[LN_Q2_K] = gemv_q2_k;
    k->gemv[LN_Q3_K] = gemv_q3_k;
    k->gemv[LN_Q4_K] = gemv_q4_k;
    k->gemv[LN_Q5_K] = gemv_q5_k;
    k->gemv[LN_Q6_K] = gemv_q6_k;
    for (int dt = LN_Q8_0; dt <= LN_Q6_K; dt++)
        k->gemv_takes_q8[dt] = true;
    k->codes[LN_F32] = codes_f32;
    k->codes[LN_F16] = codes_f16;
    k->codes[LN_BF16] = codes_bf16;
}
