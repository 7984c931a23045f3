/* room: linop */
/* test_linop_store.c - operators in files: there and back with the same bytes, the names other programs use, and files
 * that contradict themselves. */
#include "io_files.h"
#include "linop_fixture.h"

/* ---- there and back ---- */

static void save(const char *name, const ln_linop *const *ops, const char *const *prefix, int n)
{
    ln_writer *w = NULL;
    assert_int_equal(ln_writer_new(&w, io_path(name)), LN_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(ln__linop_declare(w, ops[i], prefix[i]), LN_OK);
    for (int i = n - 1; i >= 0; i--)
        assert_int_equal(ln__linop_put(w, ops[i], prefix[i]), LN_OK);
    assert_int_equal(ln_writer_commit(w), LN_OK);
    ln_writer_free(w);
}

static void assert_same_bytes(const char *a, const char *b)
{
    char *x = NULL, *y = NULL;
    size_t nx = 0, ny = 0;
    assert_int_equal(ln__file_read(&x, &nx, io_path(a)), LN_OK);
    assert_int_equal(ln__file_read(&y, &ny, io_path(b)), LN_OK);
    assert_int_equal(nx, ny);
    assert_memory_equal(x, y, nx);
    ln__free(x);
    ln__free(y);
}

static void what_is_saved_comes_back(void **state)
{
    (void)state;
    enum { ROWS = 33, COLS = 64, MOST = 40 };
    const ln_linop *ops[MOST];
    ln_linop *back[MOST];
    char names[MOST][64];
    const char *prefix[MOST];
    float *x = num_f32(9 * COLS, 1), y[9 * ROWS], z[9 * ROWS];
    int n = 0;
    for (int64_t k = 0; k < LN_COUNT(fix_kinds); k++)
        if (ln_dtype_block(fix_kinds[k].dt) == 1) {
            snprintf(names[n], sizeof names[n], "model.layers.%d.proj", n);
            prefix[n] = names[n];
            ops[n++] = fix_op(&fix_kinds[k], ROWS, COLS);
        }
    save("a.safetensors", ops, prefix, n);
    ln_archive *a = NULL;
    assert_int_equal(ln_archive_open(&a, io_path("a.safetensors")), LN_OK);
    assert_string_equal(ln_archive_meta(a, "slin.version"), "1");
    for (int i = 0; i < n; i++) {
        assert_int_equal(ln__linop_load(&back[i], a, prefix[i]), LN_OK);
        assert_string_equal(ln_linop_kind(back[i]), ln_linop_kind(ops[i]));
        assert_int_equal(ln_linop_dtype(back[i]), ln_linop_dtype(ops[i]));
        assert_int_equal(ln_linop_params(back[i]), ln_linop_params(ops[i]));
        assert_int_equal(ln_linop_bytes(back[i]), ln_linop_bytes(ops[i]));
        assert_int_equal(ln_linop_flops(back[i]), ln_linop_flops(ops[i]));
        if (ln_linop_dtype(ops[i]) == LN_F64)
            continue;
        for (int64_t T = 1; T <= 9; T += 8) {
            assert_int_equal(ln_linop_apply(ops[i], y, ROWS, x, COLS, T), LN_OK);
            assert_int_equal(ln_linop_apply(back[i], z, ROWS, x, COLS, T), LN_OK);
            for (int64_t j = 0; j < T * ROWS;
                 j++) /* a strided weight comes back contiguous, in another summation order */
                assert_true(fabs((double)y[j] - (double)z[j]) < 1e-4);
        }
    }
    save("b.safetensors", (const ln_linop *const *)back, prefix, n);
    assert_same_bytes("a.safetensors", "b.safetensors");
    for (int i = 0; i < n; i++) {
        ln_linop_release((ln_linop *)(uintptr_t)ops[i]);
        ln_linop_release(back[i]);
    }
    ln_archive_release(a);
    ln__linop_trim();
    free(x);
}

/* ---- files made by hand ---- */

typedef struct entry {
    const char *name;
    ln_tensor *t;
} entry;

/* Writes and releases the tensors; `meta` holds pairs of key and value. */
static ln_archive *archive_of(const entry *e, int n, const char *const *meta)
{
    ln_writer *w = NULL;
    ln_archive *a = NULL;
    assert_int_equal(ln_writer_new(&w, io_path("hand.safetensors")), LN_OK);
    for (; meta && *meta; meta += 2)
        assert_int_equal(ln_writer_meta(w, meta[0], meta[1]), LN_OK);
    for (int i = 0; i < n; i++) {
        int64_t dims[4];
        for (int d = 0; d < ln_tensor_ndim(e[i].t); d++)
            dims[d] = ln_tensor_dim(e[i].t, d);
        assert_int_equal(ln_writer_declare(w, e[i].name, ln_tensor_dtype(e[i].t), ln_tensor_ndim(e[i].t), dims), LN_OK);
    }
    for (int i = 0; i < n; i++) {
        assert_int_equal(ln_writer_put(w, e[i].name, e[i].t), LN_OK);
        ln_tensor_release(e[i].t);
    }
    assert_int_equal(ln_writer_commit(w), LN_OK);
    ln_writer_free(w);
    assert_int_equal(ln_archive_open(&a, io_path("hand.safetensors")), LN_OK);
    return a;
}

static ln_tensor *bytes_tensor(int64_t rows, int64_t cols, const uint8_t *v)
{
    ln_tensor *t = NULL;
    assert_int_equal(ln_tensor_new(&t, LN_U8, 2, (const int64_t[]){ rows, cols }), LN_OK);
    memcpy(ln_tensor_data(t), v, (size_t)(rows * cols));
    return t;
}

static ln_tensor *floats_tensor(int64_t n, const float *v)
{
    ln_tensor *t = NULL;
    assert_int_equal(ln_tensor_new(&t, LN_F32, 1, &n), LN_OK);
    memcpy(ln_tensor_data(t), v, (size_t)n * sizeof *v);
    return t;
}

static void names_of_other_programs_are_read(void **state)
{
    (void)state;
    enum { O = 7, K = 5, IN = 9 };
    static const char *const pairs[][2] = {
        { "p_u.weight", "p_v.weight" },
        { "p.lin0.weight", "p.lin1.weight" },
        { "p.lin0", "p.lin1" },
        { "p.in_network.weight", "p.out_network.weight" },
        { "p.in_network", "p.out_network" },
        { "p.lora_A.weight", "p.lora_B.weight" },
        { "p.lora_A", "p.lora_B" },
        { "p.lr1", "p.lr2" },
    };
    for (int64_t i = 0; i < LN_COUNT(pairs); i++) {
        ln_tensor *v = fix_matrix(K, IN, LN_F32, 0, 1, 2), *u = fix_matrix(O, K, LN_F32, 0, 1, 3);
        ln_linop *want = NULL, *op = NULL;
        assert_int_equal(ln_linop_lowrank(&want, u, v), LN_OK);
        ln_archive *a = archive_of((const entry[]){ { pairs[i][0], v }, { pairs[i][1], u } }, 2, NULL);
        assert_int_equal(ln__linop_load(&op, a, "p"), LN_OK);
        assert_string_equal(ln_linop_kind(op), "lowrank");
        double *x = fix_dense(op), *y = fix_dense(want);
        assert_memory_equal(x, y, O * IN * sizeof *x);
        free(x), free(y);
        ln_linop_release(op);
        ln_linop_release(want);
        ln_archive_release(a);
    }
    /* codes with explicit zeros become a dictionary where that is smaller, and only there */
    for (int dense = 0; dense < 2; dense++) {
        ln_linop *op = NULL;
        ln_archive *a =
            archive_of((const entry[]){ { "p_u.weight", fix_matrix(40, 64, LN_F16, 0, 1, 2) },
                                        { "p_v.weight", fix_matrix(96, 40, LN_F16, dense ? 0.02 : 0.5, 1, 3) } },
                       2, NULL);
        assert_int_equal(ln__linop_load(&op, a, "p"), LN_OK);
        assert_string_equal(ln_linop_kind(op), dense ? "lowrank" : "dict");
        ln_linop_release(op);
        ln_archive_release(a);
    }
    ln__linop_trim();
}

/* D (12, 4), C (2, 12): three values in row 0, one in row 1. */
static const uint8_t good_mask[4] = { 0x83, 0x00, 0x00, 0x08 };
static const float good_values[4] = { 1, -2, 3, 4 };

static ln_status load_dict(const uint8_t *mask, int64_t mask_cols, int64_t nnz, const float *values, float atom,
                           const char *json)
{
    const char *const meta[] = { "slin:p", json, NULL };
    ln_tensor *d = fix_matrix(12, 4, LN_F32, 0, 1, 4);
    ((float *)ln_tensor_data(d))[13] = atom;
    ln_archive *a = archive_of((const entry[]){ { "p.D", d },
                                                { "p.Cval", floats_tensor(nnz, values) },
                                                { "p.Cmask", bytes_tensor(2, mask_cols, mask) } },
                               3, json ? meta : NULL);
    ln_linop *op = (ln_linop *)16;
    const ln_status st = ln__linop_load(&op, a, "p");
    if (st == LN_OK)
        ln_linop_release(op);
    else
        assert_ptr_equal(op, (void *)16); /* untouched */
    ln_archive_release(a);
    return st;
}

static void dictionaries_that_contradict_themselves_are_refused(void **state)
{
    (void)state;
    static const uint8_t beyond[4] = { 0x83, 0x10, 0x00, 0x00 };
    const float bad[4] = { 1, NAN, 3, 4 };
    assert_int_equal(load_dict(good_mask, 2, 4, good_values, 0, NULL), LN_OK);
    assert_int_equal(load_dict(good_mask, 2, 4, good_values, 0, "{\"kind\":\"dict\",\"O\":2,\"I\":4,\"k\":12}"), LN_OK);
    check_failure(load_dict(good_mask, 2, 3, good_values, 0, NULL), LN_ERR_FORMAT,
                  "hand.safetensors: p|4 bits set|3 values", "too few values");
    check_failure(load_dict(beyond, 2, 4, good_values, 0, NULL), LN_ERR_FORMAT, "row 0|beyond the 12 atoms",
                  "trailing bits");
    check_failure(load_dict(good_mask, 1, 4, good_values, 0, NULL), LN_ERR_SHAPE, "(rows, 2) bytes", "narrow mask");
    check_failure(load_dict(good_mask, 2, 4, bad, 0, NULL), LN_ERR_NUMERIC, "p: |codes[1] is NaN", "NaN code");
    check_failure(load_dict(good_mask, 2, 4, good_values, INFINITY, NULL), LN_ERR_NUMERIC, "atoms[3,1] is Inf",
                  "Inf atom");
    static const struct {
        const char *json, *words;
        ln_status st;
    } meta[] = {
        { "{\"kind\":\"dict\",\"O\":3,\"I\":4}", "p: |say O = 3|tensors 2", LN_ERR_FORMAT },
        { "{\"kind\":\"dict\",\"O\":2,\"I\":5}", "say I = 5|tensors 4", LN_ERR_FORMAT },
        { "{\"kind\":\"dict\",\"k\":11}", "say k = 11|tensors 12", LN_ERR_FORMAT },
        { "{\"kind\":\"dict\",\"k\":\"12\"}", "k", LN_ERR_FORMAT },
        { "{\"kind\":\"dict\",\"nnz\":5}", "say nnz = 5", LN_ERR_FORMAT },
        { "{\"kind\":\"lowrank\"}", "p.lr1", LN_ERR_NOTFOUND },
        { "{\"kind\":\"dense\"}", "p.weight", LN_ERR_NOTFOUND },
        { "{\"kind\":\"moebius\"}", "p: kind 'moebius'", LN_ERR_UNSUPPORTED },
        { "{\"O\":2}", "kind ''", LN_ERR_UNSUPPORTED },
        { "{\"kind\":7}", "kind", LN_ERR_FORMAT },
        { "{\"kind\"", "p", LN_ERR_FORMAT },
        { "[1]", "p", LN_ERR_FORMAT },
    };
    for (int64_t i = 0; i < LN_COUNT(meta); i++)
        check_failure(load_dict(good_mask, 2, 4, good_values, 0, meta[i].json), meta[i].st, meta[i].words,
                      meta[i].json);
}

static void load_fails(const entry *e, int n, const char *const *meta, ln_status want, const char *words)
{
    ln_archive *a = archive_of(e, n, meta);
    ln_linop *op = NULL;
    check_failure(ln__linop_load(&op, a, "p"), want, words, words);
    assert_null(op);
    ln_archive_release(a);
}

static void other_contradictions_are_refused(void **state)
{
    (void)state;
    load_fails((const entry[]){ { "q.weight", fix_matrix(3, 4, LN_F32, 0, 1, 5) } }, 1, NULL, LN_ERR_NOTFOUND,
               "hand.safetensors|p.weight");
    load_fails((const entry[]){ { "p.weight", floats_tensor(4, good_values) } }, 1, NULL, LN_ERR_SHAPE,
               "hand.safetensors: p|1 dimensions");
    load_fails((const entry[]){ { "p.weight", bytes_tensor(2, 2, good_mask) } }, 1, NULL, LN_ERR_DTYPE, "p: |u8");
    load_fails((const entry[]){ { "p.lr1", fix_matrix(3, 4, LN_F32, 0, 1, 5) },
                                { "p.lr2", fix_matrix(5, 2, LN_F32, 0, 1, 5) } },
               2, NULL, LN_ERR_SHAPE, "p: |5 x 2|3 x 4");
    load_fails((const entry[]){ { "p.lr1", fix_matrix(3, 4, LN_F32, 0, 1, 5) },
                                { "p.lr2", fix_matrix(5, 3, LN_F16, 0, 1, 5) } },
               2, NULL, LN_ERR_DTYPE, "p: |f16 and f32");
    ln_tensor *bad = fix_matrix(3, 4, LN_F32, 0, 1, 5);
    ((float *)ln_tensor_data(bad))[6] = NAN;
    load_fails((const entry[]){ { "p_u.weight", bad }, { "p_v.weight", fix_matrix(5, 3, LN_F32, 0, 1, 5) } }, 2, NULL,
               LN_ERR_NUMERIC, "p: |[1,2] is NaN");
    load_fails((const entry[]){ { "p.weight", fix_matrix(3, 4, LN_F32, 0, 1, 5) },
                                { "p.lora_A.weight", fix_matrix(2, 4, LN_F32, 0, 1, 5) },
                                { "p.lora_B.weight", fix_matrix(3, 2, LN_F32, 0, 1, 5) } },
               3, NULL, LN_ERR_UNSUPPORTED, "p |merged first");
    load_fails((const entry[]){ { "p.base_layer.weight", fix_matrix(3, 4, LN_F32, 0, 1, 5) },
                                { "p.lora_A.weight", fix_matrix(2, 4, LN_F32, 0, 1, 5) },
                                { "p.lora_B.weight", fix_matrix(3, 2, LN_F32, 0, 1, 5) } },
               3, NULL, LN_ERR_UNSUPPORTED, "merged first");
    const char *const later[] = { "slin:p", "{\"kind\":\"lowrank\"}", "slin.version", "2", NULL };
    load_fails((const entry[]){ { "p.lr1", fix_matrix(3, 4, LN_F32, 0, 1, 5) },
                                { "p.lr2", fix_matrix(5, 3, LN_F32, 0, 1, 5) } },
               2, later, LN_ERR_UNSUPPORTED, "slin.version is '2'");
}

static void a_weight_wins_over_pairs_of_the_same_prefix(void **state)
{
    (void)state;
    ln_linop *op = NULL;
    ln_archive *a = archive_of((const entry[]){ { "p.weight", fix_matrix(3, 4, LN_F32, 0, 1, 5) },
                                                { "p.lr1", fix_matrix(2, 4, LN_F32, 0, 1, 5) },
                                                { "p.lr2", fix_matrix(3, 2, LN_F32, 0, 1, 5) } },
                               3, NULL);
    assert_int_equal(ln__linop_load(&op, a, "p"), LN_OK);
    assert_string_equal(ln_linop_kind(op), "dense");
    ln_linop_release(op);
    ln_archive_release(a);
}

/* ---- failing allocations ---- */

static ln_status save_and_load(void *arg)
{
    ln_status st = LN_OK;
    const ln_linop *const *ops = arg;
    ln_writer *w = NULL;
    ln_archive *a = NULL;
    ln_linop *back = NULL;
    LN_TRY(ln_writer_new(&w, io_path("t.safetensors")));
    for (int i = 0; i < 3; i++)
        LN_TRY(ln__linop_declare(w, ops[i], i == 0 ? "x" : i == 1 ? "y" : "z"));
    for (int i = 0; i < 3; i++)
        LN_TRY(ln__linop_put(w, ops[i], i == 0 ? "x" : i == 1 ? "y" : "z"));
    LN_TRY(ln_writer_commit(w));
    LN_TRY(ln_archive_open(&a, io_path("t.safetensors")));
    for (int i = 0; i < 3; i++) {
        LN_TRY(ln__linop_load(&back, a, i == 0 ? "x" : i == 1 ? "y" : "z"));
        ln_linop_release(back);
        back = NULL;
    }
done:
    assert_null(back);
    ln_writer_free(w);
    ln_archive_release(a);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const ln_linop *ops[3] = { fix_op(&fix_kinds[0], 9, 7), fix_op(&fix_kinds[14], 9, 7),
                               fix_op(&fix_kinds[19], 9, 7) };
    torture(save_and_load, ops);
    for (int i = 0; i < 3; i++)
        ln_linop_release((ln_linop *)(uintptr_t)ops[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_comes_back),
        cmocka_unit_test(names_of_other_programs_are_read),
        cmocka_unit_test(dictionaries_that_contradict_themselves_are_refused),
        cmocka_unit_test(other_contradictions_are_refused),
        cmocka_unit_test(a_weight_wins_over_pairs_of_the_same_prefix),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("linop_store", tests, io_setup, io_teardown);
}
