/* room: io */
/* test_npy.c - npy and npz: files of numpy in both orders and all versions, what we write, malformed headers and zips.
 */
#include "io_files.h"

#include <zlib.h>

#include "io/archive.h"

static const ln_dtype plain[] = { LN_F32, LN_F64, LN_F16, LN_I8,  LN_I16, LN_I32,
                                  LN_I64, LN_U8,  LN_U16, LN_U32, LN_U64, LN_BOOL };

/* Element k of the golden arrays, in C order. */
static double golden(ln_dtype dt, int64_t k)
{
    return (double)(dt == LN_BOOL ? k % 2 : (k * 7 + 3) % 100);
}

static void check_golden(const ln_archive *a, const char *name, ln_dtype dt)
{
    ln_tensor *t = NULL, *x = NULL;
    assert_int_equal(ln_archive_get(&t, a, name), LN_OK);
    assert_int_equal(ln_tensor_dtype(t), dt);
    assert_int_equal(ln_tensor_ndim(t), 2);
    assert_int_equal(ln_tensor_dim(t, 0), 3);
    assert_int_equal(ln_tensor_dim(t, 1), 4);
    assert_int_equal(ln_tensor_convert(&x, t, LN_F64), LN_OK);
    for (int64_t k = 0; k < 12; k++)
        assert_true(((const double *)ln_tensor_cdata(x))[k] == golden(dt, k));
    ln_tensor_release(t), ln_tensor_release(x);
}

/* ---- files of numpy ---- */

static void every_type_of_numpy_is_read(void **state)
{
    (void)state;
    char path[512], name[64];
    for (int64_t i = 0; i < LN_COUNT(plain); i++) {
        ln_archive *a = NULL;
        snprintf(name, sizeof name, "c_%s", ln_dtype_name(plain[i]));
        snprintf(path, sizeof path, "%s/io/%s.npy", LN_GOLDEN, name);
        assert_int_equal(ln_archive_open(&a, path), LN_OK);
        assert_int_equal(ln_archive_format(a), LN_FORMAT_NPY);
        assert_int_equal(ln_archive_count(a), 1);
        assert_string_equal(ln_archive_name(a, 0), name);
        check_golden(a, name, plain[i]);
        ln_archive_release(a);
    }
    static const char *const versions[] = { "v2", "v3" };
    for (int i = 0; i < 2; i++) {
        ln_archive *a = NULL;
        snprintf(path, sizeof path, "%s/io/%s.npy", LN_GOLDEN, versions[i]);
        assert_int_equal(ln_archive_open(&a, path), LN_OK);
        check_golden(a, versions[i], LN_F32);
        ln_archive_release(a);
    }
}

static void fortran_order_is_a_view(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    assert_int_equal(ln_archive_open(&a, LN_GOLDEN "/io/f_f32.npy"), LN_OK);
    check_golden(a, "f_f32", LN_F32);
    assert_int_equal(ln_archive_get(&t, a, "f_f32"), LN_OK);
    assert_int_equal(ln_tensor_stride(t, 0), 1);
    assert_int_equal(ln_tensor_stride(t, 1), 3);
    assert_false(ln_tensor_contiguous(t));
    ln_tensor_release(t);
    ln_archive_release(a);

    assert_int_equal(ln_archive_open(&a, LN_GOLDEN "/io/f_cube.npy"), LN_OK);
    assert_int_equal(ln_archive_get(&t, a, "f_cube"), LN_OK);
    const int32_t *p = ln_tensor_cdata(t);
    for (int64_t i = 0; i < 2; i++)
        for (int64_t j = 0; j < 3; j++)
            for (int64_t k = 0; k < 4; k++)
                assert_int_equal(
                    p[i * ln_tensor_stride(t, 0) + j * ln_tensor_stride(t, 1) + k * ln_tensor_stride(t, 2)],
                    (i * 3 + j) * 4 + k);
    ln_tensor_release(t);
    ln_archive_release(a);
}

static void scalars_and_empty_arrays(void **state)
{
    (void)state;
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    assert_int_equal(ln_archive_open(&a, LN_GOLDEN "/io/c_scalar.npy"), LN_OK);
    assert_int_equal(ln_archive_get(&t, a, "c_scalar"), LN_OK);
    assert_int_equal(ln_tensor_ndim(t), 0);
    assert_true(*(const double *)ln_tensor_cdata(t) == 2.5);
    ln_tensor_release(t);
    ln_archive_release(a);
    assert_int_equal(ln_archive_open(&a, LN_GOLDEN "/io/c_empty.npy"), LN_OK);
    assert_int_equal(ln_archive_get(&t, a, "c_empty"), LN_OK);
    assert_int_equal(ln_tensor_dim(t, 0), 0);
    assert_int_equal(ln_tensor_dim(t, 1), 5);
    ln_tensor_release(t);
    ln_archive_release(a);
    check_failure(ln_archive_open(&a, LN_GOLDEN "/io/big.npy"), LN_ERR_UNSUPPORTED, "big.npy|big-endian|'>f4'|'<'",
                  "big");
}

/* ---- what we write ---- */

static void saved_arrays_are_read_again(void **state)
{
    (void)state;
    static const int64_t shapes[][4] = { { 0 }, { 7 }, { 2, 3 }, { 2, 1, 3 }, { 3, 0, 2, 5 } };
    const char *path = io_path("saved.npy");
    for (int64_t i = 0; i < LN_COUNT(plain); i++)
        for (int ndim = 0; ndim < 5; ndim++) {
            ln_tensor *t = NULL, *got = NULL;
            ln_archive *a = NULL;
            char *bytes = NULL;
            size_t n = 0;
            assert_int_equal(ln_tensor_new(&t, plain[i], ndim, shapes[ndim]), LN_OK);
            for (size_t k = 0; k < ln_tensor_bytes(t); k++)
                ((unsigned char *)ln_tensor_data(t))[k] = (unsigned char)(k * 37 + 1);
            assert_int_equal(ln_npy_save(path, t), LN_OK);
            assert_int_equal(ln__file_read(&bytes, &n, path), LN_OK);
            assert_int_equal((n - ln_tensor_bytes(t)) % 64, 0);
            ln__free(bytes);
            assert_int_equal(ln_archive_open(&a, path), LN_OK);
            assert_int_equal(ln_archive_get(&got, a, "saved"), LN_OK);
            assert_int_equal(ln_tensor_dtype(got), plain[i]);
            assert_int_equal(ln_tensor_ndim(got), ndim);
            for (int k = 0; k < ndim; k++)
                assert_int_equal(ln_tensor_dim(got, k), shapes[ndim][k]);
            assert_memory_equal(ln_tensor_cdata(got), ln_tensor_cdata(t), ln_tensor_bytes(t));
            ln_tensor_release(t), ln_tensor_release(got);
            ln_archive_release(a);
        }
}

static void saving_turns_and_refuses(void **state)
{
    (void)state;
    const char *path = io_path("turned.npy");
    const int64_t dims[] = { 2, 3 }, row = 32;
    ln_tensor *t = NULL, *v = NULL, *got = NULL, *b = NULL;
    ln_archive *a = NULL;
    assert_int_equal(ln_tensor_new(&t, LN_I16, 2, dims), LN_OK);
    for (int16_t i = 0; i < 6; i++)
        ((int16_t *)ln_tensor_data(t))[i] = i;
    assert_int_equal(ln_tensor_transpose(&v, t, 0, 1), LN_OK);
    assert_int_equal(ln_npy_save(path, v), LN_OK);
    assert_int_equal(ln_archive_open(&a, path), LN_OK);
    assert_int_equal(ln_archive_get(&got, a, "turned"), LN_OK);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++)
            assert_int_equal(((const int16_t *)ln_tensor_cdata(got))[i * 2 + j], j * 3 + i);
    ln_tensor_release(t), ln_tensor_release(v), ln_tensor_release(got);
    ln_archive_release(a);
    const int64_t before = io_count_files();
    assert_int_equal(ln_tensor_new(&b, LN_BF16, 1, &row), LN_OK);
    check_failure(ln_npy_save(io_path("b.npy"), b), LN_ERR_DTYPE, "b.npy|bf16", "bf16");
    ln_tensor_release(b);
    assert_int_equal(ln_tensor_new(&b, LN_Q8_0, 1, &row), LN_OK);
    check_failure(ln_npy_save(io_path("b.npy"), b), LN_ERR_DTYPE, "b.npy|q8_0", "q8_0");
    ln_tensor_release(b);
    assert_int_equal(io_count_files(), before);
}

/* ---- malformed npy ---- */

static void build(io_bytes *b, unsigned version, const char *dict, size_t elements)
{
    b->len = 0;
    put_bytes(b, "\x93NUMPY", 6);
    put_u8(b, version);
    put_u8(b, 0);
    if (version == 1)
        put_u16(b, (unsigned)strlen(dict));
    else
        put_u32(b, (uint32_t)strlen(dict));
    put_bytes(b, dict, strlen(dict));
    put_zeros(b, elements);
}

static void unusual_headers_are_read(void **state)
{
    (void)state;
    static const char *const dicts[] = {
        "{'shape':(3,4),'fortran_order':False,'descr':'<f4'}",
        "{\"descr\": \"<f4\", 'fortran_order' : True , 'shape' : ( 3 , 4 , ) , } \n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }",
    };
    static io_bytes b;
    for (int64_t i = 0; i < LN_COUNT(dicts); i++) {
        ln_archive *a = NULL;
        build(&b, 1, dicts[i], 48);
        assert_int_equal(ln__archive_from_memory(&a, b.data, b.len, "dir/m.npy"), LN_OK);
        assert_true(ln_archive_has(a, "m"));
        ln_archive_release(a);
    }
}

static void bad_headers_are_refused(void **state)
{
    (void)state;
#define D(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }\n"
    static const struct {
        const char *dict;
        size_t elements;
        ln_status st;
        const char *words;
    } cases[] = {
        { D("'<f4'", "False", "(3, 4)"), 47, LN_ERR_FORMAT, "m.npy|truncated|47 bytes|[3,4]|48" },
        { D("'<f4'", "False", "(3, 4)"), 49, LN_ERR_FORMAT, "m.npy|49 bytes|48" },
        { D("'>f4'", "False", "(3, 4)"), 48, LN_ERR_UNSUPPORTED, "big-endian|'>f4'" },
        { D("'|O'", "False", "(3,)"), 24, LN_ERR_UNSUPPORTED, "pickled" },
        { D("'|O8'", "False", "(3,)"), 24, LN_ERR_UNSUPPORTED, "pickled" },
        { D("'<c8'", "False", "(3,)"), 24, LN_ERR_UNSUPPORTED, "'<c8'" },
        { D("'<U3'", "False", "(3,)"), 36, LN_ERR_UNSUPPORTED, "'<U3'" },
        { D("'<f16'", "False", "(3,)"), 48, LN_ERR_UNSUPPORTED, "'<f16'" },
        { D("'f4'", "False", "(3,)"), 12, LN_ERR_UNSUPPORTED, "'f4'" },
        { D("[('a', '<f4')]", "False", "(3,)"), 12, LN_ERR_UNSUPPORTED, "structured" },
        { D("'<f4", "False", "(3,)"), 12, LN_ERR_UNSUPPORTED, "'<f4, '" },
        { D("4", "False", "(3,)"), 12, LN_ERR_FORMAT, "element type" },
        { D("'<f4'", "false", "(3,)"), 12, LN_ERR_FORMAT, "True or False" },
        { D("'<f4'", "0", "(3,)"), 12, LN_ERR_FORMAT, "True or False" },
        { D("'<f4'", "False", "[3]"), 12, LN_ERR_FORMAT, "'(' of the shape" },
        { D("'<f4'", "False", "(3)"), 12, LN_ERR_FORMAT, "shape" },
        { D("'<f4'", "False", "(-3,)"), 12, LN_ERR_FORMAT, "dimension" },
        { D("'<f4'", "False", "(3 4)"), 12, LN_ERR_FORMAT, "shape" },
        { D("'<f4'", "False", "(3,"), 12, LN_ERR_FORMAT, "npy header" },
        { D("'<f4'", "False", "(99999999999999999999,)"), 12, LN_ERR_FORMAT, "dimension" },
        { D("'<f4'", "False", "(4294967296, 4294967296)"), 12, LN_ERR_FORMAT, "[4294967296,4294967296]|overflows" },
        { D("'<f4'", "False", "(4611686018427387904, 4, 0)"), 0, LN_ERR_FORMAT, "overflows" },
        { D("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"), 4, LN_ERR_UNSUPPORTED, "8 dimensions" },
        { D("'<f4'", "False", "(3,), 'extra': 1"), 12, LN_ERR_FORMAT, "'extra'" },
        { D("'<f4'", "False", "(3,), 'descr': '<f4'"), 12, LN_ERR_FORMAT, "'descr'|twice" },
        { "{'descr': '<f4', 'fortran_order': False}\n", 12, LN_ERR_FORMAT, "missing" },
        { "{'descr': '<f4' 'fortran_order': False, 'shape': (3,)}\n", 12, LN_ERR_FORMAT, "npy header" },
        { D("'<f4'", "False", "(3,)") "x", 12, LN_ERR_FORMAT, "nothing after" },
        { "{descr: 1}", 0, LN_ERR_FORMAT, "a key" },
        { "", 0, LN_ERR_FORMAT, "'{'" },
    };
#undef D
    static io_bytes b;
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        ln_archive *a = NULL;
        build(&b, 1, cases[i].dict, cases[i].elements);
        check_failure(ln__archive_from_memory(&a, b.data, b.len, "m.npy"), cases[i].st, cases[i].words, cases[i].dict);
        assert_null(a);
    }
}

static void every_truncation_is_noticed(void **state)
{
    (void)state;
    static io_bytes b;
    for (unsigned version = 1; version <= 3; version++) {
        ln_archive *a = NULL;
        build(&b, version, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", 12);
        assert_int_equal(ln__archive_from_memory(&a, b.data, b.len, "m.npy"), LN_OK);
        ln_archive_release(a);
        a = NULL;
        for (size_t n = b.len; n-- > 0;)
            check_failure(ln__archive_from_memory(&a, b.data, n, "m.npy"), LN_ERR_FORMAT, "m.npy", "prefix");
    }
    ln_archive *a = NULL;
    build(&b, 4, "{}", 0);
    check_failure(ln__archive_from_memory(&a, b.data, b.len, "m.npy"), LN_ERR_UNSUPPORTED, "version 4.0", "version");
    build(&b, 2, "{}", 0);
    memcpy(b.data + 8, &(uint32_t){ 100000 }, 4);
    check_failure(ln__archive_from_memory(&a, b.data, b.len, "m.npy"), LN_ERR_UNSUPPORTED, "100000 bytes", "header");
}

/* ---- npz ---- */

static void archives_of_numpy_are_read(void **state)
{
    (void)state;
    static const char *const files[] = { LN_GOLDEN "/io/plain.npz", LN_GOLDEN "/io/packed.npz",
                                         LN_GOLDEN "/io/wide.npz" };
    for (int i = 0; i < 3; i++) {
        ln_archive *a = NULL;
        assert_int_equal(ln_archive_open(&a, files[i]), LN_OK);
        assert_int_equal(ln_archive_format(a), LN_FORMAT_NPZ);
        assert_int_equal(ln_archive_count(a), i == 1 ? 4 : 1);
        assert_string_equal(ln_archive_name(a, 0), "x");
        check_golden(a, "x", LN_F32);
        ln_archive_release(a);
    }
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    assert_int_equal(ln_archive_open(&a, files[1]), LN_OK);
    check_golden(a, "dir/y", LN_I64);
    assert_int_equal(ln_archive_get(&t, a, "empty"), LN_OK);
    assert_int_equal(ln_tensor_count(t), 0);
    ln_tensor_release(t);
    assert_int_equal(ln_archive_get(&t, a, "long"), LN_OK);
    ln_archive_release(a);
    assert_int_equal(ln_tensor_count(t), 20000);
    assert_int_equal((uintptr_t)ln_tensor_cdata(t) % 64, 0);
    for (int k = 0; k < 20000; k++)
        assert_int_equal(((const uint8_t *)ln_tensor_cdata(t))[k], k % 251);
    ln_tensor_release(t);
}

/* One member, everything in it adjustable. */
typedef struct zip_plan {
    const char *name;
    unsigned flags, method;
    uint32_t crc_flip;
    int64_t packed_more, whole_more; /* added to what the directory says */
    const void *extra;
    unsigned extra_len;
    int64_t offset; /* of the local header, as the directory says it */
    size_t comment;
} zip_plan;

static void put_deflated(io_bytes *b, const void *data, size_t n)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)n;
    z.next_out = b->data + b->len;
    z.avail_out = (uInt)(sizeof b->data - b->len);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b->len += z.total_out;
    deflateEnd(&z);
}

static void put_zip(io_bytes *b, const io_bytes *npy, const zip_plan *p)
{
    const uint32_t crc = (uint32_t)crc32(0, npy->data, (uInt)npy->len) ^ p->crc_flip;
    b->len = 0;
    put_bytes(b, "PK\3\4", 4);
    put_zeros(b, 22);
    put_u16(b, (unsigned)strlen(p->name));
    put_u16(b, 0);
    put_bytes(b, p->name, strlen(p->name));
    const size_t data = b->len;
    if (p->method == 8)
        put_deflated(b, npy->data, npy->len);
    else
        put_bytes(b, npy->data, npy->len);
    const size_t packed = b->len - data, directory = b->len;
    put_bytes(b, "PK\1\2", 4);
    put_u16(b, 20);
    put_u16(b, 20);
    put_u16(b, p->flags);
    put_u16(b, p->method);
    put_u32(b, 0);
    put_u32(b, crc);
    put_u32(b, (uint32_t)((int64_t)packed + p->packed_more));
    put_u32(b, (uint32_t)((int64_t)npy->len + p->whole_more));
    put_u16(b, (unsigned)strlen(p->name));
    put_u16(b, p->extra_len);
    put_zeros(b, 10);
    put_u32(b, (uint32_t)p->offset);
    put_bytes(b, p->name, strlen(p->name));
    put_bytes(b, p->extra, p->extra_len);
    const size_t length = b->len - directory;
    put_bytes(b, "PK\5\6", 4);
    put_zeros(b, 4);
    put_u16(b, 1);
    put_u16(b, 1);
    put_u32(b, (uint32_t)length);
    put_u32(b, (uint32_t)directory);
    put_u16(b, (unsigned)p->comment);
    put_zeros(b, p->comment);
}

static ln_status open_and_get(const io_bytes *b, const char *name)
{
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    ln_status st = ln__archive_from_memory(&a, b->data, b->len, "m.npz");
    if (st == LN_OK)
        st = ln_archive_get(&t, a, name);
    ln_tensor_release(t);
    ln_archive_release(a);
    return st;
}

static void broken_archives_are_refused(void **state)
{
    (void)state;
    static const unsigned char half[] = { 1, 0, 9, 0 }, short64[] = { 1, 0, 4, 0, 0, 0, 0, 0 };
    static const struct {
        zip_plan plan;
        ln_status st;
        const char *words;
    } cases[] = {
        { { .name = "x.npy" }, LN_OK, NULL },
        { { .name = "x.npy", .method = 8 }, LN_OK, NULL },
        { { .name = "x.npy", .comment = 500 }, LN_OK, NULL },
        { { .name = "x.txt" }, LN_ERR_FORMAT, "m.npz|'x.txt'|not an npy" },
        { { .name = ".npy" }, LN_ERR_FORMAT, "'.npy'|not an npy" },
        { { .name = "a\nb.npy" }, LN_ERR_FORMAT, "name|control" },
        { { .name = "x.npy", .flags = 1 }, LN_ERR_UNSUPPORTED, "'x.npy'|encrypted" },
        { { .name = "x.npy", .method = 12 }, LN_ERR_UNSUPPORTED, "'x.npy'|method 12" },
        { { .name = "x.npy", .crc_flip = 1 }, LN_ERR_FORMAT, "'x'|CRC" },
        { { .name = "x.npy", .method = 8, .crc_flip = 1 }, LN_ERR_FORMAT, "'x'|CRC" },
        { { .name = "x.npy", .offset = 7 }, LN_ERR_FORMAT, "'x.npy'|local header|7" },
        { { .name = "x.npy", .offset = 1 << 30 }, LN_ERR_FORMAT, "'x.npy'|local header" },
        { { .name = "x.npy", .whole_more = 4 }, LN_ERR_FORMAT, "'x.npy'|cannot hold" },
        { { .name = "x.npy", .packed_more = 1 << 30, .whole_more = 1 << 30 }, LN_ERR_FORMAT, "'x.npy'|truncated" },
        { { .name = "x.npy", .method = 8, .whole_more = 1 << 30 }, LN_ERR_FORMAT, "'x.npy'|cannot hold" },
        { { .name = "x.npy", .method = 8, .whole_more = 4 }, LN_ERR_FORMAT, "'x.npy'|elements need" },
        { { .name = "x.npy", .method = 8, .whole_more = -4 }, LN_ERR_FORMAT, "'x.npy'|elements need" },
        { { .name = "x.npy", .method = 8, .packed_more = -3 }, LN_ERR_FORMAT, "truncated|compressed data end early" },
        { { .name = "x.npy", .extra = half, .extra_len = 4 }, LN_ERR_FORMAT, "directory is broken" },
        { { .name = "x.npy", .extra = short64, .extra_len = 8, .offset = UINT32_MAX }, LN_ERR_FORMAT, "broken" },
        { { .name = "x.npy", .offset = UINT32_MAX }, LN_ERR_FORMAT, "broken" },
    };
    static io_bytes npy, b;
    build(&npy, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (300,), }\n", 1200);
    for (int64_t i = 0; i < LN_COUNT(cases); i++) {
        put_zip(&b, &npy, &cases[i].plan);
        const ln_status st = open_and_get(&b, "x");
        if (cases[i].st == LN_OK)
            assert_int_equal(st, LN_OK);
        else
            check_failure(st, cases[i].st, cases[i].words, cases[i].words);
    }
    put_zip(&b, &npy, &cases[1].plan);
    for (size_t n = b.len; n-- > 4;) {
        b.len = n;
        check_failure(open_and_get(&b, "x"), LN_ERR_FORMAT, "m.npz", "prefix");
    }
}

/* A directory that promises far more than the data hold must not cost the memory it promises. */
static void a_bomb_costs_nothing(void **state)
{
    (void)state;
    static io_bytes npy, b;
    static const zip_plan plan = { .name = "x.npy", .method = 8 };
    build(&npy, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (100000,), }\n", 100000);
    put_zip(&b, &npy, &plan);
    assert_true(b.len < 1000);
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    ln_memory_limit(ln_memory_held() + 120000);
    assert_int_equal(ln__archive_from_memory(&a, b.data, b.len, "m.npz"), LN_OK); /* headers only */
    check_failure(ln_archive_get(&t, a, "x"), LN_ERR_NOMEM, "memory", "above the limit");
    ln_memory_limit(0);
    assert_null(t);
    assert_int_equal(ln_archive_get(&t, a, "x"), LN_OK);
    ln_tensor_release(t);
    ln_archive_release(a);
}

/* ---- torture ---- */

static ln_status open_all(void *path)
{
    ln_archive *a = NULL;
    ln_status st = ln_archive_open(&a, path);
    for (int64_t i = 0; st == LN_OK && i < ln_archive_count(a); i++) {
        ln_tensor *t = NULL;
        st = ln_archive_get(&t, a, ln_archive_name(a, i));
        assert_true((t != NULL) == (st == LN_OK));
        ln_tensor_release(t);
    }
    ln_archive_release(a);
    return st;
}

static ln_status save_turned(void *path)
{
    const int64_t dims[] = { 3, 2 };
    float x[6] = { 0 };
    ln_tensor *t = NULL, *v = NULL;
    ln_status st;
    LN_TRY(ln_tensor_wrap(&t, LN_F32, 2, dims, NULL, x, NULL, NULL));
    LN_TRY(ln_tensor_transpose(&v, t, 0, 1));
    LN_TRY(ln_npy_save(path, v));
done:
    if (st != LN_OK)
        assert_false(ln__file_exists(path));
    ln_tensor_release(v);
    ln_tensor_release(t);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static char path[] = LN_GOLDEN "/io/f_f32.npy", packed[] = LN_GOLDEN "/io/packed.npz",
                stored[] = LN_GOLDEN "/io/plain.npz";
    torture(open_all, path);
    torture(open_all, packed);
    torture(open_all, stored);
    torture(save_turned, (void *)(uintptr_t)io_path("tortured.npy"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_numpy_is_read), cmocka_unit_test(fortran_order_is_a_view),
        cmocka_unit_test(scalars_and_empty_arrays),    cmocka_unit_test(saved_arrays_are_read_again),
        cmocka_unit_test(saving_turns_and_refuses),    cmocka_unit_test(unusual_headers_are_read),
        cmocka_unit_test(bad_headers_are_refused),     cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(archives_of_numpy_are_read),  cmocka_unit_test(broken_archives_are_refused),
        cmocka_unit_test(a_bomb_costs_nothing),        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, io_setup, io_teardown);
}
