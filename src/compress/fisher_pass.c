/* fisher_pass.c - the task's data as samples, and one pass over them that squares gradients layer by layer.
 *
 * A text gives sequences of next-token predictions, pairs of sentences a regression on their cosine. Each sample goes
 * forward and backward on the tape with the model frozen: the only leaf is the embedded input, so that the pass makes
 * gradients of activations but none of weights; those are squared from (X, G) as they arrive. Sums are saved about
 * every minute, so that a killed pass goes on. Padding does not exist: sequences go through the model one by one. */
#include "compress/fisher_pass.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "compress/calibrate.h"
#include "compress/fisher_loss.h"
#include "core/file.h"
#include "core/progress.h"
#include "core/rng.h"
#include "io/csv.h"
#include "model/model.h"
#include "text/corpus.h"

enum { FORMAT_VERSION = 1, SAVE_SECONDS = 60, PAIR_TOKENS = 256 };

static const char *const definition_name[] = { "sample", "token", "batch" };

struct ln__fisher_data {
    ln__fisher_plan plan;
    char key[40];
    bool pairs;
    int32_t *ids;
    int64_t n_ids, cap_ids;
    int64_t *starts; /* of sequence s; for pairs 2 per sample; the last is the end of the last (n + 1) */
    int64_t sequences, cap_starts, context;
    double *target; /* pairs: score / 5 */
    int64_t *order; /* sample i is sequence or pair order[i] */
    int64_t samples;
};

void ln__fisher_data_free(ln__fisher_data *d)
{
    if (!d)
        return;
    ln__free(d->ids);
    ln__free(d->starts);
    ln__free(d->target);
    ln__free(d->order);
    ln__free(d);
}

const char *ln__fisher_data_key(const ln__fisher_data *d)
{
    return d->key;
}

int64_t ln__fisher_data_samples(const ln__fisher_data *d)
{
    return d->samples;
}

/* ---- reading ---- */

static ln_status read_text(ln__fisher_data *d, const ln_model *m, const ln_compress_opts *o)
{
    ln_status st = LN_OK;
    d->context = LN_MIN(o->calib_context, ln_model_max_context(m));
    LN_TRY(ln__corpus_tokens(&d->ids, &d->n_ids, ln_model_tokenizer(m), o->calib, (ln_clean)o->clean, o->calib_tokens));
    LN_TRY(ln__tokens_check(m, d->ids, d->n_ids));
    LN_TRY(ln__corpus_chunks(&d->starts, &d->sequences, d->n_ids, d->context, d->n_ids, LN_CHUNKS_SEQUENTIAL, 0,
                             o->calib));
    d->samples = LN_MIN(d->sequences, d->plan.samples);
done:
    return st;
}

/* Wrapped ids of a sentence; a long one is cut, its last token ([SEP]) kept. */
static ln_status add_sentence(ln__fisher_data *d, const ln_model *m, const ln__csv *csv, const ln__csv_field *field)
{
    ln_status st = LN_OK;
    int32_t *ids = NULL;
    int64_t n = 0;
    const int64_t most = LN_MIN(PAIR_TOKENS, ln_model_max_context(m));
    LN_TRY(ln_tokenizer_encode(&ids, &n, ln_model_tokenizer(m), field->text, field->len,
                               LN_TOKENIZE_SPECIAL | LN_TOKENIZE_WRAP));
    if (n < 1)
        LN_FAIL(LN_ERR_SHAPE, "%s:%lld: a sentence without tokens has no vector", ln__csv_name(csv),
                (long long)ln__csv_line(csv));
    if (n > most) {
        ids[most - 1] = ids[n - 1];
        n = most;
    }
    if (d->n_ids + n > d->cap_ids) {
        const int64_t cap = LN_MAX(d->n_ids + n, 2 * d->cap_ids);
        LN_TRY(ln__realloc((void **)&d->ids, (size_t)cap, sizeof *d->ids));
        d->cap_ids = cap;
    }
    memcpy(d->ids + d->n_ids, ids, (size_t)n * sizeof *ids);
    d->starts[d->sequences++] = d->n_ids;
    d->n_ids += n;
    d->starts[d->sequences] = d->n_ids;
done:
    ln__free(ids);
    return st;
}

static ln_status add_pair(ln__fisher_data *d, const ln_model *m, const ln__csv *csv, ln__csv_field *field, int64_t n)
{
    ln_status st = LN_OK;
    char *end = NULL;
    if (n != 3)
        LN_FAIL(LN_ERR_FORMAT, "%s:%lld: %lld fields, expected sentence1,sentence2,score", ln__csv_name(csv),
                (long long)ln__csv_line(csv), (long long)n);
    const double score = ln__strtod(field[2].text, &end);
    if (end == field[2].text || *end || !(score >= 0 && score <= 5))
        LN_FAIL(LN_ERR_FORMAT, "%s:%lld: the score is \"%.32s\", expected a number from 0 to 5", ln__csv_name(csv),
                (long long)ln__csv_line(csv), field[2].text);
    if (d->sequences + 3 > d->cap_starts) {
        const int64_t cap = LN_MAX(1024, 2 * d->cap_starts);
        LN_TRY(ln__realloc((void **)&d->starts, (size_t)cap, sizeof *d->starts));
        LN_TRY(ln__realloc((void **)&d->target, (size_t)cap / 2, sizeof *d->target));
        d->cap_starts = cap;
    }
    d->target[d->sequences / 2] = score / 5;
    for (int i = 0; i < 2; i++)
        LN_TRY(add_sentence(d, m, csv, &field[i]));
done:
    return st;
}

static ln_status read_pairs(ln__fisher_data *d, const ln_model *m, const char *path)
{
    ln_status st = LN_OK;
    ln__csv *csv = NULL;
    ln__csv_field *field = NULL;
    int64_t n = 0;
    d->pairs = true;
    LN_TRY(ln__csv_open(&csv, path, ','));
    for (;;) {
        LN_TRY(ln__csv_next(csv, &field, &n));
        if (!field)
            break;
        LN_TRY(add_pair(d, m, csv, field, n));
    }
    if (d->sequences == 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: no pairs", path);
    d->samples = LN_MIN(d->sequences / 2, d->plan.samples);
done:
    ln__csv_free(csv);
    return st;
}

/* All in order when all are taken, else a random choice. */
static ln_status choose(ln__fisher_data *d)
{
    ln_status st = LN_OK;
    const int64_t all = d->pairs ? d->sequences / 2 : d->sequences;
    LN_TRY(LN_NEW(&d->order, all));
    for (int64_t i = 0; i < all; i++)
        d->order[i] = i;
    if (d->samples < all) {
        ln__rng r = ln__rng_make(d->plan.seed, 18);
        ln__rng_shuffle_i64(&r, d->order, all);
    }
    if (d->plan.definition == LN__FISHER_BATCH) {
        d->plan.batch = LN_MIN(d->plan.batch, d->samples);
        d->samples -= d->samples % d->plan.batch;
    } else {
        d->plan.batch = 1;
    }
done:
    return st;
}

static void sample_span(int64_t *first, int64_t *end, const ln__fisher_data *d, int64_t sample, int part)
{
    const int64_t s = d->pairs ? 2 * d->order[sample] + part : d->order[sample];
    *first = d->starts[s];
    *end = d->pairs ? d->starts[s + 1] : d->starts[s] + d->context;
}

static void make_key(ln__fisher_data *d, uint64_t model_hash)
{
    XXH64_state_t *h = XXH64_createState();
    const int64_t facts[] = { FORMAT_VERSION, (int64_t)model_hash, d->plan.definition,
                              d->plan.batch,  d->plan.keep,        d->samples,
                              d->pairs };
    XXH64_reset(h, 0);
    XXH64_update(h, facts, sizeof facts);
    for (int64_t i = 0; i < d->samples; i++)
        for (int part = 0; part < (d->pairs ? 2 : 1); part++) {
            int64_t span[2];
            sample_span(&span[0], &span[1], d, i, part);
            const int64_t n = span[1] - span[0];
            XXH64_update(h, &n, sizeof n);
            XXH64_update(h, d->ids + span[0], (size_t)n * sizeof *d->ids);
            if (d->pairs)
                XXH64_update(h, &d->target[d->order[i]], sizeof *d->target);
        }
    snprintf(d->key, sizeof d->key, "%016" PRIx64, (uint64_t)XXH64_digest(h));
    XXH64_freeState(h);
}

ln_status ln__fisher_data_new(ln__fisher_data **out, ln_model *m, uint64_t model_hash, const ln_compress_opts *o,
                              const ln__fisher_plan *plan)
{
    ln_status st = LN_OK;
    ln__fisher_data *d = NULL;
    if (!ln_model_tokenizer(m))
        LN_FAIL(LN_ERR_NOTFOUND, "%s: no tokenizer: the calibration data cannot be read", ln_model_path(m));
    LN_TRY(LN_NEW0(&d, 1));
    d->plan = *plan;
    if (ln_model_family(m) == LN_FAMILY_BERT)
        LN_TRY(read_pairs(d, m, o->calib));
    else
        LN_TRY(read_text(d, m, o));
    LN_TRY(choose(d));
    make_key(d, model_hash);
    *out = d;
    d = NULL;
done:
    ln__fisher_data_free(d);
    return st;
}

/* ---- the pass ---- */

static ln_status new_fisher(ln__fisher **out, const ln__fisher_data *d, const ln_model *m)
{
    ln_status st = LN_OK;
    ln__fisher_shape *shapes = NULL;
    const int64_t n = ln_model_linear_count(m);
    LN_TRY(LN_NEW(&shapes, n));
    for (int64_t i = 0; i < n; i++) {
        const char *name = ln_model_linear_name(m, i);
        const ln_linop *op = ln_model_linear(m, name);
        shapes[i] = (ln__fisher_shape){ .name = name,
                                        .inputs = ln_linop_cols(op),
                                        .outputs = ln_linop_rows(op),
                                        .uses = (d->pairs ? 2 : 1) * (int)d->plan.batch };
    }
    LN_TRY(ln__fisher_new(out, shapes, n, d->plan.keep, d->plan.definition == LN__FISHER_TOKEN));
done:
    ln__free(shapes);
    return st;
}

static ln_status square(void *fisher, int64_t layer, const float *x, const float *g, int64_t rows)
{
    return ln__fisher_add(fisher, layer, x, g, rows);
}

static ln_status run_sample(ln__fisher *f, const ln__fisher_data *d, ln__fisher_loss *loss, int64_t sample)
{
    ln_status st = LN_OK;
    int64_t first[2], end[2];
    const double scale = 1.0 / (double)d->plan.batch;
    for (int part = 0; part < (d->pairs ? 2 : 1); part++)
        sample_span(&first[part], &end[part], d, sample, part);
    if (d->pairs)
        LN_TRY(ln__fisher_loss_pair(loss, d->ids + first[0], end[0] - first[0], d->ids + first[1], end[1] - first[1],
                                    d->target[d->order[sample]], scale));
    else
        LN_TRY(ln__fisher_loss_text(loss, d->ids + first[0], end[0] - first[0], scale));
    if ((sample + 1) % d->plan.batch == 0)
        LN_TRY(ln__fisher_next(f));
done:
    return st;
}

static ln_status run_samples(ln__fisher *f, const ln__fisher_data *d, ln_model *m, const ln_compress_opts *o,
                             const char *path)
{
    ln_status st = LN_OK;
    ln__fisher_loss *loss = NULL;
    double saved = ln__now();
    const int64_t batch = d->plan.batch;
    LN_TRY(ln__fisher_loss_new(&loss, m, square, f));
    for (int64_t s = ln__fisher_samples(f) * batch; s < d->samples; s++) {
        LN_TRY(run_sample(f, d, loss, s));
        const bool stop = o->progress && o->progress(o->payload, "fisher", s + 1, d->samples);
        if ((s + 1) % batch == 0 && (stop || s + 1 == d->samples || ln__now() - saved > SAVE_SECONDS)) {
            LN_TRY(ln__fisher_save(f, path, definition_name[d->plan.definition], d->key));
            saved = ln__now();
        }
        if (stop)
            LN_FAIL(LN_ERR_CANCELLED, "interrupted; the same command continues where it stopped");
    }
done:
    ln__fisher_loss_free(loss);
    return st;
}

ln_status ln__fisher_pass(ln__fisher **out, bool *cached, const ln__fisher_data *d, ln_model *m,
                          const ln_compress_opts *o, const char *fallback)
{
    ln_status st = LN_OK;
    ln__fisher *f = NULL;
    char *root = NULL, *path = NULL;
    LN_TRY(ln__cache_root(&root, o, fallback));
    LN_TRY(ln__cache_make(root));
    LN_TRY(ln__sprintf(&path, "%s/fisher-%s.safetensors", root, d->key));
    LN_TRY(new_fisher(&f, d, m));
    if (ln__file_exists(path) && ln__fisher_load(f, path, definition_name[d->plan.definition], d->key) != LN_OK) {
        ln__fisher_free(f); /* what cannot be read is made again */
        f = NULL;
        LN_TRY(new_fisher(&f, d, m));
    }
    *cached = ln__fisher_samples(f) * d->plan.batch >= d->samples;
    if (!*cached)
        LN_TRY(run_samples(f, d, m, o, path));
    *out = f;
    f = NULL;
done:
    ln__fisher_free(f);
    ln__free(root);
    ln__free(path);
    return st;
}
