/* finite.c - the check at the door: the first NaN or Inf of a tensor, by index.
 *
 * A float is NaN or Inf exactly when all bits of its exponent are set, so the fast pass only compares bits; the index
 * is looked for once something was found. Quantised types are finite when their dequantised blocks are. */
#include <linnet/tensor.h>

#include "core/kernels.h"
#include "core/pieces.h"

#define FIND(T, mask)                                                                                                  \
    do {                                                                                                               \
        const T *x = src;                                                                                              \
        int any = 0;                                                                                                   \
        for (int64_t i = 0; i < n; i++)                                                                                \
            any |= (x[i] & (mask)) == (mask);                                                                          \
        for (int64_t i = 0; any && i < n; i++)                                                                         \
            if ((x[i] & (mask)) == (mask))                                                                             \
                return i;                                                                                              \
        return -1;                                                                                                     \
    } while (0)

static int64_t find_f32(const void *src, int64_t n)
{
    FIND(uint32_t, 0x7F800000u);
}

static int64_t find_f64(const void *src, int64_t n)
{
    FIND(uint64_t, UINT64_C(0x7FF0000000000000));
}

static int64_t find_16(const void *src, int64_t n, uint16_t mask)
{
    FIND(uint16_t, mask);
}

static int64_t find_in_piece(void *ctx, const void *src, int64_t flat, int64_t n)
{
    const ln_dtype dt = *(const ln_dtype *)ctx;
    float x[LN_PIECE];
    (void)flat;
    switch (dt) {
    case LN_F32:
        return find_f32(src, n);
    case LN_F64:
        return find_f64(src, n);
    case LN_F16:
        return find_16(src, n, 0x7C00);
    case LN_BF16:
        return find_16(src, n, 0x7F80);
    default:
        ln__k()->to_f32[dt](x, src, n);
        return find_f32(x, n);
    }
}

ln_status ln_tensor_check_finite(const ln_tensor *t, const char *name)
{
    char at[192], value[48];
    if (!t)
        return ln__fail(LN_ERR_ARG, "%s must not be NULL", name ? name : "tensor");
    ln_dtype dt = ln_tensor_dtype(t);
    if (dt >= LN_I8 && dt <= LN_BOOL)
        return LN_OK;
    if (ln_dtype_block(dt) > 1 && !ln__k()->to_f32[dt])
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: dequantising from %s is not supported", name ? name : "tensor",
                        ln_dtype_name(dt));
    const int64_t bad = ln__for_pieces(t, find_in_piece, &dt);
    if (bad < 0)
        return LN_OK;
    return ln__fail(LN_ERR_NUMERIC, "%s%s is %s", name ? name : "tensor", ln__index_text(at, sizeof at, t, bad),
                    ln__element_text(value, t, bad));
}
