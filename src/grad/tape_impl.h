/* tape_impl.h - what the files of the tape itself share. Operations include tape.h only. */
#ifndef LINNET_GRAD_TAPE_IMPL_H
#define LINNET_GRAD_TAPE_IMPL_H

#include "grad/tape.h"

/* Gradients come and go during a backward pass: blocks by size class, kept from step to step. With the same sequence of
 * requests a later step finds in each class as many blocks as the first one made. */
typedef struct ln__pool_block {
    _Alignas(64) struct ln__pool_block *next; /* of all; the numbers follow this record */
    struct ln__pool_block *next_free;         /* of its class */
    int index;                                /* of its class */
} ln__pool_block;

typedef struct ln__kept {
    void (*release)(void *);
    void *object;
} ln__kept;

struct ln_tape {
    ln_tape_opts o;
    ln__arena *small, *data; /* records; numbers */
    size_t data_used;        /* of a dry tape */
    ln__node *node;
    int64_t nodes, node_cap;
    ln__pool_block *pool, *free_block[256];
    size_t pool_used, pool_noted; /* noted: what of it the peak already knows, while nothing else grows */
    ln__kept *kept;
    int64_t kept_n, kept_cap;
    void *scratch;
    size_t scratch_bytes, scratch_need; /* need: of a dry tape */
    int no_grad;
    bool backward; /* in or after a backward pass */
    size_t peak;
    uint64_t random;
    ln_status status;
    char message[512];
    ln_var failed;
};

/* Room for the numbers of a variable: NULL data on a dry tape. */
ln_status ln__tape_numbers(void **out, ln_tape *t, int64_t count, ln_dtype dt);
ln_status ln__tape_scratch(ln_tape *t, size_t bytes);
ln_status ln__pool_take(void **out, ln_tape *t, size_t bytes);
void ln__pool_give(ln_tape *t, void *data, size_t bytes);
/* 0: f32, 1: f64 (which of op->forward and op->backward). */
int ln__node_type(const ln__node *n);
/* A new variable's record; everything but data is set. */
ln_status ln__var_new(ln_var **out, ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims);
/* LN_ERR_NUMERIC naming `what` and the first bad element. */
ln_status ln__check_numbers(const void *data, ln_dtype dt, int64_t count, const char *what, const ln__node *n);
extern const ln__op ln__op_remat;

#endif
