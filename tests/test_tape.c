/* room: grad */
/* test_tape.c - the tape itself: sticky errors, reuse, overwrites, rematerialisation, dry runs, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "check.h"
#include "grad/tape.h"

static ln_tape *new_tape(ln_tape_opts o)
{
    ln_tape *t = NULL;
    OK(ln_tape_new(&t, &o));
    return t;
}

static ln_tape *plain_tape(void)
{
    return new_tape((ln_tape_opts)LN_TAPE_OPTS_INIT);
}

static const double ones[64] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

/* ---- errors ---- */

static void test_errors_stick(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    ln_var *a = ln_named(ln_leaf(t, LN_F64, LN_DIMS(2, 3), ones), "weight"), *b = ln_leaf(t, LN_F64, LN_DIMS(4), ones);
    ln_var *c = ln_add(t, a, b);
    assert_non_null(c);
    ln_var *d = ln_exp(t, ln_mul(t, c, a));
    assert_non_null(d);
    assert_null(ln_var_data(d));
    assert_true(isnan(ln_var_value(d)));
    assert_int_equal(ln_backward(t, d), LN_ERR_SHAPE);
    assert_string_equal(ln_last_error(), "add: expected shapes that broadcast, found weight [2,3] and [4]");
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_reset(t);
    OK(ln_tape_status(t));
    a = ln_leaf(t, LN_F32, 0, NULL, NULL);
    ln_mul(t, a, ln_leaf(t, LN_F64, 0, NULL, NULL));
    assert_int_equal(ln_tape_status(t), LN_ERR_DTYPE);
    ln_tape_reset(t);
    ln_exp(t, NULL);
    assert_int_equal(ln_tape_status(t), LN_ERR_ARG);
    ln_tape_reset(t);
    ln_exp(t, ln_input(t, LN_I32, LN_DIMS(3), NULL));
    assert_int_equal(ln_tape_status(t), LN_ERR_DTYPE);
    ln_tape_reset(t);
    ln_input(t, LN_F32, LN_DIMS(-1), NULL);
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_free(t);
    assert_int_equal(ln_tape_new(NULL, NULL), LN_ERR_ARG);
    assert_int_equal(ln_tape_status(NULL), LN_ERR_ARG);
}

static void test_backward_refuses(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    ln_var *x = ln_leaf(t, LN_F64, LN_DIMS(3), ones);
    assert_int_equal(ln_backward(t, ln_exp(t, x)), LN_ERR_SHAPE); /* no scalar */
    ln_tape_reset(t);
    assert_int_equal(ln_backward(t, ln_exp(t, ln_input(t, LN_F64, 0, NULL, ones))), LN_ERR_ARG); /* nothing wants it */
    ln_tape_reset(t);
    x = ln_leaf(t, LN_F64, 0, NULL, NULL);
    ln_var *y = ln_exp(t, x);
    OK(ln_backward(t, y));
    assert_int_equal(ln_backward(t, y), LN_ERR_ARG); /* a second time */
    ln_tape_reset(t);
    y = ln_div(t, ln_leaf(t, LN_F64, 0, NULL, NULL), ln_input(t, LN_F64, 0, NULL, NULL)); /* 0 / 0 */
    assert_int_equal(ln_backward(t, y), LN_ERR_NUMERIC);
    ln_tape_free(t);
}

static void test_check_names_the_operation(void **state)
{
    (void)state;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    o.check = 1;
    ln_tape *t = new_tape(o);
    const float x[3] = { 1, -2, 3 };
    ln_var *v = ln_named(ln_leaf(t, LN_F32, LN_DIMS(3), x), "x");
    ln_exp(t, ln_log(t, v, 0));
    assert_int_equal(ln_tape_status(t), LN_ERR_NUMERIC);
    assert_string_equal(ln_last_error(), "log: the result is NaN at element 1, from input [3] x");
    ln_tape_reset(t);
    const float zero[1] = { 0 };
    v = ln_leaf(t, LN_F32, LN_DIMS(1), zero);
    assert_int_equal(ln_backward(t, ln_sqrt(t, v)), LN_ERR_NUMERIC); /* slope of the root at 0 */
    assert_non_null(strstr(ln_last_error(), "sqrt: the gradient is infinite"));
    ln_tape_free(t);
}

static void test_overwritten(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    const double two[3] = { 2, 2, 2 };
    ln_var *x = ln_leaf(t, LN_F64, LN_DIMS(3), ones), *k = ln_named(ln_input(t, LN_F64, LN_DIMS(3), two), "k");
    ln_var *y = ln_mul(t, x, k);
    ln_var_write(t, k, ones);
    assert_int_equal(ln_backward_from(t, y, ones), LN_ERR_ARG);
    assert_string_equal(ln_last_error(), "mul: input 1 k was overwritten after it was used");
    ln_tape_reset(t);
    x = ln_leaf(t, LN_F64, LN_DIMS(3), ones);
    k = ln_input(t, LN_F64, LN_DIMS(3), two);
    y = ln_scale(t, ln_add(t, x, k), 3);
    OK(ln_tape_status(t));
    ln_var_write(t, y, ones); /* scale's backward reads nothing */
    OK(ln_backward_from(t, y, ones));
    assert_true(((const double *)ln_var_grad(x))[1] == 3);
    ln_tape_free(t);
}

/* ---- gradients ---- */

static void test_contributions_add_up(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    const double three[1] = { 3 };
    ln_var *x = ln_leaf(t, LN_F64, 0, NULL, three);
    ln_var *y = ln_add(t, ln_mul(t, x, x), ln_scale(t, x, 5)); /* x^2 + 5 x */
    OK(ln_backward(t, y));
    assert_true(*(const double *)ln_var_grad(x) == 11);
    ln_tape_reset(t);
    x = ln_leaf(t, LN_F64, 0, NULL, three);
    ln_var *unused = ln_leaf(t, LN_F64, 0, NULL, three);
    ln_exp(t, unused);
    y = ln_square(t, ln_detach(t, x)); /* a constant */
    assert_false(ln_var_wants_grad(y));
    OK(ln_backward(t, ln_mul(t, y, x)));
    assert_true(*(const double *)ln_var_grad(x) == 9);
    assert_null(ln_var_grad(unused));
    ln_tape_free(t);
}

/* Sums hand their gradient on instead of copying it: the numbers must be those of copies, whoever else is waiting. */
static void test_sums_pass_gradients_on(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    const double x[3] = { 0.5, -1, 2 }, seed[3] = { 1, 10, 100 };
    for (int k = 0; k < 6; k++) {
        ln_tape_reset(t);
        ln_var *a = ln_leaf(t, LN_F64, LN_DIMS(3), x), *u = ln_square(t, a), *v = ln_scale(t, a, 3);
        ln_var *s = ln_sum(t, a, LN_ALL, 0);                                /* one number, broadcast over the others */
        ln_var *y = k == 0   ? ln_add(t, u, v)                              /* x^2 + 3x */
                    : k == 1 ? ln_add(t, u, u)                              /* 2x^2 */
                    : k == 2 ? ln_sub(t, u, v)                              /* x^2 - 3x */
                    : k == 3 ? ln_sub(t, ln_add(t, u, v), ln_mul(t, u, u))  /* x^2 + 3x - x^4 */
                    : k == 4 ? ln_add(t, s, ln_add(t, u, a))                /* sum + x^2 + x */
                             : ln_add(t, ln_add(t, u, v), ln_add(t, u, v)); /* 2x^2 + 6x */
        OK(ln_backward_from(t, y, seed));
        const double *g = ln_var_grad(a);
        for (int i = 0; i < 3; i++) {
            const double slope[] = { 2 * x[i] + 3, 4 * x[i],    2 * x[i] - 3, 2 * x[i] + 3 - 4 * x[i] * x[i] * x[i],
                                     2 * x[i] + 1, 4 * x[i] + 6 };
            assert_true(fabs(g[i] - (seed[i] * slope[k] + (k == 4 ? 111 : 0))) < 1e-12);
        }
    }
    ln_tape_free(t);
}

static void test_no_grad(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    ln_var *x = ln_leaf(t, LN_F64, LN_DIMS(3), ones);
    ln_no_grad_begin(t);
    ln_no_grad_begin(t);
    ln_no_grad_end(t);
    ln_var *y = ln_exp(t, x);
    ln_no_grad_end(t);
    assert_false(ln_var_wants_grad(y));
    assert_int_equal(ln_tape_nodes(t), 0);
    assert_true(ln_var_wants_grad(ln_exp(t, x)));
    assert_int_equal(ln_tape_nodes(t), 1);
    ln_tape_free(t);
}

/* ---- rematerialisation ---- */

typedef struct block {
    ln_var *w;
    int runs;
} block;

static ln_var *inner(ln_tape *t, void *user, ln_var *const *in, int n)
{
    block *b = user;
    (void)n;
    b->runs++;
    return ln_tanh(t, ln_mul(t, ln_exp(t, ln_sin(t, in[0])), ln_add(t, in[1], b->w)));
}

static ln_var *outer(ln_tape *t, void *user, ln_var *const *in, int n)
{
    ln_var *h = ln_remat(t, inner, user, in, n);
    return ln_mul(t, ln_remat(t, inner, user, (ln_var *[]){ h, in[1] }, 2), in[0]);
}

enum { PLAIN, REMAT, NESTED };

static void run_block(ln_tape *t, int how, float *grads)
{
    enum { N = 1000 };
    float x[N], w[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)sin(i);
        w[i] = (float)cos(i * 0.7);
    }
    ln_tape_reset(t);
    ln_var *a = ln_leaf(t, LN_F32, LN_DIMS(N), x), *c = ln_leaf(t, LN_F32, LN_DIMS(1), w);
    block b = { .w = ln_leaf(t, LN_F32, LN_DIMS(N), w) };
    ln_var *in[] = { a, c };
    ln_var *h = ln_exp(t, a);
    in[0] = h;
    ln_var *y = how == REMAT ? ln_remat(t, outer, &b, in, 2) : outer(t, &b, in, 2);
    if (how == PLAIN) {
        ln_tape_reset(t);
        a = ln_leaf(t, LN_F32, LN_DIMS(N), x), c = ln_leaf(t, LN_F32, LN_DIMS(1), w);
        b = (block){ .w = ln_leaf(t, LN_F32, LN_DIMS(N), w) };
        h = ln_exp(t, a);
        ln_var *first = inner(t, &b, (ln_var *[]){ h, c }, 2);
        y = ln_mul(t, inner(t, &b, (ln_var *[]){ first, c }, 2), h);
    }
    float seed[N];
    for (int i = 0; i < N; i++)
        seed[i] = (float)(i % 7) - 3;
    OK(ln_backward_from(t, y, seed));
    assert_true(how == PLAIN ? b.runs == 2 : b.runs > 2); /* again in the backward pass */
    memcpy(grads, ln_var_grad(a), sizeof x);
    memcpy(grads + N, ln_var_grad(b.w), sizeof w);
    memcpy(grads + 2 * N, ln_var_grad(c), sizeof(float));
}

static void test_remat_is_bit_equal(void **state)
{
    (void)state;
    float plain[2001], nested[2001], whole[2001];
    ln_tape *t = plain_tape();
    run_block(t, PLAIN, plain);
    run_block(t, NESTED, nested);
    run_block(t, REMAT, whole);
    assert_memory_equal(plain, nested, sizeof plain);
    assert_memory_equal(plain, whole, sizeof plain);
    ln_tape_free(t);
}

static ln_var *deep(ln_tape *t, void *user, ln_var *const *in, int n)
{
    ln_var *x = in[0];
    (void)user;
    (void)n;
    for (int i = 0; i < 20; i++)
        x = ln_sin(t, x);
    return x;
}

static int64_t peak_of(bool remat, bool dry)
{
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    o.dry = dry;
    ln_tape *t = new_tape(o);
    ln_var *x = ln_leaf(t, LN_F32, LN_DIMS(100000), NULL);
    for (int k = 0; k < 10; k++)
        x = remat ? ln_remat(t, deep, NULL, &x, 1) : deep(t, NULL, &x, 1);
    static float seed[100000];
    OK(ln_backward_from(t, x, seed));
    const int64_t peak = ln_tape_peak(t);
    ln_tape_free(t);
    return peak;
}

static void test_remat_saves_memory(void **state)
{
    (void)state;
    assert_true(peak_of(true, false) < peak_of(false, false) / 4);
}

static void test_dry_run_predicts(void **state)
{
    (void)state;
    for (int remat = 0; remat < 2; remat++) {
        const double real = (double)peak_of(remat, false), predicted = (double)peak_of(remat, true);
        assert_true(predicted >= real && predicted < 1.05 * real);
    }
}

/* ---- memory ---- */

static ln_status one_step(ln_tape *t, float *grad)
{
    float x[257], seed[257];
    for (int i = 0; i < 257; i++) { /* near 1: their 301st powers are finite, and not 0 */
        x[i] = 0.99f + 0.00005f * (float)i;
        seed[i] = (float)(1 + i % 3);
    }
    ln_tape_reset(t);
    ln_var *a = ln_leaf(t, LN_F32, LN_DIMS(257), x), *b = ln_leaf(t, LN_F32, 0, NULL, NULL);
    ln_var *y = a;
    for (int i = 0; i < 300; i++)
        y = ln_add(t, ln_mul(t, y, a), b);
    y = ln_tanh(t, y);
    const ln_status st = ln_backward_from(t, y, seed);
    if (st == LN_OK && grad)
        memcpy(grad, ln_var_grad(a), sizeof x);
    return st;
}

static void test_steady_steps_allocate_nothing(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    OK(one_step(t, NULL));
    OK(one_step(t, NULL));
    ln__test_fail_alloc(0);
    const ln_status st = one_step(t, NULL);
    ln__test_fail_alloc(-1);
    OK(st);
    ln_tape_free(t);
}

static void test_torture(void **state)
{
    (void)state;
    const int64_t live = ln__test_live();
    float want[257], got[257];
    ln_tape *t = plain_tape();
    OK(one_step(t, want));
    ln_tape_free(t);
    for (int i = 0; i < 257; i++)
        assert_true(isfinite(want[i]) && want[i] != 0);
    for (int64_t n = 0;; n++) {
        t = NULL;
        ln__test_fail_alloc(n);
        ln_status st = ln_tape_new(&t, NULL);
        if (st == LN_OK)
            st = one_step(t, got);
        ln__test_fail_alloc(-1);
        if (t && st != LN_OK) { /* the tape is of use after a reset */
            OK(one_step(t, got));
            assert_memory_equal(want, got, sizeof want);
        }
        ln_tape_free(t);
        assert_int_equal(ln__test_live(), live);
        if (st == LN_OK)
            break;
        assert_int_equal(st, LN_ERR_NOMEM);
    }
    assert_memory_equal(want, got, sizeof want);
}

/* The second step's memory is what is in use at once, whatever sizes follow each other, and does not grow. */
static void test_no_memory_is_wasted(void **state)
{
    (void)state;
    const int64_t before = ln_memory_held();
    int64_t held[4];
    ln_tape *t = plain_tape();
    for (int step = 0; step < 4; step++) {
        ln_tape_reset(t);
        ln_no_grad_begin(t);
        for (int i = 0; i < 30; i++) {
            ln_input(t, LN_F32, LN_DIMS(1 << (i % 3 == 0 ? 20 : i % 3 == 1 ? 5 : 18), step < 2 ? 1 : 1 + i % 2), NULL);
            assert_true(ln_memory_held() - before < ln_tape_peak(t) * 5 / 4 + (2 << 20));
        }
        OK(ln_tape_status(t));
        held[step] = ln_memory_held() - before;
    }
    assert_true(held[1] < held[0] && held[1] - ln_tape_peak(t) < 1 << 16);
    assert_true(held[3] > held[1] && held[3] - ln_tape_peak(t) < 1 << 16);
    ln_tape_free(t);
    assert_int_equal(ln_memory_held(), before);
}

static void test_memory_limit(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    ln_memory_limit(ln_memory_held() + (1 << 22));
    ln_var *x = ln_leaf(t, LN_F32, LN_DIMS(1 << 24), NULL);
    ln_exp(t, x);
    const ln_status st = ln_tape_status(t);
    ln_memory_limit(0);
    assert_int_equal(st, LN_ERR_NOMEM);
    ln_tape_free(t);
}

static void test_rewind(void **state)
{
    (void)state;
    ln_tape *t = plain_tape();
    const float x[4] = { 1, 2, 3, 4 };
    ln_var *a = ln_leaf(t, LN_F32, LN_DIMS(4), x);
    ln_var *y = ln_square(t, a);
    const int64_t held = ln_tape_held(t);
    for (int i = 0; i < 100; i++) {
        const ln__mark mark = ln__tape_mark(t);
        ln_no_grad_begin(t);
        ln_exp(t, ln_exp(t, y));
        ln_no_grad_end(t);
        ln__tape_rewind(t, mark);
    }
    assert_int_equal(ln_tape_held(t), held);
    const float seed[4] = { 1, 1, 1, 1 };
    OK(ln_backward_from(t, y, seed));
    assert_true(((const float *)ln_var_grad(a))[3] == 8);
    ln_tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_stick),
        cmocka_unit_test(test_backward_refuses),
        cmocka_unit_test(test_check_names_the_operation),
        cmocka_unit_test(test_overwritten),
        cmocka_unit_test(test_contributions_add_up),
        cmocka_unit_test(test_sums_pass_gradients_on),
        cmocka_unit_test(test_no_grad),
        cmocka_unit_test(test_remat_is_bit_equal),
        cmocka_unit_test(test_remat_saves_memory),
        cmocka_unit_test(test_dry_run_predicts),
        cmocka_unit_test(test_steady_steps_allocate_nothing),
        cmocka_unit_test(test_torture),
        cmocka_unit_test(test_no_memory_is_wasted),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_rewind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
