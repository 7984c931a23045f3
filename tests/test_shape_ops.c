/* room: grad */
/* test_shape_ops.c - views, joins, shifts, casts and indices: values by hand, empty inputs, refusals. */
#include "op_values.h"

/* ---- views ---- */

static void test_views(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6);
    ln_var *y = ln_reshape(t, x, LN_DIMS(3, -1));
    SHAPE(y, 3, 2);
    assert_ptr_equal(ln_var_data(y), ln_var_data(x)); /* no copy */
    y = ln_transpose(t, x, -2, -1);
    SHAPE(y, 3, 2);
    VALUES(y, 1, 4, 2, 5, 3, 6);
    assert_ptr_equal(ln_var_data(y), ln_var_data(x));
    VALUES(ln_reshape(t, y, LN_DIMS(6)), 1, 4, 2, 5, 3, 6); /* through a copy */
    ln_var *z = ln_permute(t, ln_reshape(t, x, LN_DIMS(1, 2, 3)), (int[]){ 2, 0, -2 });
    SHAPE(z, 3, 1, 2);
    VALUES(z, 1, 4, 2, 5, 3, 6);
    y = ln_narrow(t, ln_transpose(t, x, 0, 1), 0, 1, 2);
    SHAPE(y, 2, 2);
    VALUES(y, 2, 5, 3, 6);
    VALUES(ln_expand(t, ln_narrow(t, x, 1, 2, 1), LN_DIMS(2, 2)), 3, 3, 6, 6);
    SHAPE(ln_expand(t, x, LN_DIMS(4, -1, 3)), 4, 2, 3);
    assert_ptr_equal(ln_contiguous(t, x), x);
    assert_false(ln_var_wants_grad(ln_detach(t, x)));
    OK(ln_tape_status(t));
    /* sum of 2 (x_01, x_02) and of x expanded three times */
    ln_var *parts[] = { ln_scale(t, ln_reshape(t, ln_narrow(t, ln_narrow(t, x, 0, 0, 1), 1, 1, 2), LN_DIMS(2)), 2),
                        ln_reshape(t, ln_expand(t, x, LN_DIMS(3, 2, 3)), LN_DIMS(18)) };
    OK(ln_backward(t, ln_sum(t, ln_concat(t, parts, 2, 0), LN_ALL, 0)));
    GRADIENT(x, 3, 5, 5, 3, 3, 3);
    ln_tape_free(t);
}

static void test_view_of_integers(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *i = INDEX(t, (2, 2), 1, 2, 3, 4);
    VALUES(ln_contiguous(t, ln_transpose(t, i, 0, 1)), 1, 3, 2, 4);
    VALUES(ln_roll(t, ln_reshape(t, i, LN_DIMS(4)), 0, 1), 4, 1, 2, 3);
    VALUES(ln_contiguous(t, ln_transpose(t, MASK(t, (2, 2), 1, 0, 1, 1), 0, 1)), 1, 1, 0, 1);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

/* A large transposed copy, by tiles, against its definition; both types, and i8-wide. */
static void test_large_transpose(void **state)
{
    (void)state;
    enum { R = 77, C = 1030 };
    ln_tape *t = op_tape();
    for (int width = 1; width <= 8; width *= 2) {
        static const ln_dtype type[] = { [1] = LN_U8, [2] = LN_F16, [4] = LN_F32, [8] = LN_F64 };
        ln_tape_reset(t);
        ln_var *x = ln_input(t, type[width], LN_DIMS(2, R, C), NULL);
        unsigned char *p = x->data;
        for (int i = 0; i < 2 * R * C * width; i++)
            p[i] = (unsigned char)(i * 2654435761u >> 13);
        const unsigned char *q = ln_var_data(ln_contiguous(t, ln_transpose(t, x, 1, 2)));
        for (int b = 0; b < 2; b++)
            for (int r = 0; r < R; r++)
                for (int c = 0; c < C; c++)
                    assert_memory_equal(q + ((b * C + c) * R + r) * width, p + ((b * R + r) * C + c) * width, width);
    }
    ln_tape_free(t);
}

static void test_view_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6);
    ln_reshape(t, x, LN_DIMS(4, -1));
    expect_failure(t, LN_ERR_SHAPE, "reshape: [2,3] does not fit [4,-1]");
    ln_reshape(t, LEAF(t, (2), 1, 2), LN_DIMS(-1, -1));
    expect_failure(t, LN_ERR_SHAPE, "reshape: dimension 1 is -1");
    ln_reshape(t, LEAF(t, (2), 1, 2), 2, NULL);
    expect_failure(t, LN_ERR_ARG, "reshape: 2 dimensions, but dims is NULL");
    ln_reshape(t, LEAF(t, (2), 1, 2), LN_MAX_DIMS + 1, (int64_t[LN_MAX_DIMS + 1]){ 0 });
    assert_int_equal(ln_tape_status(t), LN_ERR_ARG);
    ln_tape_reset(t);
    ln_reshape(t, LEAF(t, (2), 1, 2), LN_DIMS(INT64_MAX, 4));
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_reset(t);
    ln_permute(t, LEAF(t, (1, 2), 1, 2), (int[]){ 1, -1 });
    expect_failure(t, LN_ERR_ARG, "permute: axis 1 occurs twice");
    ln_permute(t, LEAF(t, (1, 2), 1, 2), NULL);
    expect_failure(t, LN_ERR_ARG, "permute: axes is NULL");
    ln_transpose(t, LEAF(t, (1, 2), 1, 2), 0, 2);
    expect_failure(t, LN_ERR_ARG, "transpose: axes 0 and 2 of 2 dimensions");
    ln_narrow(t, LEAF(t, (3), 1, 2, 3), 0, 1, 3);
    expect_failure(t, LN_ERR_RANGE, "narrow: 3 elements from 1, but axis 0 has 3");
    ln_narrow(t, LEAF(t, (3), 1, 2, 3), 0, INT64_MAX, INT64_MAX);
    assert_int_equal(ln_tape_status(t), LN_ERR_RANGE);
    ln_tape_reset(t);
    ln_narrow(t, LEAF(t, (3), 1, 2, 3), 1, 0, 1);
    expect_failure(t, LN_ERR_ARG, "narrow: axis 1 of 1 dimensions");
    ln_expand(t, LEAF(t, (2, 1), 1, 2), LN_DIMS(3, 4));
    expect_failure(t, LN_ERR_SHAPE, "expand: [2,1] does not broadcast to [3,4]");
    ln_expand(t, LEAF(t, (2, 1), 1, 2), LN_DIMS(4));
    expect_failure(t, LN_ERR_SHAPE, "expand: [2,1] does not broadcast to [4]");
    ln_reshape(t, NULL, LN_DIMS(1));
    expect_failure(t, LN_ERR_ARG, "reshape: input is NULL");
    ln_permute(t, NULL, NULL);
    expect_failure(t, LN_ERR_ARG, "permute: input is NULL");
    ln_transpose(t, NULL, 0, 1);
    expect_failure(t, LN_ERR_ARG, "transpose: input is NULL");
    ln_narrow(t, NULL, 0, 0, 1);
    expect_failure(t, LN_ERR_ARG, "narrow: input is NULL");
    ln_expand(t, NULL, LN_DIMS(1));
    expect_failure(t, LN_ERR_ARG, "expand: input is NULL");
    ln_contiguous(t, NULL);
    expect_failure(t, LN_ERR_ARG, "contiguous: input is NULL");
    ln_tape_free(t);
}

/* ---- joins and shifts ---- */

static void test_joins(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *a = LEAF(t, (2, 2), 1, 2, 3, 4), *b = LEAF(t, (2, 1), 5, 6);
    ln_var *ab = ln_concat(t, (ln_var *[]){ a, b, a }, 3, 1);
    VALUES(ab, 1, 2, 5, 1, 2, 3, 4, 6, 3, 4);
    VALUES(ln_concat(t, (ln_var *[]){ ln_transpose(t, a, 0, 1), a }, 2, -2), 1, 3, 2, 4, 1, 2, 3, 4);
    ln_var *s = ln_stack(t, (ln_var *[]){ a, a }, 2, -1);
    SHAPE(s, 2, 2, 2);
    VALUES(s, 1, 1, 2, 2, 3, 3, 4, 4);
    VALUES(ln_stack(t, (ln_var *[]){ b, b }, 2, 0), 5, 6, 5, 6);
    OK(ln_backward_from(t, ab, NUMBERS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)));
    GRADIENT(a, 5, 7, 15, 17);
    GRADIENT(b, 3, 8);
    ln_tape_reset(t);
    /* more inputs than one note takes */
    ln_var *many[150];
    for (int i = 0; i < 150; i++)
        many[i] = LEAF(t, (1), i);
    ln_var *joined = ln_concat(t, many, 150, 0);
    assert_int_equal(ln_var_count(joined), 150);
    for (int i = 0; i < 150; i++)
        assert_true(((const double *)ln_var_data(joined))[i] == i);
    OK(ln_backward(t, ln_sum(t, ln_mul(t, joined, joined), LN_ALL, 0)));
    GRADIENT(many[149], 298);
    ln_tape_free(t);
}

static void test_moves(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6);
    VALUES(ln_flip(t, x, 1), 3, 2, 1, 6, 5, 4);
    VALUES(ln_flip(t, ln_transpose(t, x, 0, 1), 0), 3, 6, 2, 5, 1, 4);
    VALUES(ln_roll(t, x, -1, 1), 3, 1, 2, 6, 4, 5);
    VALUES(ln_roll(t, x, 1, -4), 2, 3, 1, 5, 6, 4);
    VALUES(ln_pad(t, x, 1, 1, 2, LN_PAD_ZERO), 0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0);
    VALUES(ln_pad(t, x, 1, 2, 1, LN_PAD_REPLICATE), 1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6, 6);
    VALUES(ln_pad(t, x, 1, 2, 1, LN_PAD_REFLECT), 3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5);
    VALUES(ln_pad(t, x, 0, 1, 0, LN_PAD_REFLECT), 4, 5, 6, 1, 2, 3, 4, 5, 6);
    VALUES(ln_token_shift(t, x), 0, 0, 0, 1, 2, 3);
    ln_var *y = ln_pad(t, x, 1, 2, 1, LN_PAD_REFLECT);
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 4, 8, 16, 32, 1, 0, 0, 0, 0, 0)));
    GRADIENT(x, 4, 2 + 8 + 32, 1 + 16, 0, 0, 1);
    ln_tape_reset(t);
    x = LEAF(t, (3, 1), 1, 2, 3);
    OK(ln_backward_from(t, ln_token_shift(t, x), NUMBERS(1, 2, 4)));
    GRADIENT(x, 2, 4, 0);
    ln_tape_free(t);
}

static void test_join_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_concat(t, (ln_var *[]){ LEAF(t, (2, 2), 1, 2, 3, 4), LEAF(t, (1, 3), 1, 2, 3) }, 2, 0);
    expect_failure(t, LN_ERR_SHAPE, "concat: expected shapes that differ along the axis only, found [2,2] and [1,3]");
    ln_concat(t, (ln_var *[]){ LEAF(t, (1), 1), NULL }, 2, 0);
    expect_failure(t, LN_ERR_ARG, "concat: input 1 is NULL");
    ln_concat(t, NULL, 3, 0);
    expect_failure(t, LN_ERR_ARG, "concat: 0 inputs");
    ln_concat(t, (ln_var *[]){ LEAF(t, (1), 1), INDEX(t, (1), 1) }, 2, 0);
    expect_failure(t, LN_ERR_DTYPE, "concat: input 1 is i32, input 0 is f64");
    ln_var *scalar = ln_scalar(t, LN_F64, 1);
    ln_concat(t, &scalar, 1, 0);
    expect_failure(t, LN_ERR_SHAPE, "concat: scalars have no axis to join along");
    ln_stack(t, (ln_var *[]){ LEAF(t, (2), 1, 2), LEAF(t, (1), 1) }, 2, 0);
    expect_failure(t, LN_ERR_SHAPE, "stack: expected equal shapes, found [2] and [1]");
    ln_stack(t, (ln_var *[]){ LEAF(t, (2), 1, 2) }, 1, 2);
    expect_failure(t, LN_ERR_ARG, "stack: axis 2 for inputs of 1 dimensions");
    ln_stack(t, (ln_var *[]){ NULL }, 1, 0);
    expect_failure(t, LN_ERR_ARG, "stack: input 0 is NULL");
    ln_pad(t, LEAF(t, (2), 1, 2), 0, -1, 0, LN_PAD_ZERO);
    expect_failure(t, LN_ERR_RANGE, "pad: -1 before and 0 after");
    ln_pad(t, LEAF(t, (2), 1, 2), 0, 2, 0, LN_PAD_REFLECT);
    expect_failure(t, LN_ERR_RANGE, "pad: reflection of 2 needs a longer axis than 2");
    ln_pad(t, ln_leaf(t, LN_F64, LN_DIMS(0), NULL), 0, 1, 0, LN_PAD_REPLICATE);
    expect_failure(t, LN_ERR_RANGE, "pad: nothing to replicate along an empty axis");
    ln_pad(t, LEAF(t, (2), 1, 2), 0, 1, 0, (ln_pad_mode)7);
    expect_failure(t, LN_ERR_ARG, "pad: mode 7 is not known");
    ln_token_shift(t, LEAF(t, (2), 1, 2));
    expect_failure(t, LN_ERR_SHAPE, "token_shift: expected (…,T,C), found [2]");
    ln_flip(t, NULL, 0);
    expect_failure(t, LN_ERR_ARG, "flip: input is NULL");
    ln_roll(t, LEAF(t, (2), 1, 2), 1, 1);
    expect_failure(t, LN_ERR_ARG, "roll: axis 1 of 1 dimensions");
    ln_tape_free(t);
}

/* ---- where and cast ---- */

static void test_where(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *a = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6), *b = LEAF(t, (2, 1), 10, 20);
    ln_var *y = ln_where(t, MASK(t, (3), 1, 0, 2), a, b);
    VALUES(y, 1, 10, 3, 4, 20, 6);
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 3, 4, 5, 6)));
    GRADIENT(a, 1, 0, 3, 4, 0, 6);
    GRADIENT(b, 2, 5);
    ln_tape_reset(t);
    y = ln_where(t, MASK(t, (1), 0), LEAF(t, (1), NAN), LEAF(t, (1), 3)); /* what is not taken does not matter */
    VALUES(y, 3);
    ln_where(t, LEAF(t, (1), 1), LEAF(t, (1), 1), LEAF(t, (1), 1));
    expect_failure(t, LN_ERR_DTYPE, "where: input 0 must be bool or u8, found f64");
    ln_where(t, MASK(t, (2), 1, 0), LEAF(t, (3), 1, 2, 3), LEAF(t, (1), 1));
    expect_failure(t, LN_ERR_SHAPE, "where: expected shapes that broadcast, found [2] and [3] and [1]");
    ln_where(t, MASK(t, (1), 1), LEAF(t, (1), 1), NULL);
    expect_failure(t, LN_ERR_ARG, "where: input 2 is NULL");
    ln_tape_free(t);
}

static void test_cast(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *x = LEAF(t, (3), 1.0 / 3, -2, 1e300);
    assert_ptr_equal(ln_cast(t, x, LN_F64), x);
    ln_var *y = ln_cast(t, x, LN_F32);
    assert_int_equal(ln_var_dtype(y), LN_F32);
    VALUES(y, (double)(1.0f / 3), -2, (double)INFINITY);
    OK(ln_backward_from(t, y, (const float[]){ 0.1f, 2, 3 }));
    GRADIENT(x, (double)0.1f, 2, 3);
    ln_tape_reset(t);
    x = LEAF(t, (4), 1 + 1.0 / 256, 1 + 3.0 / 256, -3.5, 65504);
    ln_var *bf = ln_cast(t, x, LN_BF16), *half = ln_cast(t, ln_cast(t, x, LN_F32), LN_F16);
    assert_false(ln_var_wants_grad(bf));
    VALUES(ln_cast(t, bf, LN_F64), 1, 1 + 1.0 / 64, -3.5, 65536); /* ties to even */
    VALUES(ln_cast(t, half, LN_F32), 1 + 1.0 / 256, 1 + 3.0 / 256, -3.5, 65504);
    VALUES(ln_cast(t, ln_cast(t, half, LN_BF16), LN_F32), 1, 1 + 1.0 / 64, -3.5, 65536);
    OK(ln_tape_status(t));
    ln_cast(t, INDEX(t, (1), 1), LN_F32);
    expect_failure(t, LN_ERR_DTYPE, "cast: input must be f32, f64, f16 or bf16, found i32");
    ln_cast(t, LEAF(t, (1), 1), LN_I32);
    expect_failure(t, LN_ERR_DTYPE, "cast: to f32, f64, f16 or bf16 only, not i32");
    ln_cast(t, NULL, LN_F32);
    expect_failure(t, LN_ERR_ARG, "cast: input is NULL");
    ln_tape_free(t);
}

/* ---- indices ---- */

static void test_rows(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *table = LEAF(t, (3, 2), 1, 2, 3, 4, 5, 6);
    ln_var *y = ln_embedding(t, table, INDEX(t, (2, 2), 2, 0, 2, 2));
    SHAPE(y, 2, 2, 2);
    VALUES(y, 5, 6, 1, 2, 5, 6, 5, 6);
    OK(ln_backward_from(t, y, NUMBERS(1, 2, 3, 4, 5, 6, 7, 8)));
    GRADIENT(table, 3, 4, 0, 0, 13, 16);
    ln_tape_reset(t);
    ln_var *x = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6);
    VALUES(ln_index_select(t, x, -1, INDEX(t, (4), 2, 2, 0, 1)), 3, 3, 1, 2, 6, 6, 4, 5);
    y = ln_index_add(t, x, 1, INDEX(t, (3), 0, 2, 0), LEAF(t, (2, 3), 10, 20, 30, 40, 50, 60));
    VALUES(y, 41, 2, 23, 104, 5, 56);
    VALUES(ln_gather(t, x, 1, INDEX(t, (2, 2), 2, 0, 1, 1)), 3, 1, 5, 5);
    VALUES(ln_gather(t, ln_transpose(t, x, 0, 1), 1, INDEX(t, (3, 1), 1, 0, 1)), 4, 2, 6);
    VALUES(ln_scatter_add(t, x, 0, INDEX(t, (2, 3), 1, 1, 0, 1, 0, 0), LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6)), 1, 2 + 5,
           3 + 3 + 6, 4 + 1 + 4, 5 + 2, 6);
    OK(ln_tape_status(t));
    SHAPE(ln_embedding(t, x, INDEX(t, (0, 2), 0)), 0, 2, 3);
    SHAPE(ln_index_select(t, x, 0, INDEX(t, (0), 0)), 0, 3);
    OK(ln_tape_status(t));
    ln_tape_free(t);
}

static void test_top_k(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_var *at, *x = LEAF(t, (2, 5), 1, 7, 7, -2, 7, 0, NAN, 3, NAN, -1);
    VALUES(ln_top_k(t, x, 3, &at), 7, 7, 7, NAN, NAN, 3);
    VALUES(at, 1, 2, 4, 1, 3, 2); /* ties: the first */
    ln_var *all = ln_top_k(t, x, 5, &at);
    VALUES(all, 7, 7, 7, 1, -2, NAN, NAN, 3, 0, -1);
    VALUES(at, 1, 2, 4, 0, 3, 1, 3, 2, 0, 4);
    OK(ln_backward_from(t, all, NUMBERS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)));
    GRADIENT(x, 4, 1, 2, 5, 3, 9, 6, 8, 7, 10);
    ln_tape_reset(t);
    SHAPE(ln_top_k(t, LEAF(t, (2), 1, 2), 0, NULL), 0);
    ln_top_k(t, LEAF(t, (2), 1, 2), 3, &at);
    expect_failure(t, LN_ERR_RANGE, "top_k: k = 3 of 2 elements");
    ln_top_k(t, ln_scalar(t, LN_F64, 1), 1, NULL);
    expect_failure(t, LN_ERR_SHAPE, "top_k: expected at least one dimension, found []");
    ln_top_k(t, NULL, 1, &at);
    expect_failure(t, LN_ERR_ARG, "top_k: input 0 is NULL");
    /* a long row of few values against counting */
    float *v = malloc(5000 * sizeof *v);
    int64_t count[16] = { 0 };
    assert_non_null(v);
    for (int i = 0; i < 5000; i++) {
        v[i] = (float)(i * 2654435761u >> 28);
        count[(int)v[i]]++;
    }
    const float *sorted = ln_var_data(ln_top_k(t, ln_input(t, LN_F32, LN_DIMS(5000), v), 5000, &at));
    const int32_t *place = ln_var_data(at);
    for (int value = 15, i = 0; value >= 0; value--)
        for (int64_t k = 0; k < count[value]; k++, i++) {
            assert_true(sorted[i] == (float)value && v[place[i]] == sorted[i]);
            assert_true(k == 0 || place[i] > place[i - 1]);
        }
    free(v);
    ln_tape_free(t);
}

static void test_index_refusals(void **state)
{
    (void)state;
    ln_tape *t = op_tape();
    ln_embedding(t, LEAF(t, (2, 1), 1, 2), INDEX(t, (3), 0, 2, -1));
    expect_failure(t, LN_ERR_RANGE, "embedding: index 2 at position 1, expected 0 to 1");
    ln_index_select(t, LEAF(t, (2, 1), 1, 2), 0, INDEX(t, (2), 1, -1));
    expect_failure(t, LN_ERR_RANGE, "index_select: index -1 at position 1, expected 0 to 1");
    ln_gather(t, LEAF(t, (2), 1, 2), 0, INDEX(t, (1), INT32_MIN));
    assert_int_equal(ln_tape_status(t), LN_ERR_RANGE);
    ln_tape_reset(t);
    ln_index_add(t, LEAF(t, (2), 1, 2), 0, INDEX(t, (1), 2), LEAF(t, (1), 1));
    expect_failure(t, LN_ERR_RANGE, "index_add: index 2 at position 0, expected 0 to 1");
    ln_scatter_add(t, LEAF(t, (2), 1, 2), 0, INDEX(t, (1), 5), LEAF(t, (1), 1));
    expect_failure(t, LN_ERR_RANGE, "scatter_add: index 5 at position 0, expected 0 to 1");
    ln_embedding(t, LEAF(t, (2), 1, 2), INDEX(t, (1), 0));
    expect_failure(t, LN_ERR_SHAPE, "embedding: expected 2 dimensions in input 0, found [2] and [1]");
    ln_embedding(t, LEAF(t, (2, 1), 1, 2), LEAF(t, (1), 0));
    expect_failure(t, LN_ERR_DTYPE, "embedding: input 1 must be i32, found f64");
    ln_embedding(t, NULL, INDEX(t, (1), 0));
    expect_failure(t, LN_ERR_ARG, "embedding: input 0 is NULL");
    ln_embedding(t, LEAF(t, (2, 1), 1, 2), NULL);
    expect_failure(t, LN_ERR_ARG, "embedding: input 1 is NULL");
    ln_index_select(t, LEAF(t, (2), 1, 2), 0, INDEX(t, (1, 1), 0));
    expect_failure(t, LN_ERR_SHAPE, "index_select: expected an index of one dimension, found [2] and [1,1]");
    ln_gather(t, LEAF(t, (2, 2), 1, 2, 3, 4), 0, INDEX(t, (1, 3), 0, 0, 0));
    expect_failure(t, LN_ERR_SHAPE, "gather: expected an index of x's shape but along the axis, found [2,2] and [1,3]");
    ln_index_add(t, LEAF(t, (2), 1, 2), 0, INDEX(t, (2), 0, 1), LEAF(t, (3), 1, 2, 3));
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_reset(t);
    ln_scatter_add(t, LEAF(t, (2), 1, 2), 0, INDEX(t, (2), 0, 1), LEAF(t, (3), 1, 2, 3));
    assert_int_equal(ln_tape_status(t), LN_ERR_SHAPE);
    ln_tape_reset(t);
    ln_scatter_add(t, LEAF(t, (2), 1, 2), 0, INDEX(t, (1), 0), NULL);
    expect_failure(t, LN_ERR_ARG, "scatter_add: input 2 is NULL");
    /* ids overwritten between the passes */
    ln_var *table = LEAF(t, (2, 1), 1, 2), *ids = INDEX(t, (1), 0);
    ln_var *y = ln_embedding(t, table, ids);
    ln_var_write(t, ids, (const int32_t[]){ 1 });
    assert_int_equal(ln_backward(t, ln_sum(t, y, LN_ALL, 0)), LN_ERR_ARG);
    ln_tape_free(t);
}

/* Thousands of repeats of few rows: the same bytes with any number of threads. */
static void test_repeats_and_threads(void **state)
{
    (void)state;
    enum { N = 6000, V = 700, C = 33 };
    ln_tape *t = op_tape();
    int32_t *id = malloc(N * sizeof *id);
    float *seed = malloc(N * C * sizeof *seed), *one = malloc(V * C * sizeof *one);
    assert_true(id && seed && one);
    for (int i = 0; i < N; i++)
        id[i] = (int32_t)((i * 2654435761u >> 16) % (i % 3 ? 5 : V));
    for (int i = 0; i < N * C; i++)
        seed[i] = (float)((i * 40503u) % 1000) * 1e-3f - 0.4f;
    const int before = ln_threads();
    for (int threads = 1; threads <= 4; threads *= 2) {
        ln_threads_set(threads);
        ln_tape_reset(t);
        ln_var *table = ln_leaf(t, LN_F32, LN_DIMS(V, C), NULL);
        OK(ln_backward_from(t, ln_embedding(t, table, ln_input(t, LN_I32, LN_DIMS(N), id)), seed));
        const float *g = ln_var_grad(table);
        if (threads == 1)
            memcpy(one, g, V * C * sizeof *one);
        assert_memory_equal(one, g, V * C * sizeof *one);
    }
    ln_threads_set(before);
    for (int v = 0; v < V; v++) { /* and the right sums */
        double sum = 0;
        for (int i = 0; i < N; i++)
            sum += id[i] == v ? (double)seed[i * C + 7] : 0;
        assert_true(fabs(sum - (double)one[v * C + 7]) <= 1e-4 * (1 + fabs(sum)));
    }
    free(id);
    free(seed);
    free(one);
    ln_tape_free(t);
}

/* The gradient of what was broadcast is a sum: over leading, trailing, middle and several dimensions, in both types,
 * against plain loops; and the same bytes with any number of threads. */
static void test_broadcast_gradients(void **state)
{
    (void)state;
    static const int64_t full[4] = { 3, 40, 6, 70 };
    static const int64_t small[][4] = { { 1, 1, 1, 70 }, { 1, 40, 6, 70 }, { 3, 40, 1, 70 }, { 3, 40, 6, 1 },
                                        { 3, 1, 6, 1 },  { 1, 40, 1, 70 }, { 1, 1, 1, 1 },   { 1, 1, 6, 70 } };
    enum { N = 3 * 40 * 6 * 70 };
    double *wide = malloc(N * sizeof *wide), *want = malloc(N * sizeof *want);
    float *narrow = malloc(N * sizeof *narrow), *first = malloc(N * sizeof *first);
    assert_true(wide && want && narrow && first);
    for (int i = 0; i < N; i++)
        wide[i] = (double)(narrow[i] = (float)((uint32_t)i * 2654435761u >> 8) / 16777216.0f - 0.3f);
    ln_tape *t = op_tape();
    const int before = ln_threads();
    for (size_t s = 0; s < LN_COUNT(small); s++) {
        memset(want, 0, N * sizeof *want);
        for (int i = 0; i < N; i++) {
            int64_t at = 0, rest = i, step = 1;
            for (int k = 3; k >= 0; k--) {
                at += small[s][k] == 1 ? 0 : rest % full[k] * step;
                step *= small[s][k];
                rest /= full[k];
            }
            want[at] += wide[i];
        }
        for (int threads = 0; threads < 3; threads++) {
            const bool f64 = threads == 0;
            ln_threads_set(LN_MAX(threads, 1));
            ln_tape_reset(t);
            ln_var *x = ln_leaf(t, f64 ? LN_F64 : LN_F32, 4, small[s], NULL);
            OK(ln_backward_from(t, ln_expand(t, x, 4, full), f64 ? (const void *)wide : narrow));
            const int64_t n = ln_var_count(x);
            if (f64) {
                expect_numbers(ln_var_grad(x), want, n, 1e-12);
                continue;
            }
            const float *g = ln_var_grad(x);
            for (int64_t i = 0; i < n; i++)
                assert_true(fabs(want[i] - (double)g[i]) <= 1e-6 * fmax(1, fabs(want[i])));
            if (threads == 1)
                memcpy(first, g, (size_t)n * sizeof *first);
            assert_memory_equal(first, g, (size_t)n * sizeof *first);
        }
    }
    ln_threads_set(before);
    free(wide);
    free(want);
    free(narrow);
    free(first);
    ln_tape_free(t);
}

static ln_var *chain(ln_tape *t)
{
    ln_var *x = LEAF(t, (2, 3), 1, 2, 3, 4, 5, 6), *many[70];
    ln_var *y = ln_pad(t, ln_transpose(t, x, 0, 1), 0, 1, 1, LN_PAD_REFLECT);
    y = ln_index_select(t, ln_reshape(t, y, LN_DIMS(5, 2)), 0, INDEX(t, (3), 0, 4, 0));
    for (int i = 0; i < 70; i++)
        many[i] = y;
    y = ln_top_k(t, ln_concat(t, many, 70, 1), 5, NULL);
    return ln_sum(t, ln_where(t, MASK(t, (3, 1), 1, 0, 1), y, ln_scale(t, y, 2)), LN_ALL, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture_op(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_view_of_integers),
        cmocka_unit_test(test_large_transpose),
        cmocka_unit_test(test_view_refusals),
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_join_refusals),
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_cast),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_top_k),
        cmocka_unit_test(test_index_refusals),
        cmocka_unit_test(test_repeats_and_threads),
        cmocka_unit_test(test_broadcast_gradients),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
