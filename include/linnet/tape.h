/* linnet/tape.h - reverse-mode differentiation: variables, an eager tape, and sets of trainable weights.
 *
 *     ln_weights *w;  ln_tape *t;                     // made once
 *     ln_tape_reset(t);                               // each step:
 *     ln_var *x = ln_input(t, LN_F32, 2, (int64_t[]){ 64, 784 }, pixels);
 *     ln_var *h = ln_relu(t, ln_linear(t, x, ln_weights_var(w, "fc.weight"), ln_weights_var(w, "fc.bias")));
 *     ln_status st = ln_backward(t, ln_cross_entropy(t, h, labels, NULL));
 *
 * Operations (linnet/ops.h) run at once and note what their gradient needs. Errors are sticky: an operation that fails
 * returns a variable all the same, every later one on that tape does nothing, and ln_backward (or ln_tape_status)
 * reports the first failure, which names the operation and the shapes. Code between needs no checks.
 *
 * Compute is f32 or f64, one type per expression. A tape belongs to one thread; the kernels below it share the pool,
 * and results do not depend on the number of threads. Memory of variables is the tape's until ln_tape_reset. */
#ifndef LINNET_TAPE_H
#define LINNET_TAPE_H

#include <linnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ln_tape ln_tape;
typedef struct ln_var ln_var;         /* a tensor on a tape, or a weight; never NULL where an operation returns it */
typedef struct ln_weights ln_weights; /* named trainable tensors in one block */

/* ---- tape ---- */

/** Start from LN_TAPE_OPTS_INIT. */
typedef struct ln_tape_opts {
    uint32_t struct_size;
    int32_t train;     /* 1: dropout drops and batch statistics are used; 0: evaluation                            */
    int32_t gradients; /* 0: nothing is noted, ln_backward is refused                                              */
    int32_t check;     /* look for NaN and Inf after every operation, forward and backward: names the operation    */
    int32_t dry;       /* shapes and memory only, no numbers: ln_tape_peak tells what a step will need             */
    uint64_t seed;     /* of dropout, noise and sampling on this tape                                              */
} ln_tape_opts;
#define LN_TAPE_OPTS_INIT                                                                                              \
    {                                                                                                                  \
        sizeof(ln_tape_opts), 1, 1, 0, 0, 0                                                                            \
    }

LN_API LN_MUST_CHECK ln_status ln_tape_new(ln_tape **out, const ln_tape_opts *opts);
LN_API void ln_tape_free(ln_tape *t);
/** Forget all variables and the error, keep the memory for the next step. */
LN_API void ln_tape_reset(ln_tape *t);
/** The first failure since the last reset, with its message put back as ln_last_error; LN_OK if none. */
LN_API LN_MUST_CHECK ln_status ln_tape_status(const ln_tape *t);
LN_API void ln_tape_train(ln_tape *t, int train);
/** Between the two, operations note nothing. Nests. */
LN_API void ln_no_grad_begin(ln_tape *t);
LN_API void ln_no_grad_end(ln_tape *t);
/** Bytes of activations and gradients at once: now, and the most since ln_tape_new (also of a dry tape). */
LN_API int64_t ln_tape_held(const ln_tape *t);
LN_API int64_t ln_tape_peak(const ln_tape *t);
LN_API int64_t ln_tape_nodes(const ln_tape *t);
/** Counter of the random stream: saving and setting it makes a resumed run repeat the same dropout. */
LN_API uint64_t ln_tape_random_position(const ln_tape *t);
LN_API void ln_tape_set_random_position(ln_tape *t, uint64_t position);

/**
 * Gradients of a scalar `loss` with respect to every variable marked for it: those of weights are *added* to their
 * set's gradient block, those of other leaves are set. Frees what the pass no longer needs: call it once per reset.
 * LN_ERR_NUMERIC when the loss is NaN or Inf; LN_ERR_ARG when nothing on the tape leads to it.
 */
LN_API LN_MUST_CHECK ln_status ln_backward(ln_tape *t, ln_var *loss);
/** The same for a result of any shape, from its gradient `seed` (contiguous, as many elements as y). */
LN_API LN_MUST_CHECK ln_status ln_backward_from(ln_tape *t, ln_var *y, const void *seed);

/* ---- variables ---- */

/** Copies `data` (row-major; NULL: zeros) onto the tape. Integer and boolean types carry no gradient. */
LN_API ln_var *ln_input(ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims, const void *data);
/** Wraps memory of the caller without a copy; it must stay until ln_tape_reset. `strides` in elements or NULL. */
LN_API ln_var *ln_wrap(ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims, const int64_t *strides, void *data);
/** A leaf whose gradient is wanted (gradient checks, adversarial inputs). The same as ln_input but for that. */
LN_API ln_var *ln_leaf(ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims, const void *data);
LN_API ln_var *ln_scalar(ln_tape *t, ln_dtype dt, double value);

LN_API ln_dtype ln_var_dtype(const ln_var *v);
LN_API int ln_var_ndim(const ln_var *v);
LN_API int64_t ln_var_dim(const ln_var *v, int axis); /* axis may count from the end: -1 is the last; 0 if none such */
LN_API int64_t ln_var_count(const ln_var *v);
LN_API const void *ln_var_data(const ln_var *v); /* NULL on a dry or failed tape */
/** Its gradient after ln_backward (contiguous, dtype and shape of v), or NULL: not wanted, or none arrived. */
LN_API const void *ln_var_grad(const ln_var *v);
LN_API bool ln_var_wants_grad(const ln_var *v);
/** Contiguous copy of the values into `dst` (ln_var_count elements). */
LN_API LN_MUST_CHECK ln_status ln_var_read(const ln_var *v, void *dst);
/** Value of a one-element variable; NaN if the tape failed. */
LN_API double ln_var_value(const ln_var *v);
/** Overwrite the values in place. A later backward pass that would read v fails, and names the operation. */
LN_API void ln_var_write(ln_tape *t, ln_var *v, const void *src);
/** A name for messages; kept by reference. */
LN_API ln_var *ln_named(ln_var *v, const char *name);

/**
 * Rematerialisation: y = fn(...) without keeping its inner activations; the backward pass runs fn again. The random
 * stream repeats, so gradients are bit-equal to those without it. fn must depend on nothing but inputs and user.
 */
typedef ln_var *(*ln_remat_fn)(ln_tape *t, void *user, ln_var *const *inputs, int n);
LN_API ln_var *ln_remat(ln_tape *t, ln_remat_fn fn, void *user, ln_var *const *inputs, int n);

/* ---- weights ---- */

typedef enum ln_init {
    LN_INIT_ZEROS = 0,
    LN_INIT_ONES = 1,
    LN_INIT_NORMAL = 2,          /* N(0, a^2)                                               */
    LN_INIT_UNIFORM = 3,         /* U(-a, a)                                                */
    LN_INIT_KAIMING_UNIFORM = 4, /* U(-sqrt(3) g, sqrt(3) g), g = a / sqrt(fan_in); a = sqrt(2) for ReLU */
    LN_INIT_KAIMING_NORMAL = 5,
    LN_INIT_XAVIER_UNIFORM = 6, /* g = a sqrt(2 / (fan_in + fan_out))                      */
    LN_INIT_XAVIER_NORMAL = 7,
    LN_INIT_TRUNCATED = 8,  /* N(0, a^2) within two deviations                         */
    LN_INIT_IDENTITY = 9,   /* a on the diagonal                                       */
    LN_INIT_ORTHOGONAL = 10 /* orthonormal rows or columns, times a                    */
} ln_init;

/** An empty set of f32 or f64 weights. Every random initial value depends on `seed` and the weight's name alone. */
LN_API LN_MUST_CHECK ln_status ln_weights_new(ln_weights **out, ln_dtype dt, uint64_t seed);
LN_API void ln_weights_free(ln_weights *w);
/** Adds one; names are unique. Before ln_weights_seal only. Fan-in is dim 1 times the rest, as for (O, I, …). */
LN_API LN_MUST_CHECK ln_status ln_weights_add(ln_weights *w, const char *name, int ndim, const int64_t *dims,
                                              ln_init init, double a);
/** Lays all weights, and their gradients, out in one block each. After this the variables may be used. */
LN_API LN_MUST_CHECK ln_status ln_weights_seal(ln_weights *w);
/** By name; NULL when there is none. Belongs to the set. */
LN_API ln_var *ln_weights_var(const ln_weights *w, const char *name);
LN_API int64_t ln_weights_count(const ln_weights *w);
LN_API int64_t ln_weights_total(const ln_weights *w); /* numbers in all */
LN_API const char *ln_weights_name(const ln_weights *w, int64_t i);
LN_API ln_var *ln_weights_at(const ln_weights *w, int64_t i);
/** A frozen weight gets no gradient and no step. `pattern`: a name where '*' matches any run. Returns how many matched.
 */
LN_API int64_t ln_weights_freeze(ln_weights *w, const char *pattern, int frozen);
/** The blocks, ln_weights_block numbers each: weights in order of ln_weights_add, each padded with zeros to 64 bytes.
 */
LN_API int64_t ln_weights_block(const ln_weights *w);
LN_API void *ln_weights_data(ln_weights *w);
LN_API void *ln_weights_grad(ln_weights *w);
LN_API void ln_weights_zero_grad(ln_weights *w);
/** To and from safetensors, official names. Load: every weight must be there with its shape; all faults are named. */
LN_API LN_MUST_CHECK ln_status ln_weights_save(const ln_weights *w, const char *path);
LN_API LN_MUST_CHECK ln_status ln_weights_load(ln_weights *w, const char *path);

#ifdef __cplusplus
}
#endif
#endif
