/* model.h - inside a host model: its configuration, its tensors by Hugging Face name, and its sessions.
 *
 * A checkpoint of any kind (GGUF, safetensors directory, llama2.c file) ends up as the same structures: a config, one
 * linop per linear layer in Hugging Face layout, and a list of the other tensors under their Hugging Face names. */
#ifndef LINNET_MODEL_MODEL_H
#define LINNET_MODEL_MODEL_H

#include <jansson.h>
#include <linnet/io.h>
#include <linnet/model.h>

#include "core/core.h"
#include "core/words.h"

/* ---- configuration ---- */

typedef enum ln__rope_kind { LN_ROPE_PLAIN = 0, LN_ROPE_LINEAR = 1, LN_ROPE_LLAMA3 = 2 } ln__rope_kind;
typedef enum ln__act { LN__ACT_SILU = 0, LN__ACT_GELU = 1 } ln__act;

typedef struct ln__config {
    ln_family family;
    char architecture[16]; /* "llama", "mistral", "qwen2", "qwen3", "bert" */
    int64_t hidden, layers, heads, kv_heads, head_dim, ffn, vocab, max_context, type_vocab;
    double norm_eps;
    double rope_theta;
    ln__rope_kind rope_kind;
    double rope_factor, rope_low, rope_high; /* rope_low, rope_high, rope_original: llama3 only */
    int64_t rope_original;
    bool rope_table;      /* GGUF divisors that no parameters explain: a config.json cannot say them */
    int64_t window;       /* sliding window of attention, in tokens; 0: none             */
    int64_t window_first; /* the first layer that slides (Qwen2 max_window_layers)       */
    ln__act act;
    bool bias_qkv, bias_o, bias_mlp, qk_norm;
    bool tied;       /* the head is the embedding                                        */
    bool tied_given; /* the file says so itself; otherwise an absent head decides        */
    int32_t bos;     /* -1: not stated                                                   */
    int32_t eos[8];  /* any of them ends a generation                                    */
    int n_eos;
} ln__config;

/* A Hugging Face config.json. `what` names the file in messages. Refuses unknown architectures by name. */
ln_status ln__config_from_json(ln__config *out, const json_t *json, const char *what);
ln_status ln__config_parse(ln__config *out, const char *text, size_t bytes, const char *what);
/* The keys of a GGUF file. */
ln_status ln__config_from_gguf(ln__config *out, const ln_archive *a);
/* Consistency common to all sources; called by the three readers. */
ln_status ln__config_check(const ln__config *c, const char *what);
/* A config.json that this library and transformers read back as the same model. */
ln_status ln__config_to_json(json_t **out, const ln__config *c);
/* Angular frequency of each of the head_dim/2 rotary pairs, after scaling. */
void ln__rope_frequencies(double *freq, const ln__config *c);

/* ---- tensors ---- */

/* Linear layers of a block, in execution order. BERT blocks have no gate. */
enum { LN_LIN_Q = 0, LN_LIN_K, LN_LIN_V, LN_LIN_O, LN_LIN_GATE, LN_LIN_UP, LN_LIN_DOWN, LN_LIN_COUNT };
/* Tap points of a block: input and output of each linear layer, then the block's output. */
enum { LN_POINT_IN = 0, LN_POINT_OUT = 1, LN_POINT_BLOCK = 2 * LN_LIN_COUNT, LN_POINTS = 2 * LN_LIN_COUNT + 1 };

typedef struct ln__block {
    ln_linop *lin[LN_LIN_COUNT];
    const float *bias[LN_LIN_COUNT];     /* NULL: none                                   */
    const float *norm[2], *norm_bias[2]; /* before (BERT: after) attention and MLP       */
    const float *q_norm, *k_norm;        /* per head, Qwen3                              */
} ln__block;

/* A tensor that is not a linear layer's weight: embeddings, norms, biases, an untied head. */
typedef struct ln__named {
    char *name; /* Hugging Face, without any prefix the file had */
    ln_tensor *t;
} ln__named;

typedef enum ln__checkpoint {
    LN_CHECKPOINT_GGUF = 0,
    LN_CHECKPOINT_HF = 1,
    LN_CHECKPOINT_LINNET = 2,
    LN_CHECKPOINT_LLAMA2C = 3
} ln__checkpoint;

enum { LN_HEAD_ROWS = 4096 }; /* vocabulary rows scored at a time */

struct ln_model {
    int refs; /* atomic */
    ln__checkpoint kind;
    char *path, *dir; /* dir: where config.json lies; NULL for single files */
    ln__config cfg;
    ln_archive *archive;
    ln_tokenizer *tokenizer;
    ln_tensor *embed;                          /* (vocab, hidden), any storage type   */
    const float *final_norm;                   /* llama                               */
    ln_tensor *position_embed, *type_embed;    /* bert                                */
    const float *embed_norm, *embed_norm_bias; /* bert                                */
    double *rope;                              /* head_dim/2 frequencies              */
    ln_linop *head;                            /* (vocab, hidden)                     */
    ln_linop **head_part;                      /* the same in pieces of LN_HEAD_ROWS  */
    int64_t head_parts;
    ln__block *blocks;
    int64_t n_linear;   /* linear layers with a name */
    char **linear_name; /* [layers * LN_LIN_COUNT]; NULL for the missing gate of BERT */
    char **point_name;  /* [layers * LN_POINTS], then embed and norm                  */
    ln__named *named;   /* every stored tensor but the linear layers' weights         */
    int64_t n_named, cap_named;
    ln_tensor **held; /* f32 copies that the const float pointers above point into */
    int64_t n_held, cap_held;
    char **warnings;
    int64_t n_warnings, cap_warnings;
};

const ln__config *ln__model_config(const ln_model *m);
ln__checkpoint ln__model_checkpoint(const ln_model *m);
/* Tensor names in it are the file's own. */
const ln_archive *ln__model_archive(const ln_model *m);
/* The other tensors, in a fixed order, by Hugging Face name; the head only when it is not tied. */
int64_t ln__model_named_count(const ln_model *m);
const char *ln__model_named_name(const ln_model *m, int64_t i);
const ln_tensor *ln__model_named_tensor(const ln_model *m, int64_t i);
/* LN_ERR_NUMERIC naming the first tensor with a NaN or Inf. Reads every weight: not done when opening. */
ln_status ln__model_check_finite(const ln_model *m);
/* Layer and slot of the i-th linear layer in execution order. */
void ln__model_linear_at(const ln_model *m, int64_t i, int64_t *layer, int *slot);
/* Linear layers that read the same activation (q|k|v, gate|up) have the same input group: 0 qkv, 1 o, 2 up, 3 down. */
int ln__linear_input_group(int slot);

/* ---- building (open*.c) ---- */

ln_status ln__model_new(ln_model **out, const char *path); /* empty; free with ln_model_release */
ln_status ln__model_names(ln_model *m);                    /* after cfg is known */
ln_status ln__model_warn(ln_model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
ln_status ln__model_hold_f32(const float **out, ln_model *m, const ln_tensor *t,
                             const char *name); /* finite f32 copy */
ln_status ln__model_name_tensor(ln_model *m, const char *name, const ln_tensor *t);
ln_status ln__model_finish(ln_model *m);                   /* the head, whole and in parts */
ln_status ln__model_fill(ln_model *m);                     /* from m->archive, by family and naming */
const char *ln__linear_suffix(ln_family family, int slot); /* "self_attn.q_proj"; NULL: the family has none */

/* ---- sessions ---- */

/* Keys (layer, kv head, cap, head_dim) and values transposed (layer, kv head, head_dim, cap), so that both products of
 * decoding run along contiguous memory. f32, or f16 when kv_f16. */
typedef struct ln__cache {
    void *k, *v;
    int64_t cap, length;
} ln__cache;

typedef struct ln__tap {
    char *pattern;
    ln_tap_fn fn;
    void *payload;
} ln__tap;

struct ln_session {
    ln_model *m;
    ln_session_opts opts;
    int64_t limit; /* most tokens a sequence may hold */
    ln__cache *seq;
    float *rope_cos, *rope_sin; /* (rope_cap, head_dim/2) */
    int64_t rope_cap;
    float *work; /* activations of one chunk, carved by the family */
    int64_t work_rows;
    float *scratch; /* attention, per thread */
    int64_t scratch_threads;
    float *partial; /* decode: split softmax parts */
    int64_t partial_len;
    ln__tap *taps;
    int n_taps;
    uint8_t *tapped; /* per point: any pattern matches */
    bool checking;   /* stop at the first non-finite activation, taps off */
};

enum { LN_CHUNK = 512 }; /* tokens of a prefill that go through the blocks together */

/* Consecutive rows of a pass that belong to consecutive positions of one sequence. */
typedef struct ln__stretch {
    int sequence;
    int64_t n, position; /* position: of the first row */
} ln__stretch;

/* One pass of n rows: consecutive positions of one sequence, several such runs one after another, or (a decoding step)
 * one row for each of several sequences. */
typedef struct ln__batch {
    const int32_t *tokens;
    int64_t n;
    const int *sequences;    /* step: one per row                       */
    const ln__stretch *runs; /* their lengths add up to n               */
    int sequence;            /* of all rows, when both are NULL         */
    int64_t position;        /* of row 0 then                           */
} ln__batch;
int ln__batch_sequence(const ln__batch *b, int64_t row);
int64_t ln__batch_position(const ln_session *s, const ln__batch *b, int64_t row);
/* The row after the last one that belongs to the same run. */
int64_t ln__batch_run_end(const ln__batch *b, int64_t row);

/* Room for `tokens` in a sequence, and for the activations of `rows`; grows, never shrinks. */
ln_status ln__session_reserve(ln_session *s, int sequence, int64_t tokens);
/* Activations of `rows` rows, scratch of every thread, and for a decoding step its split sums. */
ln_status ln__session_reserve_work(ln_session *s, int64_t rows, bool step);
/* Tokens for several sequences at once, each appended to its own: runs[i].n tokens for runs[i].sequence, one after
 * another in `tokens`; positions are worked out here. No sequence twice. hidden (total, H) or NULL. */
ln_status ln__session_append_runs(ln_session *s, ln__stretch *runs, int64_t n_runs, const int32_t *tokens,
                                  float *hidden);
/* As ln_session_append, but only the last hidden state. */
ln_status ln__session_append_last(ln_session *s, int sequence, const int32_t *tokens, int64_t n, float *hidden);
/* Runs the blocks; caches are written, lengths are not advanced. `hidden` (n, H), or (1, H) when last_only, or NULL. */
ln_status ln__llama_forward(ln_session *s, const ln__batch *b, float *hidden, bool last_only);
/* Blocks [first, last) over the residual rows x (n, H) of one sequence, in place, with their taps; the caches of these
 * blocks are written, lengths are not advanced. How a text is calibrated one block at a time. */
ln_status ln__llama_blocks(ln_session *s, const ln__batch *b, float *x, int64_t first, int64_t last);
int64_t ln__llama_row_floats(const ln__config *c); /* activation floats per row */
/* A tap point: shows the activation to the taps, or looks for NaN when checking. `point` indexes point_name. */
ln_status ln__point(ln_session *s, const ln__batch *b, int64_t layer, int64_t point, float *data, int64_t width);
/* Why is a final state not finite? Looks through weights and, for sessions, activations. Always fails. */
ln_status ln__blame(ln_session *s, const ln__batch *b);
/* Row `token` of an embedding of any storage type, as f32. */
void ln__embed_row(float *dst, const ln_tensor *table, int64_t row);
/* Tokens of a sequence against the model's vocabulary. */
ln_status ln__tokens_check(const ln_model *m, const int32_t *tokens, int64_t n);

/* BERT: several sequences packed one after another; offsets[n_seq] is the total. hidden (total, H). */
ln_status ln__bert_encode(const ln_model *m, float *hidden, const int32_t *tokens, const int32_t *types,
                          const int64_t *offsets, int64_t n_seq);

/* ---- attention (attention.c) ---- */

/* A block of queries of `group` heads that share one key head, over a contiguous range of keys. */
typedef struct ln__attend {
    const float *q; /* row t, head g at q + t*ldq + g*dim */
    float *out;     /* likewise */
    int64_t ldq, ldo, rows, group, dim;
    const void *k, *v; /* of this key head: k + u*ldk; v + d*ldv + u when v_transposed, else v + u*ldv + d */
    int64_t ldk, ldv;
    bool f16, v_transposed;
    int64_t keys; /* keys there are */
    bool causal;
    int64_t position; /* of row 0 */
    int64_t window;   /* 0: none */
    float scale;
} ln__attend;
int64_t ln__attend_query_block(int64_t group);          /* rows of one call at most */
int64_t ln__attend_scratch(int64_t group, int64_t dim); /* floats per thread */
enum { LN_QUERY_BLOCK = 64, LN_KEY_BLOCK = 256, LN_KEY_SPLIT = 128 };
ln_status ln__attend_block(const ln__attend *a, float *scratch);
/* One query row against keys [first, last): out holds the unnormalised sums per head, then max and sum per head. */
void ln__attend_split(const ln__attend *a, int64_t first, int64_t last, float *out, float *scratch);
void ln__attend_combine(float *out, const float *parts, int64_t n, int64_t group, int64_t dim);

#endif
