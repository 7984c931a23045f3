/* golden_fixture.h - what the comparisons with PyTorch share (golden/torch_ops.py, golden/torch_nets.py): arrays of a
 * golden file as variables, numbers as f64, the kernel levels. */
#ifndef LN_TESTS_GOLDEN_FIXTURE_H
#define LN_TESTS_GOLDEN_FIXTURE_H

#include "op_sequence.h"

#include <stdio.h>

#include <linnet/io.h>

#include "core/kernels.h"
#include "grad/tape_impl.h"

/* The CPU levels, lowest first; one that this machine lacks is passed over by ln__cpu_force. */
static const char *const golden_levels[] = { "ref", "avx2", "avx512" };

UNUSED static ln_archive *golden_file(const char *name)
{
    char path[1024];
    ln_archive *a = NULL;
    snprintf(path, sizeof path, "%s/%s", LN_GOLDEN, name);
    OK(ln_archive_open(&a, path));
    return a;
}

/* "CASE.x3"; NULL when the file has none. */
UNUSED static ln_tensor *golden_part(const ln_archive *a, const char *name, char letter, int i)
{
    char full[128];
    ln_tensor *v = NULL;
    snprintf(full, sizeof full, "%s.%c%d", name, letter, i);
    if (ln_archive_has(a, full))
        OK(ln_archive_get(&v, a, full));
    return v;
}

UNUSED static double golden_number(const void *data, ln_dtype dt, int64_t i)
{
    switch (dt) {
    case LN_F64:
        return ((const double *)data)[i];
    case LN_F32:
        return (double)((const float *)data)[i];
    case LN_I32:
        return (double)((const int32_t *)data)[i];
    default:
        return (double)((const uint8_t *)data)[i];
    }
}

/* The numbers as f64; free() them. */
UNUSED static double *golden_numbers(const void *data, ln_dtype dt, int64_t n)
{
    double *x = malloc((size_t)(n + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = golden_number(data, dt, i);
    return x;
}

/* A tensor of floats as a variable of type dt (a leaf or a constant), any other as it is. */
UNUSED static ln_var *golden_var(ln_tape *t, const ln_tensor *x, ln_dtype dt, bool leaf)
{
    int64_t dims[LN_MAX_DIMS];
    ln_tensor *as = NULL;
    const bool real = ln_tensor_dtype(x) == LN_F32 || ln_tensor_dtype(x) == LN_F64;
    OK(ln_tensor_convert(&as, x, real ? dt : ln_tensor_dtype(x)));
    for (int i = 0; i < ln_tensor_ndim(x); i++)
        dims[i] = ln_tensor_dim(x, i);
    ln_var *v = (leaf ? ln_leaf : ln_input)(t, ln_tensor_dtype(as), ln_tensor_ndim(x), dims, ln_tensor_cdata(as));
    ln_tensor_release(as);
    return v;
}

/* got = want within `tolerance` of the largest (at least 10^-3), or of each number; else says where not. */
UNUSED static bool golden_close(const double *got, const double *want, int64_t n, double tolerance, bool each,
                                const char *what)
{
    double top = 1e-3;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= tolerance * (each ? fabs(want[i]) : top))) {
            print_error("%s[%lld] is %.17g, expected %.17g\n", what, (long long)i, got[i], want[i]);
            return false;
        }
    return true;
}

#endif
