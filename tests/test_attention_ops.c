/* room: grad */
/* test_attention_ops.c - attention, rotary embedding, chunked losses, frozen and masked layers: hand-derived numbers,
 * plain loops, the compositions they stand for, refusals, failing allocations. */
#include "op_values.h"

#include "grad/masked_linear.h"
#include "linop_fixture.h"

/* ---- attention ---- */

/* Scores of query 1: 0 and ln 3, so its weights are 1/4 and 3/4; query 0 sees key 0 only. */
static void test_attention_by_hand(void **state)
{
    (void)state;
    const double half = 0.5 * log(3);
    ln_tape *t = op_tape();
    ln_attention_opts o = LN_ATTENTION_OPTS_INIT;
    ln_var *q = LEAF(t, (1, 2, 1, 1), 1, 2), *k = LEAF(t, (1, 2, 1, 1), 0, half), *v = LEAF(t, (1, 2, 1, 1), 4, 8);
    ln_var *y = ln_attention(t, q, k, v, &o);
    VALUES(y, 4, 7);
    OK(ln_backward(t, ln_sum(t, y, LN_ALL, 0)));
    GRADIENT(v, 1.25, 0.75);
    GRADIENT(q, 0, 0.75 * half);
    GRADIENT(k, -1.5, 1.5);
    ln_tape_reset(t);
    o.causal = 0; /* ALiBi of one head: slope 2^-8 */
    o.alibi = 1;
    q = LEAF(t, (1, 2, 1, 1), 0, 0);
    y = ln_attention(t, q, LEAF(t, (1, 2, 1, 1), 0, 0), LEAF(t, (1, 2, 1, 1), 0, 1), &o);
    const double near = 1 / (1 + exp(-1.0 / 256));
    VALUES(y, 1 - near, near);
    ln_tape_reset(t);
    o = (ln_attention_opts)LN_ATTENTION_OPTS_INIT; /* more queries than keys: query 0 sees nothing */
    y = ln_attention(t, LEAF(t, (1, 2, 1, 1), 1, 1), LEAF(t, (1, 1, 1, 1), 1), LEAF(t, (1, 1, 1, 1), 5), &o);
    VALUES(y, 0, 5);
    ln_tape_free(t);
}

typedef struct sizes {
    int64_t B, Tq, Tk, H, G, d;
    ln_attention_opts o;
} sizes;

/* The formula in plain loops, f64. */
static void plain(double *y, const sizes *s, const double *q, const double *k, const double *v)
{
    const double scale = s->o.scale != 0 ? s->o.scale : 1 / sqrt((double)s->d);
    double *p = num_alloc((size_t)s->Tk, sizeof *p);
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t i = 0; i < s->Tq; i++)
            for (int64_t h = 0; h < s->H; h++) {
                const int64_t g = h / (s->H / s->G), at = i + s->Tk - s->Tq;
                double sum = 0, *o = y + ((b * s->Tq + i) * s->H + h) * s->d;
                const double *qi = q + ((b * s->Tq + i) * s->H + h) * s->d;
                for (int64_t e = 0; e < s->d; e++)
                    o[e] = 0;
                for (int64_t u = 0; u < s->Tk; u++) {
                    const double *ku = k + ((b * s->Tk + u) * s->G + g) * s->d;
                    double dot = 0;
                    for (int64_t e = 0; e < s->d; e++)
                        dot += qi[e] * ku[e];
                    const bool seen = (!s->o.causal || u <= at) && (s->o.window == 0 || u > at - s->o.window);
                    const double slope = s->o.alibi ? pow(2, -8.0 * (double)(h + 1) / (double)s->H) : 0;
                    p[u] = seen ? exp(scale * dot - slope * fabs((double)(at - u))) : 0;
                    sum += p[u];
                }
                for (int64_t u = 0; u < s->Tk && sum > 0; u++)
                    for (int64_t e = 0; e < s->d; e++)
                        o[e] += p[u] / sum * v[((b * s->Tk + u) * s->G + g) * s->d + e];
            }
    free(p);
}

static void test_attention_by_loops(void **state)
{
    (void)state;
    static const sizes at[] = {
        { 2, 130, 130, 2, 1, 8, { sizeof(ln_attention_opts), 1, 0, 0, 0 } },
        { 1, 70, 600, 4, 2, 4, { sizeof(ln_attention_opts), 1, 0, 0.3, 1 } }, /* three tiles of keys */
        { 1, 600, 600, 1, 1, 4, { sizeof(ln_attention_opts), 1, 100, 0, 0 } },
        { 2, 65, 257, 3, 3, 5, { sizeof(ln_attention_opts), 0, 0, 0, 1 } },
        { 1, 300, 290, 2, 2, 4, { sizeof(ln_attention_opts), 1, 0, 0, 0 } },
    };
    ln_tape *t = op_tape();
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        const sizes *s = &at[i];
        const int64_t nq = s->B * s->Tq * s->H * s->d, nk = s->B * s->Tk * s->G * s->d;
        double *q = num_f64(nq, 1), *k = num_f64(nk, 2), *v = num_f64(nk, 3), *want = num_f64(nq, 4);
        plain(want, s, q, k, v);
        ln_tape_reset(t);
        ln_var *y = ln_attention(t, ln_input(t, LN_F64, LN_DIMS(s->B, s->Tq, s->H, s->d), q),
                                 ln_input(t, LN_F64, LN_DIMS(s->B, s->Tk, s->G, s->d), k),
                                 ln_input(t, LN_F64, LN_DIMS(s->B, s->Tk, s->G, s->d), v), &s->o);
        OK(ln_tape_status(t));
        assert_true(num_diff_f64(ln_var_data(y), nq, want, nq, 1, nq) < 1e-13);
        free(q);
        free(k);
        free(v);
        free(want);
    }
    ln_tape_free(t);
}

/* No array of Tq x Tk: with gradients, less than a sixth of one. */
static void test_attention_memory(void **state)
{
    (void)state;
    const int64_t T = 4096, dims[4] = { 1, T, 1, 16 };
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    ln_tape *t = NULL;
    o.dry = 1;
    OK(ln_tape_new(&t, &o));
    ln_var *q = ln_leaf(t, LN_F32, 4, dims, NULL), *k = ln_leaf(t, LN_F32, 4, dims, NULL);
    OK(ln_backward(t, ln_sum(t, ln_attention(t, q, k, ln_leaf(t, LN_F32, 4, dims, NULL), NULL), LN_ALL, 0)));
    assert_true(ln_tape_peak(t) < T * T * 4 / 6);
    ln_tape_free(t);
}

/* Views go in as they are: the result on narrowed and transposed operands is the one on their copies. */
static void test_attention_strides(void **state)
{
    (void)state;
    double *x = num_f64(2 * 3 * 7 * 4, 9), got[2 * 7 * 1 * 4], want[2 * 7 * 1 * 4];
    ln_tape *t = op_tape();
    ln_var *qkv = ln_leaf(t, LN_F64, LN_DIMS(2, 3, 7, 4), x); /* heads before time */
    ln_var *y[2];
    for (int copy = 0; copy < 2; copy++) {
        ln_var *part[3];
        for (int i = 0; i < 3; i++) {
            part[i] = ln_transpose(t, ln_narrow(t, qkv, 1, i, 1), 1, 2);
            part[i] = copy ? ln_contiguous(t, part[i]) : part[i];
        }
        y[copy] = ln_attention(t, part[0], part[1], part[2], NULL);
    }
    OK(ln_tape_status(t));
    OK(ln_var_read(y[0], got));
    OK(ln_var_read(y[1], want));
    expect_numbers(got, want, 2 * 7 * 4, 1e-15);
    free(x);
    ln_tape_free(t);
}

static void test_attention_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_attention_opts o = LN_ATTENTION_OPTS_INIT;
    ln_var *q = LEAF(t, (1, 1, 2, 1), 1, 1), *k = LEAF(t, (1, 1, 1, 1), 1), *wide = LEAF(t, (1, 1, 1, 2), 1, 1);
    (void)ln_attention(t, q, wide, wide, NULL);
    expect_failure(t, LN_ERR_SHAPE,
                   "attention: expected q (B,Tq,H,d), k and v (B,Tk,G,d) with H a multiple of G, found [1,1,2,1] and "
                   "[1,1,1,2] and [1,1,1,2]");
    q = LEAF(t, (1, 1, 2, 1), 1, 1), k = LEAF(t, (1, 1, 1, 1), 1);
    (void)ln_attention(t, q, NULL, k, NULL);
    expect_failure(t, LN_ERR_ARG, "attention: input 1 is NULL");
    q = LEAF(t, (1, 1, 2, 1), 1, 1), k = LEAF(t, (1, 1, 1, 1), 1);
    o.window = -1;
    (void)ln_attention(t, q, k, k, &o);
    expect_failure(t, LN_ERR_RANGE, "attention: scale is 0 and window -1, expected a number and at least 0");
    (void)ln_attention(t, INDEX(t, (1, 1, 1, 1), 1), NULL, NULL, NULL);
    expect_failure(t, LN_ERR_DTYPE, "attention: input 0 must be f32 or f64, found i32");
    ln_tape_free(t);
}

/* ---- rotary ---- */

static void test_rotary(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (1, 2, 1, 4), 1, 2, 3, 4, 5, 6, 7, 8);
    /* positions 1 and 2 of a table whose angles are 0, then a quarter turn and none, then a half turn and a quarter */
    ln_var *cos = LEAF(t, (3, 2), 1, 1, 0, 1, -1, 0), *sin = LEAF(t, (3, 2), 0, 0, 1, 0, 0, 1);
    ln_var *y = ln_rotary(t, x, ln_detach(t, cos), ln_detach(t, sin), 1);
    VALUES(y, -3, 2, 1, 4, -5, -8, -7, 6);
    OK(ln_backward_from(t, y, NUMBERS(-3, 2, 1, 4, -5, -8, -7, 6)));
    GRADIENT(x, 1, 2, 3, 4, 5, 6, 7, 8); /* turned back */
    ln_tape_reset(t);
    x = LEAF(t, (1, 2, 1, 2), 1, 2, 3, 4);
    (void)ln_rotary(t, x, ln_detach(t, LEAF(t, (2, 1), 1, 1)), ln_detach(t, LEAF(t, (2, 1), 0, 0)), 1);
    expect_failure(t, LN_ERR_RANGE, "rotary: positions 1 to 2, the tables have 2");
    x = LEAF(t, (1, 1, 1, 3), 1, 2, 3);
    (void)ln_rotary(t, x, LEAF(t, (2, 1), 1, 1), LEAF(t, (2, 1), 0, 0), 0);
    expect_failure(t, LN_ERR_SHAPE,
                   "rotary: expected x (B,T,H,d), d even, cosines and sines (positions, d/2), found [1,1,1,3] and "
                   "[2,1] and [2,1]");
    ln_tape_free(t);
}

/* ---- chunked losses ---- */

/* Against the composition, in f32; V C beyond what gradients made early may take goes the other way. */
static void check_head(int64_t n, int64_t C, int64_t V, const ln_cross_entropy_opts *o, double tolerance)
{
    float *x = num_f32(n * C, 1), *w = num_f32(V * C, 2);
    int32_t *target = num_alloc((size_t)n, sizeof *target);
    double value[2];
    float *dx[2], *dw[2];
    for (int64_t i = 0; i < n; i++)
        target[i] = i % 5 == 3 ? -100 : (int32_t)((i * 7919) % V);
    for (int fused = 0; fused < 2; fused++) {
        ln_tape *t = op_tape();
        ln_var *vx = ln_leaf(t, LN_F32, LN_DIMS(n, C), x), *vw = ln_leaf(t, LN_F32, LN_DIMS(V, C), w);
        ln_var *vt = ln_input(t, LN_I32, LN_DIMS(n), target);
        ln_var *y =
            fused ? ln_linear_cross_entropy(t, vx, vw, vt, o) : ln_cross_entropy(t, ln_linear(t, vx, vw, NULL), vt, o);
        OK(ln_backward(t, ln_scale(t, y, 3)));
        value[fused] = ln_var_value(y);
        dx[fused] = num_alloc((size_t)(n * C), sizeof(float));
        dw[fused] = num_alloc((size_t)(V * C), sizeof(float));
        memcpy(dx[fused], vx->grad, (size_t)(n * C) * sizeof(float));
        memcpy(dw[fused], vw->grad, (size_t)(V * C) * sizeof(float));
        ln_tape_free(t);
    }
    double worst[2] = { 0, 0 }, top[2] = { 0, 0 };
    for (int64_t i = 0; i < n * C; i++) {
        worst[0] = worse(worst[0], fabs((double)dx[0][i] - (double)dx[1][i]));
        top[0] = fmax(top[0], fabs((double)dx[0][i]));
    }
    for (int64_t i = 0; i < V * C; i++) {
        worst[1] = worse(worst[1], fabs((double)dw[0][i] - (double)dw[1][i]));
        top[1] = fmax(top[1], fabs((double)dw[0][i]));
    }
    assert_true(fabs(value[0] - value[1]) <= tolerance * fabs(value[0]));
    assert_true(worst[0] <= tolerance * top[0] && top[0] > 0);
    assert_true(worst[1] <= tolerance * top[1] && top[1] > 0);
    for (int i = 0; i < 2; i++) {
        free(dx[i]);
        free(dw[i]);
    }
    free(x);
    free(w);
    free(target);
}

static void test_heads(void **state)
{
    (void)state;
    const ln_cross_entropy_opts smooth = { sizeof(ln_cross_entropy_opts), -100, 0.1, 1e-3 };
    check_head(33, 12, 50, NULL, 1e-5);
    check_head(33, 12, 50, &smooth, 1e-5);
    check_head(20, 48, 90000, &smooth, 1e-4);  /* gradients made in the backward pass */
    check_head(150, 4, 70000, NULL, 1e-4);     /* two chunks, gradients made early    */
    check_head(100, 9, 500000, &smooth, 1e-4); /* seven chunks, late                  */
}

static void test_head_memory(void **state)
{
    (void)state;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    ln_tape *t = NULL;
    const int64_t n = 4096, V = 49152, C = 64;
    o.dry = 1;
    OK(ln_tape_new(&t, &o));
    ln_var *x = ln_leaf(t, LN_F32, LN_DIMS(n, C), NULL), *w = ln_leaf(t, LN_F32, LN_DIMS(V, C), NULL);
    OK(ln_backward(t, ln_linear_cross_entropy(t, x, w, ln_input(t, LN_I32, LN_DIMS(n), NULL), NULL)));
    assert_true(ln_tape_peak(t) < n * V * 4 / 8);
    ln_tape_free(t);
}

/* A frozen head of every kind gives the loss and dx of its dense form. */
static void test_frozen_heads(void **state)
{
    (void)state;
    static const struct {
        fix_shape shape;
        ln_dtype dt;
    } kinds[] = { { FIX_DENSE, LN_F32 }, { FIX_DENSE, LN_BF16 }, { FIX_DICT, LN_F32 }, { FIX_LOWRANK, LN_F16 } };
    const int32_t target[3] = { 2, 0, 5 };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        ln_tensor *w = fix_matrix(6, 4, kinds[i].dt, 0, 1, 5), *u = fix_matrix(6, 3, kinds[i].dt, 0.4, 1, 6),
                  *v = fix_matrix(3, 4, kinds[i].dt, 0, 1, 7), *dense = NULL;
        ln_linop *op = NULL;
        OK(kinds[i].shape == FIX_DENSE  ? ln_linop_dense(&op, w)
           : kinds[i].shape == FIX_DICT ? ln_linop_dict(&op, v, u, kinds[i].dt)
                                        : ln_linop_lowrank(&op, u, v));
        OK(ln_linop_to_dense(&dense, op, LN_F64));
        double *x = num_f64(12, 8);
        ln_tape *t = op_tape();
        ln_var *a = ln_leaf(t, LN_F64, LN_DIMS(3, 4), x), *b = ln_leaf(t, LN_F64, LN_DIMS(3, 4), x);
        ln_var *wd = ln_input(t, LN_F64, LN_DIMS(6, 4), ln_tensor_cdata(dense));
        ln_var *ids = ln_input(t, LN_I32, LN_DIMS(3), target);
        ln_var *ya = ln_linop_cross_entropy(t, a, op, ids, NULL), *yb = ln_linear_cross_entropy(t, b, wd, ids, NULL);
        ln_var *za = ln_sum(t, ln_square(t, ln_apply_linop(t, a, op)), LN_ALL, 0);
        ln_var *zb = ln_sum(t, ln_square(t, ln_linear(t, b, wd, NULL)), LN_ALL, 0);
        OK(ln_backward(t, ln_add(t, ln_add(t, ya, za), ln_add(t, yb, zb))));
        expect_numbers(&(double){ ln_var_value(ya) }, &(double){ ln_var_value(yb) }, 1, 1e-12);
        expect_numbers(&(double){ ln_var_value(za) }, &(double){ ln_var_value(zb) }, 1, 1e-12);
        expect_numbers(ln_var_grad(a), ln_var_grad(b), 12, 1e-12);
        ln_tape_free(t);
        ln_linop_release(op);
        ln_tensor_release(w);
        ln_tensor_release(u);
        ln_tensor_release(v);
        ln_tensor_release(dense);
        free(x);
    }
}

static void test_head_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    (void)ln_linear_cross_entropy(t, LEAF(t, (1, 2), 1, 2), LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6), INDEX(t, (1), 0), NULL);
    expect_failure(
        t, LN_ERR_SHAPE,
        "linear_cross_entropy: expected x [...,C], targets [...] and W [V,C], found [1,2] and [1] and [2,3]");
    (void)ln_linear_cross_entropy(t, LEAF(t, (1, 1), 1), LEAF(t, (2, 1), 1, 2), INDEX(t, (1), 2), NULL);
    assert_int_equal(ln_tape_status(t), LN_ERR_RANGE);
    ln_tape_reset(t);
    (void)ln_linop_cross_entropy(t, LEAF(t, (1, 1), 1), NULL, INDEX(t, (1), 0), NULL);
    expect_failure(t, LN_ERR_ARG, "linop_cross_entropy: the head is NULL");
    (void)ln_apply_linop(t, LEAF(t, (1, 1), 1), NULL);
    expect_failure(t, LN_ERR_ARG, "apply_linop: the operator is NULL");
    (void)ln__masked_linear(t, LEAF(t, (1, 2), 1, 2), LEAF(t, (1), 1), MASK(t, (2, 1), 1, 3));
    expect_failure(t, LN_ERR_SHAPE, "masked_linear: the mask has 3 bits set, but there are 1 values");
    (void)ln__masked_linear(t, LEAF(t, (1, 2), 1, 2), LEAF(t, (1), 1), MASK(t, (1, 1), 4));
    expect_failure(t, LN_ERR_ARG, "masked_linear: row 0 of the mask has bits beyond the 2 columns");
    ln_tape_free(t);
}

/* x (1,2) by C = [[3, 0], [5, 7]] */
static void test_masked_linear(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (1, 2), 2, 10), *values = LEAF(t, (3), 3, 5, 7);
    ln_var *y = ln__masked_linear(t, x, values, MASK(t, (2, 1), 1, 3));
    VALUES(y, 6, 80);
    OK(ln_backward_from(t, y, NUMBERS(1, 100)));
    GRADIENT(x, 503, 700);
    GRADIENT(values, 2, 200, 1000);
    ln_tape_free(t);
}

/* ---- failing allocations ---- */

static ln_var *torture_attention(ln_tape *t)
{
    ln_var *q = LEAF(t, (1, 2, 1, 2), 1, 2, 3, 4), *cos = ln_input(t, LN_F64, LN_DIMS(2, 1), NUMBERS(1, 0));
    return ln_sum(t, ln_attention(t, ln_rotary(t, q, cos, cos, 0), q, q, NULL), LN_ALL, 0);
}

static ln_var *torture_heads(ln_tape *t)
{
    ln_linop *op = NULL;
    ln_tensor *w = NULL;
    ln_var *y = NULL;
    ln_status st = ln_tensor_new(&w, LN_F32, 2, (const int64_t[]){ 3, 2 });
    if (st == LN_OK) {
        memset(ln_tensor_data(w), 0, 24);
        st = ln_linop_dense(&op, w);
    }
    if (st == LN_OK) {
        ln_var *x = LEAF(t, (2, 2), 1, 2, 3, 4), *ids = INDEX(t, (2), 0, 1);
        y = ln_add(t, ln_linop_cross_entropy(t, x, op, ids, NULL),
                   ln_linear_cross_entropy(t, x, LEAF(t, (3, 2), 1, 2, 3, 4, 5, 6), ids, NULL));
        y = ln_add(t, y, ln_sum(t, ln_apply_linop(t, x, op), LN_ALL, 0));
        y = ln_add(t, y, ln_sum(t, ln__masked_linear(t, x, LEAF(t, (1), 1), MASK(t, (1, 1), 2)), LN_ALL, 0));
    } else {
        y = ln__tape_fail(t, st);
    }
    ln_linop_release(op);
    ln_tensor_release(w);
    return y;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(torture_attention);
    torture_op(torture_heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_by_hand),
        cmocka_unit_test(test_attention_by_loops),
        cmocka_unit_test(test_attention_memory),
        cmocka_unit_test(test_attention_strides),
        cmocka_unit_test(test_attention_refusals),
        cmocka_unit_test(test_rotary),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_head_memory),
        cmocka_unit_test(test_frozen_heads),
        cmocka_unit_test(test_head_refusals),
        cmocka_unit_test(test_masked_linear),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
