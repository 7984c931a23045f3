/* pieces.c - walking a tensor of any strides in short contiguous pieces, on all threads.
 *
 * A contiguous tensor is one long row; otherwise rows run along the last axis. Elements that do not lie side by side
 * are gathered first. Pieces are cut by size, so which one reports first does not depend on the threads. */
#include "core/pieces.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/kernels.h"
#include "core/threads.h"

enum { PIECES_PER_CHUNK = 64 };

typedef struct walk {
    const ln_tensor *t;
    ln_dtype dtype;
    int64_t length, stride, pieces; /* of a row */
    size_t align;                   /* of an element; tensors in files need not be aligned */
    bool one_row;
    ln__piece_fn fn;
    void *ctx;
    _Atomic int64_t first_bad; /* INT64_MAX: none */
} walk;

static void gather(void *dst, const void *src, size_t bytes, int64_t stride, int64_t n)
{
    const char *s = src;
    const int64_t step = stride * (int64_t)bytes;
    switch (bytes) {
    case 2:
        for (int64_t i = 0; i < n; i++)
            memcpy((uint16_t *)dst + i, s + i * step, 2);
        break;
    case 4:
        for (int64_t i = 0; i < n; i++)
            memcpy((uint32_t *)dst + i, s + i * step, 4);
        break;
    case 8:
        for (int64_t i = 0; i < n; i++)
            memcpy((uint64_t *)dst + i, s + i * step, 8);
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            ((char *)dst)[i] = s[i * step];
    }
}

static void run(void *ctx, int64_t begin, int64_t end)
{
    walk *w = ctx;
    uint64_t gathered[LN_PIECE];
    for (int64_t u = begin; u < end; u++) {
        const int64_t row = u / w->pieces, start = u % w->pieces * LN_PIECE;
        const int64_t n = LN_MIN(LN_PIECE, w->length - start), flat = row * w->length + start;
        const void *src = w->one_row ? ln_tensor_cdata(w->t) : ln__tensor_row(w->t, row);
        src = (const char *)src + ln__dtype_offset(w->dtype, start * w->stride);
        if (w->stride != 1 || (w->align > 1 && (uintptr_t)src % w->align != 0)) {
            gather(gathered, src, ln_dtype_block_bytes(w->dtype), w->stride, n);
            src = gathered;
        }
        const int64_t bad = w->fn(w->ctx, src, flat, n);
        int64_t known = atomic_load_explicit(&w->first_bad, memory_order_relaxed);
        while (bad >= 0 && flat + bad < known &&
               !atomic_compare_exchange_weak_explicit(&w->first_bad, &known, flat + bad, memory_order_relaxed,
                                                      memory_order_relaxed))
            continue;
    }
}

int64_t ln__for_pieces(const ln_tensor *t, ln__piece_fn fn, void *ctx)
{
    walk w = { .t = t, .dtype = ln_tensor_dtype(t), .fn = fn, .ctx = ctx };
    const int64_t count = ln_tensor_count(t);
    if (count == 0)
        return -1;
    w.one_row = ln_tensor_contiguous(t);
    w.length = w.one_row ? count : ln__tensor_row_length(t);
    w.stride = w.one_row || w.length == 1 ? 1 : ln__tensor_row_stride(t);
    w.align = ln_dtype_block(w.dtype) == 1 ? ln_dtype_block_bytes(w.dtype) : 1;
    w.pieces = w.length / LN_PIECE + (w.length % LN_PIECE != 0);
    atomic_init(&w.first_bad, INT64_MAX);
    ln__parallel_for(count / w.length * w.pieces, PIECES_PER_CHUNK, run, &w);
    const int64_t bad = atomic_load(&w.first_bad);
    return bad == INT64_MAX ? -1 : bad;
}

#define AS(T, format)                                                                                                  \
    do {                                                                                                               \
        T x;                                                                                                           \
        memcpy(&x, p, sizeof x);                                                                                       \
        snprintf(buf, 48, format, x);                                                                                  \
        return buf;                                                                                                    \
    } while (0)

static char *real_text(char buf[48], double x)
{
    if (isfinite(x))
        ln__format(buf, 48, "%.9g", x);
    else
        snprintf(buf, 48, "%s", isnan(x) ? "NaN" : x > 0 ? "Inf" : "-Inf");
    return buf;
}

char *ln__element_text(char buf[48], const ln_tensor *t, int64_t flat)
{
    const ln_dtype dt = ln_tensor_dtype(t);
    const int64_t length = ln__tensor_row_length(t), col = flat % length, block = ln_dtype_block(dt);
    const int64_t at = block > 1 ? col / block * block : col * ln__tensor_row_stride(t);
    const char *p = (const char *)ln__tensor_row(t, flat / length) + ln__dtype_offset(dt, at);
    float f[256];
    double d;
    uint16_t half;
    switch (dt) {
    case LN_I8:
        AS(int8_t, "%d");
    case LN_I16:
        AS(int16_t, "%d");
    case LN_I32:
        AS(int32_t, "%" PRId32);
    case LN_I64:
        AS(int64_t, "%" PRId64);
    case LN_U8:
    case LN_BOOL:
        AS(uint8_t, "%d");
    case LN_U16:
        AS(uint16_t, "%d");
    case LN_U32:
        AS(uint32_t, "%" PRIu32);
    case LN_U64:
        AS(uint64_t, "%" PRIu64);
    case LN_F64:
        memcpy(&d, p, sizeof d);
        return real_text(buf, d);
    case LN_F32:
        memcpy(f, p, sizeof *f);
        return real_text(buf, f[0]);
    case LN_F16:
    case LN_BF16:
        memcpy(&half, p, sizeof half);
        return real_text(buf, dt == LN_F16 ? ln__f16_to_f32(half) : ln__bf16_to_f32(half));
    default:
        ln__k()->to_f32[dt](f, p, block);
        return real_text(buf, f[col % block]);
    }
}
