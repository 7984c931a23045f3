/* dispatch.c - the measured crossover between GEMV kernels and tiles for GEMM.
 *
 * For each storage type and CPU level: the most tokens for which the GEMV kernels win. The numbers are measured by
 * `bench_linop --tune` and kept here, not measured at run time: a table that depended on the moment would make the
 * bytes of a result depend on it too. What was measured, where and when: docs/kernels.md. */
#include "linop/dispatch.h"

#include <stdatomic.h>

static const int16_t few_dense[3][LN_DTYPE_COUNT] = {
    [LN_CPU_REF] = { [LN_F32] = 1,
                     [LN_F16] = 1,
                     [LN_BF16] = 1,
                     [LN_Q8_0] = 2,
                     [LN_Q4_0] = 2,
                     [LN_Q4_1] = 2,
                     [LN_Q5_0] = 2,
                     [LN_Q5_1] = 2,
                     [LN_Q2_K] = 1,
                     [LN_Q3_K] = 1,
                     [LN_Q4_K] = 1,
                     [LN_Q5_K] = 1,
                     [LN_Q6_K] = 1 },
    [LN_CPU_AVX2] = { [LN_F32] = 8,
                      [LN_F16] = 8,
                      [LN_BF16] = 8,
                      [LN_Q8_0] = 16,
                      [LN_Q4_0] = 16,
                      [LN_Q4_1] = 16,
                      [LN_Q5_0] = 16,
                      [LN_Q5_1] = 16,
                      [LN_Q2_K] = 4,
                      [LN_Q3_K] = 4,
                      [LN_Q4_K] = 4,
                      [LN_Q5_K] = 4,
                      [LN_Q6_K] = 4 },
    [LN_CPU_AVX512] = { [LN_F32] = 8,
                        [LN_F16] = 8,
                        [LN_BF16] = 8,
                        [LN_Q8_0] = 16,
                        [LN_Q4_0] = 16,
                        [LN_Q4_1] = 16,
                        [LN_Q5_0] = 16,
                        [LN_Q5_1] = 16,
                        [LN_Q2_K] = 4,
                        [LN_Q3_K] = 4,
                        [LN_Q4_K] = 4,
                        [LN_Q5_K] = 4,
                        [LN_Q6_K] = 4 },
};
static const int16_t few_codes[3] = { 2, 8, 8 };
static const int16_t few_tiled[3] = { 1, 4, 4 }; /* widened rows times few tokens: exact, strided or without a kernel */

static atomic_int forced;
static atomic_bool exact_mode;
static _Thread_local bool exact_here;

void ln__linop_exact(bool on)
{
    atomic_store(&exact_mode, on);
}

bool ln__linop_is_exact(void)
{
    return exact_here || atomic_load_explicit(&exact_mode, memory_order_relaxed);
}

bool ln__linop_exact_here(bool on)
{
    const bool before = exact_here;
    exact_here = on;
    return before;
}

void ln__linop_force_path(int path)
{
    atomic_store(&forced, path);
}

int64_t ln__few_tokens(const ln__kernels *k, const ln__part *p, bool exact)
{
    const ln__path path = (ln__path)atomic_load_explicit(&forced, memory_order_relaxed);
    if (path != LN_PATH_AUTO)
        return path == LN_PATH_FEW ? INT64_MAX : 1;
    if (p->sparse)
        return k->codes[p->dtype] ? few_codes[k->level] : few_tiled[k->level];
    if (!ln__part_by_rows(p) || !k->gemv[p->dtype] || (exact && k->gemv_takes_q8[p->dtype]))
        return few_tiled[k->level];
    return LN_MAX(few_dense[k->level][p->dtype], 1);
}
