/* dtype.c - the table of element types. Block layouts of the quantised ones: docs/formats.md. */
#include "core/core.h"

static const struct {
    const char *name;
    int block;
    int bytes;
} types[LN_DTYPE_COUNT] = {
    [LN_F32] = { "f32", 1, 4 },       [LN_F64] = { "f64", 1, 8 },       [LN_F16] = { "f16", 1, 2 },
    [LN_BF16] = { "bf16", 1, 2 },     [LN_I8] = { "i8", 1, 1 },         [LN_I16] = { "i16", 1, 2 },
    [LN_I32] = { "i32", 1, 4 },       [LN_I64] = { "i64", 1, 8 },       [LN_U8] = { "u8", 1, 1 },
    [LN_U16] = { "u16", 1, 2 },       [LN_U32] = { "u32", 1, 4 },       [LN_U64] = { "u64", 1, 8 },
    [LN_BOOL] = { "bool", 1, 1 },     [LN_Q8_0] = { "q8_0", 32, 34 },   [LN_Q4_0] = { "q4_0", 32, 18 },
    [LN_Q4_1] = { "q4_1", 32, 20 },   [LN_Q5_0] = { "q5_0", 32, 22 },   [LN_Q5_1] = { "q5_1", 32, 24 },
    [LN_Q2_K] = { "q2_k", 256, 84 },  [LN_Q3_K] = { "q3_k", 256, 110 }, [LN_Q4_K] = { "q4_k", 256, 144 },
    [LN_Q5_K] = { "q5_k", 256, 176 }, [LN_Q6_K] = { "q6_k", 256, 210 },
};

static bool known(ln_dtype dt)
{
    return (int)dt >= 0 && (int)dt < LN_DTYPE_COUNT;
}

/* Own ASCII comparison: the C library's follows the locale. */
static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        const char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
        if (x != *b)
            return false;
    }
    return *a == *b;
}

const char *ln_dtype_name(ln_dtype dt)
{
    return known(dt) ? types[dt].name : "unknown type";
}

ln_status ln_dtype_parse(ln_dtype *out, const char *name)
{
    if (!out || !name)
        return ln__fail(LN_ERR_ARG, "dtype: out and name must not be NULL");
    for (int i = 0; i < LN_DTYPE_COUNT; i++)
        if (same_word(name, types[i].name)) {
            *out = (ln_dtype)i;
            return LN_OK;
        }
    return ln__fail(LN_ERR_NOTFOUND, "no element type '%s' (f32, f64, f16, bf16, q8_0, q4_0, q4_1, ...)", name);
}

int64_t ln_dtype_block(ln_dtype dt)
{
    return known(dt) ? types[dt].block : 0;
}

size_t ln_dtype_block_bytes(ln_dtype dt)
{
    return known(dt) ? (size_t)types[dt].bytes : 0;
}

/* SIZE_MAX when the size does not fit, so that a careless sum fails to allocate instead of wrapping. */
size_t ln_dtype_bytes(ln_dtype dt, int64_t n)
{
    size_t bytes;
    if (!known(dt) || n < 0 || n % types[dt].block != 0)
        return 0;
    if (__builtin_mul_overflow((uint64_t)n / (uint64_t)types[dt].block, (size_t)types[dt].bytes, &bytes))
        return SIZE_MAX;
    return bytes;
}
