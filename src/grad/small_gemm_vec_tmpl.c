/* small_gemm_vec_tmpl.c - included for each CPU level with REAL, TYPE and LEVEL. B is packed into rows of whole
 * vectors, then tiles of four rows by WIDTH columns of C stay in registers over the whole inner dimension. */

#define TILE(rows)                                                                                                     \
    do {                                                                                                               \
        REAL acc[rows][WIDTH] = { { 0 } };                                                                             \
        for (int64_t l = 0; l < k; l++)                                                                                \
            for (int r = 0; r < (rows); r++) {                                                                         \
                const REAL x = a[(i + r) * ai + l * al];                                                               \
                for (int q = 0; q < WIDTH; q++)                                                                        \
                    acc[r][q] = MADD(x, p[l * stride + q], acc[r][q]);                                                 \
            }                                                                                                          \
        for (int r = 0; r < (rows); r++) {                                                                             \
            REAL *to = c + (i + r) * n + j;                                                                            \
            for (int64_t q = 0; q < w; q++)                                                                            \
                to[q] = add ? to[q] + acc[r][q] : acc[r][q];                                                           \
        }                                                                                                              \
    } while (0)

static void VEC(small_gemm)(void *cp, const void *ap, int64_t ai, int64_t al, const void *bp, int64_t bl, int64_t bj,
                            int64_t m, int64_t n, int64_t k, bool add)
{
    enum { WIDTH = 64 / sizeof(REAL) };
    REAL packed[LN__SMALL * LN__SMALL];
    REAL *c = cp;
    const REAL *a = ap, *b = bp;
    const int64_t stride = (n + WIDTH - 1) / WIDTH * WIDTH;
    for (int64_t l = 0; l < k; l++) {
        REAL *to = packed + l * stride;
        for (int64_t j = 0; j < n; j++)
            to[j] = b[l * bl + j * bj];
        for (int64_t j = n; j < stride; j++)
            to[j] = 0;
    }
    for (int64_t j = 0; j < n; j += WIDTH) {
        const REAL *p = packed + j;
        const int64_t w = LN_MIN(WIDTH, n - j);
        int64_t i = 0;
        for (; i + 4 <= m; i += 4)
            TILE(4);
        for (; i < m; i++)
            TILE(1);
    }
}

#undef TILE
