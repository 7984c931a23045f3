/* room: core
 * Products of stored weights with few tokens, and of dictionary codes: every CPU level against the reference, rows and
 * tokens independent of their company, and the cost in accuracy of 8-bit activations. */
#include "kernel_levels.h"

static const int64_t row_counts[] = { 1, 2, 3, 4, 5, 7, 8, 9, 13, 17 };
enum { N_ROWS = sizeof row_counts / sizeof *row_counts };

/* Weights of any type with modest values: written where there is a writer, else random bits under tame scales. */
static void random_weights(uint8_t *dst, ln_dtype dt, int64_t n)
{
    const ln__kernels ref = reference();
    const size_t width = ln_dtype_block_bytes(dt);
    const int64_t block = ln_dtype_block(dt);
    float x[256];
    for (int64_t i = 0; i < n; i += block, dst += width) {
        if (ref.from_f32[dt]) {
            for (int64_t j = 0; j < block; j++)
                x[j] = uniform(-1, 1);
            ref.from_f32[dt](dst, x, block);
            continue;
        }
        for (size_t b = 0; b < width; b++)
            dst[b] = (uint8_t)random_bits();
        /* Where the f16 scales of a block are. */
        static const int at[LN_DTYPE_COUNT][2] = {
            [LN_Q5_0] = { 0, 0 }, [LN_Q5_1] = { 0, 2 }, [LN_Q2_K] = { 80, 82 },  [LN_Q3_K] = { 108, 108 },
            [LN_Q4_K] = { 0, 2 }, [LN_Q5_K] = { 0, 2 }, [LN_Q6_K] = { 208, 208 }
        };
        for (int s = 0; s < 2; s++) {
            const uint16_t h = ln__f32_to_f16(uniform(-0.1f, 0.1f));
            memcpy(dst + at[dt][s], &h, sizeof h);
        }
    }
}

typedef struct problem {
    ln_dtype dt;
    int64_t rows, cols, T, ldx, ldy;
    size_t row_bytes;
    buffer w, x, packed;
    bool q8;
} problem;

static problem problem_new(ln_dtype dt, int64_t rows, int64_t cols, int64_t T)
{
    const ln__kernels ref = reference();
    problem p = { .dt = dt, .rows = rows, .cols = cols, .T = T, .q8 = ref.gemv_takes_q8[dt], .ldy = rows + 3 };
    const size_t used = ln_dtype_bytes(dt, cols);
    p.row_bytes = used + 5;
    p.w = buffer_new((size_t)(rows - 1) * p.row_bytes + used);
    for (int64_t r = 0; r < rows; r++)
        random_weights(p.w.data + (size_t)r * p.row_bytes, dt, cols);
    p.x = floats_new(T * cols);
    fill_uniform(p.x, -2, 2);
    p.ldx = cols;
    p.packed = floats_new(0);
    if (p.q8) {
        buffer_free(p.packed);
        p.ldx = cols / 32 + 1;
        p.packed = floats_new(((T - 1) * p.ldx + cols / 32) * (int64_t)(sizeof(ln__q8) / 4));
        for (int64_t t = 0; t < T; t++)
            ref.q8_pack((ln__q8 *)(void *)p.packed.data + t * p.ldx, floats(p.x) + t * cols, cols);
    }
    return p;
}

static void problem_free(problem p)
{
    buffer_free(p.w), buffer_free(p.x), buffer_free(p.packed);
}

/* Rows [from, to) and tokens [first, first + T). */
static void run(const ln__kernels *k, const problem *p, float *y, int64_t from, int64_t to, int64_t first, int64_t T)
{
    const void *x = p->q8 ? (const void *)((const ln__q8 *)(const void *)p->packed.data + first * p->ldx)
                          : (const void *)(floats(p->x) + first * p->ldx);
    k->gemv[p->dt](y + from + first * p->ldy, p->ldy, p->w.data + (size_t)from * p->row_bytes, p->row_bytes, to - from,
                   p->cols, x, p->ldx, T);
}

/* Sum of |w| |x|, the scale of rounding errors. */
static double magnitude(const problem *p, int64_t r, int64_t t)
{
    const ln__kernels ref = reference();
    float w[2048];
    double s = 0;
    ref.to_f32[p->dt](w, p->w.data + (size_t)r * p->row_bytes, p->cols);
    for (int64_t j = 0; j < p->cols; j++)
        s += fabs((double)w[j] * (double)floats(p->x)[t * p->cols + j]);
    return s;
}

static void compare(const ln__kernels *k, const problem *p)
{
    const ln__kernels ref = reference();
    buffer got = floats_new((p->T - 1) * p->ldy + p->rows), want = floats_new((p->T - 1) * p->ldy + p->rows);
    run(k, p, floats(got), 0, p->rows, 0, p->T);
    run(&ref, p, floats(want), 0, p->rows, 0, p->T);
    for (int64_t t = 0; t < p->T; t++)
        for (int64_t r = 0; r < (t + 1 < p->T ? p->ldy : p->rows); r++) {
            const float a = floats(got)[t * p->ldy + r], b = floats(want)[t * p->ldy + r];
            if (r >= p->rows)
                assert_memory_equal(&a, &b, sizeof a); /* between the outputs nothing is written */
            else if (!close_to(a, b, 2e-6 * magnitude(p, r, t)))
                fail_msg("gemv %s, %s, %lld x %lld, T %lld: row %lld token %lld is %.9g, expected %.9g",
                         ln_dtype_name(p->dt), ln__cpu_name(k), (long long)p->rows, (long long)p->cols, (long long)p->T,
                         (long long)r, (long long)t, (double)a, (double)b);
        }
    /* Bit for bit the same one row and one token at a time, and split in the middle. */
    memset(want.data, CANARY, want.n);
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t t = 0; t < p->T; t++)
            run(k, p, floats(want), r, r + 1, t, 1);
    assert_memory_equal(got.data, want.data, got.n);
    memset(want.data, CANARY, want.n);
    run(k, p, floats(want), 0, p->rows / 2, 0, p->T);
    if (p->rows / 2 < p->rows)
        run(k, p, floats(want), p->rows / 2, p->rows, 0, p->T);
    assert_memory_equal(got.data, want.data, got.n);
    buffer_free(got), buffer_free(want);
}

static void products_agree(void **state)
{
    (void)state;
    static const int64_t widths[] = { 32, 64, 96, 288, 576, 256, 512, 1536 };
    static const int64_t odd_widths[] = { 1, 3, 8, 15, 17, 31, 33, 100 };
    ln__kernels k;
    for (int level = 0; level_at(&k, level); level++)
        for (int dt = 0; dt < LN_DTYPE_COUNT; dt++) {
            if (!k.gemv[dt])
                continue;
            for (int i = 0; i < N_ROWS; i++)
                for (int64_t T = 1; T <= 9; T++)
                    for (int c = 0; c < 2; c++) {
                        const int64_t block = ln_dtype_block((ln_dtype)dt), pick = random_bits() % 8;
                        int64_t cols = block == 1 && c ? odd_widths[pick] : widths[pick];
                        cols = LN_MAX(1, cols / block) * block;
                        problem p = problem_new((ln_dtype)dt, row_counts[i], cols, T);
                        compare(&k, &p);
                        problem_free(p);
                    }
        }
}

/* The largest and smallest quants, every sign: no 16-bit sum may saturate. */
static void extreme_quants_do_not_saturate(void **state)
{
    (void)state;
    static const uint8_t patterns[] = { 0x00, 0xff, 0x80, 0x7f, 0x81, 0x0f, 0xf0 };
    ln__kernels k;
    for (int level = 0; level_at(&k, level); level++)
        for (int dt = LN_Q8_0; dt <= LN_Q6_K; dt++)
            for (int i = 0; k.gemv[dt] && i < 7; i++)
                for (int sign = 0; sign < 4; sign++) {
                    const ln__kernels ref = reference();
                    problem p = problem_new((ln_dtype)dt, 5, 256, 2);
                    const size_t width = ln_dtype_block_bytes((ln_dtype)dt);
                    for (int64_t r = 0; r < 5; r++)
                        for (size_t b = 0; b < width * (size_t)(256 / ln_dtype_block((ln_dtype)dt)); b++) {
                            const size_t at = b % width; /* keep the f16 scales, wherever they are: they are below 2 */
                            const bool scale =
                                dt == LN_Q2_K || dt == LN_Q3_K || dt == LN_Q6_K ? at + 4 >= width : at < 4;
                            if (!scale || (dt == LN_Q8_0 && at >= 2))
                                p.w.data[(size_t)r * p.row_bytes + b] = patterns[i];
                        }
                    for (size_t j = 0; j < p.x.n / 4; j++)
                        floats(p.x)[j] = sign == 0 || (sign == 1 && j % 2) || (sign == 2 && j % 32 < 16) ? 1.0f : -1.0f;
                    for (int64_t t = 0; t < 2; t++)
                        ref.q8_pack((ln__q8 *)(void *)p.packed.data + t * p.ldx, floats(p.x) + t * p.cols, p.cols);
                    compare(&k, &p);
                    problem_free(p);
                }
}

static void packing_agrees_bit_for_bit(void **state)
{
    (void)state;
    static const float sizes[] = { 1, 1e-29f, 1e-31f, 1e-40f, 3e38f, 0 };
    const ln__kernels ref = reference();
    ln__kernels k;
    for (int level = 0; level_at(&k, level); level++)
        for (int64_t n = 1; n <= 130; n++)
            for (int s = 0; s < 8; s++) {
                const int64_t floats_of_q8 = (n + 31) / 32 * (int64_t)(sizeof(ln__q8) / 4);
                buffer x = floats_new(n), got = floats_new(floats_of_q8), want = floats_new(floats_of_q8);
                fill_uniform(x, s < 6 ? -sizes[s] : -1, s < 6 ? sizes[s] : 1);
                if (s == 6)
                    floats(x)[n / 2] = NAN;
                if (s == 7)
                    floats(x)[n / 2] = -INFINITY;
                ref.q8_pack((ln__q8 *)(void *)want.data, floats(x), n);
                k.q8_pack((ln__q8 *)(void *)got.data, floats(x), n);
                if (s < 6) {
                    assert_memory_equal(got.data, want.data, got.n);
                } else {
                    const ln__q8 *q = (const ln__q8 *)(void *)got.data + n / 2 / 32;
                    assert_true(isnan(q->scale) && isnan(q->sum));
                }
                buffer_free(x), buffer_free(got), buffer_free(want);
            }
}

/* NaN in weights or activations comes out as NaN. */
static void nan_is_passed_on(void **state)
{
    (void)state;
    ln__kernels k = reference();
    for (int level = -1; level < 0 || level_at(&k, level); level++)
        for (int dt = 0; dt < LN_DTYPE_COUNT; dt++)
            for (int64_t at = 0; k.gemv[dt] && at < 256; at += 37) {
                problem p = problem_new((ln_dtype)dt, 3, 256, 2);
                buffer y = floats_new(p.ldy + 3);
                floats(p.x)[at] = NAN;
                if (p.q8)
                    k.q8_pack((ln__q8 *)(void *)p.packed.data, floats(p.x), 256);
                run(&k, &p, floats(y), 0, 3, 0, 2);
                for (int r = 0; r < 3; r++)
                    assert_true(isnan(floats(y)[r]) && !isnan(floats(y)[p.ldy + r]));
                buffer_free(y);
                problem_free(p);
            }
}

/* A rounded activation is off by at most half a step of its block: max|x| / 254. So the product is off by at most the
 * sum over blocks of that times the block's sum of |w|. docs/kernels.md quotes this bound and the typical error. */
static void eight_bit_activations_stay_within_their_bound(void **state)
{
    (void)state;
    const ln__kernels ref = reference();
    ln__kernels k = ref;
    for (int level = -1; level < 0 || level_at(&k, level); level++)
        for (int dt = LN_Q8_0; dt <= LN_Q6_K; dt++) {
            double error = 0, size = 0;
            if (!k.gemv[dt])
                continue;
            problem p = problem_new((ln_dtype)dt, 64, 768, 1);
            buffer y = floats_new(64);
            k.q8_pack((ln__q8 *)(void *)p.packed.data, floats(p.x), p.cols);
            run(&k, &p, floats(y), 0, 64, 0, 1);
            for (int64_t r = 0; r < 64; r++) {
                float w[768];
                double exact = 0, bound = 0, ww = 0, xx = 0;
                ref.to_f32[dt](w, p.w.data + (size_t)r * p.row_bytes, 768);
                for (int b = 0; b < 768; b += 32) {
                    double top = 0, sum = 0;
                    for (int j = b; j < b + 32; j++) {
                        const double x = (double)floats(p.x)[j];
                        top = fmax(top, fabs(x));
                        sum += fabs((double)w[j]);
                        exact += (double)w[j] * x;
                        ww += (double)w[j] * (double)w[j], xx += x * x;
                    }
                    bound += top / 254 * sum;
                }
                bound += 2e-6 * magnitude(&p, r, 0);
                if (!(fabs((double)floats(y)[r] - exact) <= bound))
                    fail_msg("%s, %s: off by %.3g, at most %.3g", ln_dtype_name((ln_dtype)dt), ln__cpu_name(&k),
                             fabs((double)floats(y)[r] - exact), bound);
                error += ((double)floats(y)[r] - exact) * ((double)floats(y)[r] - exact);
                size += ww * xx;
            }
            assert_true(sqrt(error / size) < 1e-3); /* typical: 2e-4 of |w| |x| with uniform activations */
            buffer_free(y);
            problem_free(p);
        }
}

/* ---- dictionary codes ---- */

static void codes_case(const ln__kernels *k, ln_dtype dt, int64_t rows, int64_t width, int64_t T, uint32_t density)
{
    const ln__kernels ref = reference();
    const int64_t mask_bytes = (width + 7) / 8, ldy = rows + 2, ldh = width + 1;
    buffer mask = buffer_new((size_t)(rows * mask_bytes)), h = floats_new((T - 1) * ldh + width);
    buffer got = floats_new((T - 1) * ldy + rows), want = floats_new((T - 1) * ldy + rows);
    int64_t offsets[32], count = 0;
    memset(mask.data, 0, mask.n);
    for (int64_t r = 0; r < rows; r++) {
        offsets[r] = count;
        for (int64_t i = 0; i < width; i++)
            if (random_bits() % 100 < density) {
                mask.data[r * mask_bytes + i / 8] |= (uint8_t)(1u << i % 8);
                count++;
            }
    }
    buffer values = buffer_new(ln_dtype_bytes(dt, count));
    random_weights(values.data, dt, count);
    fill_uniform(h, -2, 2);
    k->codes[dt](floats(got), ldy, values.data, offsets, mask.data, rows, width, floats(h), ldh, T);
    ref.codes[dt](floats(want), ldy, values.data, offsets, mask.data, rows, width, floats(h), ldh, T);
    for (int64_t i = 0; i < (int64_t)got.n / 4; i++)
        if (!close_to(floats(got)[i], floats(want)[i], 4e-6 * (double)width))
            fail_msg("codes %s, %s, %lld x %lld, T %lld: output %lld is %.9g, expected %.9g", ln_dtype_name(dt),
                     ln__cpu_name(k), (long long)rows, (long long)width, (long long)T, (long long)i,
                     (double)floats(got)[i], (double)floats(want)[i]);
    for (int64_t r = 0; r < rows; r++) /* one row and one token at a time: the same bytes */
        for (int64_t t = 0; t < T; t++)
            k->codes[dt](floats(want) + t * ldy + r, ldy, values.data, offsets + r, mask.data + r * mask_bytes, 1,
                         width, floats(h) + t * ldh, ldh, 1);
    assert_memory_equal(got.data, want.data, got.n);
    buffer_free(mask), buffer_free(h), buffer_free(got), buffer_free(want), buffer_free(values);
}

static void codes_agree(void **state)
{
    (void)state;
    static const int64_t widths[] = { 1, 7, 8, 9, 16, 33, 64, 331 };
    static const uint32_t densities[] = { 0, 30, 50, 95, 100 };
    static const ln_dtype types[] = { LN_F32, LN_F16, LN_BF16 };
    ln__kernels k;
    for (int level = 0; level_at(&k, level); level++)
        for (int dt = 0; dt < 3; dt++)
            for (int w = 0; w < 8; w++)
                for (int d = 0; d < 5; d++)
                    for (int64_t T = 1; T <= 9; T++) {
                        codes_case(&k, types[dt], 1 + (int64_t)(random_bits() % 9), widths[w], T, densities[d]);
                    }
}

/* ---- bf16 by bf16 ---- */

static void bf16_products_agree(void **state)
{
    (void)state;
    ln__kernels k;
    int levels = 0;
    for (int level = 0; level_at(&k, level); level++)
        for (int i = 0; k.gemm_bf16 && i < 200; i++, levels++) {
            const int64_t m = 1 + random_bits() % 9, n = 1 + random_bits() % 14, depth = 1 + random_bits() % 150;
            const int64_t lda = depth + 1, ldb = depth + 3, ldc = n + 2;
            buffer a = floats_new((m * lda + 1) / 2), b = floats_new((n * ldb + 1) / 2);
            buffer c = floats_new((m - 1) * ldc + n);
            uint16_t *pa = (uint16_t *)(void *)a.data, *pb = (uint16_t *)(void *)b.data;
            for (int64_t j = 0; j < m * lda; j++)
                pa[j] = ln__f32_to_bf16(uniform(-2, 2));
            for (int64_t j = 0; j < n * ldb; j++)
                pb[j] = ln__f32_to_bf16(uniform(-2, 2));
            k.gemm_bf16(floats(c), ldc, pa, lda, pb, ldb, m, n, depth);
            for (int64_t r = 0; r < m; r++)
                for (int64_t s = 0; s < n; s++) {
                    double want = 0, size = 0;
                    for (int64_t l = 0; l < depth; l++) {
                        const double v =
                            (double)ln__bf16_to_f32(pa[r * lda + l]) * (double)ln__bf16_to_f32(pb[s * ldb + l]);
                        want += v, size += fabs(v);
                    }
                    assert_true(close_to(floats(c)[r * ldc + s], (float)want, 2e-6 * size));
                }
            for (int64_t j = 0; j < (m > 1 ? 2 : 0); j++) /* nothing between the rows is written */
                assert_int_equal(c.data[4 * (size_t)(n + j)], CANARY);
            buffer_free(a), buffer_free(b), buffer_free(c);
        }
    if (!levels) {
        print_message("this CPU has no AVX512-BF16; the emulated test runs it\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree),
        cmocka_unit_test(extreme_quants_do_not_saturate),
        cmocka_unit_test(packing_agrees_bit_for_bit),
        cmocka_unit_test(nan_is_passed_on),
        cmocka_unit_test(eight_bit_activations_stay_within_their_bound),
        cmocka_unit_test(codes_agree),
        cmocka_unit_test(bf16_products_agree),
    };
    return cmocka_run_group_tests_name("gemv", tests, NULL, NULL);
}
