/* room: core */
/* Option tables: defaults, every kind of text, bounds, suggestions, text form, and option structs of other versions. */
#include "core_test.h"

#include <math.h>

#include "core/provenance.h"
#include "core/words.h"

typedef struct opts {
    uint32_t struct_size;
    int32_t rank;
    double keep;
    int32_t exact;
    int64_t steps;
    int64_t max_memory;
    const char *out_dir;
    int32_t grid;
    double lr;
} opts;

#define INIT                                                                                                           \
    {                                                                                                                  \
        sizeof(opts), 16, 0.8, 1, 1000, INT64_C(2) << 30, NULL, 1, 1e-3                                                \
    }

static const ln_param table[] = {
    LN_P_INT(opts, rank, 16, 0, 4096, "target rank"),
    LN_P_REAL(opts, keep, 0.8, 0, 1, "fraction to keep"),
    LN_P_BOOL(opts, exact, 1, "exact arithmetic"),
    LN_P_INT64(opts, steps, 1000, 1, 1e18, "steps"),
    LN_P_BYTES(opts, max_memory, 2147483648.0, 0, 1e18, "memory limit"),
    LN_P_TEXT(opts, out_dir, NULL, "DIR", "where to write"),
    LN_P_CHOICE(opts, grid, 1, "coarse|full|none", "grid"),
    LN_P_REAL(opts, lr, 1e-3, 0, INFINITY, "learning rate"),
    LN_P_END,
};

static ln_status set(opts *o, const char *name, const char *text)
{
    return ln_params_set(table, o, name, text, "test");
}

static void defaults_fill_every_field(void **state)
{
    (void)state;
    const opts want = INIT;
    opts o;
    memset(&o, 0xFF, sizeof o);
    ln_params_defaults(table, &o);
    assert_int_equal(o.rank, want.rank);
    assert_true(o.keep == want.keep && o.lr == want.lr);
    assert_int_equal(o.exact, 1);
    assert_int_equal(o.steps, 1000);
    assert_int_equal(o.max_memory, want.max_memory);
    assert_null(o.out_dir);
    assert_int_equal(o.grid, 1);
    assert_ok(ln_params_check(table, &o, "test"));
}

static void text_sets_every_kind(void **state)
{
    (void)state;
    opts o = INIT;
    assert_ok(set(&o, "rank", "64"));
    assert_int_equal(o.rank, 64);
    assert_ok(set(&o, "rank", "+7"));
    assert_int_equal(o.rank, 7);
    assert_ok(set(&o, "keep", "2.5e-1"));
    assert_true(o.keep == 0.25);
    assert_ok(set(&o, "lr", "inf"));
    assert_true(o.lr == INFINITY);
    assert_ok(set(&o, "steps", "1000000000000000000"));
    assert_int_equal(o.steps, INT64_C(1000000000000000000));
    assert_ok(set(&o, "out-dir", "here"));
    assert_string_equal(o.out_dir, "here");
    assert_ok(set(&o, "out_dir", "there"));
    assert_string_equal(o.out_dir, "there");
    assert_ok(set(&o, "grid", "none"));
    assert_int_equal(o.grid, 2);
    assert_ok(set(&o, "exact", "off"));
    assert_int_equal(o.exact, 0);
    assert_ok(set(&o, "exact", "true"));
    assert_int_equal(o.exact, 1);
    assert_ok(set(&o, "no-exact", "true"));
    assert_int_equal(o.exact, 0);
    assert_ok(set(&o, "no_exact", "0"));
    assert_int_equal(o.exact, 1);
}

static void byte_counts_take_suffixes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {
        { "0", 0 },
        { "123", 123 },
        { "1K", 1024 },
        { "300M", INT64_C(300) << 20 },
        { "2G", INT64_C(2) << 30 },
        { "1T", INT64_C(1) << 40 },
        { "1.5g", INT64_C(3) << 29 },
        { "2GB", INT64_C(2) << 30 },
        { "7b", 7 },
        { ".5k", 512 },
    };
    static const char *const bad[] = { "",    "G",   "1X", "1GG", "1 G", "-1e3x", "x1", "1e30", "99999999999999999999",
                                       "nan", "inf", "0x" };
    opts o = INIT;
    for (int64_t i = 0; i < LN_COUNT(good); i++) {
        assert_ok(set(&o, "max-memory", good[i].text));
        assert_int_equal(o.max_memory, good[i].want);
    }
    for (int64_t i = 0; i < LN_COUNT(bad); i++)
        assert_fails(set(&o, "max-memory", bad[i]), LN_ERR_ARG, "--max-memory wants bytes such as 300M or 2G");
    assert_fails(set(&o, "max-memory", "-1"), LN_ERR_RANGE, "--max-memory = -1 is outside [0, 1e+18]");
    assert_int_equal(o.max_memory, 512);
}

static void bad_text_is_refused_and_nothing_is_set(void **state)
{
    (void)state;
    opts o = INIT;
    const opts before = o;
    static const char *const not_whole[] = { "", "x", "1.5", "1e3", " 4", "4 ", "--4", "+-4", "99999999999999999999" };
    for (int64_t i = 0; i < LN_COUNT(not_whole); i++)
        assert_fails(set(&o, "rank", not_whole[i]), LN_ERR_ARG,
                     "test: --rank wants a whole number from 0 to 4096, not");
    assert_fails(set(&o, "rank", "5000"), LN_ERR_RANGE, "test: --rank = 5000 is outside [0, 4096]");
    assert_fails(set(&o, "rank", "4294967296"), LN_ERR_RANGE, "outside");
    assert_fails(set(&o, "rank", "-1"), LN_ERR_RANGE, "--rank = -1");
    static const char *const not_real[] = { "", "x", "0.5x", " 0.5", "nan", "0,5" };
    for (int64_t i = 0; i < LN_COUNT(not_real); i++)
        assert_fails(set(&o, "keep", not_real[i]), LN_ERR_ARG, "--keep wants a number from 0 to 1");
    assert_fails(set(&o, "keep", "1.5"), LN_ERR_RANGE, "test: --keep = 1.5 is outside [0, 1]");
    assert_fails(set(&o, "keep", "inf"), LN_ERR_RANGE, "--keep = inf");
    assert_fails(set(&o, "exact", "maybe"), LN_ERR_ARG, "--exact wants true or false, not 'maybe'");
    assert_fails(set(&o, "no-exact", "maybe"), LN_ERR_ARG, "wants true or false");
    assert_fails(set(&o, "grid", "ful"), LN_ERR_ARG, "--grid wants one of coarse|full|none, not 'ful'");
    assert_fails(set(&o, "grid", ""), LN_ERR_ARG, "--grid wants one of");
    assert_fails(set(&o, "grid", "coarse|full"), LN_ERR_ARG, "--grid wants one of");
    assert_fails(ln_params_set(table, &o, "rank", NULL, NULL), LN_ERR_ARG, "needs a name and a value");
    assert_memory_equal(&o, &before, sizeof o);
}

static void misspelt_options_get_a_suggestion(void **state)
{
    (void)state;
    opts o = INIT;
    assert_fails(set(&o, "max-memroy", "1"), LN_ERR_NOTFOUND,
                 "test: no option --max-memroy; did you mean --max-memory?");
    assert_fails(set(&o, "rnak", "1"), LN_ERR_NOTFOUND, "did you mean --rank?");
    assert_fails(set(&o, "no-rank", "1"), LN_ERR_NOTFOUND, "no option --no-rank");
    assert_fails(set(&o, "", "1"), LN_ERR_NOTFOUND, "no option --");
    assert_int_equal(set(&o, "temperature", "1"), LN_ERR_NOTFOUND);
    assert_null(strstr(ln_last_error(), "did you mean"));
    char longer[300];
    memset(longer, 'x', 299);
    longer[299] = '\0';
    assert_int_equal(set(&o, longer, "1"), LN_ERR_NOTFOUND);
}

static void check_finds_what_was_set_in_code(void **state)
{
    (void)state;
    opts o = INIT;
    o.keep = NAN;
    assert_fails(ln_params_check(table, &o, "test"), LN_ERR_RANGE, "--keep = nan is outside [0, 1]");
    o.keep = 0.5;
    o.grid = 3;
    assert_fails(ln_params_check(table, &o, "test"), LN_ERR_RANGE, "--grid = 3 is not one of coarse|full|none");
    o.grid = 0;
    o.exact = 2;
    assert_fails(ln_params_check(table, &o, "test"), LN_ERR_RANGE, "--exact = 2");
    o.exact = 0;
    o.steps = 0;
    assert_fails(ln_params_check(table, &o, "test"), LN_ERR_RANGE, "--steps = 0");
    o.steps = 1;
    assert_ok(ln_params_check(table, &o, "test"));
}

static void required_options_must_be_given(void **state)
{
    (void)state;
    static const ln_param required[] = {
        { "out_dir", LN_PARAM_STRING, offsetof(opts, out_dir), 0, 0, 0, "", "DIR", NULL, LN_PARAM_REQUIRED, 'o' },
        { "keep", LN_PARAM_FLOAT64, offsetof(opts, keep), NAN, 0, 1, "", NULL, NULL, LN_PARAM_REQUIRED, 0 },
        { "grid", LN_PARAM_CHOICE, offsetof(opts, grid), -1, 0, 63, "", "a|b", NULL, LN_PARAM_REQUIRED, 0 },
        LN_P_END,
    };
    opts o = INIT;
    ln_params_defaults(required, &o);
    assert_fails(ln_params_check(required, &o, "test"), LN_ERR_ARG, "test: --out-dir DIR is required");
    o.out_dir = "d";
    assert_fails(ln_params_check(required, &o, "test"), LN_ERR_ARG, "--keep is required");
    o.keep = 2;
    assert_fails(ln_params_check(required, &o, "test"), LN_ERR_RANGE, "--keep = 2 is outside");
    o.keep = 1;
    assert_fails(ln_params_check(required, &o, "test"), LN_ERR_ARG, "--grid is required");
    o.grid = 1;
    assert_ok(ln_params_check(required, &o, "test"));
}

/* Whatever value an option has, its text sets the same value again. */
static void text_form_reads_back(void **state)
{
    (void)state;
    static const double reals[] = { 0.1, 1.0 / 3, 1e-300, 0, 1 };
    for (int64_t i = 0; i < LN_COUNT(reals); i++) {
        opts o = INIT, again = INIT;
        o.rank = (int32_t)i * 1000;
        o.keep = reals[i];
        o.lr = reals[i] * 1e300;
        o.exact = i % 2 != 0;
        o.steps = INT64_C(123456789012345678) + i;
        o.max_memory = i == 0 ? 0 : (INT64_C(1) << (10 * i)) + (i == 4);
        o.out_dir = "some where";
        o.grid = (int32_t)(i % 3);
        for (const ln_param *p = table; p->type != LN_PARAM_END; p++) {
            char *text = NULL;
            assert_ok(ln_params_text(&text, p, &o));
            if (p->type == LN_PARAM_STRING)
                again.out_dir = "some where";
            else
                assert_ok(set(&again, p->name, text));
            ln_free(text);
        }
        assert_memory_equal(&again.rank, &o.rank, sizeof o.rank);
        assert_true(again.keep == o.keep && again.lr == o.lr && again.exact == o.exact && again.steps == o.steps);
        assert_true(again.max_memory == o.max_memory && again.grid == o.grid);
    }
    opts o = INIT;
    char *text = NULL;
    assert_ok(ln_params_text(&text, &table[4], &o));
    assert_string_equal(text, "2G");
    ln_free(text);
    assert_ok(ln_params_text(&text, &table[5], &o)); /* no text: empty */
    assert_string_equal(text, "");
    ln_free(text);
    assert_ok(ln_params_text(&text, &table[1], &o));
    assert_string_equal(text, "0.8");
    ln_free(text);
}

static void structs_of_other_versions_are_adopted(void **state)
{
    (void)state;
    const opts defaults = INIT;
    opts mine = INIT, o = INIT;
    assert_ok(ln__opts_adopt(&mine, sizeof mine, NULL, table, "test"));
    assert_memory_equal(&mine, &defaults, offsetof(opts, struct_size) + sizeof mine.struct_size);
    o.struct_size = offsetof(opts, steps); /* an older caller: later fields keep our defaults */
    o.rank = 5;
    o.steps = -7;
    assert_ok(ln__opts_adopt(&mine, sizeof mine, &o, table, "test"));
    assert_int_equal(mine.rank, 5);
    assert_int_equal(mine.steps, 1000);
    assert_int_equal(mine.struct_size, sizeof mine);
    union {
        opts known;
        unsigned char bytes[sizeof(opts) + 16];
    } newer = { .known = INIT };
    newer.known.struct_size = sizeof newer;
    assert_ok(ln__opts_adopt(&mine, sizeof mine, &newer, table, "test"));
    newer.bytes[sizeof(opts) + 15] = 1;
    assert_fails(ln__opts_adopt(&mine, sizeof mine, &newer, table, "test"), LN_ERR_UNSUPPORTED,
                 "test: byte 79 of the options is newer than this library");
    o = defaults;
    o.struct_size = 0;
    assert_fails(ln__opts_adopt(&mine, sizeof mine, &o, table, "test"), LN_ERR_ARG, "struct_size is 0");
    o = defaults;
    o.keep = 7;
    assert_fails(ln__opts_adopt(&mine, sizeof mine, &o, table, "test"), LN_ERR_RANGE, "test: --keep = 7");
    assert_ok(ln__opts_adopt(&mine, sizeof mine, &defaults, NULL, "test"));
}

/* In the order of the table, as text; what was not given is "" or is left out. */
static void options_become_json(void **state)
{
    (void)state;
    const opts o = INIT;
    for (int given_only = 0; given_only < 2; given_only++) {
        json_t *to = json_object();
        char *text = NULL;
        assert_ok(ln__params_into(to, table, &o, given_only != 0));
        assert_ok(ln__params_into(to, NULL, NULL, true));
        assert_ok(ln__json_text(&text, to, 0));
        const char *dir = strstr(text, "\"out_dir\""), *grid = strstr(text, "\"grid\"");
        assert_non_null(strstr(text, "\"rank\":\"16\""));
        assert_non_null(strstr(text, "\"max_memory\":\"2G\""));
        assert_true(grid && strstr(grid, "full"));
        assert_true(given_only ? !dir : dir && dir < grid);
        ln__free(text);
        json_decref(to);
    }
}

static const char *word_at(const void *list, int64_t i)
{
    return ((const char *const *)list)[i];
}

static void nearest_word_is_found(void **state)
{
    (void)state;
    static const char *const words[] = { "compress", "convert", "eval", "info" };
    assert_string_equal(ln__nearest("compres", word_at, words, 4), "compress");
    assert_string_equal(ln__nearest("covnert", word_at, words, 4), "convert");
    assert_string_equal(ln__nearest("evl", word_at, words, 4), "eval");
    assert_null(ln__nearest("generate", word_at, words, 4));
    assert_null(ln__nearest("x", word_at, words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_every_field),
        cmocka_unit_test(text_sets_every_kind),
        cmocka_unit_test(byte_counts_take_suffixes),
        cmocka_unit_test(bad_text_is_refused_and_nothing_is_set),
        cmocka_unit_test(misspelt_options_get_a_suggestion),
        cmocka_unit_test(check_finds_what_was_set_in_code),
        cmocka_unit_test(required_options_must_be_given),
        cmocka_unit_test(text_form_reads_back),
        cmocka_unit_test(structs_of_other_versions_are_adopted),
        cmocka_unit_test(options_become_json),
        cmocka_unit_test(nearest_word_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
