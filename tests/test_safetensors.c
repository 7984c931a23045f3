/* room: io */
/* test_safetensors.c - every element type there and back, the layout of written files, shards, files of the Python
 * package, torture. Malformed files: test_safetensors_malformed.c. */
#include "io_files.h"

#include "io/archive.h"

static const ln_dtype plain[] = { LN_F32, LN_F64, LN_F16, LN_BF16, LN_I8,  LN_I16, LN_I32,
                                  LN_I64, LN_U8,  LN_U16, LN_U32,  LN_U64, LN_BOOL };

/* A tensor whose bytes count up, so that any shift shows. */
static ln_tensor *counting(ln_dtype dt, int ndim, const int64_t *dims)
{
    ln_tensor *t = NULL;
    assert_int_equal(ln_tensor_new(&t, dt, ndim, dims), LN_OK);
    unsigned char *p = ln_tensor_data(t);
    for (size_t i = 0; i < ln_tensor_bytes(t); i++)
        p[i] = (unsigned char)(i * 37 + dt);
    return t;
}

static void check_same(const ln_archive *a, const char *name, const ln_tensor *want)
{
    ln_tensor *got = NULL;
    assert_int_equal(ln_archive_get(&got, a, name), LN_OK);
    assert_int_equal(ln_tensor_dtype(got), ln_tensor_dtype(want));
    assert_int_equal(ln_tensor_ndim(got), ln_tensor_ndim(want));
    for (int i = 0; i < ln_tensor_ndim(want); i++)
        assert_int_equal(ln_tensor_dim(got, i), ln_tensor_dim(want, i));
    assert_true(ln_tensor_contiguous(got));
    assert_memory_equal(ln_tensor_cdata(got), ln_tensor_cdata(want), ln_tensor_bytes(want));
    ln_tensor_release(got);
}

/* ---- there and back ---- */

static void every_type_there_and_back(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = { { 3, 5, 2 }, { 0, 4, 0 }, { 1, 1, 1 } };
    const char *path = io_path("all.safetensors");
    ln_tensor *want[LN_COUNT(plain)][4];
    ln_writer *w = NULL;
    ln_archive *a = NULL;
    char name[64];
    assert_int_equal(ln_writer_new(&w, path), LN_OK);
    assert_int_equal(ln_writer_meta(w, "format", "pt"), LN_OK);
    assert_int_equal(ln_writer_meta(w, "note", "a \"quoted\" \n line \xc3\xa9"), LN_OK);
    for (int64_t i = 0; i < LN_COUNT(plain); i++)
        for (int k = 0; k < 4; k++) { /* k == 3: a scalar */
            snprintf(name, sizeof name, "%s.%d", ln_dtype_name(plain[i]), k);
            want[i][k] = counting(plain[i], k == 3 ? 0 : 3, k == 3 ? NULL : shapes[k]);
            assert_int_equal(ln_writer_declare(w, name, plain[i], k == 3 ? 0 : 3, k == 3 ? NULL : shapes[k]), LN_OK);
        }
    for (int64_t i = LN_COUNT(plain); i-- > 0;) /* not in the order of the file */
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "%s.%d", ln_dtype_name(plain[i]), k);
            assert_int_equal(ln_writer_put(w, name, want[i][k]), LN_OK);
        }
    assert_false(ln__file_exists(path)); /* nothing before the commit */
    assert_int_equal(ln_writer_commit(w), LN_OK);
    ln_writer_free(w);

    assert_int_equal(ln_archive_open(&a, path), LN_OK);
    assert_int_equal(ln_archive_format(a), LN_FORMAT_SAFETENSORS);
    assert_string_equal(ln_archive_path(a), path);
    assert_int_equal(ln_archive_count(a), LN_COUNT(plain) * 4);
    assert_int_equal(ln_archive_meta_count(a), 2);
    assert_string_equal(ln_archive_meta(a, "format"), "pt");
    assert_string_equal(ln_archive_meta(a, "note"), "a \"quoted\" \n line \xc3\xa9");
    assert_null(ln_archive_meta(a, "nothing"));
    for (int64_t i = 0; i < LN_COUNT(plain); i++)
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "%s.%d", ln_dtype_name(plain[i]), k);
            assert_true(ln_archive_has(a, name));
            check_same(a, name, want[i][k]);
            ln_tensor_release(want[i][k]);
        }
    ln_tensor *none = NULL;
    check_failure(ln_archive_get(&none, a, "w"), LN_ERR_NOTFOUND, "all.safetensors|'w'", "absent tensor");
    assert_null(none);
    ln_archive_release(a);
}

static void layout_is_widest_first_then_by_name(void **state)
{
    (void)state;
    const char *path = io_path("layout.safetensors");
    ln_writer *w = NULL;
    const int64_t three = 3;
    ln_tensor *b = counting(LN_U8, 1, &three), *d = counting(LN_F64, 1, &three), *f = counting(LN_F32, 1, &three),
              *g = counting(LN_F32, 1, &three);
    assert_int_equal(ln_writer_new(&w, path), LN_OK);
    assert_int_equal(ln_writer_declare(w, "b", LN_U8, 1, &three), LN_OK);
    assert_int_equal(ln_writer_declare(w, "g", LN_F32, 1, &three), LN_OK);
    assert_int_equal(ln_writer_declare(w, "d", LN_F64, 1, &three), LN_OK);
    assert_int_equal(ln_writer_declare(w, "f", LN_F32, 1, &three), LN_OK);
    assert_int_equal(ln_writer_put(w, "b", b), LN_OK);
    assert_int_equal(ln_writer_put(w, "f", f), LN_OK);
    assert_int_equal(ln_writer_put(w, "d", d), LN_OK);
    assert_int_equal(ln_writer_put(w, "g", g), LN_OK);
    assert_int_equal(ln_writer_commit(w), LN_OK);
    ln_writer_free(w);

    char *bytes = NULL;
    size_t n = 0;
    assert_int_equal(ln__file_read(&bytes, &n, path), LN_OK);
    const uint64_t header = ln__le64((const unsigned char *)bytes);
    assert_int_equal(header % 8, 0);
    assert_int_equal(n, 8 + header + 24 + 12 + 12 + 3);
    assert_int_equal(bytes[8], '{');
    assert_memory_equal(bytes + 8 + header, ln_tensor_cdata(d), 24);
    assert_memory_equal(bytes + 8 + header + 24, ln_tensor_cdata(f), 12);
    assert_memory_equal(bytes + 8 + header + 36, ln_tensor_cdata(g), 12);
    assert_memory_equal(bytes + 8 + header + 48, ln_tensor_cdata(b), 3);
    ln__free(bytes);

    ln_archive *a = NULL;
    assert_int_equal(ln_archive_open(&a, path), LN_OK);
    static const char *const order[] = { "d", "f", "g", "b" };
    for (int i = 0; i < 4; i++)
        assert_string_equal(ln_archive_name(a, i), order[i]);
    assert_null(ln_archive_name(a, 4));
    assert_null(ln_archive_name(a, -1));
    ln_archive_release(a);
    ln_tensor_release(b), ln_tensor_release(d), ln_tensor_release(f), ln_tensor_release(g);
}

static void tensors_outlive_their_archive(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    assert_int_equal(ln_archive_open(&a, io_path("layout.safetensors")), LN_OK);
    assert_int_equal(ln_archive_get(&t, a, "b"), LN_OK);
    ln_archive_release(a);
    const unsigned char *p = ln_tensor_cdata(t);
    assert_int_equal(p[2], (unsigned char)(2 * 37 + LN_U8));
    ln_tensor_release(t);
}

static void strided_tensors_are_written_in_order(void **state)
{
    (void)state;
    const char *path = io_path("strided.safetensors");
    const int64_t dims[] = { 3, 4 }, turned[] = { 4, 3 };
    ln_tensor *t = NULL, *v = NULL, *got = NULL;
    ln_writer *w = NULL;
    ln_archive *a = NULL;
    assert_int_equal(ln_tensor_new(&t, LN_I32, 2, dims), LN_OK);
    for (int32_t i = 0; i < 12; i++)
        ((int32_t *)ln_tensor_data(t))[i] = i;
    assert_int_equal(ln_tensor_transpose(&v, t, 0, 1), LN_OK);
    assert_int_equal(ln_writer_new(&w, path), LN_OK);
    assert_int_equal(ln_writer_declare(w, "v", LN_I32, 2, turned), LN_OK);
    assert_int_equal(ln_writer_put(w, "v", v), LN_OK);
    assert_int_equal(ln_writer_commit(w), LN_OK);
    ln_writer_free(w);
    assert_int_equal(ln_archive_open(&a, path), LN_OK);
    assert_int_equal(ln_archive_get(&got, a, "v"), LN_OK);
    for (int32_t i = 0; i < 4; i++)
        for (int32_t j = 0; j < 3; j++)
            assert_int_equal(((const int32_t *)ln_tensor_cdata(got))[i * 3 + j], j * 4 + i);
    ln_tensor_release(t), ln_tensor_release(v), ln_tensor_release(got);
    ln_archive_release(a);
}

/* ---- the writer's refusals ---- */

static void writer_refuses(void **state)
{
    (void)state;
    const char *path = io_path("refused.safetensors");
    const int64_t dims[] = { 2, 3 }, other[] = { 3, 2 }, huge[] = { INT64_MAX, 3 }, block[] = { 1, 32 };
    ln_tensor *t = counting(LN_F32, 2, dims), *u = counting(LN_F32, 2, other), *h = counting(LN_F16, 2, dims);
    const int64_t before = io_count_files();
    ln_writer *w = NULL;
    assert_int_equal(ln_writer_new(&w, path), LN_OK);
    assert_int_equal(ln_writer_declare(w, "w", LN_F32, 2, dims), LN_OK);
    assert_int_equal(ln_writer_declare(w, "v", LN_F32, 2, dims), LN_OK);
    check_failure(ln_writer_declare(w, "w", LN_F32, 2, dims), LN_ERR_ARG, "'w'|twice", "declared twice");
    check_failure(ln_writer_declare(w, "q", LN_Q8_0, 2, block), LN_ERR_DTYPE, "'q'|q8_0", "quantised");
    check_failure(ln_writer_declare(w, "__metadata__", LN_F32, 2, dims), LN_ERR_ARG, "__metadata__", "reserved");
    check_failure(ln_writer_declare(w, "a\nb", LN_F32, 2, dims), LN_ERR_ARG, "control", "control characters");
    check_failure(ln_writer_declare(w, "a", LN_F32, 2, huge), LN_ERR_ARG, "'a'|large", "huge");
    check_failure(ln_writer_declare(w, "a", LN_F32, 9, dims), LN_ERR_ARG, "8", "nine dimensions");
    check_failure(ln_writer_meta(w, "k", "\xff"), LN_ERR_ARG, "'k'|UTF-8", "metadata not UTF-8");
    check_failure(ln_writer_put(w, "x", t), LN_ERR_ARG, "'x'|declared", "not declared");
    check_failure(ln_writer_put(w, "w", h), LN_ERR_DTYPE, "'w'|f16|f32", "another type");
    check_failure(ln_writer_put(w, "w", u), LN_ERR_SHAPE, "'w'|[3,2]|[2,3]", "another shape");
    assert_int_equal(ln_writer_put(w, "w", t), LN_OK);
    check_failure(ln_writer_put(w, "w", t), LN_ERR_ARG, "'w'|twice", "written twice");
    check_failure(ln_writer_declare(w, "z", LN_F32, 2, dims), LN_ERR_ARG, "'z'|after", "declared late");
    check_failure(ln_writer_meta(w, "k", "v"), LN_ERR_ARG, "'k'|after", "metadata late");
    check_failure(ln_writer_commit(w), LN_ERR_ARG, "'v'|never written", "incomplete");
    ln_writer_free(w);
    assert_int_equal(io_count_files(), before); /* no file, no temporary */
    check_failure(ln_writer_new(&w, "no-such-directory/x.safetensors"), LN_ERR_IO, "no-such-directory", "no directory");
    ln_tensor_release(t), ln_tensor_release(u), ln_tensor_release(h);
    ln_writer_free(NULL);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    const char *path = io_write("old.safetensors", "old", 3);
    const int64_t dims[] = { 2, 3 };
    ln_writer *w = NULL;
    assert_int_equal(ln_writer_new(&w, path), LN_OK);
    assert_int_equal(ln_writer_declare(w, "w", LN_F32, 2, dims), LN_OK);
    ln_writer_free(w);
    char *bytes = NULL;
    size_t n = 0;
    assert_int_equal(ln__file_read(&bytes, &n, path), LN_OK);
    assert_int_equal(n, 3);
    ln__free(bytes);
}

static void a_full_disk_is_reported(void **state)
{
    (void)state;
    const char *path = io_path("full.safetensors");
    const int64_t before = io_count_files(), n = 1 << 18;
    ln_tensor *t = counting(LN_F32, 1, &n);
    ln_writer *w = NULL;
    io_disk(1 << 16);
    const ln_status opened = ln_writer_new(&w, path), declared = ln_writer_declare(w, "w", LN_F32, 1, &n),
                    put = ln_writer_put(w, "w", t), committed = ln_writer_commit(w);
    io_disk(-1);
    assert_int_equal(opened, LN_OK);
    assert_int_equal(declared, LN_OK);
    assert_int_equal(put, LN_ERR_IO);
    check_failure(committed, LN_ERR_ARG, "full.safetensors|'w'|never written", "commit after a failed put");
    io_disk(1 << 16);
    const ln_status again = ln_writer_put(w, "w", t);
    io_disk(-1);
    check_failure(again, LN_ERR_IO, "full.safetensors|too large|more were to be written", "full disk");
    ln_writer_free(w);
    io_disk(1 << 16);
    const ln_status saved = ln_npy_save(io_path("full.npy"), t);
    io_disk(-1);
    check_failure(saved, LN_ERR_IO, "full.npy|too large", "full disk, npy");
    assert_int_equal(io_count_files(), before);
    ln_tensor_release(t);
}

static void an_empty_file_has_no_tensors(void **state)
{
    (void)state;
    const char *path = io_path("none.safetensors");
    ln_writer *w = NULL;
    ln_archive *a = NULL;
    assert_int_equal(ln_writer_new(&w, path), LN_OK);
    assert_int_equal(ln_writer_commit(w), LN_OK);
    check_failure(ln_writer_commit(w), LN_ERR_ARG, "twice", "committed twice");
    ln_writer_free(w);
    assert_int_equal(ln_archive_open(&a, path), LN_OK);
    assert_int_equal(ln_archive_count(a), 0);
    ln_archive_release(a);
}

/* ---- shards ---- */

static void write_shard(const char *name, const char *const *tensors, int n)
{
    const int64_t dims[] = { 2, 2 };
    ln_writer *w = NULL;
    assert_int_equal(ln_writer_new(&w, io_path(name)), LN_OK);
    assert_int_equal(ln_writer_meta(w, "shard", name), LN_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(ln_writer_declare(w, tensors[i], LN_U8, 2, dims), LN_OK);
    for (int i = 0; i < n; i++) {
        ln_tensor *t = counting(LN_U8, 2, dims);
        *(unsigned char *)ln_tensor_data(t) = (unsigned char)tensors[i][0];
        assert_int_equal(ln_writer_put(w, tensors[i], t), LN_OK);
        ln_tensor_release(t);
    }
    assert_int_equal(ln_writer_commit(w), LN_OK);
    ln_writer_free(w);
}

static void shards_are_one_archive(void **state)
{
    (void)state;
    static const char *const first[] = { "p", "q" }, *const second[] = { "r", "unlisted" };
    static const char index[] = "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"r\":\"m-2.safetensors\","
                                "\"p\":\"m-1.safetensors\",\"q\":\"m-1.safetensors\"}}";
    write_shard("m-1.safetensors", first, 2);
    write_shard("m-2.safetensors", second, 2);
    io_write("model.safetensors.index.json", index, sizeof index - 1);
    for (int k = 0; k < 2; k++) {
        ln_archive *a = NULL;
        ln_tensor *t = NULL;
        assert_int_equal(ln_archive_open(&a, k ? io_path("model.safetensors.index.json") : io_dir), LN_OK);
        assert_int_equal(ln_archive_format(a), LN_FORMAT_SAFETENSORS);
        assert_int_equal(ln_archive_count(a), 3);
        assert_string_equal(ln_archive_name(a, 0), "p");
        assert_string_equal(ln_archive_name(a, 2), "r");
        assert_false(ln_archive_has(a, "unlisted"));
        assert_string_equal(ln_archive_meta(a, "shard"), "m-1.safetensors");
        assert_int_equal(ln_archive_get(&t, a, "r"), LN_OK);
        ln_archive_release(a);
        assert_int_equal(*(const unsigned char *)ln_tensor_cdata(t), 'r');
        ln_tensor_release(t);
    }
}

static void broken_indexes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *index;
        ln_status st;
        const char *words;
    } cases[] = {
        { "{}", LN_ERR_FORMAT, "i.json|weight_map" },
        { "{\"weight_map\":[]}", LN_ERR_FORMAT, "i.json|weight_map" },
        { "{\"weight_map\":{\"p\":1}}", LN_ERR_FORMAT, "'p'|not the name of a file" },
        { "{\"weight_map\":{\"p\":\"../m-1.safetensors\"}}", LN_ERR_FORMAT, "not the name of a file" },
        { "{\"weight_map\":{\"p\":\"/etc/m-1.safetensors\"}}", LN_ERR_FORMAT, "not the name of a file" },
        { "{\"weight_map\":{\"p\":\"\"}}", LN_ERR_FORMAT, "not the name of a file" },
        { "{\"weight_map\":{\"p\\t\":\"m-1.safetensors\"}}", LN_ERR_FORMAT, "control" },
        { "{\"weight_map\":{\"p\":\"m-9.safetensors\"}}", LN_ERR_NOTFOUND, "i.json|m-9.safetensors" },
        { "{\"weight_map\":{\"p\":\"m-2.safetensors\"}}", LN_ERR_FORMAT, "'p'|m-2.safetensors" },
        { "{\"weight_map\":{\"p\":\"i.json\"}}", LN_ERR_FORMAT, "i.json" },
        { "{\"weight_map\":", LN_ERR_FORMAT, "i.json" },
    };
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        ln_archive *a = NULL;
        const char *path = io_write("i.json", cases[i].index, strlen(cases[i].index));
        check_failure(ln_archive_open(&a, path), cases[i].st, cases[i].words, cases[i].index);
        assert_null(a);
    }
}

/* ---- torture ---- */

static ln_status open_and_get(void *path)
{
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    ln_status st = ln_archive_open(&a, path);
    if (st != LN_OK) {
        assert_null(a);
        return st;
    }
    for (int64_t i = 0; st == LN_OK && i < ln_archive_count(a); i++) {
        st = ln_archive_get(&t, a, ln_archive_name(a, i));
        assert_true((t != NULL) == (st == LN_OK));
        ln_tensor_release(t);
        t = NULL;
    }
    ln_archive_release(a);
    return st;
}

static ln_status write_small(void *path)
{
    const int64_t dims[] = { 3, 2 }, turned[] = { 2, 3 };
    float x[6] = { 0 };
    ln_writer *w = NULL;
    ln_tensor *t = NULL, *v = NULL;
    ln_status st;
    LN_TRY(ln_tensor_wrap(&t, LN_F32, 2, dims, NULL, x, NULL, NULL));
    LN_TRY(ln_tensor_transpose(&v, t, 0, 1));
    LN_TRY(ln_writer_new(&w, path));
    LN_TRY(ln_writer_meta(w, "format", "pt"));
    LN_TRY(ln_writer_declare(w, "t", LN_F32, 2, dims));
    LN_TRY(ln_writer_declare(w, "v", LN_F32, 2, turned));
    LN_TRY(ln_writer_put(w, "v", v));
    LN_TRY(ln_writer_put(w, "t", t));
    LN_TRY(ln_writer_commit(w));
done:
    if (st != LN_OK)
        assert_false(ln__file_exists(path));
    ln_writer_free(w);
    ln_tensor_release(v);
    ln_tensor_release(t);
    return st;
}

/* `n` arrays of f64, of the shapes (2), (3), …; then the one array of that file. */
static ln_status read_only_one(ln_tensor **out, ln_format *format, const char *path, int n)
{
    const double values[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    static const char *const names[] = { "a", "b" };
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    LN_TRY(ln_writer_new(&w, path));
    for (int64_t i = 0, dim = 2; i < n; i++, dim++)
        LN_TRY(ln_writer_declare(w, names[i], LN_F64, 1, &dim));
    for (int64_t i = 0, dim = 2; i < n; i++, dim++)
        LN_TRY(ln__writer_put_f64(w, names[i], 1, &dim, values + i));
    LN_TRY(ln_writer_commit(w));
    LN_TRY(ln__archive_only(out, format, path));
done:
    ln_writer_free(w);
    return st;
}

static ln_status only_one(void *path)
{
    ln_tensor *t = NULL;
    const ln_status st = read_only_one(&t, NULL, path, 1);
    assert_true((st == LN_OK) == (t != NULL));
    ln_tensor_release(t);
    return st;
}

static void the_one_array_of_a_file(void **state)
{
    (void)state;
    ln_tensor *t = NULL;
    ln_format format = LN_FORMAT_NPY;
    const double want[2] = { 1, 2 };
    assert_int_equal(read_only_one(&t, &format, io_path("one.safetensors"), 1), LN_OK);
    assert_int_equal(format, LN_FORMAT_SAFETENSORS);
    assert_int_equal(ln_tensor_dtype(t), LN_F64);
    assert_int_equal(ln_tensor_count(t), 2);
    assert_memory_equal(ln_tensor_cdata(t), want, sizeof want);
    ln_tensor_release(t);
    t = NULL;
    check_failure(read_only_one(&t, &format, io_path("two.safetensors"), 2), LN_ERR_FORMAT, "two.safetensors|2 arrays",
                  "two arrays");
    check_failure(read_only_one(&t, &format, io_path("none.safetensors"), 0), LN_ERR_FORMAT,
                  "none.safetensors|0 arrays", "no array");
    assert_null(t);
    torture(only_one, (void *)(uintptr_t)io_path("one.safetensors"));
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    torture(open_and_get, (void *)(uintptr_t)io_path("all.safetensors"));
    torture(open_and_get, (void *)(uintptr_t)io_path("model.safetensors.index.json"));
    const int64_t before = io_count_files();
    torture(write_small, (void *)(uintptr_t)io_path("tortured.safetensors"));
    assert_int_equal(io_count_files(), before + 1);
}

/* ---- files of others ---- */

static void files_of_the_python_package(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    assert_int_equal(ln_archive_open(&a, LN_GOLDEN "/io/all.safetensors"), LN_OK);
    assert_int_equal(ln_archive_count(a), LN_COUNT(plain) + 2);
    assert_string_equal(ln_archive_meta(a, "made by"), "safetensors");
    for (int64_t i = 0; i < LN_COUNT(plain); i++) {
        ln_tensor *t = NULL, *x = NULL;
        assert_int_equal(ln_archive_get(&t, a, ln_dtype_name(plain[i])), LN_OK);
        assert_int_equal(ln_tensor_dtype(t), plain[i]);
        assert_int_equal(ln_tensor_ndim(t), 2);
        assert_int_equal(ln_tensor_dim(t, 0), 3);
        assert_int_equal(ln_tensor_dim(t, 1), 4);
        assert_int_equal(ln_tensor_convert(&x, t, LN_F64), LN_OK);
        for (int k = 0; k < 12; k++)
            assert_true(((const double *)ln_tensor_cdata(x))[k] == (plain[i] == LN_BOOL ? k % 2 : (k * 7 + 3) % 100));
        ln_tensor_release(t), ln_tensor_release(x);
    }
    ln_tensor *t = NULL;
    assert_int_equal(ln_archive_get(&t, a, "scalar"), LN_OK);
    assert_int_equal(ln_tensor_ndim(t), 0);
    assert_true(*(const float *)ln_tensor_cdata(t) == 2.5F);
    ln_tensor_release(t);
    assert_int_equal(ln_archive_get(&t, a, "empty"), LN_OK);
    assert_int_equal(ln_tensor_dim(t, 0), 0);
    assert_int_equal(ln_tensor_dim(t, 1), 5);
    ln_tensor_release(t);
    ln_archive_release(a);
}

static void a_real_model(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    int64_t numbers = 0;
    assert_int_equal(ln_archive_open(&a, io_real("LINNET_MODELS", "minilm")), LN_OK);
    assert_int_equal(ln_archive_count(a), 104);
    for (int64_t i = 0; i < ln_archive_count(a); i++) {
        ln_tensor *t = NULL;
        assert_int_equal(ln_archive_get(&t, a, ln_archive_name(a, i)), LN_OK);
        if (ln_tensor_dtype(t) == LN_F32)
            numbers += ln_tensor_count(t);
        ln_tensor_release(t);
    }
    assert_int_equal(numbers, 22713216);
    assert_true(ln_archive_has(a, "embeddings.word_embeddings.weight"));
    ln_archive_release(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_there_and_back),
        cmocka_unit_test(layout_is_widest_first_then_by_name),
        cmocka_unit_test(tensors_outlive_their_archive),
        cmocka_unit_test(strided_tensors_are_written_in_order),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(a_full_disk_is_reported),
        cmocka_unit_test(an_empty_file_has_no_tensors),
        cmocka_unit_test(shards_are_one_archive),
        cmocka_unit_test(broken_indexes_are_refused),
        cmocka_unit_test(the_one_array_of_a_file),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(files_of_the_python_package),
        cmocka_unit_test(a_real_model),
    };
    return cmocka_run_group_tests(tests, io_setup, io_teardown);
}
