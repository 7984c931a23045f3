/* room: text */
/* test_bpe.c - scanners against the patterns they stand for, merging against its definition, Unicode tables, GGUF and
 * tokenizer.json that are refused, added tokens, failing allocations. */
#include "tokenizer_fixture.h"

#include <utf8proc.h>

#include "io/gguf.h"
#include "text/scan.h"

static uint64_t rng = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % below;
}

/* ---- Unicode ---- */

static void classes_are_those_of_the_runs(void **state)
{
    (void)state;
    const ln__unicode_table *u = ln__unicode();
    uint32_t cp = 0;
    for (int r = 0; r < ln__unicode_run_count; r++) {
        const uint32_t end = r + 1 < ln__unicode_run_count ? ln__unicode_runs[r + 1] >> 11 : 0x110000;
        assert_int_equal(cp, ln__unicode_runs[r] >> 11);
        for (; cp < end; cp++)
            if (ln__char_class(u, cp) != (ln__unicode_runs[r] & 0x7FF))
                fail_msg("U+%04X", cp);
    }
    assert_int_equal(cp, 0x110000);
}

/* Against utf8proc, which knows fewer characters (older Unicode): those it knows must agree. */
static void classes_agree_with_utf8proc(void **state)
{
    (void)state;
    const ln__unicode_table *u = ln__unicode();
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)cp);
        const unsigned c = ln__char_class(u, cp);
        if (k == UTF8PROC_CATEGORY_CN || k == UTF8PROC_CATEGORY_CS)
            continue;
        const bool letter = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
        const bool number = k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
        const bool mark = k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
        if (letter != !!(c & LN_CH_LETTER) || number != !!(c & LN_CH_NUMBER) || number != !!(c & LN_CH_DIGIT))
            fail_msg("U+%04X: class %03x", cp, c);
        if ((c & LN_CH_MARK && !mark) ||
            (k == UTF8PROC_CATEGORY_CC) > (cp == 9 || cp == 10 || cp == 13 || c & LN_CH_CTRL))
            fail_msg("U+%04X: class %03x", cp, c);
        if (ln__lower(cp) != cp && cp != 0x130 && (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) != ln__lower(cp))
            fail_msg("U+%04X: lower case %04X", cp, ln__lower(cp));
    }
}

/* Characters that tokenizers stumble over, and any others. */
static size_t random_text(char *out, int chars)
{
    static const uint32_t odd[] = { ' ',    ' ',    ' ',     '\n',   '\n',   '\r',   '\t',  '\'', 's',   't',   'r',
                                    'e',    'v',    'l',     'S',    'L',    'a',    'b',   '.',  ',',   '-',   '1',
                                    '2',    '9',    0xA0,    0x85,   0x2028, 0x3000, 0x17F, 0xE9, 0x301, 0x661, 0xBD,
                                    0x2160, 0x4E2D, 0x1F600, 0x200D, 0xFFFD, 0xB,    0xC,   0x1C, 0xDF };
    size_t n = 0;
    for (int i = 0; i < chars; i++) {
        uint32_t cp = odd[draw(LN_COUNT(odd))];
        if (draw(4) == 0)
            cp = (uint32_t)(draw(3) ? draw(0x3000) : draw(0x110000));
        if ((cp >= 0xD800 && cp < 0xE000) || cp == 0)
            cp = 'x';
        n += ln__utf8_put(out + n, cp);
    }
    return n;
}

static void normal_forms_are_those_of_the_whole(void **state)
{
    (void)state;
    static const utf8proc_option_t how[] = { UTF8PROC_COMPOSE, UTF8PROC_DECOMPOSE, UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
                                             UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT };
    for (int round = 0; round < 4000; round++) {
        char text[400];
        const size_t n = random_text(text, (int)draw(40));
        const ln__norm_form form = (ln__norm_form)(round % 4);
        ln__buf got = { 0 };
        utf8proc_uint8_t *want = NULL;
        OK(ln__normal_form(&got, text, n, form));
        const utf8proc_ssize_t len =
            utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &want, UTF8PROC_STABLE | how[form]);
        assert_int_equal(got.len, len);
        assert_memory_equal(got.data ? got.data : "", want, len);
        free(want);
        ln__buf_free(&got);
    }
}

static void broken_utf8_becomes_replacement_characters(void **state)
{
    (void)state;
#define R "\xEF\xBF\xBD"
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "abc", "abc" },
        { "\x80", R },
        { "a\xFF"
          "b",
          "a" R "b" },
        { "\xC0\xAF", R R },
        { "\xE2\x82", R },
        { "\xE2\x82\xAC", "\xE2\x82\xAC" },
        { "\xE2\x28\xA1", R "(" R },
        { "\xED\xA0\x80", R R R },
        { "\xF0\x9F\x98", R },
        { "\xF0\x9F\x98\x41", R "A" },
        { "\xF4\x90\x80\x80", R R R R },
        { "\xF8\x88\x80\x80\x80", R R R R R },
        { "\xF0\x80\x80", R R R },
        { "\xC3\xA9\xC3", "\xC3\xA9" R },
        { "\xE0\x9F\xBF", R R R },
        { "\xF1\x80\x80\xF1\x80\xF1", R R R },
    };
    for (int i = 0; i < LN_COUNT(cases); i++) {
        char *out = NULL;
        size_t n = 0;
        OK(ln_text_repair(&out, &n, cases[i].in, strlen(cases[i].in)));
        assert_string_equal(out, cases[i].out);
        ln_free(out);
    }
    assert_int_equal(ln_text_complete("a\xE2\x82", 3), 1);
    assert_int_equal(ln_text_complete("a\xE2\x82\xAC", 4), 4);
    assert_int_equal(ln_text_complete("\xF0\x9F\x98", 3), 0);
    assert_int_equal(ln_text_complete("a\x82", 2), 2);
    assert_int_equal(ln_text_complete("abc", 3), 3);
    assert_int_equal(ln_text_complete("", 0), 0);
}

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

/* ---- tokenizer.json: parts, added tokens, refusals ---- */

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

static ln_status repair_once(void *arg)
{
    char *text = (char *)1;
    size_t bytes = 0;
    const ln_status st = ln_text_repair(&text, &bytes, arg, strlen(arg));
    if (st == LN_OK)
        ln_free(text);
    else
        assert_ptr_equal(text, (void *)1);
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
    torture(repair_once, "a\xFF"
                         "b");
    ln_tokenizer_release(t);
    torture(open_once, (void *)io_path("spm.gguf"));
    torture(open_once, (void *)io_path("bpe.gguf"));
    torture(open_once, (void *)io_path("bert.gguf"));
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
        cmocka_unit_test(classes_are_those_of_the_runs),
        cmocka_unit_test(classes_agree_with_utf8proc),
        cmocka_unit_test(normal_forms_are_those_of_the_whole),
        cmocka_unit_test(broken_utf8_becomes_replacement_characters),
        cmocka_unit_test(scanners_cut_as_their_patterns_do),
        cmocka_unit_test(golden_text_is_cut_the_same_by_pcre2),
        cmocka_unit_test(merging_follows_its_definition),
        cmocka_unit_test(scores_merge_the_best_first),
        cmocka_unit_test(gguf_pre_tokenizers_and_bert),
        cmocka_unit_test(added_tokens_obey_their_flags),
        cmocka_unit_test(splitting_behaviors),
        cmocka_unit_test(unknown_characters_and_fallback),
        cmocka_unit_test(bad_files_are_refused_by_name),
        cmocka_unit_test(a_pattern_that_never_ends_is_an_error),
        cmocka_unit_test(bad_arguments_and_ids),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("bpe", tests, io_setup, io_teardown);
}
