/* gguf_types.c - the numbers that GGUF gives to value types and to storage types. */
#include "io/gguf_internal.h"

size_t ln__gguf_type_bytes(ln__gguf_type t)
{
    switch (t) {
    case LN_GGUF_U8:
    case LN_GGUF_I8:
    case LN_GGUF_BOOL:
        return 1;
    case LN_GGUF_U16:
    case LN_GGUF_I16:
        return 2;
    case LN_GGUF_U32:
    case LN_GGUF_I32:
    case LN_GGUF_F32:
        return 4;
    case LN_GGUF_U64:
    case LN_GGUF_I64:
    case LN_GGUF_F64:
        return 8;
    default:
        return 0;
    }
}

const char *ln__gguf_type_name(ln__gguf_type t)
{
    static const char *const names[] = { "u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64" };
    return (unsigned)t < LN_COUNT(names) ? names[t] : NULL;
}

/* LN_DTYPE_COUNT: known by name only. Numbers left out were never in a released file format. */
static const struct type {
    uint32_t number;
    ln_dtype dtype;
    const char *name;
} types[] = {
    { 0, LN_F32, "F32" },
    { 1, LN_F16, "F16" },
    { 2, LN_Q4_0, "Q4_0" },
    { 3, LN_Q4_1, "Q4_1" },
    { 4, LN_DTYPE_COUNT, "Q4_2" },
    { 5, LN_DTYPE_COUNT, "Q4_3" },
    { 6, LN_Q5_0, "Q5_0" },
    { 7, LN_Q5_1, "Q5_1" },
    { 8, LN_Q8_0, "Q8_0" },
    { 9, LN_DTYPE_COUNT, "Q8_1" },
    { 10, LN_Q2_K, "Q2_K" },
    { 11, LN_Q3_K, "Q3_K" },
    { 12, LN_Q4_K, "Q4_K" },
    { 13, LN_Q5_K, "Q5_K" },
    { 14, LN_Q6_K, "Q6_K" },
    { 15, LN_DTYPE_COUNT, "Q8_K" },
    { 16, LN_DTYPE_COUNT, "IQ2_XXS" },
    { 17, LN_DTYPE_COUNT, "IQ2_XS" },
    { 18, LN_DTYPE_COUNT, "IQ3_XXS" },
    { 19, LN_DTYPE_COUNT, "IQ1_S" },
    { 20, LN_DTYPE_COUNT, "IQ4_NL" },
    { 21, LN_DTYPE_COUNT, "IQ3_S" },
    { 22, LN_DTYPE_COUNT, "IQ2_S" },
    { 23, LN_DTYPE_COUNT, "IQ4_XS" },
    { 24, LN_I8, "I8" },
    { 25, LN_I16, "I16" },
    { 26, LN_I32, "I32" },
    { 27, LN_I64, "I64" },
    { 28, LN_F64, "F64" },
    { 29, LN_DTYPE_COUNT, "IQ1_M" },
    { 30, LN_BF16, "BF16" },
    { 31, LN_DTYPE_COUNT, "Q4_0_4_4" },
    { 32, LN_DTYPE_COUNT, "Q4_0_4_8" },
    { 33, LN_DTYPE_COUNT, "Q4_0_8_8" },
    { 34, LN_DTYPE_COUNT, "TQ1_0" },
    { 35, LN_DTYPE_COUNT, "TQ2_0" },
    { 39, LN_DTYPE_COUNT, "MXFP4" },
    { 40, LN_DTYPE_COUNT, "NVFP4" },
    { 41, LN_DTYPE_COUNT, "Q1_0" },
};

bool ln__ggml_dtype(ln_dtype *out, uint32_t type)
{
    for (int64_t i = 0; i < LN_COUNT(types); i++)
        if (types[i].number == type && types[i].dtype != LN_DTYPE_COUNT) {
            *out = types[i].dtype;
            return true;
        }
    return false;
}

const char *ln__ggml_name(uint32_t type)
{
    for (int64_t i = 0; i < LN_COUNT(types); i++)
        if (types[i].number == type)
            return types[i].name;
    return NULL;
}

int ln__ggml_type(ln_dtype dt)
{
    for (int64_t i = 0; i < LN_COUNT(types); i++)
        if (types[i].dtype == dt && dt < LN_DTYPE_COUNT)
            return (int)types[i].number;
    return -1;
}
