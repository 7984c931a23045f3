/* room: grad */
/* test_recurrent_ops.c - recurrent cells: values and gradients from PyTorch, sequences, one variable in two places. */
#include "op_sequence.h"

static void test_gru(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = SEQUENCE(t, 2, 3), *h = SCALED(t, 0.5, 0, 2, 2), *w = SCALED(t, 0.5, 0, 6, 3);
    ln_var *u = SCALED(t, 0.4, 0, 6, 2), *b = SCALED(t, 0.1, 0, 6), *c = SCALED(t, 0.2, 0, 6);
    ln_var *y = ln_gru_cell(t, x, h, w, u, b, c);
    VALUE(y, -0.0461644274656, 0.131156045885, 0.112845876157, -0.228385956101);
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 3, 4)));
    SLOPE(x, 0.0775022134614, -0.361648002485, 0.230022917498, 0.585232241215, -0.669231172945, 0.312693624592);
    SLOPE(h, 0.585092727897, 0.716652517471, 2.16045679173, 1.40970417977);
    SLOPE(u, 0.00486161646494, -0.00399917437454, 0.0129871199338, -0.0245455116402, 0.0684363997244, -0.0640340643008,
          0.0113711804409, 0.189233243455, 0.100942406295, -0.245449747614, 0.336495726892, -0.418155808304);
    SLOPE(c, 0.01969064631, 0.0834058479423, 0.294378808945, -0.395249028919, 0.769760342019, 1.67700341155);
    ln_tape_free(t);
}

static void test_lstm(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = SEQUENCE(t, 2, 3), *h = SCALED(t, 0.5, 0, 2, 2), *c = SCALED(t, 0.3, 0, 2, 2), *c_out;
    ln_var *b = SCALED(t, 0.1, 0, 8);
    ln_var *y =
        ln_lstm_cell(t, x, h, c, SCALED(t, 0.5, 0, 8, 3), SCALED(t, 0.4, 0, 8, 2), b, SCALED(t, 0.2, 0, 8), &c_out);
    VALUE(y, -0.0322864700723, 0.0392871826727, 0.0187202684453, -0.111139806749);
    VALUE(c_out, -0.0551855040309, 0.0914715336788, 0.0533623205332, -0.174117584972);
    ln_var *both[2] = { y, c_out };
    OK(ln_backward_from(t, ln_concat(t, both, 2, 0), NUMBERS(1, 2, 3, 4, 1, -1, 2, -2)));
    SLOPE(x, 0.359874946417, -0.0625982970257, -0.604754400727, 0.472086361401, -0.245855915021, -0.593753107151);
    SLOPE(h, -0.158679595458, 0.493195109404, -0.00618858551785, 0.47923996788);
    SLOPE(c, 0.707910155265, -0.055273885907, 2.02946058841, 0.201229197001);
    SLOPE(b, -0.112349387891, -0.0438484796706, 0.101889303284, -0.00520923219101, 2.29111491901, 0.251833030144,
          0.023062103517, -0.113201359611);
    ln_tape_free(t);
}

/* Three steps of each, the weights shared; and the same variable as input, state and cell. */
static ln_var *steps(ln_tape *t, ln__case *c, int k)
{
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(2, 3), -1, 1), *w = ln__case_leaf(t, c, LN_DIMS(12, 3), -1, 1);
    ln_var *u = ln__case_leaf(t, c, LN_DIMS(12, 3), -1, 1), *h = x, *cell = x;
    if (k == 0)
        return ln_lstm_cell(t, x, x, x, w, u, NULL, NULL, NULL);
    if (k == 1)
        return ln_gru_cell(t, x, x, ln_narrow(t, w, 0, 0, 9), ln_narrow(t, u, 0, 3, 9), NULL, NULL);
    for (int i = 0; i < 3; i++)
        h = k == 2 ? ln_lstm_cell(t, x, h, cell, w, u, NULL, NULL, &cell)
                   : ln_gru_cell(t, x, h, ln_narrow(t, w, 0, 0, 9), ln_narrow(t, u, 0, 3, 9), NULL, NULL);
    return h;
}

static void test_shared(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++)
        OK(ln__gradcheck_fn(steps, k, 5, 0, "cells"));
}

static void test_empty_and_refused(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *w = SEQUENCE(t, 6, 3), *u = SEQUENCE(t, 6, 2);
    ln_var *y = ln_gru_cell(t, ln_leaf(t, LN_F64, LN_DIMS(0, 3), NULL), ln_leaf(t, LN_F64, LN_DIMS(0, 2), NULL), w, u,
                            NULL, NULL);
    SHAPE(y, 0, 2);
    OK(ln_backward_from(t, y, NUMBERS(0)));
    GRADIENT(u, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    ln_tape_reset(t);
    ln_gru_cell(t, SEQUENCE(t, 2, 3), SEQUENCE(t, 2, 2), SEQUENCE(t, 6, 3), SEQUENCE(t, 6, 3), NULL, NULL);
    expect_failure(
        t, LN_ERR_SHAPE,
        "gru_cell: expected x [B,I], h [B,H], w_ih [3H,I], w_hh [3H,H], biases [3H], found [2,3] and [2,2] and "
        "[6,3] and [6,3] and nothing and nothing");
    ln_lstm_cell(t, SEQUENCE(t, 2, 3), SEQUENCE(t, 2, 2), NULL, SEQUENCE(t, 8, 3), SEQUENCE(t, 8, 2), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "lstm_cell: input 2 is NULL");
    ln_gru_cell(t, NULL, NULL, NULL, NULL, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "gru_cell: input 0 is NULL");
    ln_tape_free(t);
}

static ln_var *chain(ln_tape *t)
{
    ln_var *x = SEQUENCE(t, 2, 2), *c;
    ln_var *h = ln_gru_cell(t, x, x, SEQUENCE(t, 6, 2), SEQUENCE(t, 6, 2), SEQUENCE(t, 6), NULL);
    h = ln_lstm_cell(t, x, h, h, SEQUENCE(t, 8, 2), SEQUENCE(t, 8, 2), NULL, SEQUENCE(t, 8), &c);
    return ln_sum(t, ln_mul(t, h, c), LN_ALL, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gru),           cmocka_unit_test(test_lstm),
        cmocka_unit_test(test_shared),        cmocka_unit_test(test_empty_and_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
