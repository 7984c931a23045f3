/* room: model */
/* test_eval.c - every perplexity convention, choices and pairs against brute force; ranks with ties; bad files. */
#include "text_model.h"

#include <linnet/eval.h>

#include "model/similarity.h"

static const char story[] = "Once there was a small bird. It sang at the window, and the people who came by said: "
                            "What a song. But the bird, who had no house, sang on until the evening came.";

/* Where the context of token T begins under a convention (-1: with the prefix token), or -2 when it is not scored. */
static int64_t context_start(int convention, int64_t T, int64_t n, int64_t L, int64_t S)
{
    const int64_t w = T / L;
    switch (convention) {
    case LN_CONVENTION_FIXED:
    case LN_CONVENTION_WINDOWMEAN:
        return T % L ? w * L : -2;
    case LN_CONVENTION_LLAMACPP:
        return (w + 1) * L <= n && T % L > L / 2 ? w * L : -2;
    case LN_CONVENTION_STRIDE: {
        const int64_t i = T < L ? 0 : (T - L) / S + 1;
        return i * S == T ? -2 : i * S;
    }
    default: /* rolling */
        return w == 0 ? -1 : (w + 1) * L <= n ? w * L - 1 : n - L - 1;
    }
}

typedef struct expected {
    double nll, window_mean;
    int64_t scored;
} expected;

static expected brute_force(const ln_model *m, const int32_t *ids, int64_t n, const ln_perplexity_opts *o, int64_t S)
{
    expected e = { 0 };
    double mean = 0, in_window = 0;
    int64_t windows = 0, count = 0;
    int32_t *with_prefix = NULL;
    OK(LN_NEW(&with_prefix, n + 1));
    with_prefix[0] = 0;
    memcpy(with_prefix + 1, ids, (size_t)n * sizeof *ids);
    for (int64_t T = 0; T < n; T++) {
        const int64_t start = context_start(o->convention, T, n, o->context, S);
        if (T % o->context == 0 && count) {
            mean += in_window / (double)count;
            windows++;
            in_window = 0, count = 0;
        }
        if (start < -1)
            continue;
        const double nll = -logprob_of_last(m, with_prefix + start + 1, T - start + 1);
        e.nll += nll;
        in_window += nll;
        e.scored++;
        count++;
    }
    e.window_mean = count ? (mean + in_window / (double)count) / (double)(windows + 1) : mean / (double)windows;
    ln_free(with_prefix);
    return e;
}

static void conventions_are_what_they_say(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    int64_t n;
    int32_t *ids = ids_of(m, story, &n);
    for (int convention = 0; convention <= LN_CONVENTION_WINDOWMEAN; convention++)
        for (int64_t context = 2; context < 260; context = context * 3 + 1)
            for (int64_t stride = 0; stride <= context; stride += context / 2 + 1) {
                ln_perplexity_opts o = LN_PERPLEXITY_OPTS_INIT;
                ln_perplexity p = { 0 };
                o.convention = convention;
                o.context = LN_MIN(context, convention == LN_CONVENTION_LLAMACPP ? n : context);
                o.stride = convention == LN_CONVENTION_STRIDE ? stride : 0;
                const int64_t S = o.stride ? o.stride : LN_MAX(1, o.context / 2);
                if (convention == LN_CONVENTION_LLAMACPP && o.context == 2) {
                    check_failure(ln_eval_perplexity(&p, m, story, strlen(story), &o), LN_ERR_RANGE, "context = 2",
                                  "half");
                    continue;
                }
                OK(ln_eval_perplexity(&p, m, story, strlen(story), &o));
                const expected e = brute_force(m, ids, n, &o, S);
                const double mean = convention == LN_CONVENTION_WINDOWMEAN ? e.window_mean : e.nll / (double)e.scored;
                if (p.tokens_scored != e.scored || fabs(p.nll - e.nll) > 1e-3 || fabs(log(p.perplexity) - mean) > 1e-5)
                    fail_msg(
                        "convention %d context %lld stride %lld: %lld tokens, nll %.6f, log ppl %.6f; expected %lld, "
                        "%.6f, %.6f",
                        convention, (long long)o.context, (long long)S, (long long)p.tokens_scored, p.nll,
                        log(p.perplexity), (long long)e.scored, e.nll, mean);
                assert_int_equal(p.tokens, n);
                assert_int_equal(p.bytes, strlen(story));
                assert_int_equal(p.words, 34);
                assert_true(fabs(p.bits_per_byte - log(p.perplexity) * (double)n / (double)p.bytes / log(2)) < 1e-9);
            }
    ln_free(ids);
    ln_model_release(m);
}

static ln_tensor *silence(const char *name, const ln_tensor *t, void *ctx)
{
    ln_tensor *out = NULL;
    (void)ctx;
    if (strcmp(name, "model.norm.weight") != 0)
        return ln_tensor_retain(t);
    OK(ln_tensor_new(&out, LN_F32, 1, (int64_t[]){ ln_tensor_dim(t, 0) }));
    return out;
}

/* All logits equal: every token costs log V, whatever the convention. */
static void uniform_logits_give_the_vocabulary(void **state)
{
    (void)state;
    const variant v = { silence, own_end_token, NULL };
    text_model_write(&v);
    ln_model *m = variant_open();
    for (int convention = 0; convention <= LN_CONVENTION_WINDOWMEAN; convention++) {
        ln_perplexity_opts o = LN_PERPLEXITY_OPTS_INIT;
        ln_perplexity p = { 0 };
        o.convention = convention;
        o.context = 32;
        OK(ln_eval_perplexity(&p, m, story, strlen(story), &o));
        assert_true(fabs(p.perplexity - 64) < 1e-9);
        assert_true(p.standard_error < 1e-6);
    }
    ln_model_release(m);
}

static int stop_at_two(void *payload, const char *stage, int64_t done, int64_t total)
{
    assert_string_equal(stage, "perplexity");
    assert_true(done <= total);
    *(int64_t *)payload = total;
    return done == 2;
}

static void limits_cuts_and_cancelling(void **state)
{
    (void)state;
    ln_model *m = text_model_open(), *mute = tiny_open("llama");
    ln_perplexity_opts o = LN_PERPLEXITY_OPTS_INIT;
    ln_perplexity p = { .tokens = 77 };
    int64_t total = 0;
    o.context = 512;
    check_failure(ln_eval_perplexity(&p, m, story, strlen(story), &o), LN_ERR_RANGE, "context = 512|256", "context");
    o.context = 16;
    check_failure(ln_eval_perplexity(&p, m, "x", 1, &o), LN_ERR_SHAPE, "1 tokens|2", "short");
    check_failure(ln_eval_perplexity(&p, m, "", 0, &o), LN_ERR_SHAPE, "0 tokens", "empty");
    check_failure(ln_eval_perplexity(&p, mute, "x", 1, &o), LN_ERR_NOTFOUND, "tokenizer", "no tokenizer");
    o.convention = LN_CONVENTION_LLAMACPP;
    check_failure(ln_eval_perplexity(&p, m, story, 15, &o), LN_ERR_SHAPE, "15 tokens|16", "llama.cpp");
    o.convention = LN_CONVENTION_STRIDE;
    o.stride = 17;
    check_failure(ln_eval_perplexity(&p, m, story, strlen(story), &o), LN_ERR_RANGE, "stride = 17|16", "gaps");
    o.convention = LN_CONVENTION_FIXED;
    o.stride = 0;
    o.progress = stop_at_two;
    o.payload = &total;
    check_failure(ln_eval_perplexity(&p, m, story, strlen(story), &o), LN_ERR_CANCELLED, "2 of", "cancel");
    assert_int_equal(total, (int64_t)(strlen(story) + 14) / 16);
    assert_int_equal(p.tokens, 77);
    o.progress = NULL;
    o.max_tokens = 40;
    OK(ln_eval_perplexity(&p, m, story, strlen(story), &o));
    assert_int_equal(p.tokens, 40);
    assert_int_equal(p.bytes, 40);
    assert_int_equal(p.tokens_scored, 15 + 15 + 7);
    assert_int_equal(p.windows, 3);
    ln_model_release(m), ln_model_release(mute);
}

/* ---- choices and pairs ---- */

enum { ITEMS = 12 };

static const char *const questions[ITEMS] = { "What sings", "Who is it", "Where to",   "a",      "Why the bird sang",
                                              "How, then",  "x y z",     "The window", "It was", "b",
                                              "Once more",  "Done" };
static const char *const choices[ITEMS][3] = {
    { "a bird", "the window", "no" },
    { "they", "the people who came", "x" },
    { "home", "out", "the house" },
    { "b", "bb", "bbb" },
    { "for joy", "for the song it had", "z" },
    { "so", "and so on", "thus" },
    { "p", "qq", "rrr" },
    { "is small", "was open", "shut" },
    { "late", "the evening", "so" },
    { "c", "cc", "a longer one of the three" },
    { "again", "Again", "AGAIN" },
    { "yes", "no", "it is over" },
};

static double brute_choice(const ln_model *m, const char *question, const char *choice, int64_t *n_tokens)
{
    char text[256];
    int64_t n, head;
    snprintf(text, sizeof text, "Question: %s\nAnswer:", question);
    ln_free(ids_of(m, text, &head));
    snprintf(text, sizeof text, "Question: %s\nAnswer: %s", question, choice);
    int32_t *ids = ids_of(m, text, &n);
    double sum = 0;
    for (int64_t t = head; t < n; t++)
        sum += logprob_of_last(m, ids, t + 1);
    ln_free(ids);
    *n_tokens = n - head;
    return sum;
}

static int best_of(const double *x)
{
    return x[0] >= x[1] && x[0] >= x[2] ? 0 : x[1] >= x[2] ? 1 : 2;
}

static void choices_equal_brute_force(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    char *file = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&file, &len);
    int want[ITEMS], norm = 0, tok = 0, plain = 0;
    for (int i = 0; i < ITEMS; i++) {
        double s[3], per_char[3], per_token[3];
        const int answer = i % 3;
        for (int c = 0; c < 3; c++) {
            int64_t n;
            s[c] = brute_choice(m, questions[i], choices[i][c], &n);
            per_char[c] = s[c] / (double)strlen(choices[i][c]);
            per_token[c] = s[c] / (double)n;
        }
        want[i] = best_of(s) == answer;
        plain += want[i];
        norm += best_of(per_char) == answer;
        tok += best_of(per_token) == answer;
        fprintf(f, "{\"q\": \"%s\", \"choices\": [\"%s\", \"%s\", \"%s\"], \"answer\": %d}\n%s", questions[i],
                choices[i][0], choices[i][1], choices[i][2], answer, i == 4 ? "\n" : "");
    }
    fclose(f);
    const char *path = io_write("items.jsonl", file, len);
    free(file);
    ln_choices_result r = { 0 };
    uint8_t *correct = NULL;
    OK(ln_eval_choices(&r, &correct, m, path, 0, NULL, NULL));
    assert_int_equal(r.n, ITEMS);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(correct[i], want[i]);
    assert_true(fabs(r.accuracy - plain / (double)ITEMS) < 1e-12);
    assert_true(fabs(r.accuracy_norm - norm / (double)ITEMS) < 1e-12);
    assert_true(fabs(r.accuracy_tok - tok / (double)ITEMS) < 1e-12);
    assert_true(fabs(r.ci95 - 1.96 * sqrt(r.accuracy * (1 - r.accuracy) / ITEMS)) < 1e-12);
    ln_free(correct);
    OK(ln_eval_choices(&r, &correct, m, path, 5, NULL, NULL));
    assert_int_equal(r.n, 5);
    assert_int_equal(correct[4], want[4]);
    ln_free(correct);
    ln_model_release(m);
}

/* 300 characters of question on a context of 256: cut on the left. */
static void long_questions_lose_their_beginning(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    char question[301], text[1024];
    double s[2];
    for (int i = 0; i < 300; i++)
        question[i] = "the bird sang "[i % 14];
    question[300] = '\0';
    static const char *const ends[2] = { "a song", "nothing at all" };
    for (int c = 0; c < 2; c++) {
        int64_t n;
        snprintf(text, sizeof text, "Question: %s\nAnswer: %s", question, ends[c]);
        int32_t *ids = ids_of(m, text, &n);
        s[c] = 0;
        const int64_t start = n - 257, scored = n - (int64_t)strlen(ends[c]) - 1;
        assert_true(start > 0);
        for (int64_t t = scored; t < n; t++)
            s[c] += logprob_of_last(m, ids + start, t + 1 - start);
        ln_free(ids);
    }
    const int n = snprintf(text, sizeof text, "{\"q\":\"%s\",\"choices\":[\"%s\",\"%s\"],\"answer\":0}\n", question,
                           ends[0], ends[1]);
    ln_choices_result r = { 0 };
    OK(ln_eval_choices(&r, NULL, m, io_write("long.jsonl", text, (size_t)n), 0, NULL, NULL));
    assert_int_equal(r.accuracy, s[0] > s[1]);
    assert_int_equal(r.accuracy_norm, s[0] / 6 > s[1] / 14);
    ln_model_release(m);
}

static double brute_sentence(const ln_model *m, const char *text)
{
    int64_t n;
    int32_t *ids = ids_of(m, text, &n), all[128] = { 0 };
    double sum = 0;
    memcpy(all + 1, ids, (size_t)n * sizeof *ids);
    for (int64_t t = 1; t <= n; t++)
        sum += logprob_of_last(m, all, t + 1);
    ln_free(ids);
    return sum;
}

static void pairs_are_spread_over_the_file(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    char *file = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&file, &len);
    int want[ITEMS + 1];
    for (int i = 0; i < ITEMS; i++) {
        want[i] = brute_sentence(m, choices[i][0]) > brute_sentence(m, choices[i][1]);
        fprintf(f, "{\"sentence_good\": \"%s\", \"sentence_bad\": \"%s\", \"UID\": \"x\"}\n", choices[i][0],
                choices[i][1]);
    }
    want[ITEMS] = 0; /* equal sentences: no preference */
    fprintf(f, "{\"sentence_good\": \"same\", \"sentence_bad\": \"same\"}\n");
    fclose(f);
    const char *path = io_write("pairs.jsonl", file, len);
    free(file);
    ln_choices_result r = { 0 };
    uint8_t *correct = NULL;
    OK(ln_eval_pairs(&r, &correct, m, path, 0, NULL, NULL));
    assert_int_equal(r.n, ITEMS + 1);
    int right = 0;
    for (int i = 0; i <= ITEMS; i++) {
        assert_int_equal(correct[i], want[i]);
        right += want[i];
    }
    assert_true(fabs(r.accuracy - right / (double)(ITEMS + 1)) < 1e-12);
    ln_free(correct);
    OK(ln_eval_pairs(&r, &correct, m, path, 4, NULL, NULL));
    assert_int_equal(r.n, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(correct[i], want[i * (ITEMS + 1) / 4]);
    ln_free(correct);
    ln_model_release(m);
}

static void bad_items_name_file_and_line(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    const char *good = "{\"q\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 1}\n";
    const struct {
        const char *line, *words;
    } cases[] = {
        { "{\"q\": \"a\", \"choices\": [\"b\"], \"answer\": 1}", "items.jsonl:2|answer|expected 0 to 0" },
        { "{\"q\": \"a\", \"choices\": [], \"answer\": 0}", "items.jsonl:2|choices" },
        { "{\"q\": \"a\", \"choices\": [1], \"answer\": 0}", "items.jsonl:2|choice 0" },
        { "{\"choices\": [\"b\"], \"answer\": 0}", "items.jsonl:2|\"q\"" },
        { "[1]", "items.jsonl:2|object" },
        { "{", "items.jsonl:2" },
    };
    ln_choices_result r = { .n = 77 };
    uint8_t *correct = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s\n", good, cases[i].line);
        const char *path = io_write("items.jsonl", text, strlen(text));
        check_failure(ln_eval_choices(&r, &correct, m, path, 0, NULL, NULL), LN_ERR_FORMAT, cases[i].words,
                      cases[i].line);
    }
    const char *path = io_write("items.jsonl", good, strlen(good));
    check_failure(ln_eval_pairs(&r, &correct, m, path, 0, NULL, NULL), LN_ERR_FORMAT, "items.jsonl:1|sentence_good",
                  "pairs");
    path = io_write("items.jsonl", "\n", 1);
    check_failure(ln_eval_choices(&r, &correct, m, path, 0, NULL, NULL), LN_ERR_FORMAT, "items.jsonl|no items",
                  "blank");
    check_failure(ln_eval_choices(&r, &correct, m, io_path("none"), 0, NULL, NULL), LN_ERR_NOTFOUND, "none", "absent");
    assert_true(r.n == 77 && !correct);
    ln_model_release(m);
}

/* ---- correlations ---- */

static void ranks_of_ties_are_averaged(void **state)
{
    (void)state;
    /* ranks 1 2.5 2.5 4 5 and 4 1 2.5 2.5 5: products of deviations 2.75, squares 9.5 each */
    const double x[] = { 1, 2, 2, 3, 9 }, y[] = { 5, 1, 4, 4, 8 }, same[] = { 2, 2, 2, 2, 2 };
    double rho;
    OK(ln__spearman(&rho, x, y, 5));
    assert_true(fabs(rho - 2.75 / 9.5) < 1e-12);
    OK(ln__spearman(&rho, x, x, 5));
    assert_true(fabs(rho - 1) < 1e-12);
    OK(ln__spearman(&rho, x, same, 5));
    assert_true(rho == 0);
    assert_true(fabs(ln__pearson(x, (double[]){ 3, 5, 5, 7, 19 }, 5) - 1) < 1e-12);
}

static void similarity_wants_an_encoder(void **state)
{
    (void)state;
    ln_model *m = text_model_open(), *bert = tiny_open("bert");
    ln_similarity_result r = { .n = 77 };
    float v[32];
    const char *path = io_write("s.csv", "a,b,1\n", 6);
    check_failure(ln_eval_similarity(&r, m, path, 0, NULL, NULL), LN_ERR_UNSUPPORTED, "encoder|llama", "llama");
    check_failure(ln_eval_similarity(&r, bert, path, 0, NULL, NULL), LN_ERR_NOTFOUND, "tokenizer", "no tokenizer");
    check_failure(ln_model_embed(v, m, "x", 1, 0), LN_ERR_UNSUPPORTED, "encoder", "embed");
    assert_int_equal(r.n, 77);
    ln_model_release(m), ln_model_release(bert);
}

/* ---- torture ---- */

static ln_status evaluate(void *arg)
{
    ln_perplexity_opts o = LN_PERPLEXITY_OPTS_INIT;
    ln_perplexity p;
    ln_choices_result r;
    uint8_t *correct = NULL;
    o.context = 16;
    ln_status st = ln_eval_perplexity(&p, arg, story, 40, &o);
    if (st == LN_OK)
        st = ln_eval_choices(&r, &correct, arg, io_path("items.jsonl"), 0, NULL, NULL);
    ln_free(correct);
    return st;
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    ln_model *m = text_model_open();
    const char *item = "{\"q\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 1}\n";
    io_write("items.jsonl", item, strlen(item));
    torture(evaluate, m);
    ln_model_release(m);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, io_setup, io_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(conventions_are_what_they_say),       IN_DIR(uniform_logits_give_the_vocabulary),
        IN_DIR(limits_cuts_and_cancelling),          IN_DIR(choices_equal_brute_force),
        IN_DIR(long_questions_lose_their_beginning), IN_DIR(pairs_are_spread_over_the_file),
        IN_DIR(bad_items_name_file_and_line),        cmocka_unit_test(ranks_of_ties_are_averaged),
        IN_DIR(similarity_wants_an_encoder),         IN_DIR(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
