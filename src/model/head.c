/* head.c - from hidden states to logits and to log-probabilities of given targets.
 *
 * Scoring goes through the vocabulary LN_HEAD_ROWS rows at a time for up to SCORE_ROWS hidden states: the tile of
 * logits updates a running maximum and an f64 sum of exponentials per state, then is forgotten. With m the maximum, log
 * p(target) = logit_target - m - log sum_j exp(logit_j - m). */
#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "core/threads.h"
#include "linalg/linalg.h"
#include "model/model.h"

enum { SCORE_ROWS = 256, ROWS_AT_ONCE = 8 };

void ln__embed_row(float *dst, const ln_tensor *table, int64_t row)
{
    const int64_t width = ln_tensor_dim(table, 1);
    const ln_dtype type = ln_tensor_dtype(table);
    const char *data = ln_tensor_cdata(table);
    ln__k()->to_f32[type](dst, data + (size_t)row * ln_dtype_bytes(type, width), width);
}

/* A logit that is NaN or infinite comes from the head (hidden states are checked where they are made). */
static ln_status blame_head(const ln_model *m, const float *hidden, int64_t n)
{
    if (ln__find_nonfinite_f32(hidden, n * m->cfg.hidden) >= 0)
        return ln__fail(LN_ERR_NUMERIC, "%s: a hidden state handed to the head is NaN or infinite", m->path);
    const ln_status st = ln__model_check_finite(m);
    return st != LN_OK ? st : ln__fail(LN_ERR_NUMERIC, "%s: a logit is NaN or infinite", m->path);
}

static ln_status check_head(const ln_model *m, int64_t n, bool complete)
{
    if (!m || (n > 0 && !complete))
        return ln__fail(LN_ERR_ARG, "logits: a model, hidden states and a place for the result are needed");
    if (!m->head)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: a %s model has no language-model head", m->path, m->cfg.architecture);
    if (n < 0)
        return ln__fail(LN_ERR_ARG, "%s: %lld hidden states", m->path, (long long)n);
    return LN_OK;
}

ln_status ln_model_logits(const ln_model *m, float *logits, const float *hidden, int64_t n)
{
    ln_status st;
    LN_TRY(check_head(m, n, logits && hidden));
    LN_TRY(ln_linop_apply(m->head, logits, m->cfg.vocab, hidden, m->cfg.hidden, n));
    if (ln__find_nonfinite_f32(logits, n * m->cfg.vocab) >= 0)
        LN_TRY(blame_head(m, hidden, n));
done:
    return st;
}

typedef struct scoring {
    const int32_t *targets;
    float *tile; /* (rows, LN_HEAD_ROWS) */
    float *max, *hit;
    double *sum;
    int64_t from, width; /* the piece of the vocabulary at hand */
} scoring;

static void absorb_rows(void *ctx, int64_t begin, int64_t end)
{
    scoring *s = ctx;
    const ln__kernels *k = ln__k();
    for (int64_t t = begin; t < end; t++) {
        float *row = s->tile + t * LN_HEAD_ROWS;
        const int64_t at = s->targets[t] - s->from;
        if (at >= 0 && at < s->width)
            s->hit[t] = row[at];
        const float top = k->max(row, s->width);
        if (!(top <= s->max[t])) { /* also when top is NaN */
            s->sum[t] = s->max[t] > -INFINITY ? s->sum[t] * exp((double)s->max[t] - (double)top) : 0;
            s->max[t] = top;
        }
        s->sum[t] += k->exp_sum(NULL, row, s->max[t], s->width);
    }
}

ln_status ln_model_score(const ln_model *m, double *logprob, uint8_t *greedy, const float *hidden,
                         const int32_t *targets, int64_t n)
{
    const int64_t rows = LN_MIN(n, SCORE_ROWS);
    scoring s = { 0 };
    ln_status st;
    LN_TRY(check_head(m, n, logprob && hidden && targets));
    LN_TRY(ln__tokens_check(m, targets, n));
    LN_TRY(LN_NEW(&s.tile, rows * LN_HEAD_ROWS));
    LN_TRY(LN_NEW(&s.max, rows));
    LN_TRY(LN_NEW(&s.hit, rows));
    LN_TRY(LN_NEW(&s.sum, rows));
    for (int64_t i = 0; i < n; i += SCORE_ROWS) {
        const int64_t here = LN_MIN(SCORE_ROWS, n - i);
        s.targets = targets + i;
        for (int64_t t = 0; t < here; t++)
            s.max[t] = -INFINITY, s.sum[t] = 0;
        for (int64_t p = 0; p < m->head_parts; p++) {
            s.from = p * LN_HEAD_ROWS;
            s.width = ln_linop_rows(m->head_part[p]);
            LN_TRY(
                ln_linop_apply(m->head_part[p], s.tile, LN_HEAD_ROWS, hidden + i * m->cfg.hidden, m->cfg.hidden, here));
            ln__parallel_for(here, ROWS_AT_ONCE, absorb_rows, &s);
        }
        for (int64_t t = 0; t < here; t++) {
            logprob[i + t] = (double)s.hit[t] - (double)s.max[t] - log(s.sum[t]);
            if (!isfinite(logprob[i + t]))
                LN_TRY(blame_head(m, hidden, n));
            if (greedy)
                greedy[i + t] = s.hit[t] >= s.max[t];
        }
    }
done:
    ln__free(s.tile);
    ln__free(s.max);
    ln__free(s.hit);
    ln__free(s.sum);
    return st;
}
