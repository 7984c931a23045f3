/* convert.c - copies of a tensor in another element type.
 *
 * Floats round once, to nearest even: a double on its way to 16 bits passes through a float that was rounded to odd
 * (its last bit set when anything was lost), which makes the second rounding exact (Boldo and Melquiond, IEEE TC 2008).
 * 64-bit integers on their way to a float are treated alike. What does not fit is refused by name, never saturated:
 * finite values that would become infinite, integers outside the target, NaN as an integer, quantising NaN or Inf. */
#include <linnet/tensor.h>

#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "core/pieces.h"

typedef struct conversion {
    ln_dtype from, to;
    char *dst;
    double limit; /* larger finite magnitudes do not fit */
} conversion;

static bool is_int(ln_dtype dt)
{
    return dt >= LN_I8 && dt <= LN_BOOL;
}

static bool is_quantised(ln_dtype dt)
{
    return ln_dtype_block(dt) > 1;
}

/* First value that is finite but beyond the limit, or (for quantised targets) not finite; -1 when all fit. The fast
 * pass has no exit in its loop, so that it becomes vector code. */
static int64_t find_misfit_f32(const float *x, int64_t n, double limit, bool finite_only)
{
    float most = (float)limit;
    int doubtful = 0;
    if (most > limit)
        most = nextafterf(most, 0);
    for (int64_t i = 0; i < n; i++)
        doubtful |= !(fabsf(x[i]) <= most);
    for (int64_t i = 0; doubtful && i < n; i++)
        if (!(fabsf(x[i]) <= most) && (finite_only || isfinite(x[i])))
            return i;
    return -1;
}

static int64_t find_misfit_f64(const double *x, int64_t n, double limit)
{
    int doubtful = 0;
    for (int64_t i = 0; i < n; i++)
        doubtful |= !(fabs(x[i]) <= limit);
    for (int64_t i = 0; doubtful && i < n; i++)
        if (fabs(x[i]) > limit && isfinite(x[i]))
            return i;
    return -1;
}

/* Largest magnitude that still rounds to a finite value of the type (for quantised types: keeps the scales finite). */
static double largest(ln_dtype to)
{
    switch (to) {
    case LN_F16:
        return 0x1.ffdffffffffffp15; /* 65520 is half way to infinity and rounds to it */
    case LN_BF16:
        return 0x1.fefffffffffffp127;
    case LN_F32:
        return 0x1.fffffefffffffp127;
    case LN_Q8_0:
        return 127 * 65504.0;
    case LN_Q4_0:
        return 8 * 65504.0;
    case LN_Q4_1:
        return 65504.0; /* the minimum is stored as it is */
    default:
        return HUGE_VAL;
    }
}

/* Rounded towards zero, with the last bit set if that lost anything. */
static float round_to_odd(double x)
{
    union {
        float f;
        uint32_t u;
    } v = { (float)x };
    if ((double)v.f == x || isnan(x))
        return v.f;
    if (fabs((double)v.f) > fabs(x))
        v.u--; /* one step towards zero, also from infinity */
    v.u |= 1;
    return v.f;
}

/* Integers beyond 2^53 keep their upper bits, the lowest kept one telling whether anything was lost. */
static double int_to_odd(uint64_t magnitude, bool negative)
{
    if (magnitude >> 53)
        magnitude = (magnitude & ~(uint64_t)0xFFF) | ((magnitude & 0xFFF) ? 0x1000 : 0);
    return negative ? -(double)magnitude : (double)magnitude;
}

#define EACH(T, expression)                                                                                            \
    do {                                                                                                               \
        const T *x = src;                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                                                \
            dst[i] = (expression);                                                                                     \
    } while (0)

/* Integers and f64 as doubles; `odd` when they will be rounded again. */
static void read_f64(double *dst, const void *src, ln_dtype from, int64_t n, bool odd)
{
    switch (from) {
    case LN_F64:
        memcpy(dst, src, (size_t)n * sizeof *dst);
        break;
    case LN_I8:
        EACH(int8_t, x[i]);
        break;
    case LN_I16:
        EACH(int16_t, x[i]);
        break;
    case LN_I32:
        EACH(int32_t, x[i]);
        break;
    case LN_I64:
        EACH(int64_t, odd ? int_to_odd(x[i] < 0 ? 0 - (uint64_t)x[i] : (uint64_t)x[i], x[i] < 0) : (double)x[i]);
        break;
    case LN_U16:
        EACH(uint16_t, x[i]);
        break;
    case LN_U32:
        EACH(uint32_t, x[i]);
        break;
    case LN_U64:
        EACH(uint64_t, odd ? int_to_odd(x[i], false) : (double)x[i]);
        break;
    default:
        EACH(uint8_t, x[i]);
    }
}

/* Integers as int64; stops at the first unsigned one that does not fit and returns its index, else -1. */
static int64_t read_ints(int64_t *dst, const void *src, ln_dtype from, int64_t n)
{
    switch (from) {
    case LN_I8:
        EACH(int8_t, x[i]); /* NOLINT(bugprone-signed-char-misuse): a number, not a character */
        break;
    case LN_I16:
        EACH(int16_t, x[i]);
        break;
    case LN_I32:
        EACH(int32_t, x[i]);
        break;
    case LN_I64:
        EACH(int64_t, x[i]);
        break;
    case LN_U16:
        EACH(uint16_t, x[i]);
        break;
    case LN_U32:
        EACH(uint32_t, x[i]);
        break;
    case LN_U64:
        for (int64_t i = 0; i < n; i++) {
            if (((const uint64_t *)src)[i] > INT64_MAX)
                return i;
            dst[i] = (int64_t)((const uint64_t *)src)[i];
        }
        break;
    default:
        EACH(uint8_t, x[i]);
    }
    return -1;
}

/* Inclusive range of an integer type, as far as int64 reaches. */
static void int_range(int64_t *lo, int64_t *hi, ln_dtype to)
{
    static const int64_t range[][2] = { { INT8_MIN, INT8_MAX },   { INT16_MIN, INT16_MAX }, { INT32_MIN, INT32_MAX },
                                        { INT64_MIN, INT64_MAX }, { 0, UINT8_MAX },         { 0, UINT16_MAX },
                                        { 0, UINT32_MAX },        { 0, INT64_MAX },         { 0, 1 } };
    *lo = range[to - LN_I8][0];
    *hi = range[to - LN_I8][1];
}

/* The low bytes of x; the order of bytes in the file and in memory is the machine's. */
static void store_int(void *dst, ln_dtype to, int64_t i, uint64_t x)
{
    switch (ln_dtype_block_bytes(to)) {
    case 1:
        ((uint8_t *)dst)[i] = (uint8_t)x;
        break;
    case 2:
        ((uint16_t *)dst)[i] = (uint16_t)x;
        break;
    case 4:
        ((uint32_t *)dst)[i] = (uint32_t)x;
        break;
    default:
        ((uint64_t *)dst)[i] = x;
    }
}

static int64_t ints_to_ints(const conversion *c, void *dst, const void *src, int64_t n)
{
    int64_t x[LN_PIECE], lo, hi;
    const int64_t bad = read_ints(x, src, c->from, n), good = bad < 0 ? n : bad;
    int_range(&lo, &hi, c->to);
    for (int64_t i = 0; i < good; i++) {
        if (x[i] < lo || x[i] > hi)
            return i;
        store_int(dst, c->to, i, (uint64_t)x[i]);
    }
    return bad;
}

static int64_t reals_to_ints(const conversion *c, void *dst, const double *x, int64_t n)
{
    int64_t lo, hi;
    int_range(&lo, &hi, c->to);
    const double above = c->to == LN_U64 ? 0x1p64 : c->to == LN_I64 ? 0x1p63 : (double)hi + 1;
    for (int64_t i = 0; i < n; i++) {
        const double r = rint(x[i]);
        if (!(r >= (double)lo && r < above))
            return i;
        store_int(dst, c->to, i, c->to == LN_U64 ? (uint64_t)r : (uint64_t)(int64_t)r);
    }
    return -1;
}

/* From f32, for sources that are exact in it. */
static int64_t from_f32(const conversion *c, void *dst, const float *x, int64_t n)
{
    if (c->to == LN_F64) {
        for (int64_t i = 0; i < n; i++)
            ((double *)dst)[i] = x[i];
        return -1;
    }
    if (is_int(c->to)) {
        double wide[LN_PIECE];
        for (int64_t i = 0; i < n; i++)
            wide[i] = x[i];
        return reals_to_ints(c, dst, wide, n);
    }
    if (c->to == LN_F32) {
        memcpy(dst, x, (size_t)n * sizeof *x);
        return -1;
    }
    const int64_t bad = find_misfit_f32(x, n, c->limit, is_quantised(c->to));
    if (bad < 0)
        ln__k()->from_f32[c->to](dst, x, n);
    return bad;
}

/* From f64: integers were read exactly or to odd. */
static int64_t from_f64(const conversion *c, void *dst, const double *x, int64_t n)
{
    float narrow[LN_PIECE];
    if (is_int(c->to))
        return reals_to_ints(c, dst, x, n);
    const int64_t bad = find_misfit_f64(x, n, c->limit);
    if (bad >= 0)
        return bad;
    if (c->to == LN_F64) {
        memcpy(dst, x, (size_t)n * sizeof *x);
        return -1;
    }
    if (c->to == LN_F32) {
        for (int64_t i = 0; i < n; i++)
            ((float *)dst)[i] = (float)x[i];
        return -1;
    }
    for (int64_t i = 0; i < n; i++)
        narrow[i] = is_quantised(c->to) ? (float)x[i] : round_to_odd(x[i]);
    return from_f32(c, dst, narrow, n);
}

static int64_t convert_piece(void *ctx, const void *src, int64_t flat, int64_t n)
{
    const conversion *c = ctx;
    void *dst = c->dst + ln__dtype_offset(c->to, flat);
    if (c->from == c->to) {
        memcpy(dst, src, ln_dtype_bytes(c->to, n));
        return -1;
    }
    if (is_int(c->from) && is_int(c->to))
        return ints_to_ints(c, dst, src, n);
    if (is_int(c->from) || c->from == LN_F64) {
        double x[LN_PIECE];
        read_f64(x, src, c->from, n, c->to != LN_F64);
        return from_f64(c, dst, x, n);
    }
    if (c->from == LN_F32)
        return from_f32(c, dst, src, n);
    float x[LN_PIECE];
    float *direct = c->to == LN_F32 ? dst : x;
    ln__k()->to_f32[c->from](direct, src, n);
    return c->to == LN_F32 ? -1 : from_f32(c, dst, x, n);
}

ln_status ln_tensor_convert(ln_tensor **out, const ln_tensor *t, ln_dtype dt)
{
    ln_status st = LN_OK;
    ln_tensor *r = NULL;
    int64_t dims[LN_MAX_DIMS];

    if (!out || !t)
        LN_FAIL(LN_ERR_ARG, "convert: out and t must not be NULL");
    const ln_dtype from = ln_tensor_dtype(t);
    if (from != dt && is_quantised(dt) && !ln__k()->from_f32[dt])
        LN_FAIL(LN_ERR_UNSUPPORTED, "quantising to %s is not supported (q8_0, q4_0 and q4_1 are)", ln_dtype_name(dt));
    if (from != dt && is_quantised(from) && !ln__k()->to_f32[from])
        LN_FAIL(LN_ERR_UNSUPPORTED, "dequantising from %s is not supported", ln_dtype_name(from));
    for (int i = 0; i < ln_tensor_ndim(t); i++)
        dims[i] = ln_tensor_dim(t, i);
    LN_TRY(ln_tensor_new(&r, dt, ln_tensor_ndim(t), dims));
    conversion c = { from, dt, ln_tensor_data(r), largest(dt) };
    const int64_t bad = ln__for_pieces(t, convert_piece, &c);
    if (bad >= 0) {
        char at[192], value[48];
        LN_FAIL(LN_ERR_NUMERIC, "element %s = %s does not fit %s", ln__index_text(at, sizeof at, t, bad),
                ln__element_text(value, t, bad), ln_dtype_name(dt));
    }
    *out = r;
    r = NULL;
done:
    ln_tensor_release(r);
    return st;
}
