/* room: grad */
/* test_ctc_ops.c - connectionist temporal classification: against the sum over all paths, by hand, sequences without
 * labels, steps or alignment, long ones, refusals. Golden values: test_golden_ops.c. */
#include "op_sequence.h"

static ln_ctc_opts options(int32_t blank, int32_t skip, int32_t per_label)
{
    ln_ctc_opts o = LN_CTC_OPTS_INIT;
    o.blank = blank;
    o.skip_impossible = skip;
    o.per_label = per_label;
    return o;
}

/* Does the path, repetitions merged and then blanks removed, read as the labels? */
static bool reads_as(const int *path, int steps, int blank, const int32_t *labels, int n)
{
    int at = 0;
    for (int t = 0; t < steps; t++) {
        if (path[t] == blank || (t > 0 && path[t] == path[t - 1]))
            continue;
        if (at == n || labels[at++] != path[t])
            return false;
    }
    return at == n;
}

/* P(labels) as the sum over all classes^steps paths. */
static double all_paths(const double *log_probs, int steps, int classes, int blank, const int32_t *labels, int n)
{
    double p = 0;
    int path[8] = { 0 }, t = 0;
    while (t < steps) {
        if (reads_as(path, steps, blank, labels, n)) {
            double log_p = 0;
            for (int i = 0; i < steps; i++)
                log_p += log_probs[i * classes + path[i]];
            p += exp(log_p);
        }
        for (t = 0; t < steps && ++path[t] == classes; t++) /* the next path; past the last one t is steps */
            path[t] = 0;
    }
    return p;
}

static void test_all_paths(void **state)
{
    (void)state;
    enum { STEPS = 5, CLASSES = 3, MOST = 4 };
    static const int32_t labels[][MOST] = { { 1, 2, 1, 1 }, { 2, 2, 1, 1 }, { 0, 0, 0, 0 }, { 1, 1, 2, 0 } };
    static const struct {
        int row, n, blank;
    } s[] = { { 0, 0, 0 }, { 0, 1, 0 }, { 0, 3, 0 }, { 0, 4, 0 }, { 1, 2, 0 }, { 1, 3, 0 }, { 2, 3, 1 }, { 3, 3, 0 } };
    ln_tape *t = op_tape();
    for (size_t k = 0; k < LN_COUNT(s); k++) {
        ln_ctc_opts o = options(s[k].blank, 0, 0);
        ln_tape_reset(t);
        ln_var *x = ln_log_softmax(t, SCALED(t, 1.7, 0.1 * (double)k, 1, STEPS, CLASSES));
        const double p = all_paths(ln_var_data(x), STEPS, CLASSES, s[k].blank, labels[s[k].row], s[k].n);
        ln_var *y = ln_ctc(t, x, ln_input(t, LN_I32, LN_DIMS(1, s[k].n), labels[s[k].row]), NULL, NULL, &o);
        assert_true(p > 0);
        NEARLY(y, 1e-13, -log(p));
        OK(ln_tape_status(t));
    }
    ln_tape_free(t);
}

static void test_by_hand(void **state)
{
    (void)state;
    const double h = log(0.5);
    ln_tape *t = op_tape();
    ln_ctc_opts o = options(0, 0, 0);
    /* two steps, one label: "1 1", "1 -", "- 1" of four paths */
    ln_var *x = LEAF(t, (1, 2, 2), h, h, h, h);
    ln_var *y = ln_ctc(t, x, INDEX(t, (1, 1), 1), NULL, NULL, NULL);
    NEARLY(y, 1e-15, -log(0.75));
    OK(ln_backward(t, y));
    expect_gradient(x, NUMBERS(-1.0 / 3, -2.0 / 3, -1.0 / 3, -2.0 / 3), 4, 1e-15);
    ln_tape_reset(t);
    /* no labels: blanks all the way; a step beyond the sequence's own has no gradient */
    x = LEAF(t, (1, 3, 2), -1, -2, -3, -4, -5, -6);
    y = ln_ctc(t, x, ln_input(t, LN_I32, LN_DIMS(1, 0), NULL), INDEX(t, (1), 2), NULL, &o);
    VALUES(y, 4);
    OK(ln_backward(t, y));
    GRADIENT(x, -1, 0, -1, 0, 0, 0);
    ln_tape_reset(t);
    /* no labels, no steps: certain */
    x = LEAF(t, (1, 1, 2), -1, -2);
    y = ln_ctc(t, x, INDEX(t, (1, 1), 1), INDEX(t, (1), 0), INDEX(t, (1), 0), NULL);
    VALUES(y, 0);
    OK(ln_backward(t, y));
    GRADIENT(x, 0, 0);
    ln_tape_reset(t);
    /* no sequences */
    VALUES(ln_ctc(t, ln_leaf(t, LN_F64, LN_DIMS(0, 3, 2), NULL), ln_input(t, LN_I32, LN_DIMS(0, 2), NULL), NULL, NULL,
                  NULL),
           0);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

static void test_impossible(void **state)
{
    (void)state;
    const double h = log(0.5);
    ln_tape *t = op_tape();
    ln_ctc_opts o = options(0, 1, 0);
    /* "1 1" needs three steps of which there are two; the other sequence counts as one of two */
    ln_var *x = LEAF(t, (2, 2, 2), h, h, h, h, h, h, h, h);
    ln_var *y = ln_ctc(t, x, INDEX(t, (2, 2), 1, 1, 1, 9), NULL, INDEX(t, (2), 2, 1), &o);
    NEARLY(y, 1e-15, -log(0.75) / 2);
    OK(ln_backward(t, y));
    expect_gradient(x, NUMBERS(0, 0, 0, 0, -1.0 / 6, -1.0 / 3, -1.0 / 6, -1.0 / 3), 8, 1e-15);
    ln_tape_reset(t);
    (void)ln_ctc(t, LEAF(t, (1, 2, 2), h, h, h, h), INDEX(t, (1, 2), 1, 1), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_RANGE, "ctc: the 2 labels of sequence 0 need 3 steps, found 2");
    /* steps suffice, but a label has no probability: the loss is infinite, and passed over or refused later */
    x = LEAF(t, (1, 2, 2), 0, -INFINITY, 0, -INFINITY);
    y = ln_ctc(t, x, INDEX(t, (1, 1), 1), NULL, NULL, &o);
    VALUES(y, 0);
    OK(ln_backward(t, y));
    GRADIENT(x, 0, 0, 0, 0);
    ln_tape_reset(t);
    x = LEAF(t, (1, 2, 2), 0, -INFINITY, 0, -INFINITY);
    assert_int_equal(ln_backward(t, ln_ctc(t, x, INDEX(t, (1, 1), 1), NULL, NULL, NULL)), LN_ERR_NUMERIC);
    ln_tape_reset(t);
    x = LEAF(t, (1, 2, 2), 0, NAN, 0, -1);
    y = ln_ctc(t, x, INDEX(t, (1, 1), 1), NULL, NULL, &o);
    assert_true(isnan(ln_var_value(y)));
    assert_int_equal(ln_backward(t, y), LN_ERR_NUMERIC);
    ln_tape_free(t);
}

/* 3,000 steps of 0.5: P is far below what a double holds. Without labels it is 0.5^3000 exactly. */
static void test_long(void **state)
{
    (void)state;
    enum { STEPS = 3000 };
    ln_tape *t = op_tape();
    double *x = malloc(2 * STEPS * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < 2 * STEPS; i++)
        x[i] = log(0.5);
    ln_var *v = ln_leaf(t, LN_F64, LN_DIMS(1, STEPS, 2), x);
    ln_var *y = ln_ctc(t, v, INDEX(t, (1, 1), 1), NULL, NULL, NULL);
    /* one run of the label: STEPS (STEPS + 1) / 2 of the 2^STEPS paths */
    NEARLY(y, 1e-12, STEPS * log(2) - log(STEPS * (STEPS + 1) / 2.0));
    OK(ln_backward(t, y));
    for (int64_t i = 0; i < STEPS; i++) { /* each step is taken by one class or the other */
        const double *g = (const double *)ln_var_grad(v) + 2 * i;
        assert_true(fabs(g[0] + g[1] + 1) < 1e-9);
    }
    free(x);
    ln_tape_free(t);
}

static void test_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_ctc_opts o = options(2, 0, 0);
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), INDEX(t, (1, 1), 1), NULL, NULL, &o);
    expect_failure(t, LN_ERR_RANGE, "ctc: the blank is 2, not a class in [0, 2)");
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), INDEX(t, (1, 1), 0), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_RANGE, "ctc: label 0 of sequence 0 is 0, expected a class in [0, 2) but the blank 0");
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), INDEX(t, (1, 1), 2), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_RANGE, "ctc: label 0 of sequence 0 is 2, expected a class in [0, 2) but the blank 0");
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), INDEX(t, (1, 1), 1), INDEX(t, (1), 2), NULL, NULL);
    expect_failure(t, LN_ERR_RANGE, "ctc: sequence 0 has 2 steps, expected 0 to 1");
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), INDEX(t, (1, 1), 1), NULL, INDEX(t, (1), -1), NULL);
    expect_failure(t, LN_ERR_RANGE, "ctc: sequence 0 has -1 labels, expected 0 to 1");
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), INDEX(t, (2, 1), 1, 1), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_SHAPE,
                   "ctc: expected log-probabilities [B,T,V], labels [B,S], steps [B], lengths [B], found [1,1,2] and "
                   "[2,1] and nothing and nothing");
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), LEAF(t, (1, 1), 1), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_DTYPE, "ctc: input 1 must be i32, found f64");
    (void)ln_ctc(t, NULL, INDEX(t, (1, 1), 1), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "ctc: input 0 is NULL");
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), NULL, NULL, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "ctc: input 1 is NULL");
    o = (ln_ctc_opts){ 0 };
    (void)ln_ctc(t, LEAF(t, (1, 1, 2), -1, -1), INDEX(t, (1, 1), 1), NULL, NULL, &o);
    expect_failure(t, LN_ERR_ARG, "ctc: struct_size is 0: start from the initialiser");
    ln_tape_free(t);
}

static ln_var *small(ln_tape *t)
{
    ln_var *x = SEQUENCE(t, 2, 4, 3);
    return ln_ctc(t, ln_log_softmax(t, x), INDEX(t, (2, 2), 1, 1, 2, 1), INDEX(t, (2), 4, 3), INDEX(t, (2), 2, 1),
                  NULL);
}

static void test_torture(void **state)
{
    (void)state;
    torture_op(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_paths), cmocka_unit_test(test_by_hand),  cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_long),      cmocka_unit_test(test_refusals), cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
