/* linnet/model.h - host models: a named list of tensors and a forward pass with taps.
 *
 * Families: llama (Llama, SmolLM2, Mistral, Qwen2, Qwen3, stories260K) and bert (MiniLM).
 * A checkpoint is a GGUF file, a Hugging Face directory, or a directory written by `linnet compress`. Weights stay
 * mapped and in their storage type. Tensor and activation names are the Hugging Face module paths. */
#ifndef LINNET_MODEL_H
#define LINNET_MODEL_H

#include <linnet/linop.h>
#include <linnet/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ln_model ln_model;
typedef struct ln_session ln_session;

/** Open a checkpoint. Every weight's shape is checked against the config before this returns. */
LN_API LN_MUST_CHECK ln_status ln_model_open(ln_model **out, const char *path);
LN_API ln_model *ln_model_retain(const ln_model *m);
LN_API void ln_model_release(ln_model *m);

typedef enum ln_family { LN_FAMILY_LLAMA = 0, LN_FAMILY_BERT = 1 } ln_family;

LN_API ln_family ln_model_family(const ln_model *m);
LN_API const char *ln_model_architecture(const ln_model *m); /* "llama", "mistral", "qwen2", "qwen3", "bert" */
LN_API const char *ln_model_path(const ln_model *m);
/** NULL when the checkpoint carries none. Belongs to the model. */
LN_API const ln_tokenizer *ln_model_tokenizer(const ln_model *m);
LN_API int64_t ln_model_layers(const ln_model *m);
LN_API int64_t ln_model_hidden(const ln_model *m);
LN_API int64_t ln_model_vocab(const ln_model *m);
LN_API int64_t ln_model_max_context(const ln_model *m);
LN_API int64_t ln_model_params(const ln_model *m); /* numbers stored; tied tensors once */
LN_API int64_t ln_model_bytes(const ln_model *m);  /* bytes stored, indices included    */
/** What was odd about the checkpoint but no error: unused tensors, say. One line each; belongs to the model. */
LN_API int64_t ln_model_warning_count(const ln_model *m);
LN_API const char *ln_model_warning(const ln_model *m, int64_t i); /* NULL: out of range */

/** Linear layers in execution order, by module path ("model.layers.3.mlp.up_proj"); embeddings and head excluded. */
LN_API int64_t ln_model_linear_count(const ln_model *m);
LN_API const char *ln_model_linear_name(const ln_model *m, int64_t i);
LN_API const ln_linop *ln_model_linear(const ln_model *m, const char *name); /* NULL: none; belongs to the model */
/** Put another operator of the same shape in its place (the model keeps a reference). */
LN_API LN_MUST_CHECK ln_status ln_model_set_linear(ln_model *m, const char *name, ln_linop *op);

/** What a session holds. Start from LN_SESSION_OPTS_INIT. */
typedef struct ln_session_opts {
    uint32_t struct_size;
    int32_t sequences; /* independent sequences, each with its own cache */
    int64_t context;   /* tokens per sequence; 0: the model's maximum    */
    int32_t kv_f16;    /* keep keys and values in f16 instead of f32     */
    int32_t force_ctx; /* allow positions beyond the model's maximum     */
} ln_session_opts;
#define LN_SESSION_OPTS_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(ln_session_opts), 1, 0, 0, 0                                                                            \
    }

LN_API LN_MUST_CHECK ln_status ln_session_new(ln_session **out, const ln_model *m, const ln_session_opts *opts);
LN_API void ln_session_free(ln_session *s);

/** Tokens already in the cache of a sequence; cut it back to `length` to reuse a prefix. */
LN_API int64_t ln_session_length(const ln_session *s, int sequence);
LN_API LN_MUST_CHECK ln_status ln_session_truncate(ln_session *s, int sequence, int64_t length);
/** Copy the cache of one sequence to another (shared prefixes of choices, beams). */
LN_API LN_MUST_CHECK ln_status ln_session_copy(ln_session *s, int to, int from);

/** Append `n` tokens to one sequence (prefill). Final normalised states (n, hidden) into `hidden` unless NULL. */
LN_API LN_MUST_CHECK ln_status ln_session_append(ln_session *s, int sequence, const int32_t *tokens, int64_t n,
                                                 float *hidden);
/** One token for each of `n` sequences (batched decode): hidden (n, hidden). */
LN_API LN_MUST_CHECK ln_status ln_session_step(ln_session *s, const int *sequences, const int32_t *tokens, int n,
                                               float *hidden);
/** Logits (n, vocab) of hidden states (n, hidden). */
LN_API LN_MUST_CHECK ln_status ln_model_logits(const ln_model *m, float *logits, const float *hidden, int64_t n);
/**
 * Natural-log probability of each target under its hidden state, in row tiles: the (n, vocab) logits never exist.
 * `greedy` (may be NULL) receives 1 where the target is the arg max. Sums in f64.
 */
LN_API LN_MUST_CHECK ln_status ln_model_score(const ln_model *m, double *logprob, uint8_t *greedy, const float *hidden,
                                              const int32_t *targets, int64_t n);

/** BERT family: last hidden states (n, hidden) of one sequence (all tokens attended). `types` may be NULL (all 0). */
LN_API LN_MUST_CHECK ln_status ln_model_encode(const ln_model *m, float *hidden, const int32_t *tokens,
                                               const int32_t *types, int64_t n);

/**
 * A tap sees a named activation, and may change it in place. Names: "<module path>.input" and "<module path>.output"
 * of every linear layer, "model.layers.N" (the residual stream after block N), "model.embed_tokens", "model.norm".
 */
typedef struct ln_activation {
    const char *name;
    int64_t layer; /* -1 outside blocks */
    float *data;   /* (tokens, width), row-major */
    int64_t tokens, width;
    int64_t position; /* of the first token in its sequence */
    int sequence;
} ln_activation;
/** Nonzero cancels the forward pass (LN_ERR_CANCELLED). */
typedef int (*ln_tap_fn)(void *payload, const ln_activation *a);

/** `pattern` is a name; '*' matches any run of characters. NULL removes all taps. Sessions of BERT models: not yet. */
LN_API LN_MUST_CHECK ln_status ln_session_tap(ln_session *s, const char *pattern, ln_tap_fn fn, void *payload);

#ifdef __cplusplus
}
#endif
#endif
