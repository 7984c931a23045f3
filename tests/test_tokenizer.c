/* room: text */
/* test_tokenizer.c - ids equal to those of PyPI tokenizers on more than 1 MB of text (golden/README.md), decoding,
 * writing back, refusals, failing allocations. */
#include "tokenizer_fixture.h"

static const char *const names[] = { "smollm2", "llama2", "minilm", "llama3", "qwen2", "gpt2" };

/* ---- goldens ---- */

/* Lines [first, last) of a text; `begin` lists where each begins, with one entry more. */
typedef struct lines {
    char *text;
    size_t *begin;
    int64_t n;
} lines;

static lines split_lines(char *text, size_t bytes)
{
    lines l = { text, NULL, 0 };
    for (size_t i = 0; i < bytes; i++)
        l.n += text[i] == '\n' || i + 1 == bytes;
    OK(LN_NEW(&l.begin, l.n + 1));
    int64_t k = 0;
    l.begin[k++] = 0;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == '\n' || i + 1 == bytes)
            l.begin[k++] = i + 1;
    return l;
}

/* Six repetitions, line i of repetition k being line (i + 97 k) mod n. */
static lines long_text(void)
{
    size_t bytes = 0;
    char *mixed = golden_text("mixed.txt", &bytes), *text = NULL;
    const lines l = split_lines(mixed, bytes);
    size_t at = 0;
    OK(LN_NEW(&text, 6 * bytes + 1));
    for (int64_t k = 0; k < 6; k++)
        for (int64_t i = 0; i < l.n; i++) {
            const int64_t line = (i + 97 * k) % l.n;
            memcpy(text + at, l.text + l.begin[line], l.begin[line + 1] - l.begin[line]);
            at += l.begin[line + 1] - l.begin[line];
        }
    ln__free(l.begin);
    ln__free(mixed);
    assert_int_equal(at, 6 * bytes);
    return split_lines(text, at);
}

static void assert_hash(const char *what, const int32_t *ids, int64_t n, const json_t *want)
{
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)XXH64(ids, (size_t)n * 4, 0));
    if (n != json_integer_value(json_object_get(want, "ids")) ||
        strcmp(hash, json_string_value(json_object_get(want, "xxh64"))) != 0)
        fail_msg("%s: %lld ids with hash %s, expected %lld with %s", what, (long long)n, hash,
                 (long long)json_integer_value(json_object_get(want, "ids")),
                 json_string_value(json_object_get(want, "xxh64")));
}

static void check_whole(const ln_tokenizer *t, const char *text, size_t bytes, const json_t *want, const char *what)
{
    int64_t n = 0;
    int32_t *ids = encode(t, text, bytes, LN_TOKENIZE_SPECIAL, &n);
    assert_int_equal(bytes, json_integer_value(json_object_get(want, "bytes")));
    assert_hash(what, ids, n, want);
    ln_free(ids);
}

/* Blocks of 64 lines, each tokenised by itself. */
static void check_blocks(const ln_tokenizer *t, const lines *l, const json_t *want, const char *what)
{
    const json_t *blocks = json_object_get(want, "blocks");
    int64_t total = 0;
    int32_t *all = NULL;
    OK(LN_NEW(&all, l->begin[l->n] + 1));
    assert_int_equal(l->n, json_integer_value(json_object_get(want, "lines")));
    for (int64_t b = 0; 64 * b < l->n; b++) {
        const size_t from = l->begin[64 * b], to = l->begin[LN_MIN(64 * b + 64, l->n)];
        const json_t *pair = json_array_get(blocks, (size_t)b);
        int64_t n = 0;
        char hash[32];
        int32_t *ids = encode(t, l->text + from, to - from, LN_TOKENIZE_SPECIAL, &n);
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)XXH64(ids, (size_t)n * 4, 0));
        if (n != json_integer_value(json_array_get(pair, 0)) ||
            strcmp(hash, json_string_value(json_array_get(pair, 1))) != 0)
            fail_msg("%s: block %lld: %lld ids, expected %lld (or other ones)", what, (long long)b, (long long)n,
                     (long long)json_integer_value(json_array_get(pair, 0)));
        memcpy(all + total, ids, (size_t)n * 4);
        total += n;
        ln_free(ids);
    }
    assert_hash(what, all, total, want);
    ln__free(all);
}

static size_t from_hex(char *out, const char *hex)
{
    size_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        out[n] = (char)byte;
    return n;
}

static void same_ids(const char *what, const int32_t *ids, int64_t n, const json_t *want)
{
    bool same = n == (int64_t)json_array_size(want);
    for (int64_t i = 0; same && i < n; i++)
        same = ids[i] == json_integer_value(json_array_get(want, (size_t)i));
    if (!same) {
        char *text = NULL;
        OK(ln__json_text(&text, want, 0));
        print_message("expected %.300s, got", text);
        for (int64_t i = 0; i < LN_MIN(n, 60); i++)
            print_message(" %d", ids[i]);
        ln__free(text);
        fail_msg("%s", what);
    }
}

/* The decoded text, made valid as the other implementation makes it. */
static void check_decoded(const ln_tokenizer *t, const int32_t *ids, int64_t n, const char *want, size_t len)
{
    char *bytes = NULL, *text = NULL;
    size_t got = 0, valid = 0;
    OK(ln_tokenizer_decode(&bytes, &got, t, ids, n, false));
    OK(ln_text_repair(&text, &valid, bytes, got));
    if (valid != len || memcmp(text, want, len) != 0)
        fail_msg("decoded '%s', expected '%s'", text, want);
    ln_free(bytes);
    ln_free(text);
}

static void check_case(const ln_tokenizer *t, const json_t *c, const char *what)
{
    char raw[4096], message[256];
    const json_t *text = json_object_get(c, "text"), *plain = json_object_get(c, "ids_plain");
    const json_t *decoded = json_object_get(c, "decoded");
    const char *s = text ? json_string_value(text) : raw;
    const size_t len = text ? json_string_length(text) : from_hex(raw, json_string_value(json_object_get(c, "hex")));
    snprintf(message, sizeof message, "%s: '%.200s'", what, s);
    int64_t n = 0;
    int32_t *ids = encode(t, s, len, LN_TOKENIZE_SPECIAL, &n);
    same_ids(message, ids, n, json_object_get(c, "ids"));
    check_decoded(t, ids, n, decoded ? json_string_value(decoded) : s, decoded ? json_string_length(decoded) : len);
    ln_free(ids);
    ids = encode(t, s, len, 0, &n);
    same_ids(message, ids, n, plain ? plain : json_object_get(c, "ids"));
    ln_free(ids);
}

static void check_all(const ln_tokenizer *t, const char *name, const json_t *golden, bool whole)
{
    size_t bytes = 0;
    const json_t *c;
    size_t i;
    json_array_foreach(json_object_get(golden, "cases"), i, c) check_case(t, c, name);
    json_array_foreach(json_object_get(golden, "templates"), i, c)
    {
        if (json_is_string(json_object_get(c, "pair")))
            continue;
        int64_t n = 0;
        const char *s = json_string_value(json_object_get(c, "text"));
        int32_t *ids = encode(t, s, strlen(s), LN_TOKENIZE_SPECIAL | LN_TOKENIZE_WRAP, &n);
        same_ids(name, ids, n, json_object_get(c, "ids"));
        ln_free(ids);
    }
    char *mixed = golden_text("mixed.txt", &bytes);
    check_whole(t, mixed, bytes, json_object_get(golden, "mixed"), name);
    ln__free(mixed);
    char *broken = golden_text("broken.bin", &bytes);
    lines l = split_lines(broken, bytes);
    check_blocks(t, &l, json_object_get(golden, "broken"), name);
    ln__free(l.begin);
    ln__free(broken);
    if (!whole)
        return;
    l = long_text();
    check_blocks(t, &l, json_object_get(golden, "long"), name);
    check_whole(t, l.text, l.begin[l.n], json_object_get(golden, "long_whole"), name);
    ln__free(l.begin);
    ln__free(l.text);
}

static void ids_equal_the_peer(void **state)
{
    const char *name = *state;
    char file[64];
    snprintf(file, sizeof file, "tokenizers/%s.ids.json", name);
    ln_tokenizer *t = golden_tokenizer(name);
    json_t *golden = golden_json(file);
    assert_int_equal(ln_tokenizer_vocab(t), json_integer_value(json_object_get(golden, "vocab_size")));
    check_all(t, name, golden, true);
    json_decref(golden);
    ln_tokenizer_release(t);
}

/* What is written reads back to a tokenizer with the same ids, and is written the same again. */
static void what_is_written_gives_the_same_ids(void **state)
{
    const char *name = *state;
    char file[64], *json = NULL, *again = NULL;
    size_t bytes = 0, bytes_again = 0;
    snprintf(file, sizeof file, "tokenizers/%s.ids.json", name);
    ln_tokenizer *t = golden_tokenizer(name), *u = NULL;
    OK(ln_tokenizer_to_json(&json, &bytes, t));
    OK(ln_tokenizer_parse(&u, json, bytes, "written"));
    OK(ln_tokenizer_to_json(&again, &bytes_again, u));
    assert_int_equal(bytes, bytes_again);
    assert_memory_equal(json, again, bytes);
    assert_string_equal(ln_tokenizer_kind(t), ln_tokenizer_kind(u));
    json_t *golden = golden_json(file);
    check_all(u, name, golden, false);
    json_decref(golden);
    ln_free(json);
    ln_free(again);
    ln_tokenizer_release(t);
    ln_tokenizer_release(u);
}

/* ---- the real ones ---- */

static void smollm2_from_gguf_says_what_it_is(void **state)
{
    (void)state;
    ln_tokenizer *t = golden_tokenizer("smollm2");
    assert_int_equal(ln_tokenizer_vocab(t), 49152);
    assert_int_equal(ln_tokenizer_bos(t), 1);
    assert_int_equal(ln_tokenizer_eos(t), 2);
    assert_int_equal(ln_tokenizer_pad(t), 2);
    assert_false(ln_tokenizer_adds_bos(t));
    assert_string_equal(ln_tokenizer_kind(t), "byte-level BPE (smollm)");
    assert_string_equal(ln_tokenizer_token(t, 1), "<|im_start|>");
    assert_int_equal(ln_tokenizer_id(t, "<|endoftext|>"), 0);
    assert_int_equal(ln_tokenizer_id(t, "no such token"), -1);
    assert_null(ln_tokenizer_token(t, 49152));
    assert_null(ln_tokenizer_token(t, -1));
    for (int32_t i = 0; i < 20; i++)
        assert_int_equal(ln_tokenizer_is_special(t, i), i < 17);
    assert_null(ln__tokenizer_note(t));
    assert_non_null(strstr(ln_tokenizer_chat_template(t), "<|im_start|>"));
    assert_tokens(t, "Hello world", 0, (const char *[]){ "Hello", "Ġworld", NULL });
    assert_tokens(t, "3.14", 0, (const char *[]){ "3", ".", "1", "4", NULL });
    assert_tokens(t, "  x", 0, (const char *[]){ "Ġ", "Ġx", NULL });
    assert_tokens(t, "I'm", 0, (const char *[]){ "I", "'m", NULL });
    assert_tokens(t, "in 2024", 0, (const char *[]){ "in", "Ġ", "2", "0", "2", "4", NULL });
    ln_tokenizer_release(t);
}

/* Ids of a prompt as another implementation gives them (golden/stories260k.json), and their text again. */
static void llama2c_file_gives_the_ids_of_its_model(void **state)
{
    (void)state;
    ln_tokenizer *t = NULL, *u = NULL;
    char *json = NULL, *text = NULL;
    size_t bytes = 0;
    OK(ln_tokenizer_open(&t, io_real("LINNET_DATA", "stories260k/tok512.bin")));
    json_t *golden = golden_json("stories260k.json");
    const json_t *prompt = json_object_get(golden, "prompt");
    const char *s = json_string_value(json_object_get(prompt, "text"));
    int64_t n = 0;
    int32_t *ids = encode(t, s, strlen(s), LN_TOKENIZE_WRAP, &n);
    same_ids("stories260k", ids, n, json_object_get(prompt, "ids"));
    OK(ln_tokenizer_decode(&text, &bytes, t, ids, n, true));
    assert_string_equal(text, s);
    assert_int_equal(ln_tokenizer_bos(t), 1);
    assert_int_equal(ln_tokenizer_eos(t), 2);
    assert_true(ln_tokenizer_adds_bos(t));
    ln_free(text);
    ln_free(ids);
    OK(ln_tokenizer_to_json(&json, &bytes, t));
    OK(ln_tokenizer_parse(&u, json, bytes, "written"));
    size_t size = 0;
    char *mixed = golden_text("mixed.txt", &size);
    int64_t m = 0;
    ids = encode(t, mixed, size, 0, &n);
    int32_t *other = encode(u, mixed, size, 0, &m);
    assert_int_equal(n, m);
    assert_memory_equal(ids, other, (size_t)n * sizeof *ids);
    ln_free(ids);
    ln_free(other);
    ln__free(mixed);
    ln_free(json);
    json_decref(golden);
    ln_tokenizer_release(t);
    ln_tokenizer_release(u);
}

/* Any bytes come back as what they are as text, whatever the tokenizer, if it has every byte. */
static void random_bytes_come_back(void **state)
{
    (void)state;
    static const char *const complete[] = { "llama3", "gpt2" };
    uint64_t rng = 88172645463325252u;
    for (int k = 0; k < LN_COUNT(complete); k++) {
        ln_tokenizer *t = golden_tokenizer(complete[k]);
        for (int round = 0; round < 300; round++) {
            char bytes[400];
            const size_t n = (size_t)(round % 400);
            for (size_t i = 0; i < n; i++) {
                rng ^= rng << 13;
                rng ^= rng >> 7;
                rng ^= rng << 17;
                bytes[i] = (char)(round & 1 ? rng : (rng >> 8) % 3 ? 0x20 + rng % 0x60 : rng);
            }
            char *want = NULL, *got = NULL;
            size_t n_want = 0, n_got = 0;
            int64_t count = 0;
            int32_t *ids = encode(t, bytes, n, 0, &count);
            OK(ln_text_repair(&want, &n_want, bytes, n));
            OK(ln_tokenizer_decode(&got, &n_got, t, ids, count, false));
            assert_int_equal(n_got, n_want);
            assert_memory_equal(got, want, n_got);
            ln_free(ids);
            ln_free(want);
            ln_free(got);
        }
        ln_tokenizer_release(t);
    }
}

static void open_tells_files_apart(void **state)
{
    (void)state;
    ln_tokenizer *t = (ln_tokenizer *)1;
    const struct {
        const char *content;
        ln_status st;
        const char *text;
    } bad[] = { { "", LN_ERR_FORMAT, "empty" },
                { "{}", LN_ERR_FORMAT, "no 'model'" },
                { "[1]", LN_ERR_FORMAT, "llama2.c" },
                { "GGUF", LN_ERR_FORMAT, "" },
                { "\x07\0\0\0zzzzzzzzzz", LN_ERR_FORMAT, "llama2.c" } };
    for (int i = 0; i < LN_COUNT(bad); i++) {
        const char *path = io_write("tokenizer.any", bad[i].content, i == 4 ? 14 : strlen(bad[i].content));
        const ln_status st = ln_tokenizer_open(&t, path);
        if (st != bad[i].st || !strstr(ln_last_error(), bad[i].text) || !strstr(ln_last_error(), "tokenizer.any"))
            fail_msg("case %d: %s: %s", i, ln_status_name(st), ln_last_error());
        assert_ptr_equal(t, (void *)1);
    }
    assert_int_equal(ln_tokenizer_open(&t, "no/such/file"), LN_ERR_NOTFOUND);
    assert_int_equal(ln_tokenizer_open(&t, LN_GOLDEN), LN_ERR_NOTFOUND);
    assert_non_null(strstr(ln_last_error(), "tokenizer.json"));
    assert_ptr_equal(t, (void *)1);
}

int main(void)
{
    struct CMUnitTest tests[32];
    int n = 0;
    static char labels[2][LN_COUNT(names)][64];
    for (int i = 0; i < LN_COUNT(names); i++) {
        snprintf(labels[0][i], sizeof labels[0][i], "ids_equal_the_peer %s", names[i]);
        snprintf(labels[1][i], sizeof labels[1][i], "what_is_written_gives_the_same_ids %s", names[i]);
        tests[n++] = (struct CMUnitTest){ labels[0][i], ids_equal_the_peer, NULL, NULL, (void *)names[i] };
        tests[n++] =
            (struct CMUnitTest){ labels[1][i], what_is_written_gives_the_same_ids, NULL, NULL, (void *)names[i] };
    }
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(smollm2_from_gguf_says_what_it_is);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(llama2c_file_gives_the_ids_of_its_model);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(random_bytes_come_back);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(open_tells_files_apart);
    return _cmocka_run_group_tests("tokenizer", tests, (size_t)n, io_setup, io_teardown);
}
