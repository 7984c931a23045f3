/* small_gemm_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. B is packed into rows of whole vectors
 * (where it does not lie so already); then tiles of four rows by one cache line of C stay in registers over the whole
 * inner dimension. Written so that compilers see the registers: sums in arrays of their own, moved out at the end. */

enum { VEC(line) = 64 / sizeof(REAL) };
#define LINE VEC(line)
#define STEP(r)                                                                                                        \
    do {                                                                                                               \
        const REAL x = a##r[l * al];                                                                                   \
        for (int q = 0; q < LINE; q++)                                                                                 \
            s##r[q] = MADD(x, p[q], s##r[q]);                                                                          \
    } while (0)

static inline void VEC(tile4)(REAL *restrict to, const REAL *restrict a0, int64_t ai, int64_t al,
                              const REAL *restrict p, int64_t stride, int64_t k)
{
    const REAL *restrict a1 = a0 + ai, *restrict a2 = a1 + ai, *restrict a3 = a2 + ai;
    REAL s0[LINE] = { 0 }, s1[LINE] = { 0 }, s2[LINE] = { 0 }, s3[LINE] = { 0 };
    for (int64_t l = 0; l < k; l++, p += stride) {
        STEP(0);
        STEP(1);
        STEP(2);
        STEP(3);
    }
    for (int q = 0; q < LINE; q++) {
        to[q] = s0[q];
        to[LINE + q] = s1[q];
        to[2 * LINE + q] = s2[q];
        to[3 * LINE + q] = s3[q];
    }
}

static inline void VEC(tile1)(REAL *restrict to, const REAL *restrict a0, int64_t al, const REAL *restrict p,
                              int64_t stride, int64_t k)
{
    REAL s0[LINE] = { 0 };
    for (int64_t l = 0; l < k; l++, p += stride)
        STEP(0);
    for (int q = 0; q < LINE; q++)
        to[q] = s0[q];
}

/* Rows of a tile to their w columns of C. */
static inline void VEC(put)(REAL *restrict c, int64_t n, const REAL *restrict from, int64_t rows, int64_t w, bool add)
{
    for (int64_t r = 0; r < rows; r++, c += n, from += LINE)
        if (add)
            for (int64_t q = 0; q < w; q++)
                c[q] += from[q];
        else if (w == LINE)
            memcpy(c, from, LINE * sizeof *c);
        else
            for (int64_t q = 0; q < w; q++)
                c[q] = from[q];
}

static void VEC(small_gemm)(void *cp, const void *ap, int64_t ai, int64_t al, const void *bp, int64_t bl, int64_t bj,
                            int64_t m, int64_t n, int64_t k, bool add)
{
    REAL packed[LN__SMALL * LN__SMALL], out[4 * LINE];
    REAL *c = cp;
    const REAL *a = ap, *b = bp;
    const bool direct = bj == 1 && n % LINE == 0;
    const int64_t stride = direct ? bl : (n + LINE - 1) / LINE * LINE;
    for (int64_t l = 0; l < k && !direct; l++) {
        REAL *to = packed + l * stride;
        for (int64_t j = 0; j < n; j++)
            to[j] = b[l * bl + j * bj];
        for (int64_t j = n; j < stride; j++)
            to[j] = 0;
    }
    for (int64_t j = 0; j < n; j += LINE) {
        const REAL *p = (direct ? b : packed) + j;
        const int64_t w = LN_MIN(LINE, n - j);
        int64_t i = 0;
        for (; i + 4 <= m; i += 4) {
            VEC(tile4)(out, a + i * ai, ai, al, p, stride, k);
            VEC(put)(c + i * n + j, n, out, 4, w, add);
        }
        for (; i < m; i++) {
            VEC(tile1)(out, a + i * ai, al, p, stride, k);
            VEC(put)(c + i * n + j, n, out, 1, w, add);
        }
    }
}

#undef STEP
#undef LINE
