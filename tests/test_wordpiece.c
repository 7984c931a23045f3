/* room: text */
/* test_wordpiece.c - BERT's cleaning and splitting, longest pieces first, whole words unknown, decoding. */
#include "tokenizer_fixture.h"

#define VOCAB                                                                                                          \
    "\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"un\":4,\"##aff\":5,\"##able\":6,\"una\":7,\"##ffable\":8,\"!"   \
    "\":9,"                                                                                                            \
    "\"cafe\":10,\"##s\":11,\"don\":12,\"'\":13,\"t\":14,\"\xE4\xB8\xAD\":15,\"##\xE4\xB8\xAD\":16,\"Cafe\":17,\"a\":" \
    "18,\"##a\":19,"                                                                                                   \
    "\"\xC3\x9F\":20,\"i\":21,\"##\xCC\x87\":22,\"caf\xC3\xA9\":23"

static const char file[] =
    "{\"added_tokens\":[{\"id\":2,\"content\":\"[CLS]\",\"special\":true},{\"id\":3,\"content\":\"[SEP]\",\"special\":"
    "true}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":%"
    "s,\"lowercase\":%s},"
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]},"
    "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},"
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_"
    "per_word\":10,"
    "\"vocab\":{" VOCAB "}}}";

static ln_tokenizer *make(const char *strip_accents, const char *lowercase)
{
    char json[4096];
    snprintf(json, sizeof json, file, strip_accents, lowercase);
    return parse(json);
}

static void longest_pieces_first(void **state)
{
    (void)state;
    ln_tokenizer *t = make("null", "true");
    assert_string_equal(ln_tokenizer_kind(t), "WordPiece");
    assert_tokens(t, "unaffable", 0, (const char *[]){ "una", "##ffable", NULL });
    assert_tokens(t, "UNAFF", 0, (const char *[]){ "[UNK]", NULL }); /* una fits, ##ff does not: all of it is unknown */
    assert_tokens(t, "unaffa", 0, (const char *[]){ "[UNK]", NULL });
    assert_tokens(t, "unable", 0,
                  (const char *[]){ "[UNK]", NULL }); /* una + ##ble; it is greedy, un ##able is not tried */
    assert_tokens(t, "cafes!", 0, (const char *[]){ "cafe", "##s", "!", NULL });
    assert_tokens(t, "don't", LN_TOKENIZE_WRAP, (const char *[]){ "[CLS]", "don", "'", "t", "[SEP]", NULL });
    assert_tokens(t, "", LN_TOKENIZE_WRAP, (const char *[]){ "[CLS]", "[SEP]", NULL });
    ln_tokenizer_release(t);
}

static void text_is_cleaned_as_bert_cleans_it(void **state)
{
    (void)state;
    ln_tokenizer *t = make("null", "true");
    assert_tokens(t, "Caf\xC3\xA9", 0, (const char *[]){ "cafe", NULL });
    assert_tokens(t, "CAFE\xCC\x81", 0, (const char *[]){ "cafe", NULL });
    assert_tokens(t,
                  "ca\x01"
                  "fe\xEF\xBF\xBD\xE2\x80\x8B",
                  0, (const char *[]){ "cafe", NULL });
    assert_tokens(t,
                  "cafe\xC2\xA0"
                  "cafe\r\n\tcafe",
                  0, (const char *[]){ "cafe", "cafe", "cafe", NULL });
    assert_tokens(t,
                  "a\xE4\xB8\xAD\xE4\xB8\xAD"
                  "a",
                  0, (const char *[]){ "a", "\xE4\xB8\xAD", "\xE4\xB8\xAD", "a", NULL });
    assert_tokens(t,
                  "a\xE2\x80\x94"
                  "a",
                  0, (const char *[]){ "a", "[UNK]", "a", NULL });  /* a dash is a word */
    assert_tokens(t, "\xC4\xB0", 0, (const char *[]){ "i", NULL }); /* capital I with dot: i, and a mark that goes */
    assert_tokens(t,
                  "a\xFF"
                  "a",
                  0, (const char *[]){ "a", "##a", NULL }); /* broken bytes: U+FFFD, cleaned away */
    ln_tokenizer_release(t);
    t = make("false", "true"); /* the accent stays */
    assert_tokens(t, "Caf\xC3\xA9", 0, (const char *[]){ "caf\xC3\xA9", NULL });
    assert_tokens(t, "\xC4\xB0", 0, (const char *[]){ "i", "##\xCC\x87", NULL });
    ln_tokenizer_release(t);
    t = make("null", "false"); /* null follows lowercase */
    assert_tokens(t, "Cafe caf\xC3\xA9", 0, (const char *[]){ "Cafe", "caf\xC3\xA9", NULL });
    ln_tokenizer_release(t);
    t = make("true", "false");
    assert_tokens(t, "Caf\xC3\xA9", 0, (const char *[]){ "Cafe", NULL });
    ln_tokenizer_release(t);
}

static void long_words_are_unknown_by_characters(void **state)
{
    (void)state;
    ln_tokenizer *t = make("null", "true");
    assert_tokens(t, "aaaaaaaaaa", 0,
                  (const char *[]){ "a", "##a", "##a", "##a", "##a", "##a", "##a", "##a", "##a", "##a", NULL });
    assert_tokens(t, "aaaaaaaaaaa", 0, (const char *[]){ "[UNK]", NULL });
    ln_tokenizer_release(t);
}

static void decoding_joins_words(void **state)
{
    (void)state;
    ln_tokenizer *t = make("null", "true");
    const int32_t ids[] = { 2, 10, 11, 9, 12, 13, 14, 3 };
    char *text = NULL;
    size_t n = 0;
    OK(ln_tokenizer_decode(&text, &n, t, ids, 8, true));
    assert_string_equal(text, "cafes! don ' t");
    ln_free(text);
    OK(ln_tokenizer_decode(&text, &n, t, ids, 4, false));
    assert_string_equal(text, "[CLS] cafes!");
    ln_free(text);
    ln_tokenizer_release(t);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        ln_status st;
        const char *words;
    } bad[] = {
        { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", LN_ERR_FORMAT, "[UNK]" },
        { "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"a\",\"max_input_chars_per_word\":0,\"vocab\":{\"a\":0}}}",
          LN_ERR_FORMAT, "max_input_chars_per_word" },
        { "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"a\",\"vocab\":"
          "{\"a\":0}}}",
          LN_ERR_UNSUPPORTED, "ByteLevel" },
    };
    for (int i = 0; i < LN_COUNT(bad); i++) {
        ln_tokenizer *t = (ln_tokenizer *)1;
        const ln_status st = ln_tokenizer_parse(&t, bad[i].json, strlen(bad[i].json), "bad.json");
        if (st != bad[i].st || !strstr(ln_last_error(), bad[i].words))
            fail_msg("case %d: %s '%s'", i, ln_status_name(st), ln_last_error());
        assert_ptr_equal(t, (void *)1);
    }
}

static ln_status encode_once(void *arg)
{
    static const char text[] = "Caf\xC3\xA9s unaffable \xE4\xB8\xAD don't";
    int32_t *ids = (int32_t *)1;
    int64_t n = -7;
    const ln_status st = ln_tokenizer_encode(&ids, &n, arg, text, sizeof text - 1, LN_TOKENIZE_WRAP);
    if (st == LN_OK)
        ln_free(ids);
    else
        assert_true(ids == (int32_t *)1 && n == -7);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    ln_tokenizer *t = make("null", "true");
    torture(encode_once, t);
    ln_tokenizer_release(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_pieces_first),
        cmocka_unit_test(text_is_cleaned_as_bert_cleans_it),
        cmocka_unit_test(long_words_are_unknown_by_characters),
        cmocka_unit_test(decoding_joins_words),
        cmocka_unit_test(refusals),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("wordpiece", tests, io_setup, io_teardown);
}
