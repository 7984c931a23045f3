/* tape.h - the inside of a tape: variables, nodes, the interface of an operation, and what its author calls.
 *
 * An operation is one `const ln__op ln__op_NAME` in the file of its family, one line LN_OP(NAME) in the family's .def,
 * and one public function that packs its attributes and calls ln__run. It consists of:
 *
 * infer: checks inputs, makes outputs (ln__out, ln__out_view) and what backward will want besides inputs and outputs
 * (ln__save), and states the scratch both directions need (n->scratch). No numbers are looked at: a dry tape stops
 * here.
 *
 * forward: numbers, [0] f32 and [1] f64; allocates nothing.
 *
 * backward: from the outputs' gradients to the inputs', set or added as ln__back says; allocates nothing.
 *
 * build: random valid calls for the generated checks (gradcheck.h; tests/test_gradients.c runs them all).
 *
 * An operation with a float input has all four, or says LN__OP_CONSTANT. ln__ops_check refuses others, and ln__run
 * refuses to note a node that it could not differentiate. */
#ifndef LINNET_GRAD_TAPE_H
#define LINNET_GRAD_TAPE_H

#include <linnet/ops.h>

#include "core/core.h"
#include "core/rng.h"

typedef struct ln__node ln__node;
typedef struct ln__op ln__op;
typedef struct ln__case ln__case;

enum {
    LN__VAR_WANTS_GRAD = 1u << 0,
    LN__VAR_LEAF = 1u << 1,   /* its gradient stays readable after the pass     */
    LN__VAR_WEIGHT = 1u << 2, /* gradients are added into its set's block      */
    LN__VAR_VIEW = 1u << 3,   /* memory belongs to another variable            */
    LN__VAR_FAILED = 1u << 4  /* what a failed tape hands out                  */
};

struct ln_var {
    void *data;                                    /* element (0, …, 0); NULL on a dry tape */
    int64_t dim[LN_MAX_DIMS], stride[LN_MAX_DIMS]; /* strides in elements; 0 where broadcast */
    int64_t count;
    int32_t ndim;
    ln_dtype dtype;
    uint32_t flags;
    int32_t node;      /* the note that made it, -1: none                                    */
    uint32_t *version; /* counts overwrites of the memory; shared by its views               */
    void *grad;        /* contiguous; NULL: none arrived yet (weights: their part of the block) */
    const char *name;
};

struct ln__node {
    const ln__op *op;
    ln_var **in, **out, **save; /* arrays of the tape; an optional input that was left out is NULL */
    uint32_t *version;          /* of inputs, then of outputs, when the node was made */
    int32_t nin, nout, nsave;
    size_t scratch;  /* bytes, the most that forward or backward use at once */
    void *attrs;     /* the operation's own struct, copied to the tape      */
    uint64_t random; /* where its random numbers start (LN__OP_RANDOM)    */
    uint64_t draws;  /* how many 32-bit words of them; infer says          */
};

/* Gradients in a backward call: contiguous arrays in the shapes of the variables. */
typedef struct ln__back {
    const void **out; /* NULL: that output has no influence (a zero gradient) */
    void **in;        /* NULL: not wanted                                    */
    bool *add;        /* add to in[i]; else set every element of it          */
} ln__back;

enum {
    LN__OP_VIEW = 1u << 0,      /* outputs share memory with input 0                                              */
    LN__OP_LINEAR = 1u << 1,    /* jointly linear in its leaves: an adjoint test is generated                     */
    LN__OP_RANDOM = 1u << 2,    /* draws n->draws words of the tape's stream, the same ones again in backward     */
    LN__OP_SURROGATE = 1u << 3, /* straight-through: checked against the gradient of `surrogate`                  */
    LN__OP_CONSTANT = 1u << 4,  /* results never carry a gradient (argmax, sign)                                  */
    LN__OP_MIXED = 1u << 5,     /* float inputs may differ in type (cast); infer decides                          */
    LN__OP_RESHAPE = 1u << 6    /* the gradient of input 0 is that of output 0, element for element               */
};

typedef ln_status (*ln__forward_fn)(ln_tape *t, const ln__node *n);
typedef ln_status (*ln__backward_fn)(ln_tape *t, const ln__node *n, const ln__back *g);

struct ln__op {
    const char *name;
    uint32_t flags;
    ln_status (*infer)(ln_tape *t, ln__node *n);
    ln__forward_fn forward[2]; /* f32, f64; by the type of output 0, or of input 0 when that is no float */
    ln__backward_fn backward[2];
    uint32_t reads;  /* inputs whose values backward reads: bit i; outputs: bit 16 + i */
    uint32_t passes; /* bit i: where input i has the shape of output 0 its gradient is that of output 0, as it is: it
                        may take over the memory, and backward is not asked for it */
    /* Case k of the generated tests, or NULL when there are no more. Leaves come from ln__case_leaf in a fixed order.
     */
    ln_var *(*build)(ln_tape *t, ln__case *c, int k);
    ln_var *(*surrogate)(ln_tape *t, ln__case *c, int k);
    double tolerance; /* of the gradient check, relative; 0: 1e-7 */
};

/* All operations, NULL-terminated, in the order of the families. */
const ln__op *const *ln__ops(void);
/* Is the table sound: names unique, each operation differentiable and testable or constant? Names the first that is
 * not. */
ln_status ln__ops_check(void);

/* ---- what public functions call ---- */

/* Runs `op`: `out` receives op's outputs (nout of them), never NULL. `attrs` (size bytes) is copied. An input may be
 * NULL where infer allows it. */
void ln__run(ln_tape *t, const ln__op *op, int nin, ln_var *const *in, const void *attrs, size_t size, int nout,
             ln_var **out);
/* The common case of one output. */
ln_var *ln__run1(ln_tape *t, const ln__op *op, int nin, ln_var *const *in, const void *attrs, size_t size);
/* Makes the tape fail from a composed operation, with the message of ln__fail; returns its failed variable. */
ln_var *ln__tape_fail(ln_tape *t, ln_status st);
bool ln__tape_failed(const ln_tape *t);
bool ln__tape_dry(const ln_tape *t);
bool ln__tape_training(const ln_tape *t);
bool ln__tape_grad_on(const ln_tape *t);
/* Memory of the tape until reset; NULL data on a dry tape is only for numbers, this one is always real. */
ln_status ln__tape_alloc(void **out, ln_tape *t, size_t count, size_t size);
/* Calls release(object) at the next reset or free. */
ln_status ln__tape_keep(ln_tape *t, void (*release)(void *), void *object);
/* Everything made after the mark is forgotten by rewind (evaluation inside a step; under ln_no_grad only). */
typedef struct ln__mark {
    ln__arena_place small, data;
    size_t data_used;
    int64_t nodes;
} ln__mark;
ln__mark ln__tape_mark(const ln_tape *t);
void ln__tape_rewind(ln_tape *t, ln__mark mark);

/* ---- what infer calls: failures begin with the operation's name ---- */

#define ln__out(...) ln__node_out(__VA_ARGS__) /* core/file.h has a type of this name */
ln_status ln__node_out(ln_tape *t, ln__node *n, int i, ln_dtype dt, int ndim, const int64_t *dims);
/* Output i shares the memory of input 0, `offset` elements in. */
ln_status ln__out_view(ln_tape *t, ln__node *n, int i, int ndim, const int64_t *dims, const int64_t *strides,
                       int64_t offset);
/* A contiguous array for backward, n->save[next]. Forward fills it. */
ln_status ln__save(ln_tape *t, ln__node *n, ln_dtype dt, int64_t count);
/* "add: expected …, found [32,127] and [64]": st = ln__shape_error(n, "shapes that broadcast") and so on. */
ln_status ln__shape_error(const ln__node *n, const char *expected);
/* Is input i there, a float (the type of input 0), with `ndim` dimensions (-1: any) and contiguous? Public functions
 * pass ln_contiguous(t, x) where a kernel cannot take strides. */
ln_status ln__want_float(const ln__node *n, int i, int ndim);
ln_status ln__want_index(const ln__node *n, int i); /* i32, contiguous */
/* Shape of a and b broadcast, or LN_ERR_SHAPE. */
ln_status ln__broadcast(const ln__node *n, int64_t *dims, int *ndim, const ln_var *a, const ln_var *b);
bool ln__var_contiguous(const ln_var *v);
/* Rows of a (…, n) variable: the product of all dimensions but the last. */
static inline int64_t ln__var_rows(const ln_var *v)
{
    int64_t rows = 1;
    for (int i = 0; i < v->ndim - 1; i++)
        rows *= v->dim[i];
    return rows;
}
static inline bool ln__wants_grad(const ln_var *v)
{
    return v && v->flags & LN__VAR_WANTS_GRAD;
}
/* Bytes of a variable's numbers, and of its gradient. */
static inline size_t ln__var_bytes(const ln_var *v)
{
    return v->dtype == LN_F32 ? 4 * (size_t)v->count : ln_dtype_bytes(v->dtype, v->count);
}
static inline bool ln__same_shape(const ln_var *a, const ln_var *b)
{
    bool same = a->ndim == b->ndim;
    for (int i = 0; same && i < a->ndim; i++)
        same = a->dim[i] == b->dim[i];
    return same;
}
/* Is it one of the two types that carry gradients? */
static inline bool ln__is_real(ln_dtype dt)
{
    return dt == LN_F32 || dt == LN_F64;
}
/* axis in [-ndim, ndim) -> [0, ndim), else LN_ERR_ARG. */
ln_status ln__axis(const ln__node *n, int *axis, int ndim);
/* "[64,3,8]" */
const char *ln__var_text(char buf[96], const ln_var *v);

/* ---- what forward and backward call ---- */

void *ln__scratch(ln_tape *t); /* n->scratch bytes, 64-byte aligned, undefined contents */
/* x as an array of its dtype over any strides, to or from a contiguous one (dst = or += when add). */
void ln__copy_out(void *dst, const ln_var *v, bool add);
/* dst (contiguous, shape of `to`) = or += src (contiguous, shape `from`) summed over what `to` was broadcast along. */
void ln__sum_to(void *dst, const ln_var *to, const void *src, const ln_var *from, bool add);
/* The seed and position of this node's random numbers. */
ln__rng ln__node_rng(const ln_tape *t, const ln__node *n);

/* ---- what build calls: leaves are drawn once per case and given back unchanged (or perturbed) by later calls ---- */

/* A float leaf of uniform values in [lo, hi). */
ln_var *ln__case_leaf(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, double lo, double hi);
/* The same, no value within 0.05 of any of the `n` kinks. */
ln_var *ln__case_leaf_off(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, double lo, double hi, int n,
                          const double *kinks);
/* All values at least 0.02 apart: for max, top-k, sorting, singular values. */
ln_var *ln__case_distinct(ln_tape *t, ln__case *c, int ndim, const int64_t *dims);
/* Constants: i32 in [0, below); bytes 0 or 1. */
ln_var *ln__case_index(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, int32_t below);
ln_var *ln__case_mask(ln_tape *t, ln__case *c, int ndim, const int64_t *dims);
/* Float constant, no leaf. */
ln_var *ln__case_constant(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, double lo, double hi);
/* Shorthand for dimensions. */
#define LN_DIMS(...)                                                                                                   \
    (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[])                                           \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

#endif
