/* eval_choices.c - multiple choice and minimal pairs by likelihood.
 *
 * Choices: the item is read as "Question: {q}\nAnswer: {choice}" (the form of lm-eval's ARC and PIQA tasks); a choice's
 * score is the log-probability of its tokens after the common beginning. acc: the best score wins; acc_norm: score per
 * character; acc_tok: per token. Pairs: the whole sentences after one BOS, counted when log p(good) > log p(bad).
 * Pitfall: the tokens of context + choice need not begin with those of the context alone; scoring starts at the first
 * token that differs. */
#include <linnet/eval.h>

#include <math.h>
#include <string.h>

#include "core/json.h"
#include "core/progress.h"
#include "io/lines.h"
#include "model/scorer.h"
#include "model/utf8.h"

#define CONTEXT "Question: %s\nAnswer:"

const char *ln_eval_choices_prompt(void)
{
    return "Question: {q}\nAnswer: {choice}";
}

typedef struct tally {
    ln__scorer scorer;
    const char *stage;
    ln_progress_fn progress;
    void *payload;
    uint8_t *right; /* per item: by the plain score */
    int64_t n, cap, n_norm, n_right, n_tok, total;
} tally;

typedef struct score {
    double sum, per_char, per_token;
} score;

/* Counts one item of `n` scored texts of which `answer` is right. First best wins ties, as argmax does. */
static ln_status count(tally *t, const score *s, int64_t n, int64_t answer, bool strict)
{
    int64_t best = 0, best_norm = 0, best_tok = 0;
    ln_status st;
    for (int64_t i = 1; i < n; i++) {
        best = s[i].sum > s[best].sum ? i : best;
        best_norm = s[i].per_char > s[best_norm].per_char ? i : best_norm;
        best_tok = s[i].per_token > s[best_tok].per_token ? i : best_tok;
    }
    if (t->n == t->cap) {
        const int64_t cap = t->cap ? 2 * t->cap : 256;
        LN_TRY(ln__realloc((void **)&t->right, (size_t)cap, 1));
        t->cap = cap;
    }
    /* Pairs: an equal score is not a preference. */
    const bool tie = strict && s[0].sum == s[1].sum;
    t->right[t->n++] = best == answer && !tie;
    t->n_right += best == answer && !tie;
    t->n_norm += best_norm == answer && !(strict && s[0].per_char == s[1].per_char);
    t->n_tok += best_tok == answer && !(strict && s[0].per_token == s[1].per_token);
    if (t->progress && t->progress(t->payload, t->stage, t->n, t->total))
        LN_FAIL(LN_ERR_CANCELLED, "%s: stopped after %lld items", t->stage, (long long)t->n);
    st = LN_OK;
done:
    return st;
}

static void finish(ln_choices_result *out, uint8_t **correct, tally *t, double start)
{
    const double n = (double)LN_MAX(t->n, 1), p = (double)t->n_right / n;
    *out = (ln_choices_result){ .struct_size = sizeof *out,
                                .n = t->n,
                                .accuracy = p,
                                .accuracy_norm = (double)t->n_norm / n,
                                .accuracy_tok = (double)t->n_tok / n,
                                .ci95 = 1.96 * sqrt(p * (1 - p) / n),
                                .seconds = ln__now() - start };
    if (correct) {
        *correct = t->right;
        t->right = NULL;
    }
}

/* Score of one choice after a context given as text and as tokens. */
static ln_status score_choice(score *out, tally *t, const char *context, const int32_t *head, int64_t n_head,
                              const char *choice)
{
    const ln_model *m = t->scorer.m;
    char *text = NULL;
    int32_t *ids = NULL;
    int64_t n = 0, from = 0;
    ln_status st;
    LN_TRY(ln__sprintf(&text, "%s %s", context, choice));
    LN_TRY(ln_tokenizer_encode(&ids, &n, m->tokenizer, text, strlen(text), 0));
    while (from < LN_MIN(n, n_head) && ids[from] == head[from])
        from++;
    from = LN_MAX(1, LN_MIN(from, n - 1));
    if (n < 2)
        LN_FAIL(LN_ERR_SHAPE, "a question with its choice has %lld tokens", (long long)n);
    LN_TRY(ln__scorer_sum(&out->sum, &t->scorer, ids, n, from));
    out->per_char = out->sum / (double)LN_MAX(ln__utf8_count(choice, strlen(choice)), 1);
    out->per_token = out->sum / (double)(n - from);
done:
    ln__free(ids);
    ln__free(text);
    return st;
}

static ln_status score_item(tally *t, const char *question, const json_t *choices, int64_t answer)
{
    const int64_t n = (int64_t)json_array_size(choices);
    char *context = NULL;
    int32_t *head = NULL;
    int64_t n_head = 0;
    score *s = NULL;
    ln_status st;
    LN_TRY(ln__sprintf(&context, CONTEXT, question));
    LN_TRY(ln_tokenizer_encode(&head, &n_head, t->scorer.m->tokenizer, context, strlen(context), 0));
    LN_TRY(LN_NEW0(&s, n));
    for (int64_t i = 0; i < n; i++)
        LN_TRY(score_choice(&s[i], t, context, head, n_head, json_string_value(json_array_get(choices, (size_t)i))));
    LN_TRY(count(t, s, n, answer, false));
done:
    ln__free(s);
    ln__free(head);
    ln__free(context);
    return st;
}

static ln_status parse_item(const json_t *item, const char **question, const json_t **choices, int64_t *answer,
                            const char *what)
{
    ln_status st;
    LN_TRY(ln__json_str(question, item, "q", NULL, what));
    LN_TRY(ln__json_int(answer, item, "answer", -1, what));
    *choices = json_object_get(item, "choices");
    if (!*question)
        LN_FAIL(LN_ERR_FORMAT, "%s: key \"q\" is missing", what);
    const int64_t n = json_is_array(*choices) ? (int64_t)json_array_size(*choices) : 0;
    if (n < 1)
        LN_FAIL(LN_ERR_FORMAT, "%s: \"choices\" must be a list of texts", what);
    for (int64_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(*choices, (size_t)i)))
            LN_FAIL(LN_ERR_FORMAT, "%s: choice %lld is not a text", what, (long long)i);
    if (*answer < 0 || *answer >= n)
        LN_FAIL(LN_ERR_FORMAT, "%s: \"answer\" is %lld, expected 0 to %lld", what, (long long)*answer,
                (long long)n - 1);
done:
    return st;
}

static bool blank(const char *line, size_t len)
{
    return strspn(line, " \t\r") == len;
}

static ln_status parse_line(json_t **item, char **what, const ln__lines *lines, const char *line, size_t len)
{
    ln_status st;
    LN_TRY(ln__sprintf(what, "%s:%lld", ln__lines_name(lines), (long long)ln__lines_number(lines)));
    LN_TRY(ln__json_parse(item, line, len, *what));
    if (!json_is_object(*item))
        LN_FAIL(LN_ERR_FORMAT, "%s: not a JSON object", *what);
done:
    return st;
}

static ln_status count_lines(int64_t *n, const char *path)
{
    ln__lines *lines = NULL;
    const char *line;
    size_t len;
    ln_status st;
    *n = 0;
    LN_TRY(ln__lines_open(&lines, path));
    for (;;) {
        LN_TRY(ln__lines_next(lines, &line, &len));
        if (!line)
            break;
        *n += !blank(line, len);
    }
    if (*n == 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: no items", path);
done:
    ln__lines_free(lines);
    return st;
}

/* log p of a sentence after the prefix token. */
static ln_status score_sentence(score *out, tally *t, int32_t prefix, const char *text)
{
    int32_t *ids = NULL, *all = NULL;
    int64_t n = 0;
    ln_status st;
    LN_TRY(ln_tokenizer_encode(&ids, &n, t->scorer.m->tokenizer, text, strlen(text), 0));
    if (n < 1)
        LN_FAIL(LN_ERR_SHAPE, "a sentence without tokens");
    LN_TRY(LN_NEW(&all, n + 1));
    all[0] = prefix;
    memcpy(all + 1, ids, (size_t)n * sizeof *ids);
    LN_TRY(ln__scorer_sum(&out->sum, &t->scorer, all, n + 1, 1));
    out->per_char = out->sum / (double)LN_MAX(ln__utf8_count(text, strlen(text)), 1);
    out->per_token = out->sum / (double)n;
done:
    ln__free(all);
    ln__free(ids);
    return st;
}

static ln_status pair_item(tally *t, const json_t *item, int32_t prefix, const char *what)
{
    const char *good, *bad;
    score s[2];
    ln_status st;
    LN_TRY(ln__json_str(&good, item, "sentence_good", NULL, what));
    LN_TRY(ln__json_str(&bad, item, "sentence_bad", NULL, what));
    if (!good || !bad)
        LN_FAIL(LN_ERR_FORMAT, "%s: key \"%s\" is missing", what, good ? "sentence_bad" : "sentence_good");
    LN_TRY(score_sentence(&s[0], t, prefix, good));
    LN_TRY(score_sentence(&s[1], t, prefix, bad));
    LN_TRY(count(t, s, 2, 0, true));
done:
    return st;
}

static ln_status choice_item(tally *t, const json_t *item, const char *what)
{
    const char *question;
    const json_t *choices;
    int64_t answer;
    const ln_status st = parse_item(item, &question, &choices, &answer, what);
    return st == LN_OK ? score_item(t, question, choices, answer) : st;
}

/* Walks a file; with a limit, items are the first ones, or (spread) those at floor(i * lines / limit). */
static ln_status evaluate(ln_choices_result *out, uint8_t **correct, tally *t, const ln_model *m, const char *path,
                          int64_t limit, bool pairs)
{
    const double start = ln__now();
    ln__lines *lines = NULL;
    json_t *item = NULL;
    char *what = NULL;
    const char *line;
    size_t len;
    int64_t all, seen = 0;
    int32_t prefix = -1;
    ln_status st;
    if (!out || !m || !path || limit < 0)
        LN_FAIL(LN_ERR_ARG, "%s: a model, a file, a limit of 0 or more and a place for the result are needed",
                t->stage);
    LN_TRY(ln__scorer_init(&t->scorer, m));
    if (pairs)
        LN_TRY(ln__prefix_token(&prefix, m));
    LN_TRY(count_lines(&all, path));
    t->total = limit > 0 ? LN_MIN(limit, all) : all;
    LN_TRY(ln__lines_open(&lines, path));
    while (t->n < t->total) {
        LN_TRY(ln__lines_next(lines, &line, &len));
        if (!line)
            break;
        if (blank(line, len))
            continue;
        const int64_t next = pairs ? (int64_t)((double)t->n * (double)all / (double)t->total) : seen;
        if (seen++ < next)
            continue;
        LN_TRY(parse_line(&item, &what, lines, line, len));
        LN_TRY(pairs ? pair_item(t, item, prefix, what) : choice_item(t, item, what));
        json_decref(item);
        item = NULL;
        ln__free(what);
        what = NULL;
    }
    finish(out, correct, t, start);
done:
    json_decref(item);
    ln__free(what);
    ln__lines_free(lines);
    ln__scorer_free(&t->scorer);
    ln__free(t->right);
    return st;
}

ln_status ln_eval_choices(ln_choices_result *out, uint8_t **correct, const ln_model *m, const char *path, int64_t limit,
                          ln_progress_fn progress, void *payload)
{
    tally t = { .stage = "choices", .progress = progress, .payload = payload };
    return evaluate(out, correct, &t, m, path, limit, false);
}

ln_status ln_eval_pairs(ln_choices_result *out, uint8_t **correct, const ln_model *m, const char *path, int64_t limit,
                        ln_progress_fn progress, void *payload)
{
    tally t = { .stage = "pairs", .progress = progress, .payload = payload };
    return evaluate(out, correct, &t, m, path, limit, true);
}
