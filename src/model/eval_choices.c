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

typedef struct score {
    double sum;
    int64_t characters, tokens;
} score;

/* An item whose texts wait in the scorer's queue. */
typedef struct entry {
    score *choice;
    int64_t n, answer;
} entry;

typedef struct tally {
    ln__scorer scorer;
    const char *stage;
    ln_progress_fn progress;
    void *payload;
    bool pairs;
    int32_t prefix; /* pairs: what stands before a sentence */
    entry *waiting;
    int64_t n_waiting, cap_waiting;
    uint8_t *right; /* per item: by the plain score */
    int64_t n, cap, n_norm, n_right, n_tok, total;
} tally;

/* Room for one more entry in a growing array. */
static ln_status grow(void **array, int64_t n, int64_t *cap, size_t size)
{
    const int64_t more = *cap ? *cap * 2 : 64;
    ln_status st = LN_OK;
    if (n < *cap)
        return LN_OK;
    LN_TRY(ln__realloc(array, (size_t)more, size));
    *cap = more;
done:
    return st;
}

/* Is the answer the best by sum / divisor? The first of equals is taken, as argmax does; of a pair, none. */
static bool wins(const entry *it, int by, bool pairs)
{
    double value[2] = { 0, 0 }, top = -INFINITY;
    int64_t best = 0;
    for (int64_t i = 0; i < it->n; i++) {
        const score *s = &it->choice[i];
        const double v = by == 0 ? s->sum : s->sum / (double)LN_MAX(by == 1 ? s->characters : s->tokens, 1);
        if (i < 2)
            value[i] = v;
        if (v > top) {
            top = v;
            best = i;
        }
    }
    return best == it->answer && !(pairs && value[0] == value[1]);
}

/* Scores what waits and counts it. */
static ln_status settle(tally *t)
{
    ln_status st;
    LN_TRY(ln__scorer_flush(&t->scorer));
    for (int64_t i = 0; i < t->n_waiting; i++) {
        const entry *it = &t->waiting[i];
        LN_TRY(grow((void **)&t->right, t->n, &t->cap, sizeof *t->right));
        t->right[t->n++] = wins(it, 0, t->pairs);
        t->n_right += wins(it, 0, t->pairs);
        t->n_norm += wins(it, 1, t->pairs);
        t->n_tok += wins(it, 2, t->pairs);
        if (t->progress && t->progress(t->payload, t->stage, t->n, t->total))
            LN_FAIL(LN_ERR_CANCELLED, "%s: stopped after %lld items", t->stage, (long long)t->n);
    }
done:
    for (int64_t i = 0; i < t->n_waiting; i++)
        ln__free(t->waiting[i].choice);
    t->n_waiting = 0;
    return st;
}

/* A new item of n texts at the end of the queue. */
static ln_status add_item(tally *t, score **choice, int64_t n, int64_t answer)
{
    ln_status st;
    LN_TRY(grow((void **)&t->waiting, t->n_waiting, &t->cap_waiting, sizeof *t->waiting));
    entry *it = &t->waiting[t->n_waiting];
    *it = (entry){ .n = n, .answer = answer };
    LN_TRY(LN_NEW0(&it->choice, n));
    *choice = it->choice;
    t->n_waiting++;
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

/* Queues one choice after a context given as text and as tokens. */
static ln_status add_choice(tally *t, score *out, const char *context, const int32_t *head, int64_t n_head,
                            const char *choice)
{
    char *text = NULL;
    int32_t *ids = NULL;
    int64_t n = 0, from = 0;
    ln_status st;
    LN_TRY(ln__sprintf(&text, "%s %s", context, choice));
    LN_TRY(ln_tokenizer_encode(&ids, &n, t->scorer.m->tokenizer, text, strlen(text), 0));
    if (n < 2)
        LN_FAIL(LN_ERR_SHAPE, "a question with its choice has %lld tokens", (long long)n);
    while (from < LN_MIN(n, n_head) && ids[from] == head[from])
        from++;
    from = LN_MAX(1, LN_MIN(from, n - 1));
    out->characters = ln__utf8_count(choice, strlen(choice));
    out->tokens = n - from;
    LN_TRY(ln__scorer_add(&t->scorer, &out->sum, t->n + t->n_waiting, ids, n, from));
done:
    ln__free(ids);
    ln__free(text);
    return st;
}

static ln_status add_question(tally *t, const char *question, const json_t *choices, int64_t answer)
{
    const int64_t n = (int64_t)json_array_size(choices);
    char *context = NULL;
    int32_t *head = NULL;
    int64_t n_head = 0;
    score *choice;
    ln_status st;
    LN_TRY(ln__sprintf(&context, CONTEXT, question));
    LN_TRY(ln_tokenizer_encode(&head, &n_head, t->scorer.m->tokenizer, context, strlen(context), 0));
    LN_TRY(add_item(t, &choice, n, answer));
    for (int64_t i = 0; i < n; i++)
        LN_TRY(add_choice(t, &choice[i], context, head, n_head, json_string_value(json_array_get(choices, (size_t)i))));
done:
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

/* Queues a sentence after the prefix token. */
static ln_status add_sentence(tally *t, score *out, const char *text)
{
    int32_t *ids = NULL, *all = NULL;
    int64_t n = 0;
    ln_status st;
    LN_TRY(ln_tokenizer_encode(&ids, &n, t->scorer.m->tokenizer, text, strlen(text), 0));
    if (n < 1)
        LN_FAIL(LN_ERR_SHAPE, "a sentence without tokens");
    LN_TRY(LN_NEW(&all, n + 1));
    all[0] = t->prefix;
    memcpy(all + 1, ids, (size_t)n * sizeof *ids);
    out->characters = ln__utf8_count(text, strlen(text));
    out->tokens = n;
    LN_TRY(ln__scorer_add(&t->scorer, &out->sum, t->n + t->n_waiting, all, n + 1, 1));
done:
    ln__free(all);
    ln__free(ids);
    return st;
}

static ln_status pair_item(tally *t, const json_t *object, const char *what)
{
    const char *good, *bad;
    score *choice;
    ln_status st;
    LN_TRY(ln__json_str(&good, object, "sentence_good", NULL, what));
    LN_TRY(ln__json_str(&bad, object, "sentence_bad", NULL, what));
    if (!good || !bad)
        LN_FAIL(LN_ERR_FORMAT, "%s: key \"%s\" is missing", what, good ? "sentence_bad" : "sentence_good");
    /* Equal sentences have no preference, whatever rounding says: no answer is right. */
    LN_TRY(add_item(t, &choice, 2, strcmp(good, bad) == 0 ? -1 : 0));
    LN_TRY(add_sentence(t, &choice[0], good));
    LN_TRY(add_sentence(t, &choice[1], bad));
done:
    return st;
}

static ln_status choice_item(tally *t, const json_t *object, const char *what)
{
    const char *question;
    const json_t *choices;
    int64_t answer;
    const ln_status st = parse_item(object, &question, &choices, &answer, what);
    return st == LN_OK ? add_question(t, question, choices, answer) : st;
}

/* Walks the lines: with a limit, the first ones, or (pairs) those at floor(i * lines / limit). */
static ln_status walk(tally *t, ln__lines *lines, int64_t all)
{
    json_t *object = NULL;
    char *what = NULL;
    const char *line;
    size_t len;
    int64_t seen = 0, taken = 0;
    ln_status st = LN_OK;
    while (taken < t->total) {
        LN_TRY(ln__lines_next(lines, &line, &len));
        if (!line)
            break;
        if (blank(line, len))
            continue;
        const int64_t next = t->pairs ? (int64_t)((double)taken * (double)all / (double)t->total) : seen;
        if (seen++ < next)
            continue;
        LN_TRY(parse_line(&object, &what, lines, line, len));
        st = t->pairs ? pair_item(t, object, what) : choice_item(t, object, what);
        if (st == LN_ERR_SHAPE) /* found by a function that does not know the line */
            LN_TRY(ln__fail_in(st, "%s", what));
        LN_TRY(st);
        json_decref(object);
        object = NULL;
        ln__free(what);
        what = NULL;
        taken++;
        if (ln__scorer_full(&t->scorer))
            LN_TRY(settle(t));
    }
    LN_TRY(settle(t));
done:
    json_decref(object);
    ln__free(what);
    return st;
}

static ln_status evaluate(ln_choices_result *out, uint8_t **correct, tally *t, const ln_model *m, const char *path,
                          int64_t limit)
{
    const double start = ln__now();
    ln__lines *lines = NULL;
    int64_t all;
    ln_status st;
    if (!out || !m || !path || limit < 0)
        LN_FAIL(LN_ERR_ARG, "%s: a model, a file, a limit of 0 or more and a place for the result are needed",
                t->stage);
    LN_TRY(ln__scorer_init(&t->scorer, m));
    if (t->pairs)
        LN_TRY(ln__prefix_token(&t->prefix, m));
    LN_TRY(count_lines(&all, path));
    t->total = limit > 0 ? LN_MIN(limit, all) : all;
    LN_TRY(ln__lines_open(&lines, path));
    LN_TRY(walk(t, lines, all));
    finish(out, correct, t, start);
done:
    ln__lines_free(lines);
    for (int64_t i = 0; i < t->n_waiting; i++)
        ln__free(t->waiting[i].choice);
    ln__free(t->waiting);
    ln__scorer_free(&t->scorer);
    ln__free(t->right);
    return st;
}

ln_status ln_eval_choices(ln_choices_result *out, uint8_t **correct, const ln_model *m, const char *path, int64_t limit,
                          ln_progress_fn progress, void *payload)
{
    tally t = { .stage = "choices", .progress = progress, .payload = payload };
    return evaluate(out, correct, &t, m, path, limit);
}

ln_status ln_eval_pairs(ln_choices_result *out, uint8_t **correct, const ln_model *m, const char *path, int64_t limit,
                        ln_progress_fn progress, void *payload)
{
    tally t = { .stage = "pairs", .pairs = true, .progress = progress, .payload = payload };
    return evaluate(out, correct, &t, m, path, limit);
}
