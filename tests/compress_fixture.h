/* compress_fixture.h - what the tests of compression share: a working directory, small models with a tokenizer made
 * from a seed, a calibration text, and digests of outputs. */
#ifndef LINNET_TESTS_COMPRESS_FIXTURE_H
#define LINNET_TESTS_COMPRESS_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "check.h"

#include <linnet/compress.h>
#include <linnet/eval.h>
#include <linnet/io.h>

#include "model/checkpoint.h"
#include "compress/systems.h"
#include "linop/scratch.h"
#include "core/file.h"
#include "core/json.h"
#include "core/result.h"
#include "core/rng.h"
#include "model/model.h"

/* The call fails with this status and a message that holds `words`. */
#define FAILS(call, status, words)                                                                                     \
    do {                                                                                                               \
        const ln_status got_ = (call);                                                                                 \
        if (got_ != (status))                                                                                          \
            fail_msg("%s: %s expected, got %s (%s)", #call, ln_status_name(status), ln_status_name(got_),              \
                     ln_last_error());                                                                                 \
        if (!strstr(ln_last_error(), words))                                                                           \
            fail_msg("%s: \"%s\" expected in: %s", #call, words, ln_last_error());                                     \
    } while (0)

/* ---- a directory of the test's own ---- */

static char work_dir[40];

static inline int work_setup(void **state)
{
    (void)state;
    strcpy(work_dir, "compress-test-XXXXXX");
    return mkdtemp(work_dir) ? 0 : -1;
}

static inline int work_teardown(void **state)
{
    (void)state;
    ln_memory_limit(0);
    ln_threads_set(0);
    (void)chmod(work_dir, 0755);
    if (ln__remove_tree(work_dir) != LN_OK)
        return -1;
    ln__scratch_trim();
    return ln__test_live() == 0 ? 0 : -1;
}

/* A path in that directory. */
static inline const char *in_work(const char *name)
{
    /* One place per path, for as long as the program runs: callers keep what they get. */
    static char *paths[256];
    static int used;
    char path[256];
    snprintf(path, sizeof path, "%s/%s", work_dir, name);
    for (int i = 0; i < used; i++)
        if (strcmp(paths[i], path) == 0)
            return paths[i];
    assert_true(used < 256);
    paths[used] = strdup(path);
    assert_non_null(paths[used]);
    return paths[used++];
}

static inline bool exists_in_work(const char *name)
{
    struct stat info;
    return lstat(in_work(name), &info) == 0;
}

/* Names in the working directory that begin with `stem` and go on. */
static inline int64_t count_beside(const char *stem)
{
    char **names = NULL;
    int64_t n = 0, found = 0;
    OK(ln__dir_list(&names, &n, work_dir));
    for (int64_t i = 0; i < n; i++) {
        if (strncmp(names[i], stem, strlen(stem)) == 0 && names[i][strlen(stem)] != '\0') {
            print_message("beside it: %s\n", names[i]);
            found++;
        }
        ln__free(names[i]);
    }
    ln__free(names);
    return found;
}

/* Hash of names and contents of a directory's files. */
static inline uint64_t digest(const char *dir)
{
    uint64_t hash = 0;
    int64_t bytes = 0;
    OK(ln__file_xxh64(&hash, &bytes, dir));
    return hash;
}

static inline uint64_t digest_of(const char *dir, const char *file)
{
    char *path = NULL;
    OK(ln__path_join(&path, dir, file));
    const uint64_t hash = digest(path);
    ln__free(path);
    return hash;
}

/* ---- small models ---- */

typedef struct shape {
    int64_t hidden, layers, heads, kv_heads, ffn;
    bool no_tokenizer;
    const char *nan_in;  /* a tensor with one NaN */
    const char *huge_in; /* a tensor with one value beyond f16, and beyond what f32 sums of products hold */
} shape;

static const shape small_shape = { .hidden = 48, .layers = 2, .heads = 4, .kv_heads = 2, .ffn = 80 };

enum { VOCAB = 64 };

/* Byte-level BPE of single characters: a-z, A-Z, space, newline and some punctuation; other characters get no id. */
static inline void write_tokenizer(const char *dir)
{
    static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'-\"";
    json_t *vocab = json_object();
    char one[2] = { 0 };
    int id = 1;
    json_object_set_new(vocab, "<s>", json_integer(0));
    for (const char *c = letters; *c; c++) {
        one[0] = *c;
        json_object_set_new(vocab, one, json_integer(id++));
    }
    json_object_set_new(vocab, "\xC4\xA0", json_integer(id++)); /* space */
    json_object_set_new(vocab, "\xC4\x8A", json_integer(id++)); /* newline */
    assert_true(id <= VOCAB);
    json_t *root =
        json_pack("{s:s,s:n,s:n,s:[{s:i,s:s,s:b,s:b,s:b,s:b,s:b}],s:n,s:{s:s,s:b,s:b,s:b},s:n,s:{s:s,s:b,s:b,s:b},"
                  "s:{s:s,s:n,s:n,s:n,s:n,s:b,s:b,s:b,s:O,s:[]}}",
                  "version", "1.0", "truncation", "padding", "added_tokens", "id", 0, "content", "<s>", "single_word",
                  0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1, "normalizer", "pre_tokenizer", "type",
                  "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1, "post_processor", "decoder",
                  "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type", "BPE",
                  "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                  "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges");
    char *path = NULL;
    assert_non_null(root);
    OK(ln__path_join(&path, dir, "tokenizer.json"));
    OK(ln__json_write(path, root, 1));
    ln__free(path);
    json_decref(root);
    json_decref(vocab);
}

static inline void write_config(const char *dir, const shape *s)
{
    char *path = NULL;
    json_t *config =
        json_pack("{s:[s],s:s,s:I,s:I,s:I,s:I,s:I,s:i,s:i,s:f,s:f,s:b,s:s,s:i,s:i}", "architectures",
                  "LlamaForCausalLM", "model_type", "llama", "hidden_size", (json_int_t)s->hidden, "num_hidden_layers",
                  (json_int_t)s->layers, "num_attention_heads", (json_int_t)s->heads, "num_key_value_heads",
                  (json_int_t)s->kv_heads, "intermediate_size", (json_int_t)s->ffn, "vocab_size", VOCAB,
                  "max_position_embeddings", 256, "rms_norm_eps", 1e-5, "rope_theta", 10000.0, "tie_word_embeddings", 1,
                  "hidden_act", "silu", "bos_token_id", 0, "eos_token_id", 0);
    assert_non_null(config);
    OK(ln__path_join(&path, dir, "config.json"));
    OK(ln__json_write(path, config, 1));
    ln__free(path);
    json_decref(config);
}

typedef struct weight {
    char name[80];
    int ndim;
    int64_t dims[2];
} weight;

static inline int64_t list_weights(weight *list, const shape *s)
{
    const int64_t d = s->hidden / s->heads;
    const struct {
        const char *name;
        int64_t rows, cols;
    } block[] = { { "input_layernorm", s->hidden, 0 },
                  { "post_attention_layernorm", s->hidden, 0 },
                  { "self_attn.q_proj", s->heads * d, s->hidden },
                  { "self_attn.k_proj", s->kv_heads * d, s->hidden },
                  { "self_attn.v_proj", s->kv_heads * d, s->hidden },
                  { "self_attn.o_proj", s->hidden, s->heads * d },
                  { "mlp.gate_proj", s->ffn, s->hidden },
                  { "mlp.up_proj", s->ffn, s->hidden },
                  { "mlp.down_proj", s->hidden, s->ffn } };
    int64_t n = 0;
    list[n++] = (weight){ "model.embed_tokens.weight", 2, { VOCAB, s->hidden } };
    list[n++] = (weight){ "model.norm.weight", 1, { s->hidden, 0 } };
    for (int64_t l = 0; l < s->layers; l++)
        for (int64_t b = 0; b < LN_COUNT(block); b++) {
            weight *w = &list[n++];
            snprintf(w->name, sizeof w->name, "model.layers.%lld.%s.weight", (long long)l, block[b].name);
            w->ndim = block[b].cols ? 2 : 1;
            w->dims[0] = block[b].rows;
            w->dims[1] = block[b].cols;
        }
    return n;
}

/* A llama model of f32 weights. Rows are mixtures of a few directions with a decaying spectrum, so that there is
 * something to compress. */
static inline const char *make_model(const char *name, const shape *s)
{
    const char *dir = in_work(name);
    weight list[128];
    ln_writer *w = NULL;
    char *path = NULL;
    const int64_t n = list_weights(list, s);
    OK(ln__dir_make(dir, true));
    OK(ln__path_join(&path, dir, "model.safetensors"));
    OK(ln_writer_new(&w, path));
    for (int64_t i = 0; i < n; i++)
        OK(ln_writer_declare(w, list[i].name, LN_F32, list[i].ndim, list[i].dims));
    for (int64_t i = 0; i < n; i++) {
        ln_tensor *t = NULL;
        ln__rng r = ln__rng_make(17, (uint64_t)i);
        OK(ln_tensor_new(&t, LN_F32, list[i].ndim, list[i].dims));
        float *x = ln_tensor_data(t);
        for (int64_t e = 0; e < ln_tensor_count(t); e++)
            x[e] = list[i].ndim == 1
                       ? 1 + 0.1f * (float)ln__rng_normal(&r)
                       : (float)(ln__rng_normal(&r) * (e % list[i].dims[1] < list[i].dims[1] / 3 ? 0.4 : 0.1));
        if (s->nan_in && strcmp(s->nan_in, list[i].name) == 0)
            x[5] = NAN;
        if (s->huge_in && strcmp(s->huge_in, list[i].name) == 0)
            x[5] = 1e38f;
        OK(ln_writer_put(w, list[i].name, t));
        ln_tensor_release(t);
    }
    OK(ln_writer_commit(w));
    ln_writer_free(w);
    ln__free(path);
    write_config(dir, s);
    if (!s->no_tokenizer)
        write_tokenizer(dir);
    return dir;
}

/* ---- runs ---- */

#define PROSE LN_SOURCE_DIR "/examples/data/helen.txt"

/* Small enough for a fraction of a second: 16 sequences of 32 tokens, Grams kept nowhere. */
static inline ln_compress_opts small_run(void)
{
    ln_compress_opts o = LN_COMPRESS_OPTS_INIT;
    o.calib = PROSE;
    o.calib_tokens = 512;
    o.calib_context = 32;
    o.cache = "none";
    return o;
}

static inline ln_status compress(const ln_system *system, const char *model, const char *out,
                                 const ln_compress_opts *opts)
{
    return ln_compress(system, model, out, opts, NULL, NULL);
}

static inline double perplexity(const char *model)
{
    static const char text[] = "It was the best of times, it was the worst of times; it was the age of wisdom, it was "
                               "the age of foolishness.";
    ln_model *m = NULL;
    ln_perplexity p = { .struct_size = sizeof p };
    ln_perplexity_opts o = LN_PERPLEXITY_OPTS_INIT;
    o.context = 64;
    OK(ln_model_open(&m, model));
    OK(ln_eval_perplexity(&p, m, text, sizeof text - 1, &o));
    ln_model_release(m);
    return p.perplexity;
}

#endif
