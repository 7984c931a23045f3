/* linnet/ops.h - the operations of the tape, by family. Shapes are written (B,T,C); "…" is any number of leading
 * dimensions. Each returns a new variable on `t` and never NULL (linnet/tape.h says how failures travel). Where a
 * formula is given, g is the gradient of the result. Sources: docs/gradients.md. */
#ifndef LINNET_OPS_H
#define LINNET_OPS_H

#include <linnet/linop.h>
#include <linnet/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- element-wise, two operands: shapes broadcast as in NumPy ---- */

LN_API ln_var *ln_add(ln_tape *t, ln_var *a, ln_var *b);
LN_API ln_var *ln_sub(ln_tape *t, ln_var *a, ln_var *b);
LN_API ln_var *ln_mul(ln_tape *t, ln_var *a, ln_var *b);
LN_API ln_var *ln_div(ln_tape *t, ln_var *a, ln_var *b);
LN_API ln_var *ln_minimum(ln_tape *t, ln_var *a, ln_var *b); /* the gradient goes to the winner, ties to a */
LN_API ln_var *ln_maximum(ln_tape *t, ln_var *a, ln_var *b);
LN_API ln_var *ln_where(ln_tape *t, ln_var *condition, ln_var *a, ln_var *b); /* condition: LN_BOOL or LN_U8 */
LN_API ln_var *ln_lerp(ln_tape *t, ln_var *a, ln_var *b, double w);           /* a + w (b - a) */

/* ---- element-wise, one operand ---- */

LN_API ln_var *ln_neg(ln_tape *t, ln_var *x);
LN_API ln_var *ln_scale(ln_tape *t, ln_var *x, double a); /* a x   */
LN_API ln_var *ln_shift(ln_tape *t, ln_var *x, double a); /* x + a */
LN_API ln_var *ln_pow(ln_tape *t, ln_var *x, double p);
LN_API ln_var *ln_square(ln_tape *t, ln_var *x);
LN_API ln_var *ln_sqrt(ln_tape *t, ln_var *x);
LN_API ln_var *ln_rsqrt(ln_tape *t, ln_var *x);
LN_API ln_var *ln_signed_root(ln_tape *t, ln_var *x); /* sign(x) sqrt|x|; gradient at 0 is 0 */
LN_API ln_var *ln_abs(ln_tape *t, ln_var *x);         /* gradient at 0 is 0 */
LN_API ln_var *ln_sign(ln_tape *t, ln_var *x);        /* gradient 0 */
LN_API ln_var *ln_exp(ln_tape *t, ln_var *x);
LN_API ln_var *ln_expm1(ln_tape *t, ln_var *x);
LN_API ln_var *ln_log(ln_tape *t, ln_var *x, double eps); /* log(x + eps) */
LN_API ln_var *ln_log1p(ln_tape *t, ln_var *x);
LN_API ln_var *ln_sin(ln_tape *t, ln_var *x);
LN_API ln_var *ln_cos(ln_tape *t, ln_var *x);
LN_API ln_var *ln_erf(ln_tape *t, ln_var *x);
LN_API ln_var *ln_tanh(ln_tape *t, ln_var *x);
LN_API ln_var *ln_sigmoid(ln_tape *t, ln_var *x);
LN_API ln_var *ln_log_sigmoid(ln_tape *t, ln_var *x);
LN_API ln_var *ln_hard_sigmoid(ln_tape *t, ln_var *x); /* clamp(x/6 + 1/2, 0, 1) */
LN_API ln_var *ln_softplus(ln_tape *t, ln_var *x);     /* log(1 + e^x), stable */
LN_API ln_var *ln_relu(ln_tape *t, ln_var *x);
LN_API ln_var *ln_squared_relu(ln_tape *t, ln_var *x);
LN_API ln_var *ln_leaky_relu(ln_tape *t, ln_var *x, double slope);
LN_API ln_var *ln_elu(ln_tape *t, ln_var *x, double alpha);
LN_API ln_var *ln_elu1(ln_tape *t, ln_var *x);      /* elu(x) + 1, the feature map of linear attention */
LN_API ln_var *ln_gelu(ln_tape *t, ln_var *x);      /* x Phi(x) */
LN_API ln_var *ln_gelu_tanh(ln_tape *t, ln_var *x); /* its tanh approximation */
LN_API ln_var *ln_silu(ln_tape *t, ln_var *x);
LN_API ln_var *ln_silu_mul(ln_tape *t, ln_var *gate, ln_var *up);     /* silu(gate) up, fused */
LN_API ln_var *ln_clamp(ln_tape *t, ln_var *x, double lo, double hi); /* gradient 0 outside */
LN_API ln_var *ln_dropout(ln_tape *t, ln_var *x, double p); /* kept values / (1 - p); identity in evaluation */
LN_API ln_var *ln_cast(ln_tape *t, ln_var *x, ln_dtype dt); /* floats to floats; the gradient is cast back */
LN_API ln_var *ln_detach(ln_tape *t, ln_var *x);            /* the same values, a constant */

/* ---- straight-through: the forward pass is hard, the gradient that of the stated surrogate ---- */

LN_API ln_var *ln_round_st(ln_tape *t, ln_var *x);     /* surrogate x */
LN_API ln_var *ln_sign_st(ln_tape *t, ln_var *x);      /* surrogate clamp(x, -1, 1) */
LN_API ln_var *ln_bernoulli_st(ln_tape *t, ln_var *p); /* a draw with probability p; surrogate p */
LN_API ln_var *ln_gumbel_softmax(ln_tape *t, ln_var *logits, double tau, int hard); /* over the last axis */
LN_API ln_var *ln_top_k_mask_st(ln_tape *t, ln_var *x,
                                int64_t k); /* x at its k largest |x| of the last axis; surrogate x */
/* Fake quantisation to `bits` signed levels: s clamp(round(x/s), -2^(bits-1), 2^(bits-1)-1), scale s (1) or (rows) of
 * x (rows, cols). Gradients as in LSQ (Esser et al., ICLR 2020). */
LN_API ln_var *ln_quantize_st(ln_tape *t, ln_var *x, ln_var *scale, int bits);
/* Nearest row of codebook (K,d) for each row of x (n,d); *indices (may be NULL) (n) i32. Gradient to x is g, the
 * codebook's is zero (it learns by a loss or a moving average). */
LN_API ln_var *ln_nearest_st(ln_tape *t, ln_var *x, ln_var *codebook, ln_var **indices);

/* ---- shape: views share memory, gradients are scattered back ---- */

LN_API ln_var *ln_reshape(ln_tape *t, ln_var *x, int ndim, const int64_t *dims); /* one dim may be -1 */
LN_API ln_var *ln_permute(ln_tape *t, ln_var *x, const int *axes);
LN_API ln_var *ln_transpose(ln_tape *t, ln_var *x, int a, int b);
LN_API ln_var *ln_narrow(ln_tape *t, ln_var *x, int axis, int64_t start, int64_t length);
LN_API ln_var *ln_expand(ln_tape *t, ln_var *x, int ndim, const int64_t *dims);
LN_API ln_var *ln_contiguous(ln_tape *t, ln_var *x); /* x itself when it is contiguous already */
LN_API ln_var *ln_concat(ln_tape *t, ln_var *const *xs, int n, int axis);
LN_API ln_var *ln_stack(ln_tape *t, ln_var *const *xs, int n, int axis);
LN_API ln_var *ln_flip(ln_tape *t, ln_var *x, int axis);
LN_API ln_var *ln_roll(ln_tape *t, ln_var *x, int axis, int64_t by);
typedef enum ln_pad_mode { LN_PAD_ZERO = 0, LN_PAD_REPLICATE = 1, LN_PAD_REFLECT = 2 } ln_pad_mode;
LN_API ln_var *ln_pad(ln_tape *t, ln_var *x, int axis, int64_t before, int64_t after, ln_pad_mode mode);
LN_API ln_var *ln_token_shift(ln_tape *t, ln_var *x); /* (…,T,C): row t is row t-1, row 0 is zero */
/* Rows by i32 index along an axis, and its adjoint. */
LN_API ln_var *ln_index_select(ln_tape *t, ln_var *x, int axis, ln_var *index);
LN_API ln_var *ln_index_add(ln_tape *t, ln_var *x, int axis, ln_var *index, ln_var *source);
LN_API ln_var *ln_gather(ln_tape *t, ln_var *x, int axis, ln_var *index); /* index has x's shape but along axis */
LN_API ln_var *ln_scatter_add(ln_tape *t, ln_var *x, int axis, ln_var *index, ln_var *source);
LN_API ln_var *ln_embedding(ln_tape *t, ln_var *table, ln_var *ids); /* (V,C), ids (…) -> (…,C) */
/* The k largest along the last axis, descending, with their indices (may be NULL). k = the axis: a sort. */
LN_API ln_var *ln_top_k(ln_tape *t, ln_var *x, int64_t k, ln_var **indices);

/* ---- reductions and scans. axis -1 is the last; LN_ALL: over everything, to a scalar ---- */

#define LN_ALL INT32_MIN
LN_API ln_var *ln_sum(ln_tape *t, ln_var *x, int axis, int keep);
LN_API ln_var *ln_mean(ln_tape *t, ln_var *x, int axis, int keep);
LN_API ln_var *ln_var_of(ln_tape *t, ln_var *x, int axis, int keep, int unbiased); /* variance */
LN_API ln_var *ln_max(ln_tape *t, ln_var *x, int axis, int keep);                  /* ties: the first */
LN_API ln_var *ln_min(ln_tape *t, ln_var *x, int axis, int keep);
LN_API ln_var *ln_argmax(ln_tape *t, ln_var *x, int axis); /* i32, no gradient */
LN_API ln_var *ln_logsumexp(ln_tape *t, ln_var *x, int axis, int keep);
LN_API ln_var *ln_norm(ln_tape *t, ln_var *x, int axis, int keep, double eps); /* g x / max(|x|, eps) */
LN_API ln_var *ln_cumsum(ln_tape *t, ln_var *x, int axis);
LN_API ln_var *ln_cumprod(ln_tape *t, ln_var *x, int axis);
/* h_t = a_t h_(t-1) + b_t along the middle axis of (B,T,C), h_0 from `start` (B,C) or NULL (zero). */
LN_API ln_var *ln_scan(ln_tape *t, ln_var *a, ln_var *b, ln_var *start);
/* Over rows of x (n,…) that share a segment id (n) i32 in [0, segments). Empty segments give 0. */
LN_API ln_var *ln_segment_sum(ln_tape *t, ln_var *x, ln_var *segment, int64_t segments);
LN_API ln_var *ln_segment_mean(ln_tape *t, ln_var *x, ln_var *segment, int64_t segments);
LN_API ln_var *ln_segment_max(ln_tape *t, ln_var *x, ln_var *segment, int64_t segments);
LN_API ln_var *ln_segment_softmax(ln_tape *t, ln_var *x, ln_var *segment, int64_t segments);

/* ---- linear algebra ---- */

typedef enum ln_activation_kind {
    LN_ACT_NONE = 0,
    LN_ACT_RELU,
    LN_ACT_GELU,
    LN_ACT_SILU,
    LN_ACT_TANH,
    LN_ACT_SIGMOID
} ln_activation_kind;
/* act(x W^T + b): x (…,I), W (O,I), b (O) or NULL. */
LN_API ln_var *ln_linear(ln_tape *t, ln_var *x, ln_var *w, ln_var *b);
LN_API ln_var *ln_linear_act(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, ln_activation_kind act);
/* x (…,I) through a frozen operator (O,I) of any kind and storage: no gradient but to x. The tape keeps a reference. */
LN_API ln_var *ln_apply_linop(ln_tape *t, ln_var *x, const ln_linop *op);
/* op(A) op(B), leading dimensions broadcast: (…,m,k) (…,k,n). Views whose rows or columns have no gaps are not copied.
 */
LN_API ln_var *ln_matmul(ln_tape *t, ln_var *a, ln_var *b, int transpose_a, int transpose_b);
/* Two operands in einsum notation ("bhtd,bhsd->bhts"), by reduction to ln_matmul: letters a to z, none twice in an
 * operand, the result written out. */
LN_API ln_var *ln_einsum(ln_tape *t, const char *expression, ln_var *a, ln_var *b);
LN_API ln_var *ln_outer(ln_tape *t, ln_var *a, ln_var *b);                 /* (m) (n) -> (m,n) */
LN_API ln_var *ln_kron_apply(ln_tape *t, ln_var *x, ln_var *a, ln_var *b); /* rows of x times (A kron B)^T */
LN_API ln_var *ln_block_diagonal(ln_tape *t, ln_var *x, ln_var *blocks);   /* (…,k q), (k,p,q) -> (…,k p) */
/* Two block diagonals, right (k,j,i) and then left (l,o,r), k j = l r, with (…,r,l) turned to (…,l,r) between them and
 * (…,l,o) to (…,o,l) at the end (Dao et al. 2022): (…,k i) -> (…,o l). */
LN_API ln_var *ln_monarch(ln_tape *t, ln_var *x, ln_var *left, ln_var *right);
LN_API ln_var *ln_hadamard(ln_tape *t, ln_var *x); /* Walsh-Hadamard of the last axis (2^k), orthonormal */
/* Matrices batched over leading dimensions, which broadcast where there are two operands (formulas: Giles 2008;
 * docs/gradients.md). Computed in f64 for either type. LN_ERR_NUMERIC names the matrix that is singular and so on. */
LN_API ln_var *ln_cholesky(ln_tape *t, ln_var *a); /* lower, of (A + A^T)/2 */
LN_API ln_var *ln_solve_triangular(ln_tape *t, ln_var *l, ln_var *b, int upper, int transpose);
LN_API ln_var *ln_solve_matrix(ln_tape *t, ln_var *a, ln_var *b);
LN_API ln_var *ln_inverse(ln_tape *t, ln_var *a);
LN_API ln_var *ln_logdet(ln_tape *t, ln_var *a);                  /* log |det A| */
LN_API void ln_qr(ln_tape *t, ln_var *a, ln_var **q, ln_var **r); /* (…,m,n), m >= n; diagonal of R > 0 */
LN_API void ln_eigh(ln_tape *t, ln_var *a, ln_var **values, ln_var **vectors);  /* of (A + A^T)/2, ascending */
LN_API void ln_svd(ln_tape *t, ln_var *a, ln_var **u, ln_var **s, ln_var **vt); /* thin, descending */
LN_API ln_var *ln_nuclear_norm(ln_tape *t, ln_var *a);
LN_API ln_var *ln_spectral_norm(ln_tape *t, ln_var *a);
LN_API ln_var *ln_cayley(ln_tape *t, ln_var *a); /* (I - S)(I + S)^-1, S = (A - A^T)/2 */
LN_API ln_var *ln_householder(ln_tape *t, ln_var *x,
                              ln_var *v); /* rows of x times I - 2 v v^T/(v^T v), v (k,n) in turn */
/* Rows of x (…,2k), k angles: (x_0, x_1) -> (c x_0 - s x_1, s x_0 + c x_1) for each pair of neighbours. */
LN_API ln_var *ln_givens(ln_tape *t, ln_var *x, ln_var *angles);

/* ---- spectral. Complex numbers are a last axis of 2 ---- */

LN_API ln_var *ln_rfft(ln_tape *t, ln_var *x);             /* (…,n) -> (…,n/2+1,2) */
LN_API ln_var *ln_irfft(ln_tape *t, ln_var *x, int64_t n); /* (…,n/2+1,2) -> (…,n), with 1/n */
LN_API ln_var *ln_rfft2(ln_tape *t, ln_var *x);
LN_API ln_var *ln_irfft2(ln_tape *t, ln_var *x, int64_t n);
LN_API ln_var *ln_dct(ln_tape *t, ln_var *x, int type);       /* II or III, orthonormal, last axis */
LN_API ln_var *ln_fft_conv(ln_tape *t, ln_var *x, ln_var *k); /* causal, (…,T) with (…,K), K <= T; "…" broadcast */

/* ---- convolution: channels last, x (B,T,C), (B,H,W,C) or (B,D,H,W,C) ---- */

LN_API ln_var *ln_conv1d(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, int stride, int padding,
                         int dilation);                                       /* w (O,K,C) */
LN_API ln_var *ln_conv1d_causal(ln_tape *t, ln_var *x, ln_var *w, ln_var *b); /* depthwise, w (C,K), K <= 8 */
LN_API ln_var *ln_conv2d(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, int stride, int padding,
                         int groups); /* w (O,K,K,C/groups) */
LN_API ln_var *ln_conv2d_transposed(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, int stride,
                                    int padding); /* w (C,K,K,O) */
LN_API ln_var *ln_conv3d(ln_tape *t, ln_var *x, ln_var *w, ln_var *b, int stride, int padding,
                         int groups); /* w (O,K,K,K,C/groups) */
LN_API ln_var *ln_max_pool2d(ln_tape *t, ln_var *x, int size, int stride);
LN_API ln_var *ln_avg_pool2d(ln_tape *t, ln_var *x, int size, int stride);
LN_API ln_var *ln_adaptive_pool2d(ln_tape *t, ln_var *x, int64_t h, int64_t w); /* averages */
LN_API ln_var *ln_upsample2d(ln_tape *t, ln_var *x, int factor, int bilinear);
LN_API ln_var *ln_pixel_shuffle(ln_tape *t, ln_var *x, int factor);
LN_API ln_var *ln_unfold2d(ln_tape *t, ln_var *x, int size, int stride, int padding); /* -> (B,H'W',size size C) */
LN_API ln_var *ln_fold2d(ln_tape *t, ln_var *x, int64_t h, int64_t w, int size, int stride, int padding);

/* ---- normalisation, over the last axis unless said ---- */

LN_API ln_var *ln_layer_norm(ln_tape *t, ln_var *x, ln_var *gain, ln_var *bias,
                             double eps); /* gain, bias may be NULL */
LN_API ln_var *ln_rms_norm(ln_tape *t, ln_var *x, ln_var *gain, double eps);
LN_API ln_var *ln_group_norm(ln_tape *t, ln_var *x, ln_var *gain, ln_var *bias, int groups, double eps); /* (B,…,C) */
/* Over all but the last axis. running_mean, running_var (C): constants, updated in training with `momentum`. */
LN_API ln_var *ln_batch_norm(ln_tape *t, ln_var *x, ln_var *gain, ln_var *bias, ln_var *running_mean,
                             ln_var *running_var, double momentum, double eps);
LN_API ln_var *ln_l2_normalize(ln_tape *t, ln_var *x, double eps);
LN_API ln_var *ln_weight_norm(ln_tape *t, ln_var *v, ln_var *g); /* rows of v (O,I) scaled to length g (O) */

/* ---- attention and sequences ---- */

LN_API ln_var *ln_softmax(ln_tape *t, ln_var *x); /* last axis */
LN_API ln_var *ln_masked_softmax(ln_tape *t, ln_var *x,
                                 ln_var *mask); /* mask LN_BOOL/LN_U8, broadcast; all masked: 0 */
LN_API ln_var *ln_log_softmax(ln_tape *t, ln_var *x);
/* Start from LN_ATTENTION_OPTS_INIT. */
typedef struct ln_attention_opts {
    uint32_t struct_size;
    int32_t causal; /* query i sees keys <= i + (Tk - Tq)                                        */
    int64_t window; /* and no key further back than window - 1; 0: all                          */
    double scale;   /* of q k^T; 0: 1/sqrt(d)                                                    */
    int32_t alibi;  /* add ALiBi slopes 2^(-8 h/H) (Press et al. 2022)                           */
} ln_attention_opts;
#define LN_ATTENTION_OPTS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(ln_attention_opts), 1, 0, 0, 0                                                                          \
    }
/* softmax(scale q k^T) v with O(T d) memory (Dao et al. 2022): q (B,Tq,H,d), k and v (B,Tk,G,d), H a multiple of G. */
LN_API ln_var *ln_attention(ln_tape *t, ln_var *q, ln_var *k, ln_var *v, const ln_attention_opts *opts);
/* Half-split rotary embedding of x (B,T,H,d) at positions start, start+1, …; cos, sin (≥ start+T, d/2) constants. */
LN_API ln_var *ln_rotary(ln_tape *t, ln_var *x, ln_var *cos, ln_var *sin, int64_t start);
/* Fused cells: x (B,I), h (B,H); w_ih (3H,I) w_hh (3H,H), gates in PyTorch's order r z n; biases (3H) or NULL. */
LN_API ln_var *ln_gru_cell(ln_tape *t, ln_var *x, ln_var *h, ln_var *w_ih, ln_var *w_hh, ln_var *b_ih, ln_var *b_hh);
/* Gates i f g o, 4H rows; *c_out receives the cell state. */
LN_API ln_var *ln_lstm_cell(ln_tape *t, ln_var *x, ln_var *h, ln_var *c, ln_var *w_ih, ln_var *w_hh, ln_var *b_ih,
                            ln_var *b_hh, ln_var **c_out);

/* ---- graphs ---- */

/* y = A x for CSR A (rows; offsets (rows+1), columns (nnz) i32, values (nnz) float): gradients to values and x. */
LN_API ln_var *ln_spmm(ln_tape *t, ln_var *offsets, ln_var *columns, ln_var *values, ln_var *x);

/* ---- losses: scalars, means over their elements unless said ---- */

LN_API ln_var *ln_mse(ln_tape *t, ln_var *x, ln_var *target);
LN_API ln_var *ln_l1(ln_tape *t, ln_var *x, ln_var *target);
LN_API ln_var *ln_huber(ln_tape *t, ln_var *x, ln_var *target, double delta);
/* Start from LN_CROSS_ENTROPY_OPTS_INIT. */
typedef struct ln_cross_entropy_opts {
    uint32_t struct_size;
    int32_t ignore;   /* targets with this value do not count                               */
    double smoothing; /* mass spread evenly over the classes                               */
    double z;         /* times mean (log sum exp)^2, added to the loss                     */
} ln_cross_entropy_opts;
#define LN_CROSS_ENTROPY_OPTS_INIT                                                                                     \
    {                                                                                                                  \
        sizeof(ln_cross_entropy_opts), -100, 0, 0                                                                      \
    }
LN_API ln_var *ln_cross_entropy(ln_tape *t, ln_var *logits, ln_var *targets,
                                const ln_cross_entropy_opts *opts); /* (…,V), (…) i32 */
/* Cross entropy of x W^T without the (n,V) logits: row chunks, recomputed in the backward pass. x (…,C), W (V,C). */
LN_API ln_var *ln_linear_cross_entropy(ln_tape *t, ln_var *x, ln_var *w, ln_var *targets,
                                       const ln_cross_entropy_opts *opts);
/* The same for a frozen head operator. */
LN_API ln_var *ln_linop_cross_entropy(ln_tape *t, ln_var *x, const ln_linop *head, ln_var *targets,
                                      const ln_cross_entropy_opts *opts);
/* Start from LN_CTC_OPTS_INIT. */
typedef struct ln_ctc_opts {
    uint32_t struct_size;
    int32_t blank;
    int32_t skip_impossible; /* a sequence without an alignment counts as 0; else it is refused, by name */
    int32_t per_label;       /* each loss is divided by its number of labels (at least 1)               */
} ln_ctc_opts;
#define LN_CTC_OPTS_INIT                                                                                               \
    {                                                                                                                  \
        sizeof(ln_ctc_opts), 0, 0, 0                                                                                   \
    }
/* Mean over the sequences of -log P(labels): log_probs (B,T,V), as of ln_log_softmax; labels (B,S) i32 without blanks;
 * the first steps (B) and lengths (B) i32 of them count, all if NULL (Graves et al. 2006). */
LN_API ln_var *ln_ctc(ln_tape *t, ln_var *log_probs, ln_var *labels, ln_var *steps, ln_var *lengths,
                      const ln_ctc_opts *opts);
LN_API ln_var *ln_bce_with_logits(ln_tape *t, ln_var *x, ln_var *target);
LN_API ln_var *ln_kl_div(ln_tape *t, ln_var *log_q, ln_var *log_p); /* mean over rows of sum p (log p - log q) */
LN_API ln_var *ln_js_div(ln_tape *t, ln_var *logits_a, ln_var *logits_b);
LN_API ln_var *ln_hinge(ln_tape *t, ln_var *x, ln_var *target); /* targets -1 or 1 */
LN_API ln_var *ln_margin_ranking(ln_tape *t, ln_var *good, ln_var *bad, double margin);
LN_API ln_var *ln_bpr(ln_tape *t, ln_var *good, ln_var *bad);             /* -log sigmoid(good - bad) */
LN_API ln_var *ln_info_nce(ln_tape *t, ln_var *q, ln_var *k, double tau); /* (n,d), (n,d): in-batch negatives */
LN_API ln_var *ln_distillation(ln_tape *t, ln_var *student, ln_var *teacher,
                               double temperature);                            /* T^2 KL(teacher||student) */
LN_API ln_var *ln_cosine(ln_tape *t, ln_var *a, ln_var *b, double eps);        /* (n,d) -> (n): similarities */
LN_API ln_var *ln_gaussian_kl(ln_tape *t, ln_var *mean, ln_var *log_variance); /* to N(0,1); mean over rows */
/* Late interaction: q (n,Tq,d), documents (m,Td,d), mask (m,Td) LN_U8 or NULL -> (n,m) sum over q of max over d. */
LN_API ln_var *ln_max_sim(ln_tape *t, ln_var *q, ln_var *documents, ln_var *mask);
LN_API ln_var *ln_hard_concrete(ln_tape *t, ln_var *log_alpha, double beta, double lo, double hi);

#ifdef __cplusplus
}
#endif
#endif
