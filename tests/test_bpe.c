/* room: text */
/* test_bpe.c - scanners against the patterns they stand for, merging against its definition, tokenizers inside GGUF
 * files, failing allocations. */
#include "random_text.h"
#include "tokenizer_fixture.h"

#include "io/gguf.h"
#include "text/scan.h"

/* ---- scanners ---- */

#define LLAMA3(digits)                                                                                                 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits                                         \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* PCRE2 knows an older Unicode: characters it classes differently stay out of the comparison. */
static bool known_to_pcre2(void **match_data, ln__regex *classes[3], const char *s, size_t n)
{
    const ln__unicode_table *u = ln__unicode();
    static const unsigned bits[3] = { LN_CH_LETTER, LN_CH_NUMBER, LN_CH_SPACE };
    for (size_t i = 0, len; i < n; i += len) {
        const unsigned c = scan_class(u, (ln__at)s + i, &len);
        for (int k = 0; k < 3; k++) {
            ln__span m;
            OK(ln__regex_next(match_data, classes[k], s + i, len, 0, &m));
            if (m.match != !!(c & bits[k]))
                return false;
        }
    }
    return true;
}

/* Pieces of a part by PCRE2 are the pieces of the scanner, which starts at `at`. */
static void compare_part(void **match_data, ln__regex *r, ln__step_kind kind, const char *text, size_t n, size_t from,
                         size_t to)
{
    const ln__unicode_table *u = ln__unicode();
    ln__at p = (ln__at)text + from;
    for (size_t done = from; done < to;) {
        ln__span m;
        OK(ln__regex_next(match_data, r, text + from, to - from, done - from, &m));
        assert_true(m.match && m.begin == done - from);
        const ln__at q = scan_piece(kind, u, p, (ln__at)text + n);
        if (q != (ln__at)text + from + m.end)
            fail_msg("kind %d, '%.*s': piece at %zu ends at %zu, expected %zu", (int)kind, (int)n, text, done,
                     (size_t)(q - (ln__at)text), from + m.end);
        p = q;
        done = from + m.end;
    }
}

static void scanners_cut_as_their_patterns_do(void **state)
{
    (void)state;
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    const char *const patterns[] = { gpt2, gpt2, LLAMA3("{1,3}"), LLAMA3("") };
    static const ln__step_kind kinds[] = { LN_PRE_GPT2, LN_PRE_SMOLLM, LN_PRE_LLAMA3, LN_PRE_QWEN2 };
    ln__regex *r[4], *classes[3];
    void *match_data = NULL;
    int compared = 0;
    for (int k = 0; k < 4; k++)
        OK(ln__regex_new(&r[k], patterns[k], strlen(patterns[k]), "test"));
    OK(ln__regex_new(&classes[0], "\\p{L}", 5, "test"));
    OK(ln__regex_new(&classes[1], "\\p{N}", 5, "test"));
    OK(ln__regex_new(&classes[2], "\\s", 2, "test"));
    for (int round = 0; round < 20000; round++) {
        char text[200];
        const size_t n = random_text(text, 1 + (int)draw(24));
        if (!known_to_pcre2(&match_data, classes, text, n))
            continue;
        compared++;
        for (int k = 0; k < 4; k++) {
            if (kinds[k] != LN_PRE_SMOLLM) {
                compare_part(&match_data, r[k], kinds[k], text, n, 0, n);
                continue;
            }
            size_t from = 0; /* every digit alone; between them the pattern sees a text of its own */
            for (size_t i = 0, len; i < n; i += len) {
                if (!(scan_class(ln__unicode(), (ln__at)text + i, &len) & LN_CH_DIGIT))
                    continue;
                compare_part(&match_data, r[k], kinds[k], text, n, from, i);
                assert_ptr_equal(scan_piece(kinds[k], ln__unicode(), (ln__at)text + i, (ln__at)text + n),
                                 (ln__at)text + i + len);
                from = i + len;
            }
            compare_part(&match_data, r[k], kinds[k], text, n, from, n);
        }
    }
    assert_true(compared > 4000);
    for (int k = 0; k < 4; k++)
        ln__regex_free(r[k]);
    for (int k = 0; k < 3; k++)
        ln__regex_free(classes[k]);
    ln__regex_match_free(match_data);
}

/* The same text through the scanner, and through PCRE2 with a pattern that no scanner knows but means the same. */
static void golden_text_is_cut_the_same_by_pcre2(void **state)
{
    (void)state;
    size_t bytes = 0, json_bytes = 0;
    char *mixed = golden_text("mixed.txt", &bytes);
    static const char *const names[] = { "tokenizers/llama3.tokenizer.json", "tokenizers/qwen2.tokenizer.json" };
    for (int i = 0; i < 2; i++) {
        ln_tokenizer *t = NULL, *u = NULL;
        int64_t n = 0, m = 0;
        char *json = golden_text(names[i], &json_bytes);
        size_t last = 0; /* the last alternative, put in a group */
        while (last + 6 < json_bytes && memcmp(json + last, "|\\\\s+\"", 6) != 0)
            last++;
        assert_true(last + 6 < json_bytes);
        ln__buf other = { 0 };
        OK(ln_tokenizer_parse(&t, json, json_bytes, "scanner"));
        OK(ln__buf_add(&other, json, last));
        OK(ln__buf_puts(&other, "|(?:\\\\s+)\""));
        OK(ln__buf_puts(&other, json + last + 6));
        OK(ln_tokenizer_parse(&u, other.data, other.len, "pcre2"));
        assert_int_equal(u->pre.step[0].kind, LN_PRE_SPLIT);
        assert_int_equal(t->pre.step[0].kind, i ? LN_PRE_QWEN2 : LN_PRE_LLAMA3);
        int32_t *a = encode(t, mixed, bytes, 0, &n), *b = encode(u, mixed, bytes, 0, &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, (size_t)n * sizeof *a);
        ln_free(a);
        ln_free(b);
        ln__buf_free(&other);
        ln__free(json);
        ln_tokenizer_release(t);
        ln_tokenizer_release(u);
    }
    ln__free(mixed);
}

/* ---- merging ---- */

/* The definition, on strings: as long as some adjacent pair has a merge, the one of lowest rank, leftmost. */
typedef struct rule {
    char left[16], right[16];
} rule;

static int by_definition(char out[][64], const char *word, const rule *rules, int n_rules)
{
    int n = 0;
    for (const char *p = word; *p; p++, n++)
        out[n][0] = *p, out[n][1] = '\0';
    for (;;) {
        int best = n_rules, at = -1;
        for (int i = 0; i + 1 < n; i++)
            for (int r = 0; r < best; r++)
                if (strcmp(out[i], rules[r].left) == 0 && strcmp(out[i + 1], rules[r].right) == 0) {
                    best = r;
                    at = i;
                }
        if (at < 0)
            return n;
        char both[64];
        snprintf(both, sizeof both, "%.31s%.31s", out[at], out[at + 1]);
        memcpy(out[at], both, sizeof both);
        n--;
        for (int i = at + 1; i < n; i++)
            memcpy(out[i], out[i + 1], sizeof out[i]);
    }
}

/* Random merges over a, b, c; words of every length up to beyond the border between the two ways of merging. */
static void merging_follows_its_definition(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        char tokens[64][16] = { "a", "b", "c" };
        rule rules[40];
        int n_tokens = 3, n_rules = 0;
        for (int tries = 0; tries < 200 && n_rules < 30; tries++) {
            const char *l = tokens[draw((uint64_t)n_tokens)], *r = tokens[draw((uint64_t)n_tokens)];
            bool known = strlen(l) + strlen(r) > 8;
            for (int i = 0; i < n_rules; i++)
                known = known || (strcmp(rules[i].left, l) == 0 && strcmp(rules[i].right, r) == 0);
            if (known)
                continue;
            strcpy(rules[n_rules].left, l);
            strcpy(rules[n_rules++].right, r);
            char both[32];
            snprintf(both, sizeof both, "%.8s%.8s", l, r);
            bool old = false;
            for (int i = 0; i < n_tokens; i++)
                old = old || strcmp(tokens[i], both) == 0;
            if (!old)
                strcpy(tokens[n_tokens++], both);
        }
        ln__buf json = { 0 };
        OK(ln__buf_puts(&json, "{\"added_tokens\":[],\"model\":{\"type\":\"BPE\",\"vocab\":{"));
        for (int i = 0; i < n_tokens; i++)
            OK(ln__buf_printf(&json, "%s\"%s\":%d", i ? "," : "", tokens[i], i));
        OK(ln__buf_puts(&json, "},\"merges\":["));
        for (int i = 0; i < n_rules; i++)
            OK(ln__buf_printf(&json, round & 1 ? "%s\"%s %s\"" : "%s[\"%s\",\"%s\"]", i ? "," : "", rules[i].left,
                              rules[i].right));
        OK(ln__buf_puts(&json, "]}}"));
        ln_tokenizer *t = parse(json.data);
        for (int w = 0; w < 60; w++) {
            char word[200], want[200][64];
            const char *list[201];
            const int len = w < 40 ? w : 60 + (int)draw(100);
            for (int i = 0; i < len; i++)
                word[i] = "abc"[draw(w & 1 ? 3 : 2)];
            word[len] = '\0';
            const int n = by_definition(want, word, rules, n_rules);
            for (int i = 0; i < n; i++)
                list[i] = want[i];
            list[n] = NULL;
            assert_tokens(t, word, 0, list);
        }
        ln__buf_free(&json);
        ln_tokenizer_release(t);
    }
}

/* Scores: the highest joined token first, the leftmost of equals; bytes where a character has no token. */
static void scores_merge_the_best_first(void **state)
{
    (void)state;
    static const char *const tokens[] = { "<unk>",
                                          "<s>",
                                          "</s>",
                                          "a",
                                          "b",
                                          "aa",
                                          "ab",
                                          "aab",
                                          "\xE2\x96\x81",
                                          "\xE2\x96\x81"
                                          "a" };
    static const float scores[] = { 0, 0, 0, -5, -6, -2, -1, -3, -7, -4 };
    enum { N = 256 + LN_COUNT(tokens) };
    ln__gguf_writer *w = NULL;
    ln_archive *a = NULL;
    ln_tokenizer *t = NULL;
    ln__gguf_string strings[N];
    static char bytes[256][16];
    float score[N];
    int32_t type[N];
    for (int i = 0; i < N; i++) {
        const int b = i - (int)LN_COUNT(tokens);
        if (b >= 0)
            snprintf(bytes[b], sizeof bytes[b], "<0x%02X>", (unsigned)b & 255);
        const char *s = b >= 0 ? bytes[b] : tokens[i];
        strings[i] = (ln__gguf_string){ s, strlen(s) };
        score[i] = b >= 0 ? 0 : scores[i];
        type[i] = b >= 0 ? 6 : i == 0 ? 2 : i < 3 ? 3 : 1;
    }
    OK(ln__gguf_writer_new(&w, io_path("spm.gguf")));
    OK(ln__gguf_put_string(w, "general.architecture", "llama", 5));
    OK(ln__gguf_put_string(w, "tokenizer.ggml.model", "llama", 5));
    OK(ln__gguf_put_strings(w, "tokenizer.ggml.tokens", strings, N));
    OK(ln__gguf_put_f32s(w, "tokenizer.ggml.scores", score, N));
    OK(ln__gguf_put_i32s(w, "tokenizer.ggml.token_type", type, N));
    OK(ln__gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1));
    OK(ln__gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2));
    OK(ln__gguf_writer_commit(w));
    ln__gguf_writer_free(w);
    OK(ln_archive_open(&a, io_path("spm.gguf")));
    OK(ln__tokenizer_from_gguf(&t, a));
    ln_archive_release(a);
#define S "\xE2\x96\x81"
    assert_tokens(t, "aab", 0, (const char *[]){ S, "aab", NULL });       /* ab, then a + ab before S + a */
    assert_tokens(t, "baab", 0, (const char *[]){ S, "b", "aab", NULL }); /* ab, then a + ab */
    assert_tokens(t, "baaa", 0, (const char *[]){ S, "b", "aa", "a", NULL });
    assert_tokens(t, "b\xC3\xA9", LN_TOKENIZE_WRAP, (const char *[]){ "<s>", S, "b", "<0xC3>", "<0xA9>", NULL });
    assert_tokens(t, "a</s>b", LN_TOKENIZE_SPECIAL, (const char *[]){ S "a", "</s>", S, "b", NULL });
    assert_tokens(t, "", LN_TOKENIZE_WRAP, (const char *[]){ "<s>", NULL });
    assert_true(ln_tokenizer_adds_bos(t));
    ln_tokenizer_release(t);
}

static void gguf_pre_tokenizers_and_bert(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *kind;
        bool note;
    } cases[] = { { "smollm", "smollm", false },
                  { "gpt-2", "gpt-2", false },
                  { "llama-bpe", "llama-3", false },
                  { "qwen2", "qwen2", false },
                  { "mystery", "gpt-2", true } };
    static const ln__gguf_string tokens[] = { { "a", 1 }, { "b", 1 }, { "ab", 2 }, { "\xC4\xA0", 2 }, { "<e>", 3 } };
    static const ln__gguf_string merges[] = { { "a b", 3 } };
    static const int32_t types[] = { 1, 1, 1, 1, 3 };
    for (int i = 0; i < LN_COUNT(cases); i++) {
        ln__gguf_writer *w = NULL;
        ln_tokenizer *t = NULL;
        char kind[64];
        OK(ln__gguf_writer_new(&w, io_path("bpe.gguf")));
        OK(ln__gguf_put_string(w, "general.architecture", "llama", 5));
        OK(ln__gguf_put_string(w, "tokenizer.ggml.model", "gpt2", 4));
        OK(ln__gguf_put_string(w, "tokenizer.ggml.pre", cases[i].pre, strlen(cases[i].pre)));
        OK(ln__gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, 5));
        OK(ln__gguf_put_strings(w, "tokenizer.ggml.merges", merges, 1));
        OK(ln__gguf_put_i32s(w, "tokenizer.ggml.token_type", types, 5));
        OK(ln__gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 4));
        OK(ln__gguf_writer_commit(w));
        ln__gguf_writer_free(w);
        OK(ln_tokenizer_open(&t, io_path("bpe.gguf")));
        snprintf(kind, sizeof kind, "byte-level BPE (%s)", cases[i].kind);
        assert_string_equal(ln_tokenizer_kind(t), kind);
        assert_int_equal(ln__tokenizer_note(t) != NULL, cases[i].note);
        if (cases[i].note)
            assert_non_null(strstr(ln__tokenizer_note(t), "mystery"));
        assert_tokens(t, "ab<e>a", LN_TOKENIZE_SPECIAL, (const char *[]){ "ab", "<e>", "a", NULL });
        assert_tokens(t, "ab a", 0, (const char *[]){ "ab", "\xC4\xA0", "a", NULL });
        assert_int_equal(ln_tokenizer_adds_bos(t), i == 2);
        ln_tokenizer_release(t);
    }
    static const ln__gguf_string words[] = { { "[PAD]", 5 },        { "[UNK]", 5 },          { "[CLS]", 5 },
                                             { "[SEP]", 5 },        { "\xE2\x96\x81he", 5 }, { "llo", 3 },
                                             { "\xE2\x96\x81!", 4 } };
    ln__gguf_writer *w = NULL;
    ln_tokenizer *t = NULL;
    OK(ln__gguf_writer_new(&w, io_path("bert.gguf")));
    OK(ln__gguf_put_string(w, "general.architecture", "bert", 4));
    OK(ln__gguf_put_string(w, "tokenizer.ggml.model", "bert", 4));
    OK(ln__gguf_put_strings(w, "tokenizer.ggml.tokens", words, 7));
    OK(ln__gguf_writer_commit(w));
    ln__gguf_writer_free(w);
    OK(ln_tokenizer_open(&t, io_path("bert.gguf")));
    assert_string_equal(ln_tokenizer_kind(t), "WordPiece");
    assert_tokens(t, "HELLO!", LN_TOKENIZE_WRAP, (const char *[]){ "[CLS]", "he", "##llo", "!", "[SEP]", NULL });
    assert_int_equal(ln_tokenizer_pad(t), 0);
    ln_tokenizer_release(t);
}

/* ---- failing allocations ---- */

static ln_status open_once(void *arg)
{
    ln_tokenizer *t = (ln_tokenizer *)1;
    const ln_status st = ln_tokenizer_open(&t, arg);
    if (st == LN_OK)
        ln_tokenizer_release(t);
    else
        assert_ptr_equal(t, (void *)1);
    return st;
}

/* The files that the tests above have left. */
static void every_allocation_of_opening_may_fail(void **state)
{
    (void)state;
    torture(open_once, (void *)io_path("spm.gguf"));
    torture(open_once, (void *)io_path("bpe.gguf"));
    torture(open_once, (void *)io_path("bert.gguf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scanners_cut_as_their_patterns_do), cmocka_unit_test(golden_text_is_cut_the_same_by_pcre2),
        cmocka_unit_test(merging_follows_its_definition),    cmocka_unit_test(scores_merge_the_best_first),
        cmocka_unit_test(gguf_pre_tokenizers_and_bert),      cmocka_unit_test(every_allocation_of_opening_may_fail),
    };
    return cmocka_run_group_tests_name("bpe", tests, io_setup, io_teardown);
}
