/* tape.h - host models as expressions on a tape: what of them is trained, their forward passes, and the way back.
 *
 * Full training holds every weight in f32 (or f64 for checks) under its Hugging Face name. Otherwise weights stay
 * frozen in their storage type, and what is trained is added (LoRA pairs) or replaces its frozen counterpart (the
 * dictionary and non-zeros of factored layers, the pattern of the non-zeros fixed). Or nothing is trained, and the
 * backward pass shows every linear layer's input and output gradient to a watcher. */
#ifndef LINNET_MODEL_TAPE_H
#define LINNET_MODEL_TAPE_H

#include <linnet/ops.h>

#include "grad/frozen.h"
#include "model/model.h"

typedef enum ln__tape_what {
    LN__TAPE_FULL = 0,
    LN__TAPE_LORA = 1,    /* W + (alpha / rank) B A (Hu et al. 2022); A, B named as by peft           */
    LN__TAPE_FACTORS = 2, /* factored layers: PREFIX.D and .Cval of a dict, .lr1 and .lr2 of low rank */
    LN__TAPE_WATCHED = 3  /* nothing; the embedded tokens are leaves, so that gradients reach all layers */
} ln__tape_what;

typedef struct ln__tape_opts {
    ln__tape_what what;
    ln_dtype dt;            /* F32; F64 with LN__TAPE_FULL only                                          */
    bool remat;             /* keep only each block's input, run it again in the backward pass           */
    uint64_t seed;          /* of fresh weights                                                          */
    double std;             /* of fresh weights: N(0, std^2)                                             */
    int64_t rank;           /* LoRA                                                                      */
    double alpha;           /* LoRA                                                                      */
    ln__frozen_watch watch; /* WATCHED: its `layer` counts as ln_model_linear_name                  */
    void *watch_ctx;
    const char *targets; /* LoRA: patterns of module paths or last parts of them, by commas; NULL: all linear layers */
} ln__tape_opts;
#define LN__TAPE_OPTS_INIT                                                                                             \
    (ln__tape_opts)                                                                                                    \
    {                                                                                                                  \
        .what = LN__TAPE_FULL, .dt = LN_F32, .std = 0.02, .rank = 8, .alpha = 16                                       \
    }

/* One linear layer: trainable (w), frozen (op) with or without a pair, or factored. Unused parts are NULL. */
typedef struct ln__tape_linear {
    int64_t rows;
    ln_var *w, *b;
    const ln_linop *op;
    const float *bias;
    ln_var *a, *up; /* LoRA: A (r,I), B (O,r); low rank: V (r,I), U (O,r) */
    double scale;
    ln_var *d, *values; /* dict: D (k,I), non-zeros */
    const ln_tensor *mask;
    int64_t index; /* in ln_model_linear_name; of frozen layers */
} ln__tape_linear;

typedef struct ln__tape_norm {
    ln_var *g, *b;
    const float *gain, *bias;
    int64_t width;
} ln__tape_norm;

typedef struct ln__tape_block {
    struct ln__tape_model *m;
    int64_t layer;
    bool trained; /* anything in it */
    ln__tape_linear lin[LN_LIN_COUNT];
    ln__tape_norm norm[2], q_norm, k_norm;
} ln__tape_block;

/* Cosines and sines (positions, head_dim/2) of the tape's type. */
typedef struct ln__tape_angles {
    struct ln__tape_angles *older; /* still wrapped by a tape, perhaps */
    int64_t positions;
    void *cos, *sin;
} ln__tape_angles;

typedef struct ln__tape_model {
    ln__tape_opts o;
    ln__config c;
    ln_model *source; /* NULL: made from a configuration */
    bool held;        /* the blocks' operators and masks are referenced */
    ln_weights *w;
    double *frequency; /* of the rotary pairs */
    ln__tape_angles *angles;
    ln__tape_block *block;
    ln_var *embed, *head; /* NULL when frozen; the head of tied models is the embedding */
    ln_var *position, *type;
    ln__tape_norm first, last; /* BERT: of the embeddings; llama: before the head */
} ln__tape_model;

/* For training `m` (a reference is kept). LN_ERR_UNSUPPORTED when the model has nothing of what is asked for. */
ln_status ln__tape_model_new(ln__tape_model **out, const ln_model *m, const ln__tape_opts *o);
/* From scratch: all weights fresh by o->seed and o->std, norms 1, biases 0. */
ln_status ln__tape_model_fresh(ln__tape_model **out, const ln__config *c, const ln__tape_opts *o);
void ln__tape_model_free(ln__tape_model *m);

/* ---- llama ---- */

/* Final normalised states (B,T,H) of token ids (B,T) i32. */
ln_var *ln__tape_llama(ln__tape_model *m, ln_tape *t, ln_var *ids);
/* Logits (…,V) of states (…,H). */
ln_var *ln__tape_logits(ln__tape_model *m, ln_tape *t, ln_var *hidden);
/* Mean cross entropy of the next tokens: targets (B,T) i32, already shifted; ignored ones are opts->ignore. */
ln_var *ln__tape_llama_loss(ln__tape_model *m, ln_tape *t, ln_var *ids, ln_var *targets,
                            const ln_cross_entropy_opts *opts);

/* ---- BERT ---- */

/* Last hidden states (n,H) of sequences packed one after another: ids (n) i32, types (n) or NULL (all 0),
 * offsets[n_seq] = n as in ln__bert_encode. */
ln_var *ln__tape_bert(ln__tape_model *m, ln_tape *t, ln_var *ids, ln_var *types, const int64_t *offsets, int64_t n_seq);
/* The sentence vectors (n_seq,H) of such states: means over each sequence, of length 1. */
ln_var *ln__tape_sentences(ln_tape *t, ln_var *hidden, const int64_t *offsets, int64_t n_seq);

/* ---- the way back ---- */

/* Files for `dir`, which must be there: model.safetensors and config.json (full), adapter_model.safetensors and
 * adapter_config.json as peft reads them (LoRA). Factors: ln__tape_model_apply first, then save the model. */
ln_status ln__tape_model_save(const ln__tape_model *m, const char *dir);
/* Puts what was trained into the linear layers of `to`, a model of the same shapes: factors in their storage types,
 * LoRA pairs merged into dense f32 weights. LN_ERR_UNSUPPORTED for full training. */
ln_status ln__tape_model_apply(const ln__tape_model *m, ln_model *to);

/* ---- shared by the families ---- */

ln_var *ln__tape_linear_of(const ln__tape_block *b, ln_tape *t, int slot, ln_var *x);
ln_var *ln__tape_gain(ln_tape *t, ln_var *trained, const float *frozen, int64_t width); /* NULL when there is neither */
/* Rows of a frozen table: (dims of ids, H); a constant, or a leaf. */
ln_var *ln__tape_frozen_rows(ln_tape *t, const ln_tensor *table, ln_var *ids, bool leaf, const char *what);
/* Is every id within [0, below)? Else the tape fails, naming `what`. */
bool ln__tape_ids_ok(ln_tape *t, const ln_var *ids, int64_t below, const char *what);

#endif
