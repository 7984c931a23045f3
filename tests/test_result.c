/* room: core */
/* The envelope: its keys and their order, exact numbers, refused NaN, nested keys, hashes of inputs. */
#include "core_test.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include <xxhash.h>

#include "core/file.h"
#include "core/json.h"
#include "core/result.h"

typedef struct opts {
    uint32_t struct_size;
    int32_t rank, exact, grid;
    double keep;
    int64_t seed, limit;
    const char *text;
} opts;

static const ln_param table[] = {
    LN_P_INT(opts, rank, 16, 0, 4096, ""),         LN_P_BOOL(opts, exact, 1, ""),
    LN_P_CHOICE(opts, grid, 1, "coarse|full", ""), LN_P_REAL(opts, keep, 0.1, 0, 1, ""),
    LN_P_INT64(opts, seed, 42, 0, 1e18, ""),       LN_P_BYTES(opts, limit, 1024, 0, 1e18, ""),
    LN_P_TEXT(opts, text, NULL, "FILE", ""),       LN_P_END,
};

static ln_result *fresh(void)
{
    ln_result *r = NULL;
    assert_ok(ln_result_new(&r, "compress", "rocket"));
    return r;
}

/* The envelope as written and read again. */
static json_t *read_again(const ln_result *r)
{
    char *text = NULL;
    json_t *e = NULL;
    assert_ok(ln_result_write_text(&text, r, 0));
    assert_ok(ln__json_parse(&e, text, strlen(text), "envelope"));
    ln_free(text);
    return e;
}

static void the_schema_has_its_keys_in_order(void **state)
{
    (void)state;
    static const char *const keys[] = { "schema", "version", "verb",    "system",     "options", "inputs", "results",
                                        "checks", "series",  "seconds", "peak_bytes", "threads", "seed" };
    ln_result *r = fresh();
    json_t *e = read_again(r), *value;
    const char *key;
    int64_t n = 0;
    json_object_foreach(e, key, value)
    {
        assert_true(n < LN_COUNT(keys));
        assert_string_equal(key, keys[n++]);
    }
    assert_int_equal(n, LN_COUNT(keys));
    assert_string_equal(json_string_value(json_object_get(e, "schema")), "linnet.result/1");
    assert_string_equal(json_string_value(json_object_get(e, "version")), LN_VERSION);
    assert_string_equal(json_string_value(json_object_get(e, "verb")), "compress");
    assert_string_equal(json_string_value(json_object_get(e, "system")), "rocket");
    assert_true(json_real_value(json_object_get(e, "seconds")) >= 0);
    assert_int_equal(json_integer_value(json_object_get(e, "threads")), ln_threads());
    assert_true(json_is_null(json_object_get(e, "seed")));
    json_decref(e);
    ln_result_free(r);
    assert_ok(ln_result_new(&r, "eval", NULL));
    e = read_again(r);
    assert_true(json_is_null(json_object_get(e, "system")));
    json_decref(e);
    ln_result_free(r);
    ln_result_free(NULL);
    assert_fails(ln_result_new(&r, NULL, NULL), LN_ERR_ARG, "verb");
}

static void options_keep_their_types(void **state)
{
    (void)state;
    opts o = { sizeof o, 0, 0, 0, 0, 0, 0, NULL };
    ln_params_defaults(table, &o);
    ln_result *r = fresh();
    assert_ok(ln_result_options(r, table, &o));
    char *text = NULL;
    json_t *e = read_again(r);
    assert_ok(ln__json_text(&text, json_object_get(e, "options"), 0));
    assert_string_equal(text, "{\"rank\":16,\"exact\":true,\"grid\":\"full\",\"keep\":0.1,\"seed\":42,\"limit\":1024,"
                              "\"text\":null}");
    assert_int_equal(json_integer_value(json_object_get(e, "seed")), 42);
    ln__free(text);
    json_decref(e);
    o.text = "a\xFF";
    o.keep = NAN;
    o.rank = 77;
    assert_fails(ln_result_options(r, table, &o), LN_ERR_NUMERIC, "keep is NaN");
    e = read_again(r);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(e, "options"), "rank")), 16); /* all or none */
    json_decref(e);
    ln_result_free(r);
}

static void numbers_are_exact_and_replaced(void **state)
{
    (void)state;
    const int32_t ids[] = { 1, -2, INT32_MAX };
    const double curve[] = { 0.1, 1e-300, 3 };
    ln_result *r = fresh();
    assert_ok(ln_result_number(r, "perplexity", 99));
    assert_ok(ln_result_number(r, "perplexity", 1.0 / 3));
    assert_ok(ln_result_integer(r, "tokens_scored", INT64_MAX));
    assert_ok(ln_result_bool(r, "ok", true));
    assert_ok(ln_result_text(r, "text", "a\xFF\nb"));
    assert_ok(ln_result_text(r, "nothing", NULL));
    assert_ok(ln_result_integers(r, "ids", ids, 3));
    assert_ok(ln_result_integers(r, "none", NULL, 0));
    assert_ok(ln_result_numbers(r, "curve", curve, 3));
    assert_ok(ln_result_json(r, "layers", "[{\"name\":\"q\",\"rank\":3}]"));
    assert_ok(ln_result_number(r, "speed.prefill.median", 0.5));
    assert_ok(ln_result_number(r, "speed.decode", 0.25));
    json_t *e = read_again(r);
    char *text = NULL;
    assert_ok(ln__json_text(&text, json_object_get(e, "results"), 0));
    assert_string_equal(text, "{\"perplexity\":0.3333333333333333,\"tokens_scored\":9223372036854775807,\"ok\":true,"
                              "\"text\":\"a\xEF\xBF\xBD\\nb\",\"nothing\":null,\"ids\":[1,-2,2147483647],\"none\":[],"
                              "\"curve\":[0.1,1e-300,3.0],\"layers\":[{\"name\":\"q\",\"rank\":3}],"
                              "\"speed\":{\"prefill\":{\"median\":0.5},\"decode\":0.25}}");
    ln__free(text);
    json_decref(e);
    assert_ptr_equal(json_object_get(ln__result_object(r), "absent"), NULL);
    ln_result_free(r);
}

static void nan_and_bad_keys_are_refused(void **state)
{
    (void)state;
    const double bad[] = { 1, NAN, 2 };
    const ln_measure m[] = { { "ppl", -INFINITY } };
    ln_result *r = fresh();
    assert_fails(ln_result_number(r, "nll", NAN), LN_ERR_NUMERIC, "nll is NaN");
    assert_fails(ln_result_number(r, "nll", INFINITY), LN_ERR_NUMERIC, "nll is Inf");
    assert_fails(ln_result_numbers(r, "curve", bad, 3), LN_ERR_NUMERIC, "curve[1] is NaN");
    assert_fails(ln_result_series(r, "g", "loss", "x", "y", bad, bad, 3), LN_ERR_NUMERIC, "series loss: x[1] is NaN");
    assert_fails(ln_result_check(r, "order", "a < b", "<", m, 1, true), LN_ERR_NUMERIC, "ppl is -Inf");
    static const char *const keys[] = { "", "Upper", "a-b", "a..b", ".a", "a.", "a b", "\xC3\xA4" };
    for (int64_t i = 0; i < LN_COUNT(keys); i++)
        assert_fails(ln_result_integer(r, keys[i], 1), LN_ERR_ARG, "is not a snake_case key");
    assert_ok(ln_result_integer(r, "a", 1));
    assert_fails(ln_result_integer(r, "a.b", 1), LN_ERR_ARG, "'a' already holds a value");
    assert_fails(ln_result_integer(r, "fresh.inner.Bad", 1), LN_ERR_ARG, "snake_case");
    assert_null(json_object_get(ln__result_object(r), "fresh"));
    assert_fails(ln_result_json(r, "j", "{"), LN_ERR_FORMAT, "j: line 1");
    assert_fails(ln_result_json(r, "j", NULL), LN_ERR_ARG, "j has no JSON");
    assert_fails(ln_result_integers(r, "i", NULL, 3), LN_ERR_ARG, "i has no values");
    assert_fails(ln_result_number(NULL, "x", 1), LN_ERR_ARG, "NULL");
    assert_fails(ln_result_check(r, NULL, "", "", NULL, 0, true), LN_ERR_ARG, "a check needs a name");
    assert_true(ln_result_holds(r));
    json_t *e = read_again(r);
    assert_int_equal(json_array_size(json_object_get(e, "checks")), 0);
    assert_int_equal(json_array_size(json_object_get(e, "series")), 0);
    json_decref(e);
    ln_result_free(r);
}

static void checks_and_series_are_kept(void **state)
{
    (void)state;
    const ln_measure m[] = { { "dense", 18.5 }, { "knapsack", 30.25 } };
    const double x[] = { 0, 0.5 }, y[] = { 1, 2 };
    char *text = NULL;
    ln_result *r = fresh();
    assert_ok(ln_result_check(r, "order", "dense is best", "dense < knapsack", m, 2, true));
    assert_true(ln_result_holds(r));
    assert_ok(ln_result_check(r, "size", NULL, NULL, NULL, 0, false));
    assert_false(ln_result_holds(r));
    assert_ok(ln_result_check(r, "again", "", "", NULL, 0, true));
    assert_false(ln_result_holds(r));
    assert_ok(ln_result_series(r, "error", "q_proj", "removed", "error", x, y, 2));
    json_t *e = read_again(r);
    assert_ok(ln__json_text(&text, json_array_get(json_object_get(e, "checks"), 0), 0));
    assert_string_equal(text, "{\"name\":\"order\",\"claim\":\"dense is best\",\"relation\":\"dense < knapsack\","
                              "\"measured\":{\"dense\":18.5,\"knapsack\":30.25},\"holds\":true}");
    ln__free(text);
    assert_ok(ln__json_text(&text, json_object_get(e, "series"), 0));
    assert_string_equal(text, "[{\"name\":\"q_proj\",\"group\":\"error\",\"x_label\":\"removed\",\"y_label\":"
                              "\"error\",\"x\":[0.0,0.5],\"y\":[1.0,2.0]}]");
    ln__free(text);
    json_decref(e);
    ln_result_free(r);
}

static void inputs_carry_size_and_hash(void **state)
{
    (void)state;
    char hex[17];
    ln_result *r = fresh();
    assert_ok(ln__dir_make(scratch("model/sub"), true));
    write_bytes(scratch("text"), "some text", 9);
    write_bytes(scratch("model/b"), "bb", 2);
    write_bytes(scratch("model/a"), "a", 1);
    assert_ok(ln_result_input(r, scratch("text")));
    assert_ok(ln_result_input(r, scratch("model")));
    assert_fails(ln_result_input(r, scratch("none")), LN_ERR_NOTFOUND, "/none");
    json_t *e = read_again(r), *inputs = json_object_get(e, "inputs");
    assert_int_equal(json_array_size(inputs), 3);
    json_t *first = json_array_get(inputs, 0), *second = json_array_get(inputs, 1), *third = json_array_get(inputs, 2);
    snprintf(hex, sizeof hex, "%016" PRIx64, (uint64_t)XXH64("some text", 9, 0));
    assert_string_equal(json_string_value(json_object_get(first, "xxh64")), hex);
    assert_int_equal(json_integer_value(json_object_get(first, "bytes")), 9);
    assert_string_equal(strrchr(json_string_value(json_object_get(second, "path")), '/'), "/a");
    assert_string_equal(strrchr(json_string_value(json_object_get(third, "path")), '/'), "/b");
    assert_int_equal(json_integer_value(json_object_get(third, "bytes")), 2);
    json_decref(e);
    ln_result_free(r);
}

static void every_writing_of_a_result_is_the_same(void **state)
{
    (void)state;
    char *a = NULL, *b = NULL;
    ln_result *r = fresh();
    assert_ok(ln_result_write_text(&a, r, 2));
    usleep(2000);
    assert_ok(ln_result_write_text(&b, r, 2));
    assert_string_equal(a, b);
    assert_ok(ln_result_write(r, scratch("out.json")));
    const char *file = read_back(scratch("out.json"));
    assert_int_equal(strlen(file), strlen(a) + 1);
    assert_memory_equal(file, a, strlen(a));
    assert_fails(ln_result_write(r, scratch_dir), LN_ERR_EXISTS, "is a directory");
    ln_free(a);
    ln_free(b);
    ln_result_free(r);
}

static ln_status fill(void *ctx)
{
    (void)ctx;
    ln_status st = LN_OK;
    ln_result *r = NULL;
    char *text = NULL;
    const double x[] = { 1, 2 };
    const ln_measure m[] = { { "a", 1 } };
    opts o;
    ln_params_defaults(table, &o);
    o.text = "t";
    LN_TRY(ln_result_new(&r, "eval", "x"));
    LN_TRY(ln_result_options(r, table, &o));
    LN_TRY(ln_result_input(r, scratch("model")));
    LN_TRY(ln_result_number(r, "a.b", 1));
    LN_TRY(ln_result_text(r, "t", "text"));
    LN_TRY(ln_result_json(r, "j", "{}"));
    LN_TRY(ln_result_check(r, "c", "d", "e", m, 1, true));
    LN_TRY(ln_result_series(r, "g", "n", "x", "y", x, x, 2));
    LN_TRY(ln_result_write_text(&text, r, 2));
    LN_TRY(ln_result_write(r, scratch("torture.json")));
done:
    ln_free(text);
    ln_result_free(r);
    return st;
}

static void failing_allocations(void **state)
{
    (void)state;
    torture(fill, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_has_its_keys_in_order),
        cmocka_unit_test(options_keep_their_types),
        cmocka_unit_test(numbers_are_exact_and_replaced),
        cmocka_unit_test(nan_and_bad_keys_are_refused),
        cmocka_unit_test(checks_and_series_are_kept),
        cmocka_unit_test(inputs_carry_size_and_hash),
        cmocka_unit_test(every_writing_of_a_result_is_the_same),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
