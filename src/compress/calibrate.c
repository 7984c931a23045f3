/* calibrate.c - one streaming pass over the calibration text: A = sum x x^T for each distinct input of each block.
 *
 * The text goes through the model one block at a time: the residual stream of all calibration tokens is held
 * (tokens x hidden floats), and only the Grams of one block, so memory does not grow with depth. q, k, v share an
 * input, and so do gate and up: four Grams per block. Each block's Grams are written at once (upper triangles, f64), so
 * a killed run computes only the blocks that are missing. Source: structured-linear, section 4. */
#include "compress/calibrate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "core/file.h"
#include "core/progress.h"
#include "linalg/linalg.h"
#include "model/model.h"
#include "text/corpus.h"

enum { GROUPS = 4, FORMAT_VERSION = 1 };

struct ln__calibration {
    char key[40];
    char *dir;
    int32_t *ids;
    int64_t *starts;
    int64_t sequences, context, tokens;
    bool cached;
    double seconds;
};

/* The Grams of one block while it runs. */
typedef struct gather {
    double *gram[GROUPS];
    int64_t width[GROUPS];
    float *work;
    bool skip_first;
    ln_status st;
    char why[256]; /* what stopped a tap: the pass says only that one did */
} gather;

ln_status ln__cache_root(char **out, const ln_compress_opts *o, const char *fallback)
{
    if (o->cache && strcmp(o->cache, "none") == 0)
        return ln__strdup(out, fallback);
    if (o->cache && *o->cache)
        return ln__strdup(out, o->cache);
    const char *dir = getenv("LINNET_CACHE");
    if (dir && *dir)
        return ln__sprintf(out, "%s/grams", dir);
    dir = getenv("XDG_CACHE_HOME");
    if (dir && *dir)
        return ln__sprintf(out, "%s/linnet/grams", dir);
    dir = getenv("HOME");
    if (dir && *dir)
        return ln__sprintf(out, "%s/.cache/linnet/grams", dir);
    return ln__strdup(out, fallback);
}

/* mkdir -p */
ln_status ln__cache_make(const char *path)
{
    const ln_status st = ln__file_is_dir(path) ? LN_OK : ln__dir_make(path, true);
    return st == LN_OK ? st : ln__fail_in(st, "for what is gathered (--cache DIR puts it elsewhere)");
}

static ln_status block_path(char **out, const ln__calibration *c, int64_t block)
{
    return ln__sprintf(out, "%s/block-%04" PRId64 ".safetensors", c->dir, block);
}

static ln_status pack_upper(ln_tensor **out, const double *g, int64_t n)
{
    ln_status st = LN_OK;
    LN_TRY(ln_tensor_new(out, LN_F64, 1, (int64_t[]){ n * (n + 1) / 2 }));
    double *p = ln_tensor_data(*out);
    for (int64_t i = 0; i < n; i++, p += n - i + 1)
        memcpy(p, g + i * n + i, (size_t)(n - i) * sizeof *p);
done:
    return st;
}

static ln_status save_block(const ln__calibration *c, int64_t block, const gather *ga)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    ln_tensor *packed = NULL;
    char *path = NULL, name[8];
    LN_TRY(block_path(&path, c, block));
    LN_TRY(ln_writer_new(&w, path));
    for (int g = 0; g < GROUPS; g++) {
        const int64_t n = ga->width[g];
        snprintf(name, sizeof name, "%d", g);
        LN_TRY(ln_writer_declare(w, name, LN_F64, 1, (int64_t[]){ n * (n + 1) / 2 }));
    }
    for (int g = 0; g < GROUPS; g++) {
        snprintf(name, sizeof name, "%d", g);
        LN_TRY(pack_upper(&packed, ga->gram[g], ga->width[g]));
        LN_TRY(ln_writer_put(w, name, packed));
        ln_tensor_release(packed);
        packed = NULL;
    }
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    ln_tensor_release(packed);
    ln__free(path);
    return st;
}

static int collect(gather *ga, int group, const ln_activation *a)
{
    const int64_t skip = ga->skip_first && a->position == 0 ? 1 : 0;
    if (a->width != ga->width[group])
        ga->st = ln__fail(LN_ERR_SHAPE, "%s: %lld inputs, %lld expected", a->name, (long long)a->width,
                          (long long)ga->width[group]);
    else
        ga->st =
            ln__gram_add(ga->gram[group], a->data + skip * a->width, a->width, a->tokens - skip, a->width, ga->work);
    if (ga->st != LN_OK)
        snprintf(ga->why, sizeof ga->why, "%s: %s", a->name, ln_last_error());
    return ga->st != LN_OK;
}

static int collect_qkv(void *ga, const ln_activation *a)
{
    return collect(ga, 0, a);
}
static int collect_o(void *ga, const ln_activation *a)
{
    return collect(ga, 1, a);
}
static int collect_up(void *ga, const ln_activation *a)
{
    return collect(ga, 2, a);
}
static int collect_down(void *ga, const ln_activation *a)
{
    return collect(ga, 3, a);
}

static ln_status set_taps(ln_session *s, int64_t block, gather *ga)
{
    static const struct {
        int slot;
        ln_tap_fn fn;
    } point[GROUPS] = {
        { LN_LIN_Q, collect_qkv }, { LN_LIN_O, collect_o }, { LN_LIN_UP, collect_up }, { LN_LIN_DOWN, collect_down }
    };
    ln_status st = LN_OK;
    char name[128];
    LN_TRY(ln_session_tap(s, NULL, NULL, NULL));
    for (int g = 0; g < GROUPS; g++) {
        snprintf(name, sizeof name, "model.layers.%" PRId64 ".%s.input", block,
                 ln__linear_suffix(LN_FAMILY_LLAMA, point[g].slot));
        LN_TRY(ln_session_tap(s, name, point[g].fn, ga));
    }
done:
    return st;
}

static ln_status gather_new(gather *ga, const ln_model *m, bool skip_first)
{
    ln_status st = LN_OK;
    const ln__config *cfg = ln__model_config(m);
    *ga = (gather){ .width = { cfg->hidden, cfg->heads * cfg->head_dim, cfg->hidden, cfg->ffn },
                    .skip_first = skip_first };
    int64_t widest = 0;
    for (int g = 0; g < GROUPS; g++) {
        LN_TRY(LN_NEW(&ga->gram[g], ga->width[g] * ga->width[g]));
        widest = LN_MAX(widest, ga->width[g]);
    }
    LN_TRY(LN_NEW(&ga->work, widest * widest));
done:
    return st;
}

static void gather_free(gather *ga)
{
    for (int g = 0; g < GROUPS; g++)
        ln__free(ga->gram[g]);
    ln__free(ga->work);
}

static ln_status check_grams(const gather *ga, int64_t block)
{
    for (int g = 0; g < GROUPS; g++)
        for (int64_t i = 0; i < ga->width[g]; i++)
            if (!isfinite(ga->gram[g][i * ga->width[g] + i]))
                return ln__fail(LN_ERR_NUMERIC, "calibration: input %lld of group %d of block %lld is not finite",
                                (long long)i, g, (long long)block);
    return LN_OK;
}

/* One block over all sequences: x is advanced in place; Grams are kept unless the block is there already. */
static ln_status run_block(const ln__calibration *c, ln_session *s, float *x, int64_t block, gather *ga, bool keep,
                           const ln_compress_opts *o, int64_t blocks)
{
    ln_status st = LN_OK;
    const int64_t width = ln_model_hidden(s->m);
    for (int g = 0; g < GROUPS; g++)
        memset(ga->gram[g], 0, (size_t)(ga->width[g] * ga->width[g]) * sizeof(double));
    if (keep)
        LN_TRY(set_taps(s, block, ga));
    else
        LN_TRY(ln_session_tap(s, NULL, NULL, NULL));
    for (int64_t q = 0; q < c->sequences; q++) {
        const ln__batch b = { .tokens = c->ids + c->starts[q], .n = c->context, .sequence = 0, .position = 0 };
        LN_TRY(ln_session_truncate(s, 0, 0));
        st = ln__llama_blocks(s, &b, x + q * c->context * width, block, block + 1);
        if (st == LN_ERR_CANCELLED && ga->st != LN_OK)
            st = ln__fail(ga->st, "%s: %s", ln_model_path(s->m), ga->why);
        if (st != LN_OK)
            goto done;
        if (o->progress && o->progress(o->payload, "calibrate", block * c->sequences + q + 1, blocks * c->sequences))
            LN_FAIL(LN_ERR_CANCELLED, "interrupted; the same command continues where it stopped");
    }
    if (keep) {
        LN_TRY(check_grams(ga, block));
        for (int g = 0; g < GROUPS; g++)
            ln__gram_symmetrise(ga->gram[g], ga->width[g]);
        LN_TRY(save_block(c, block, ga));
    }
done:
    return st;
}

static ln_status embed_all(const ln__calibration *c, ln_session *s, float *x)
{
    ln_status st = LN_OK;
    const int64_t width = ln_model_hidden(s->m);
    for (int64_t q = 0; q < c->sequences; q++) {
        LN_TRY(ln__tokens_check(s->m, c->ids + c->starts[q], c->context));
        for (int64_t t = 0; t < c->context; t++)
            ln__embed_row(x + (q * c->context + t) * width, s->m->embed, c->ids[c->starts[q] + t]);
    }
done:
    return st;
}

/* have[l]: block l is in the cache, whole. A file that does not open is computed and written again. */
static int64_t count_missing(const ln__calibration *c, int64_t blocks, uint8_t *have)
{
    int64_t missing = 0;
    for (int64_t l = 0; l < blocks; l++) {
        char *path = NULL;
        ln_archive *a = NULL;
        have[l] = block_path(&path, c, l) == LN_OK && ln__file_exists(path) && ln_archive_open(&a, path) == LN_OK;
        missing += !have[l];
        ln_archive_release(a);
        ln__free(path);
    }
    return missing;
}

/* The residual stream and the Grams of a block: said before it is tried, with what would make it fit. */
static ln_status check_memory(const ln__calibration *c, const ln_model *m)
{
    const ln__config *cfg = ln__model_config(m);
    const int64_t widest = LN_MAX(cfg->ffn, LN_MAX(cfg->hidden, cfg->heads * cfg->head_dim));
    const int64_t stream = c->sequences * c->context * cfg->hidden * (int64_t)sizeof(float);
    const int64_t grams = widest * widest * (int64_t)(GROUPS * sizeof(double) + sizeof(float));
    const int64_t work = c->context * ln__llama_row_floats(cfg) * (int64_t)sizeof(float);
    const int64_t need = stream + grams + work, room = ln__memory_free();
    if (need <= room)
        return LN_OK;
    return ln__fail(LN_ERR_NOMEM,
                    "calibration on %lld tokens needs about %lld MiB, the memory limit leaves %lld MiB: a smaller "
                    "--calib-tokens needs less, down to about %lld MiB",
                    (long long)(c->sequences * c->context), (long long)(need >> 20) + 1, (long long)(room >> 20),
                    (long long)((grams + work) >> 20) + 1);
}

static ln_status compute(ln__calibration *c, ln_model *m, const ln_compress_opts *o)
{
    ln_status st = LN_OK;
    const int64_t blocks = ln_model_layers(m), width = ln_model_hidden(m);
    ln_session *s = NULL;
    gather ga = { 0 };
    float *x = NULL;
    uint8_t *have = NULL;
    ln_session_opts so = LN_SESSION_OPTS_INIT;
    so.context = c->context;
    LN_TRY(LN_NEW(&have, blocks));
    int64_t missing = count_missing(c, blocks, have);
    c->cached = missing == 0;
    if (c->cached)
        goto done;
    LN_TRY(check_memory(c, m));
    LN_TRY(ln_session_new(&s, m, &so));
    LN_TRY(gather_new(&ga, m, o->skip_first));
    LN_TRY(LN_NEW(&x, c->sequences * c->context * width));
    LN_TRY(embed_all(c, s, x));
    for (int64_t l = 0; l < blocks && missing > 0; l++) {
        LN_TRY(run_block(c, s, x, l, &ga, !have[l], o, blocks));
        missing -= !have[l];
    }
done:
    ln_session_free(s);
    gather_free(&ga);
    ln__free(x);
    ln__free(have);
    return st;
}

static void make_key(ln__calibration *c, uint64_t model_hash, const ln_compress_opts *o)
{
    XXH64_state_t *h = XXH64_createState();
    const int64_t facts[] = { FORMAT_VERSION, (int64_t)model_hash, c->context, c->sequences, o->skip_first };
    XXH64_reset(h, 0);
    XXH64_update(h, facts, sizeof facts);
    for (int64_t q = 0; q < c->sequences; q++)
        XXH64_update(h, c->ids + c->starts[q], (size_t)c->context * sizeof *c->ids);
    snprintf(c->key, sizeof c->key, "%016" PRIx64, (uint64_t)XXH64_digest(h));
    XXH64_freeState(h);
}

ln_status ln__calibration_new(ln__calibration **out, ln_model *m, uint64_t model_hash, const ln_compress_opts *o,
                              const char *fallback)
{
    ln_status st = LN_OK;
    ln__calibration *c = NULL;
    char *root = NULL;
    int64_t n_ids = 0;
    if (ln_model_family(m) != LN_FAMILY_LLAMA)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: calibration needs a causal language model, this is %s", ln_model_path(m),
                ln_model_architecture(m));
    if (!ln_model_tokenizer(m))
        LN_FAIL(LN_ERR_NOTFOUND, "%s: no tokenizer: the calibration text cannot be read", ln_model_path(m));
    LN_TRY(LN_NEW0(&c, 1));
    c->context = LN_MIN(o->calib_context, ln_model_max_context(m));
    LN_TRY(ln__corpus_tokens(&c->ids, &n_ids, ln_model_tokenizer(m), o->calib, (ln_clean)o->clean, o->calib_tokens));
    LN_TRY(ln__corpus_chunks(&c->starts, &c->sequences, n_ids, c->context, 0, LN_CHUNKS_SEQUENTIAL, 0, o->calib));
    c->tokens = c->sequences * (c->context - (o->skip_first ? 1 : 0));
    make_key(c, model_hash, o);
    LN_TRY(ln__cache_root(&root, o, fallback));
    LN_TRY(ln__path_join(&c->dir, root, c->key));
    *out = c;
    c = NULL;
done:
    ln__free(root);
    ln__calibration_free(c);
    return st;
}

ln_status ln__calibration_run(ln__calibration *c, ln_model *m, const ln_compress_opts *o)
{
    ln_status st = LN_OK;
    const double started = ln__now();
    LN_TRY(ln__cache_make(c->dir));
    LN_TRY(compute(c, m, o));
    c->seconds = ln__now() - started;
done:
    return st;
}

void ln__calibration_free(ln__calibration *c)
{
    if (!c)
        return;
    ln__free(c->dir);
    ln__free(c->ids);
    ln__free(c->starts);
    ln__free(c);
}

int64_t ln__calibration_tokens(const ln__calibration *c)
{
    return c->tokens;
}

const char *ln__calibration_key(const ln__calibration *c)
{
    return c->key;
}

bool ln__calibration_cached(const ln__calibration *c)
{
    return c->cached;
}

double ln__calibration_seconds(const ln__calibration *c)
{
    return c->seconds;
}

ln_status ln__calibration_gram(double *gram, const ln__calibration *c, int64_t block, int group, int64_t n)
{
    ln_status st = LN_OK;
    char *path = NULL, name[8];
    ln_archive *a = NULL;
    ln_tensor *t = NULL;
    LN_TRY(block_path(&path, c, block));
    LN_TRY(ln_archive_open(&a, path));
    snprintf(name, sizeof name, "%d", group);
    LN_TRY(ln_archive_get(&t, a, name));
    if (ln_tensor_dtype(t) != LN_F64 || ln_tensor_count(t) != n * (n + 1) / 2)
        LN_FAIL(LN_ERR_FORMAT, "%s: tensor %s: the upper triangle of a %lld x %lld f64 matrix expected", path, name,
                (long long)n, (long long)n);
    const double *p = ln_tensor_cdata(t);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++)
            gram[i * n + j] = gram[j * n + i] = *p++;
done:
    ln_tensor_release(t);
    ln_archive_release(a);
    ln__free(path);
    return st;
}
