/* room: text */
/* test_tokenizer_json.c - tokenizer.json: added tokens, behaviours of splits, unknown characters, refusals, arguments,
 * failing allocations. */
#include "tokenizer_fixture.h"

#define S "\xE2\x96\x81"
#define MODEL(more)                                                                                                    \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\xE2\x96\x81\":3,\"\xE2\x96\x81"                \
    "a\":4,\"u\":5},"                                                                                                  \
    "\"merges\":[\"a b\",\"\xE2\x96\x81 a\"]" more "}"

static void added_tokens_obey_their_flags(void **state)
{
    (void)state;
    ln_tokenizer *t = parse("{\"added_tokens\":["
                            "{\"id\":6,\"content\":\"<x>\",\"special\":true,\"normalized\":false,\"lstrip\":true,"
                            "\"rstrip\":true,\"single_word\":false},"
                            "{\"id\":7,\"content\":\"<x>y\",\"special\":false,\"normalized\":false,\"lstrip\":false,"
                            "\"rstrip\":false,\"single_word\":false},"
                            "{\"id\":8,\"content\":\"ba\",\"special\":false,\"normalized\":false,\"lstrip\":false,"
                            "\"rstrip\":false,\"single_word\":true},"
                            "{\"id\":9,\"content\":\"BU\",\"special\":false,\"normalized\":true,\"lstrip\":false,"
                            "\"rstrip\":false,\"single_word\":false}],"
                            "\"normalizer\":{\"type\":\"Lowercase\"}," MODEL("") "}");
    assert_ids(t, "ab<x>ab", LN_TOKENIZE_SPECIAL, (int32_t[]){ 2, 6, 2, -1 });
    assert_ids(t, "a \n<x> \tb", LN_TOKENIZE_SPECIAL, (int32_t[]){ 0, 6, 1, -1 });
    assert_ids(t, "a<x>yb", LN_TOKENIZE_SPECIAL, (int32_t[]){ 0, 7, 1, -1 }); /* the longest */
    assert_ids(t, "a<x>yb", 0, (int32_t[]){ 0, 7, 1, -1 });                   /* not special */
    assert_ids(t, "a<x>b", 0, (int32_t[]){ 2, -1 }); /* "<x>" has no tokens and vanishes, as in the peer */
    assert_ids(t, "ba", 0, (int32_t[]){ 8, -1 });
    assert_ids(t, "ba.ba!", 0, (int32_t[]){ 8, 8, -1 });
    assert_ids(t, "bab", 0, (int32_t[]){ 1, 2, -1 });
    assert_ids(t,
               "\xC3\xA9"
               "ba",
               0, (int32_t[]){ 1, 0, -1 });
    assert_ids(t, "abu", 0, (int32_t[]){ 0, 9, -1 }); /* found in the normalised text */
    assert_ids(t, "aBU", 0, (int32_t[]){ 0, 9, -1 });
    ln_tokenizer_release(t);
}

static void splitting_behaviors(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *text;
        const char *pieces[8]; /* as the unknown token cannot join them: vocabulary below has single letters */
    } cases[] = {
        { "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"Removed\",\"invert\":false}",
          "ab-ab",
          { "ab", "ab" } },
        { "{\"type\":\"Split\",\"pattern\":{\"String\":\"b\"},\"behavior\":\"Isolated\",\"invert\":false}",
          "aba",
          { "a", "b", "a" } },
        { "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"b+\"},\"behavior\":\"MergedWithPrevious\",\"invert\":false}",
          "abab",
          { "ab", "ab" } },
        { "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"MergedWithPrevious\",\"invert\":false}",
          "abab",
          { "a", "b", "a", "b" } },
        { "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"MergedWithNext\",\"invert\":false}",
          "abab",
          { "ab", "ab" } },
        { "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[ab]\"},\"behavior\":\"Contiguous\",\"invert\":false}",
          "abuab",
          { "ab", "u", "ab" } },
        { "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"ab\"},\"behavior\":\"Removed\",\"invert\":true}",
          "uabu-ab",
          { "ab", "ab" } },
        { "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":\"Punctuation\"}]}",
          "ab. a",
          { "ab", "a" } },
        { "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"u\"}", "abuab", { "ab", "ab" } },
        { "{\"type\":\"Whitespace\"}", "ab--ab  a", { "ab", "ab", "a" } },
        { "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"always\",\"split\":true}",
          "ab a",
          { S, "ab", S "a" } }, /* a b is merged before S a */
        { "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"never\",\"split\":true}",
          "ab a",
          { "ab", S "a" } },
        { "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"add_prefix_space\":true}", "  a", { S, S "a" } },
    };
    for (int i = 0; i < LN_COUNT(cases); i++) {
        char json[1200];
        snprintf(json, sizeof json, "{\"added_tokens\":[],\"pre_tokenizer\":%s," MODEL("") "}", cases[i].pre);
        ln_tokenizer *t = parse(json);
        assert_tokens(t, cases[i].text, 0, cases[i].pieces);
        ln_tokenizer_release(t);
    }
}

static void unknown_characters_and_fallback(void **state)
{
    (void)state;
    ln_tokenizer *t = parse("{" MODEL(",\"unk_token\":\"u\",\"fuse_unk\":true") "}");
    assert_ids(t, "axya", 0, (int32_t[]){ 0, 5, 0, -1 });
    ln_tokenizer_release(t);
    t = parse("{" MODEL(",\"unk_token\":\"u\",\"fuse_unk\":false") "}");
    assert_ids(t, "axya", 0, (int32_t[]){ 0, 5, 5, 0, -1 });
    ln_tokenizer_release(t);
    t = parse("{" MODEL(",\"unk_token\":null") "}");
    assert_ids(t, "axyb", 0, (int32_t[]){ 2, -1 }); /* what is unknown leaves nothing, not even a border */
    ln_tokenizer_release(t);
}

static void bad_files_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        ln_status st;
        const char *words;
    } bad[] = {
        { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", LN_ERR_UNSUPPORTED, "Unigram" },
        { "{\"model\":{\"type\":\"BPE\",\"merges\":[]}}", LN_ERR_FORMAT, "vocab" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", LN_ERR_FORMAT, "merges" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", LN_ERR_FORMAT, "id 0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", LN_ERR_FORMAT, "'a'" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999},\"merges\":[]}}", LN_ERR_FORMAT, "99999999" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", LN_ERR_FORMAT, "'a'" },
        { "{" MODEL(",\"dropout\":0.1") "}", LN_ERR_UNSUPPORTED, "dropout" },
        { "{" MODEL(",\"end_of_word_suffix\":\"</w>\"") "}", LN_ERR_UNSUPPORTED, "end_of_word_suffix" },
        { "{" MODEL(",\"unk_token\":\"zz\"") "}", LN_ERR_FORMAT, "zz" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}", LN_ERR_FORMAT, "merge 0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", LN_ERR_FORMAT, "merge 0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",1]]}}", LN_ERR_FORMAT, "merge 0" },
        { "{\"normalizer\":{\"type\":\"Precompiled\"}," MODEL("") "}", LN_ERR_UNSUPPORTED, "Precompiled" },
        { "{\"normalizer\":{}," MODEL("") "}", LN_ERR_FORMAT, "type" },
        { "{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL("") "}", LN_ERR_UNSUPPORTED, "UnicodeScripts" },
        { "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}," MODEL(
              "") "}",
          LN_ERR_FORMAT, "'('" },
        { "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Odd\"}," MODEL("") "}",
          LN_ERR_FORMAT, "Odd" },
        { "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a[b]]\"},\"behavior\":\"Isolated\"}," MODEL(
              "") "}",
          LN_ERR_UNSUPPORTED, "[a[b]]" },
        { "{\"decoder\":{\"type\":\"CTC\"}," MODEL("") "}", LN_ERR_UNSUPPORTED, "CTC" },
        { "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"q\"}}],"
          "\"special_tokens\":{}}," MODEL("") "}",
          LN_ERR_FORMAT, "'q'" },
        { "{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"c\",77],\"sep\":[\"d\",1]}," MODEL("") "}",
          LN_ERR_FORMAT, "77" },
        { "{\"added_tokens\":[{\"id\":1,\"content\":\"z\"}]," MODEL("") "}", LN_ERR_FORMAT, "id 1" },
        { "{\"added_tokens\":[{\"id\":9,\"content\":\"a\"}]," MODEL("") "}", LN_ERR_FORMAT, "'a'" },
        { "{\"added_tokens\":[{\"id\":9}]," MODEL("") "}", LN_ERR_FORMAT, "content" },
        { "{\"added_tokens\":7," MODEL("") "}", LN_ERR_FORMAT, "added_tokens" },
        { "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":"
          "\"Whitespace\"}]}," MODEL("") "}",
          LN_ERR_UNSUPPORTED, "ByteLevel" },
        { "nonsense", LN_ERR_FORMAT, "line 1" },
    };
    for (int i = 0; i < LN_COUNT(bad); i++) {
        ln_tokenizer *t = (ln_tokenizer *)1;
        const ln_status st = ln_tokenizer_parse(&t, bad[i].json, strlen(bad[i].json), "bad.json");
        if (st != bad[i].st || !strstr(ln_last_error(), bad[i].words) ||
            strncmp(ln_last_error(), "bad.json: ", 10) != 0)
            fail_msg("case %d: %s '%s', expected %s '%s'", i, ln_status_name(st), ln_last_error(),
                     ln_status_name(bad[i].st), bad[i].words);
        assert_ptr_equal(t, (void *)1);
    }
}

static void a_pattern_that_never_ends_is_an_error(void **state)
{
    (void)state;
    ln_tokenizer *t = parse(
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+)+$\"},\"behavior\":\"Isolated\"}," MODEL(
            "") "}");
    char text[64];
    int32_t *ids = (int32_t *)1;
    int64_t n = 5;
    memset(text, 'a', 63);
    text[63] = 'b';
    assert_int_equal(ln_tokenizer_encode(&ids, &n, t, text, 64, 0), LN_ERR_FORMAT);
    assert_non_null(strstr(ln_last_error(), "(a+)+$"));
    assert_ptr_equal(ids, (void *)1);
    ln_tokenizer_release(t);
}

/* ---- failing allocations ---- */

static const char rich[] =
    "{\"added_tokens\":[{\"id\":6,\"content\":\"<x>\",\"special\":true},{\"id\":7,\"content\":\"N\",\"normalized\":"
    "true}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Replace\",\"pattern\":{"
    "\"Regex\":\"q+\"},\"content\":\"a\"}]},"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"b\"},"
    "\"behavior\":\"MergedWithPrevious\"},"
    "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\"}]},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<x>\"}},{\"Sequence\":"
    "{\"id\":\"A\"}}],"
    "\"special_tokens\":{\"<x>\":{\"ids\":[6]}}},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"b\"},\"content\":"
    "\"B\"},{\"type\":\"Metaspace\"},"
    "{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}," MODEL("") "}";

static ln_status parse_once(void *arg)
{
    ln_tokenizer *t = (ln_tokenizer *)1;
    const ln_status st = ln_tokenizer_parse(&t, arg, strlen(arg), "rich.json");
    if (st == LN_OK)
        ln_tokenizer_release(t);
    else
        assert_ptr_equal(t, (void *)1);
    return st;
}

static ln_status encode_once(void *arg)
{
    static const char text[] =
        "ab<x>a\xCC\x81 \xFFNqqq ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab";
    int32_t *ids = (int32_t *)1;
    int64_t n = -7;
    const ln_status st =
        ln_tokenizer_encode(&ids, &n, arg, text, sizeof text - 1, LN_TOKENIZE_SPECIAL | LN_TOKENIZE_WRAP);
    if (st == LN_OK)
        ln_free(ids);
    else
        assert_true(ids == (int32_t *)1 && n == -7);
    return st;
}

static ln_status decode_once(void *arg)
{
    static const int32_t ids[] = { 6, 0, 1, 2, 3, 4 };
    char *text = (char *)1;
    size_t bytes = 99;
    const ln_status st = ln_tokenizer_decode(&text, &bytes, arg, ids, 6, false);
    if (st == LN_OK)
        ln_free(text);
    else
        assert_true(text == (char *)1 && bytes == 99);
    return st;
}

static ln_status write_once(void *arg)
{
    char *json = (char *)1, *config = NULL;
    size_t bytes = 99;
    ln_status st = ln_tokenizer_to_json(&json, &bytes, arg);
    if (st != LN_OK) {
        assert_true(json == (char *)1 && bytes == 99);
        return st;
    }
    st = ln_tokenizer_config_to_json(&config, &bytes, arg);
    ln_free(json);
    ln_free(config);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    torture(parse_once, (void *)rich);
    ln_tokenizer *t = parse(rich);
    torture(encode_once, t);
    torture(decode_once, t);
    torture(write_once, t);
    ln_tokenizer_release(t);
}

static void bad_arguments_and_ids(void **state)
{
    (void)state;
    ln_tokenizer *t = parse(rich), *held = ln_tokenizer_retain(t);
    char *text = (char *)1;
    int32_t *ids = (int32_t *)1, bad[] = { 0, 99 };
    size_t bytes = 0;
    int64_t n = 0;
    assert_int_equal(ln_tokenizer_encode(&ids, &n, NULL, "a", 1, 0), LN_ERR_ARG);
    assert_int_equal(ln_tokenizer_encode(&ids, &n, t, NULL, 1, 0), LN_ERR_ARG);
    assert_int_equal(ln_tokenizer_decode(&text, &bytes, t, bad, 2, false), LN_ERR_RANGE);
    assert_non_null(strstr(ln_last_error(), "99"));
    assert_int_equal(ln_tokenizer_decode(&text, &bytes, t, bad, -1, false), LN_ERR_ARG);
    assert_ptr_equal(text, (void *)1);
    assert_int_equal(ln_tokenizer_parse(NULL, "{}", 2, "x"), LN_ERR_ARG);
    OK(ln_tokenizer_encode(&ids, &n, t, NULL, 0, 0));
    assert_int_equal(n, 0);
    ln_free(ids);
    OK(ln_tokenizer_decode(&text, &bytes, t, (int32_t[]){ 6, 0 }, 2, true));
    assert_string_equal(text, "a");
    ln_free(text);
    ln_tokenizer_release(t);
    assert_int_equal(ln_tokenizer_vocab(held), 8);
    ln_tokenizer_release(held);
    ln_tokenizer_release(NULL);
    assert_null(ln_tokenizer_retain(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_tokens_obey_their_flags),
        cmocka_unit_test(splitting_behaviors),
        cmocka_unit_test(unknown_characters_and_fallback),
        cmocka_unit_test(bad_files_are_refused_by_name),
        cmocka_unit_test(a_pattern_that_never_ends_is_an_error),
        cmocka_unit_test(bad_arguments_and_ids),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("tokenizer_json", tests, io_setup, io_teardown);
}
