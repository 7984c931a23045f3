/* op_sequence.h - the numbers from which the expected values in tests of operations were made with PyTorch (f64). */
#ifndef LN_TESTS_OP_SEQUENCE_H
#define LN_TESTS_OP_SEQUENCE_H

#include "op_values.h"

/* 0, -0.9, 0.5, -0.4, 1, 0.1, -0.8, … : ((37 i + 11) mod 23) / 10 - 1.1 */
UNUSED static double op_number(int64_t i)
{
    return (double)((37 * i + 11) % 23) / 10 - 1.1;
}

/* An f64 leaf of factor times the sequence, plus a number. */
UNUSED static ln_var *op_sequence(ln_tape *t, double factor, double plus, int ndim, const int64_t *dims)
{
    double x[256];
    int64_t count = 1;
    for (int i = 0; i < ndim; i++)
        count *= dims[i];
    assert_true(count <= 256);
    for (int64_t i = 0; i < count; i++)
        x[i] = factor * op_number(i) + plus;
    return ln_leaf(t, LN_F64, ndim, dims, x);
}
#define SEQUENCE(t, ...) op_sequence(t, 1, 0, LN_DIMS(__VA_ARGS__))
#define SCALED(t, factor, plus, ...) op_sequence(t, factor, plus, LN_DIMS(__VA_ARGS__))

/* Backward from y, its gradient the sequence. */
UNUSED static void op_backward(ln_tape *t, ln_var *y)
{
    double g[256];
    assert_true(ln_var_count(y) <= 256);
    for (int64_t i = 0; i < ln_var_count(y); i++)
        g[i] = op_number(i);
    OK(ln_backward_from(t, y, g));
}
#define SLOPE(leaf, ...) expect_gradient(leaf, NUMBERS(__VA_ARGS__), COUNT_OF(__VA_ARGS__), 1e-10)
#define VALUE(v, ...) NEARLY(v, 1e-10, __VA_ARGS__)

#endif
