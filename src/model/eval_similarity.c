/* eval_similarity.c - sentence vectors of an encoder, and how well their cosine follows human scores.
 *
 *   e = sum_t x_t / T over all tokens ([CLS] and [SEP] too), divided by max(|e|, 1e-12)
 * Spearman's rho is Pearson's r of the ranks; equal values share the average of their ranks. */
#include <linnet/eval.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/progress.h"
#include "io/csv.h"
#include "model/model.h"
#include "model/similarity.h"

enum { BATCH_TOKENS = 1024, MAX_TOKENS = 256 };

/* Sentences waiting to be encoded together. */
typedef struct batch {
    const ln_model *m;
    int32_t *tokens;
    int64_t *offsets;
    int64_t n, cap_tokens, cap;
    float *hidden;
    int64_t cap_hidden;
} batch;

static void batch_free(batch *b)
{
    ln__free(b->tokens);
    ln__free(b->offsets);
    ln__free(b->hidden);
}

/* Wrapped ids of a text; a long one is cut, its last token ([SEP]) kept. */
static ln_status batch_add(batch *b, const char *text, size_t bytes, int64_t max_tokens)
{
    int32_t *ids = NULL;
    int64_t n = 0;
    ln_status st;
    if (!b->m->tokenizer)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: there is no tokenizer to read text with", b->m->path);
    LN_TRY(ln_tokenizer_encode(&ids, &n, b->m->tokenizer, text, bytes, LN_TOKENIZE_SPECIAL | LN_TOKENIZE_WRAP));
    if (n < 1)
        LN_FAIL(LN_ERR_SHAPE, "%s: a text without tokens has no vector", b->m->path);
    if (n > max_tokens) {
        ids[max_tokens - 1] = ids[n - 1];
        n = max_tokens;
    }
    if (b->n + 1 >= b->cap) {
        const int64_t cap = LN_MAX(64, 2 * b->cap);
        LN_TRY(ln__realloc((void **)&b->offsets, (size_t)cap, sizeof *b->offsets));
        b->cap = cap;
        b->offsets[0] = 0;
    }
    const int64_t start = b->offsets[b->n];
    if (start + n > b->cap_tokens) {
        const int64_t cap = LN_MAX(start + n, 2 * b->cap_tokens);
        LN_TRY(ln__realloc((void **)&b->tokens, (size_t)cap, sizeof *b->tokens));
        b->cap_tokens = cap;
    }
    memcpy(b->tokens + start, ids, (size_t)n * sizeof *ids);
    b->offsets[++b->n] = start + n;
done:
    ln__free(ids);
    return st;
}

/* Encodes what waits and writes one vector (hidden) per sentence, one after another. */
static ln_status batch_run(batch *b, float *vectors)
{
    const int64_t H = b->m->cfg.hidden, total = b->n ? b->offsets[b->n] : 0;
    ln_status st = LN_OK;
    if (b->n == 0)
        return LN_OK;
    if (total > b->cap_hidden) {
        LN_TRY(ln__realloc((void **)&b->hidden, (size_t)total, (size_t)H * sizeof *b->hidden));
        b->cap_hidden = total;
    }
    LN_TRY(ln__bert_encode(b->m, b->hidden, b->tokens, NULL, b->offsets, b->n));
    for (int64_t s = 0; s < b->n; s++) {
        float *v = vectors + s * H;
        double norm = 0;
        for (int64_t i = 0; i < H; i++) {
            double sum = 0;
            for (int64_t t = b->offsets[s]; t < b->offsets[s + 1]; t++)
                sum += (double)b->hidden[t * H + i];
            sum /= (double)(b->offsets[s + 1] - b->offsets[s]);
            norm += sum * sum;
            v[i] = (float)sum;
        }
        const double scale = 1.0 / fmax(sqrt(norm), 1e-12);
        for (int64_t i = 0; i < H; i++)
            v[i] = (float)((double)v[i] * scale);
    }
    b->n = 0;
done:
    return st;
}

static ln_status check_encoder(const ln_model *m)
{
    if (m->cfg.family != LN_FAMILY_BERT)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: sentence vectors need an encoder (bert), this is a %s model", m->path,
                        m->cfg.architecture);
    return LN_OK;
}

ln_status ln_model_embed(float *vector, const ln_model *m, const char *text, size_t bytes, int64_t max_tokens)
{
    batch b = { .m = m };
    float *own = NULL;
    ln_status st;
    if (!vector || !m || (!text && bytes) || max_tokens < 0)
        LN_FAIL(LN_ERR_ARG, "ln_model_embed: a model, a text and room for its vector are needed");
    LN_TRY(check_encoder(m));
    LN_TRY(LN_NEW(&own, m->cfg.hidden));
    LN_TRY(batch_add(&b, text, bytes, LN_MIN(max_tokens ? max_tokens : MAX_TOKENS, m->cfg.max_context)));
    LN_TRY(batch_run(&b, own));
    memcpy(vector, own, (size_t)m->cfg.hidden * sizeof *own);
done:
    ln__free(own);
    batch_free(&b);
    return st;
}

typedef struct ranked {
    double value;
    int64_t index;
} ranked;

static int by_value(const void *a, const void *b)
{
    const double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
    return (x > y) - (x < y);
}

/* 1-based ranks of x, ties averaged. */
static ln_status ranks(double *rank, const double *x, int64_t n)
{
    ranked *order = NULL;
    ln_status st;
    LN_TRY(LN_NEW(&order, n));
    for (int64_t i = 0; i < n; i++)
        order[i] = (ranked){ x[i], i };
    qsort(order, (size_t)n, sizeof *order, by_value);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && order[j].value == order[i].value; j++)
            ;
        for (int64_t k = i; k < j; k++)
            rank[order[k].index] = 0.5 * (double)(i + 1 + j);
    }
done:
    ln__free(order);
    return st;
}

double ln__pearson(const double *x, const double *y, int64_t n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

ln_status ln__spearman(double *rho, const double *x, const double *y, int64_t n)
{
    double *rx = NULL, *ry = NULL;
    ln_status st;
    LN_TRY(LN_NEW(&rx, n));
    LN_TRY(LN_NEW(&ry, n));
    LN_TRY(ranks(rx, x, n));
    LN_TRY(ranks(ry, y, n));
    *rho = ln__pearson(rx, ry, n);
done:
    ln__free(ry);
    ln__free(rx);
    return st;
}

typedef struct scores {
    double *gold, *cosine;
    int64_t n, cap, done; /* cosine is known for the first `done` */
} scores;

/* "3.75" or "-1" and nothing else, whatever the locale's decimal point. */
static bool parse_score(double *out, const char *text)
{
    double whole = 0, scale = *text == '-' ? -1 : 1;
    const char *p = text + (*text == '-');
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        whole = whole * 10 + (*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++) {
            whole = whole * 10 + (*p - '0');
            scale *= 10;
        }
    *out = whole / scale;
    return *p == '\0' && p - text < 18;
}

static ln_status flush(batch *b, scores *s)
{
    const int64_t H = b->m->cfg.hidden, pairs = b->n / 2;
    float *vectors = NULL;
    ln_status st;
    LN_TRY(ln__alloc((void **)&vectors, (size_t)b->n, (size_t)H * sizeof *vectors));
    LN_TRY(batch_run(b, vectors));
    for (int64_t i = 0; i < pairs; i++) {
        double dot = 0;
        for (int64_t d = 0; d < H; d++)
            dot += (double)vectors[2 * i * H + d] * (double)vectors[(2 * i + 1) * H + d];
        s->cosine[s->done++] = dot;
    }
done:
    ln__free(vectors);
    return st;
}

static ln_status add_pair(batch *b, scores *s, const ln__csv *csv, const ln__csv_field *field)
{
    ln_status st;
    if (s->n == s->cap) {
        const int64_t cap = LN_MAX(256, 2 * s->cap);
        LN_TRY(ln__realloc((void **)&s->gold, (size_t)cap, sizeof *s->gold));
        LN_TRY(ln__realloc((void **)&s->cosine, (size_t)cap, sizeof *s->cosine));
        s->cap = cap;
    }
    if (!parse_score(&s->gold[s->n], field[2].text))
        LN_FAIL(LN_ERR_FORMAT, "%s:%lld: the score is \"%.32s\", expected a number", ln__csv_name(csv),
                (long long)ln__csv_line(csv), field[2].text);
    for (int i = 0; i < 2; i++)
        LN_TRY(batch_add(b, field[i].text, field[i].len, LN_MIN(MAX_TOKENS, b->m->cfg.max_context)));
    s->n++;
    if (b->offsets[b->n] >= BATCH_TOKENS)
        LN_TRY(flush(b, s));
done:
    return st;
}

ln_status ln_eval_similarity(ln_similarity_result *out, const ln_model *m, const char *path, int64_t limit,
                             ln_progress_fn progress, void *payload)
{
    const double start = ln__now();
    ln_similarity_result result = { .struct_size = sizeof result };
    batch b = { .m = m };
    scores s = { 0 };
    ln__csv *csv = NULL;
    ln__csv_field *field;
    int64_t n_fields;
    ln_status st;
    if (!out || !m || !path || limit < 0)
        LN_FAIL(LN_ERR_ARG, "similarity: a model, a file, a limit of 0 or more and a place for the result are needed");
    LN_TRY(check_encoder(m));
    LN_TRY(ln__csv_open(&csv, path, ','));
    while (limit == 0 || s.n < limit) {
        LN_TRY(ln__csv_next(csv, &field, &n_fields));
        if (!field)
            break;
        if (n_fields != 3)
            LN_FAIL(LN_ERR_FORMAT, "%s:%lld: %lld fields, expected sentence1,sentence2,score", path,
                    (long long)ln__csv_line(csv), (long long)n_fields);
        LN_TRY(add_pair(&b, &s, csv, field));
        if (progress && progress(payload, "similarity", s.n, limit))
            LN_FAIL(LN_ERR_CANCELLED, "similarity: stopped after %lld pairs", (long long)s.n);
    }
    if (s.n < 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld pairs, a correlation needs at least 2", path, (long long)s.n);
    LN_TRY(flush(&b, &s));
    LN_TRY(ln__spearman(&result.spearman, s.cosine, s.gold, s.n));
    result.pearson = ln__pearson(s.cosine, s.gold, s.n);
    result.n = s.n;
    result.seconds = ln__now() - start;
    *out = result;
done:
    ln__csv_free(csv);
    ln__free(s.gold);
    ln__free(s.cosine);
    batch_free(&b);
    return st;
}
