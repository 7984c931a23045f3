/* model_fixture.h - what the tests of models share: golden arrays, the tiny models, variants of them in a directory. */
#ifndef LINNET_TESTS_MODEL_FIXTURE_H
#define LINNET_TESTS_MODEL_FIXTURE_H

#include "io_files.h"
#include "check.h"

#include <math.h>

#include <linnet/generate.h>
#include <linnet/io.h>

#include "core/json.h"
#include "model/model.h"

static inline ln_archive *golden_open(const char *family)
{
    char path[1024];
    ln_archive *a = NULL;
    snprintf(path, sizeof path, "%s/models/%s/golden.safetensors", LN_GOLDEN, family);
    OK(ln_archive_open(&a, path));
    return a;
}

/* A golden array as f32; counts may be NULL. Free with ln_tensor_release. */
static inline ln_tensor *golden_get(const ln_archive *a, const char *name)
{
    ln_tensor *t = NULL;
    OK(ln_archive_get(&t, a, name));
    return t;
}

/* An I64 array as token ids; ln_free. */
static inline int32_t *golden_ids(const ln_archive *a, const char *name, int64_t *n)
{
    ln_tensor *t = golden_get(a, name);
    int32_t *ids = NULL;
    *n = ln_tensor_count(t);
    assert_int_equal(ln_tensor_dtype(t), LN_I64);
    OK(LN_NEW(&ids, *n));
    for (int64_t i = 0; i < *n; i++)
        ids[i] = (int32_t)((const int64_t *)ln_tensor_cdata(t))[i];
    ln_tensor_release(t);
    return ids;
}

static inline ln_model *tiny_open(const char *family)
{
    char path[1024];
    ln_model *m = NULL;
    snprintf(path, sizeof path, "%s/models/%s", LN_GOLDEN, family);
    OK(ln_model_open(&m, path));
    return m;
}

static inline ln_session *session_of(const ln_model *m, int sequences, int64_t context, bool f16)
{
    ln_session_opts o = LN_SESSION_OPTS_INIT;
    ln_session *s = NULL;
    o.sequences = sequences;
    o.context = context;
    o.kv_f16 = f16;
    OK(ln_session_new(&s, m, &o));
    return s;
}

static inline float *floats(int64_t n)
{
    float *x = NULL;
    OK(LN_NEW0(&x, n));
    return x;
}

/* Hidden states of a fresh sequence; ln_free. */
static inline float *hidden_of(const ln_model *m, const int32_t *ids, int64_t n)
{
    ln_session *s = session_of(m, 1, n, false);
    float *h = floats(n * ln_model_hidden(m));
    OK(ln_session_append(s, 0, ids, n, h));
    ln_session_free(s);
    return h;
}

static inline float *logits_of(const ln_model *m, const int32_t *ids, int64_t n)
{
    float *h = hidden_of(m, ids, n), *logits = floats(n * ln_model_vocab(m));
    OK(ln_model_logits(m, logits, h, n));
    ln_free(h);
    return logits;
}

/* Every |a - b| within `tolerance`; NaN is not. */
static inline void check_close(const float *a, const float *b, int64_t n, double tolerance, const char *what)
{
    double worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        if (!isnan(worst) && !(d <= worst)) { /* the first NaN is the worst */
            worst = d;
            at = i;
        }
    }
    if (!(worst <= tolerance))
        fail_msg("%s: element %lld is %.8g, expected %.8g (differs by %.3g, %.3g allowed)", what, (long long)at,
                 (double)a[at], (double)b[at], worst, tolerance);
}

/* ---- variants of a tiny model, written into the test's own directory ---- */

/* May change a tensor on its way (return a new one, or NULL to drop it) and the config. */
typedef struct variant {
    ln_tensor *(*change)(const char *name, const ln_tensor *t, void *ctx);
    void (*config)(json_t *config, void *ctx);
    void *ctx;
} variant;

static inline void variant_write(const char *family, const variant *v)
{
    char path[1024];
    ln_archive *a = NULL;
    ln_writer *w = NULL;
    ln_tensor **t = NULL;
    json_t *config = NULL;
    snprintf(path, sizeof path, "%s/models/%s/config.json", LN_GOLDEN, family);
    OK(ln__json_read(&config, path));
    if (v->config)
        v->config(config, v->ctx);
    OK(ln__json_write(io_path("config.json"), config, 1));
    json_decref(config);
    snprintf(path, sizeof path, "%s/models/%s/model.safetensors", LN_GOLDEN, family);
    OK(ln_archive_open(&a, path));
    OK(ln_writer_new(&w, io_path("model.safetensors")));
    const int64_t n = ln_archive_count(a);
    OK(LN_NEW0(&t, n));
    for (int64_t i = 0; i < n; i++) {
        ln_tensor *got = golden_get(a, ln_archive_name(a, i));
        t[i] = v->change ? v->change(ln_archive_name(a, i), got, v->ctx) : ln_tensor_retain(got);
        ln_tensor_release(got);
        int64_t dims[LN_MAX_DIMS];
        for (int d = 0; t[i] && d < ln_tensor_ndim(t[i]); d++)
            dims[d] = ln_tensor_dim(t[i], d);
        if (t[i])
            OK(ln_writer_declare(w, ln_archive_name(a, i), ln_tensor_dtype(t[i]), ln_tensor_ndim(t[i]), dims));
    }
    for (int64_t i = 0; i < n; i++)
        if (t[i])
            OK(ln_writer_put(w, ln_archive_name(a, i), t[i]));
    OK(ln_writer_commit(w));
    for (int64_t i = 0; i < n; i++)
        ln_tensor_release(t[i]);
    ln_free(t);
    ln_writer_free(w);
    ln_archive_release(a);
}

static inline ln_model *variant_open(void)
{
    ln_model *m = NULL;
    OK(ln_model_open(&m, io_dir));
    return m;
}

#endif
