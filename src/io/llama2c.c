/* llama2c.c - checkpoints of karpathy/llama2.c (version 0: no magic), under Hugging Face names.
 *
 * Seven little-endian int32: dim, hidden, layers, heads, kv_heads, vocab (negative: a head of its own at the end), seq.
 * Then f32 blocks, each for all layers: embeddings; attention norms; wq; wk; wv; wo; ffn norms; w1; w2; w3; final norm;
 * two unused RoPE tables (seq, head_dim / 2); the head if it is not tied.
 * Pitfall: RoPE pairs are interleaved here (2j, 2j+1) and halves apart at Hugging Face (j, j + d/2). Queries and keys
 * are therefore put in the other order: W_hf[h d + c d/2 + j] = W[h d + 2j + c], by a copy, when they are asked for.
 * Without a magic the header proves itself: the size it implies is the size of the file, to the byte. */
#include "io/archive.h"

#include <string.h>

enum { DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQ, N_HEADER };
enum { HEADER_BYTES = N_HEADER * 4 };
static const uint32_t LATER_MAGIC = 0x616b3432; /* "ak42": versions 1 and 2 */

typedef struct block {
    const char *name; /* with the layer's number in it, unless `once` */
    int rows, cols;   /* DIM_… below; cols 0: a vector */
    bool once, pairs; /* not per layer; rows to be put in the other order */
} block;

/* What a dimension of a block is. */
enum { NONE, OF_DIM, OF_HIDDEN, OF_KV, OF_VOCAB, OF_ROPE, OF_SEQ, N_SIZES };

static const block blocks[] = {
    { "model.embed_tokens.weight", OF_VOCAB, OF_DIM, true, false },
    { "model.layers.%lld.input_layernorm.weight", OF_DIM, NONE, false, false },
    { "model.layers.%lld.self_attn.q_proj.weight", OF_DIM, OF_DIM, false, true },
    { "model.layers.%lld.self_attn.k_proj.weight", OF_KV, OF_DIM, false, true },
    { "model.layers.%lld.self_attn.v_proj.weight", OF_KV, OF_DIM, false, false },
    { "model.layers.%lld.self_attn.o_proj.weight", OF_DIM, OF_DIM, false, false },
    { "model.layers.%lld.post_attention_layernorm.weight", OF_DIM, NONE, false, false },
    { "model.layers.%lld.mlp.gate_proj.weight", OF_HIDDEN, OF_DIM, false, false },
    { "model.layers.%lld.mlp.down_proj.weight", OF_DIM, OF_HIDDEN, false, false },
    { "model.layers.%lld.mlp.up_proj.weight", OF_HIDDEN, OF_DIM, false, false },
    { "model.norm.weight", OF_DIM, NONE, true, false },
    { NULL, OF_SEQ, OF_ROPE, true, false }, /* cosines and sines of the author's own loop */
    { NULL, OF_SEQ, OF_ROPE, true, false },
    { "lm_head.weight", OF_VOCAB, OF_DIM, true, false }, /* only when not tied */
};

typedef struct shape {
    int64_t h[N_HEADER], size[N_SIZES];
    bool tied;
    int n_blocks;
} shape;

static bool read_shape(shape *s, const unsigned char *data, size_t bytes)
{
    if (bytes < HEADER_BYTES)
        return false;
    for (int i = 0; i < N_HEADER; i++)
        s->h[i] = (int32_t)ln__le32(data + 4 * i);
    s->tied = s->h[VOCAB] > 0;
    if (!s->tied)
        s->h[VOCAB] = -s->h[VOCAB];
    for (int i = 0; i < N_HEADER; i++)
        if (s->h[i] <= 0)
            return false;
    if (s->h[DIM] % s->h[HEADS] || s->h[HEADS] % s->h[KV_HEADS] || s->h[DIM] / s->h[HEADS] % 2)
        return false;
    const int64_t head_dim = s->h[DIM] / s->h[HEADS];
    s->size[NONE] = 1;
    s->size[OF_DIM] = s->h[DIM];
    s->size[OF_HIDDEN] = s->h[HIDDEN];
    s->size[OF_KV] = head_dim * s->h[KV_HEADS];
    s->size[OF_VOCAB] = s->h[VOCAB];
    s->size[OF_ROPE] = head_dim / 2;
    s->size[OF_SEQ] = s->h[SEQ];
    s->n_blocks = (int)LN_COUNT(blocks) - s->tied;
    return true;
}

/* Bytes of the whole file; false when they overflow. */
static bool total_bytes(int64_t *out, const shape *s)
{
    int64_t n = 0, part = 0;
    for (int i = 0; i < s->n_blocks; i++) {
        if (__builtin_mul_overflow(s->size[blocks[i].rows], s->size[blocks[i].cols], &part) ||
            (!blocks[i].once && __builtin_mul_overflow(part, s->h[LAYERS], &part)) ||
            __builtin_add_overflow(n, part, &n))
            return false;
    }
    if (n > INT64_MAX / 4 - HEADER_BYTES)
        return false;
    *out = HEADER_BYTES + 4 * n;
    return true;
}

bool ln__llama2c_looks_like(const unsigned char *data, size_t bytes)
{
    shape s;
    int64_t want = 0;
    if (bytes >= 4 && ln__le32(data) == LATER_MAGIC)
        return true; /* so that the reader can say what it is */
    return read_shape(&s, data, bytes) && total_bytes(&want, &s) && (uint64_t)want == bytes;
}

/* Rows of queries and keys in Hugging Face order. */
static ln_status load_pairs(ln_tensor **out, const ln_archive *a, const char *name, const ln__entry *e)
{
    (void)a;
    (void)name;
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    const int64_t d = e->u.head_dim, half = d / 2;
    const size_t row = (size_t)e->dims[1] * sizeof(float);
    LN_TRY(ln_tensor_new(&t, LN_F32, 2, e->dims));
    unsigned char *to = ln_tensor_data(t);
    for (int64_t r = 0; r < e->dims[0]; r++) {
        const int64_t head = r / d, c = r % d / half, j = r % half;
        memcpy(to + (size_t)r * row, e->data + (size_t)(head * d + 2 * j + c) * row, row);
    }
    *out = t;
done:
    return st;
}

static ln_status add_block(ln_archive *a, const shape *s, const block *b, const unsigned char **at, const char *file)
{
    ln_status st = LN_OK;
    char name[80];
    const int64_t n = b->once ? 1 : s->h[LAYERS];
    ln__entry e = { .dtype = LN_F32, .ndim = b->cols == NONE ? 1 : 2 };
    e.dims[0] = s->size[b->rows];
    e.dims[1] = b->cols == NONE ? 0 : s->size[b->cols];
    e.bytes = (size_t)(s->size[b->rows] * s->size[b->cols]) * sizeof(float);
    if (b->pairs) {
        e.load = load_pairs;
        e.u.head_dim = s->h[DIM] / s->h[HEADS];
    }
    for (int64_t l = 0; l < n; l++, *at += e.bytes) {
        if (!b->name)
            continue;
        e.data = *at;
        const char *mark = strstr(b->name, "%lld");
        if (mark)
            snprintf(name, sizeof name, "%.*s%lld%s", (int)(mark - b->name), b->name, (long long)l, mark + 4);
        else
            snprintf(name, sizeof name, "%s", b->name);
        LN_TRY(ln__archive_add(a, file, name, strlen(name), &e));
    }
done:
    return st;
}

static ln_status add_config(ln_archive *a, const shape *s, const char *file)
{
    static const char *const keys[N_HEADER] = {
        "hidden_size",         "intermediate_size", "num_hidden_layers",      "num_attention_heads",
        "num_key_value_heads", "vocab_size",        "max_position_embeddings"
    };
    static const char tie[] = "tie_word_embeddings";
    ln_status st = LN_OK;
    char text[24];
    for (int i = 0; i < N_HEADER; i++) {
        const int len = snprintf(text, sizeof text, "%lld", (long long)s->h[i]);
        LN_TRY(ln__archive_add_meta(a, file, keys[i], strlen(keys[i]), text, (size_t)len));
    }
    LN_TRY(ln__archive_add_meta(a, file, tie, sizeof tie - 1, s->tied ? "true" : "false", s->tied ? 4 : 5));
done:
    return st;
}

ln_status ln__llama2c_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file)
{
    ln_status st = LN_OK;
    shape s;
    int64_t want = 0;
    const unsigned char *at = data + HEADER_BYTES;
    a->format = LN_FORMAT_LLAMA2C;
    if (bytes >= 8 && ln__le32(data) == LATER_MAGIC)
        LN_FAIL(LN_ERR_UNSUPPORTED,
                "%s: a llama2.c checkpoint of version %d; version 0 (export.py --version 0) is read", file,
                (int32_t)ln__le32(data + 4));
    if (!read_shape(&s, data, bytes) || !total_bytes(&want, &s) || (uint64_t)want != bytes)
        LN_FAIL(LN_ERR_FORMAT, "%s: not a llama2.c checkpoint: its header does not describe a file of %zu bytes", file,
                bytes);
    LN_TRY(add_config(a, &s, file));
    for (int i = 0; i < s.n_blocks; i++)
        LN_TRY(add_block(a, &s, &blocks[i], &at, file));
done:
    return st;
}
