/* weights.c - named trainable tensors in one block, their gradients in another laid out alike, so that an optimiser is
 * one loop and a reduction over processes one buffer.
 *
 * Each weight starts at a multiple of 64 bytes; the gaps are zeros and stay zeros. Variables of a set live as long as
 * it does: the tape adds to their gradients directly (LN__VAR_WEIGHT), which is why nothing may move after seal. */
#include "grad/weights.h"

#include <string.h>

#include "core/words.h"

enum { ALIGN = 64 };

ln_status ln_weights_new(ln_weights **out, ln_dtype dt, uint64_t seed)
{
    ln_status st = LN_OK;
    ln_weights *w = NULL;
    if (!out)
        return ln__fail(LN_ERR_ARG, "weights: out is NULL");
    if (dt != LN_F32 && dt != LN_F64)
        return ln__fail(LN_ERR_DTYPE, "weights: expected f32 or f64, found %s", ln_dtype_name(dt));
    LN_TRY(LN_NEW0(&w, 1));
    w->dtype = dt;
    w->seed = seed;
    *out = w;
done:
    return st;
}

void ln_weights_free(ln_weights *w)
{
    if (!w)
        return;
    ln__names_free(&w->names);
    ln__free(w->list);
    ln__free(w->data);
    ln__free(w->grad);
    ln__free(w);
}

static ln_status check_new(const ln_weights *w, const char *name, int ndim, const int64_t *dims, ln_init init)
{
    if (!w || !name || (ndim > 0 && !dims))
        return ln__fail(LN_ERR_ARG, "weights: the set, a name and the dimensions are needed");
    if (!*name || !ln__name_ok(name, strlen(name)))
        return ln__fail(LN_ERR_ARG, "weights: a name is empty, not UTF-8 or holds control characters");
    if (w->data)
        return ln__fail(LN_ERR_ARG, "weights: %s is added after the set was sealed", name);
    if (ndim < 0 || ndim > LN_MAX_DIMS)
        return ln__fail(LN_ERR_SHAPE, "weights: %s has %d dimensions, at most %d are supported", name, ndim,
                        LN_MAX_DIMS);
    if ((unsigned)init > LN_INIT_ORTHOGONAL)
        return ln__fail(LN_ERR_ARG, "weights: %s: no initialisation %d", name, (int)init);
    if ((init == LN_INIT_IDENTITY || init == LN_INIT_ORTHOGONAL) && ndim < 2)
        return ln__fail(LN_ERR_SHAPE, "weights: %s: this initialisation needs a matrix, found %d dimensions", name,
                        ndim);
    return LN_OK;
}

ln_status ln_weights_add(ln_weights *w, const char *name, int ndim, const int64_t *dims, ln_init init, double a)
{
    ln_status st = LN_OK;
    bool fresh = false;
    LN_TRY(check_new(w, name, ndim, dims, init));
    ln__weight new = { .var = { .count = 1, .ndim = ndim, .dtype = w->dtype, .node = -1 }, .init = init, .a = a };
    const int64_t most = INT64_MAX / 64; /* so that neither bytes nor the padded sum overflow */
    for (int i = ndim - 1; i >= 0; i--) {
        new.var.dim[i] = dims[i];
        new.var.stride[i] = new.var.count;
        if (dims[i] < 0 || __builtin_mul_overflow(new.var.count, dims[i], &new.var.count) || new.var.count > most)
            LN_FAIL(LN_ERR_SHAPE, "weights: %s: dimension %d is %lld", name, i, (long long)dims[i]);
    }
    const int64_t each = ALIGN / (int64_t)ln_dtype_bytes(w->dtype, 1);
    new.at = w->block;
    new.var.flags = LN__VAR_WEIGHT | LN__VAR_LEAF | LN__VAR_WANTS_GRAD;
    const int64_t padded = (new.var.count + each - 1) / each * each;
    if (padded > most - w->block)
        LN_FAIL(LN_ERR_SHAPE, "weights: with %s the set is too large", name);
    if (w->names.n == w->cap) {
        const int64_t cap = LN_MAX(2 * w->cap, 32);
        LN_TRY(ln__realloc((void **)&w->list, (size_t)cap, sizeof *w->list));
        w->cap = cap;
    }
    LN_TRY(ln__names_add(&w->names, name, strlen(name), &fresh));
    if (!fresh)
        LN_FAIL(LN_ERR_ARG, "weights: %s is added twice", name);
    w->list[w->names.n - 1] = new;
    w->block += padded;
    w->total += new.var.count;
done:
    return st;
}

ln_status ln_weights_seal(ln_weights *w)
{
    ln_status st = LN_OK;
    void *data = NULL, *grad = NULL;
    if (!w)
        return ln__fail(LN_ERR_ARG, "weights: the set is NULL");
    if (w->data)
        return ln__fail(LN_ERR_ARG, "weights: sealed twice");
    const size_t bytes = ln_dtype_bytes(w->dtype, w->block), one = ln_dtype_bytes(w->dtype, 1);
    LN_TRY(ln__calloc(&data, bytes, 1));
    LN_TRY(ln__calloc(&grad, bytes, 1));
    ln__use_huge_pages(data);
    ln__use_huge_pages(grad);
    for (int64_t i = 0; i < w->names.n; i++) {
        ln__weight *const p = &w->list[i];
        p->var.data = (char *)data + one * (size_t)p->at;
        p->var.grad = ln__weight_trained(p) ? (char *)grad + one * (size_t)p->at : NULL;
        p->var.version = &p->version;
        p->var.name = ln__names_get(&w->names, i);
        LN_TRY(ln__weight_init(p, w->seed, p->var.name));
    }
    w->data = data;
    w->grad = grad;
    data = grad = NULL;
done:
    ln__free(data);
    ln__free(grad);
    return st;
}

/* ---- asking ---- */

ln_var *ln_weights_at(const ln_weights *w, int64_t i)
{
    return w && w->data && i >= 0 && i < w->names.n ? &w->list[i].var : NULL;
}

ln_var *ln_weights_var(const ln_weights *w, const char *name)
{
    return w && name ? ln_weights_at(w, ln__names_find(&w->names, name, strlen(name))) : NULL;
}

int64_t ln_weights_count(const ln_weights *w)
{
    return w ? w->names.n : 0;
}

int64_t ln_weights_total(const ln_weights *w)
{
    return w ? w->total : 0;
}

const char *ln_weights_name(const ln_weights *w, int64_t i)
{
    return w && i >= 0 && i < w->names.n ? ln__names_get(&w->names, i) : NULL;
}

int64_t ln_weights_block(const ln_weights *w)
{
    return w ? w->block : 0;
}

void *ln_weights_data(ln_weights *w)
{
    return w ? w->data : NULL;
}

void *ln_weights_grad(ln_weights *w)
{
    return w ? w->grad : NULL;
}

int64_t ln_weights_freeze(ln_weights *w, const char *pattern, int frozen)
{
    int64_t matched = 0;
    for (int64_t i = 0; w && pattern && i < w->names.n; i++) {
        ln__weight *const p = &w->list[i];
        if (!ln__glob(pattern, ln__names_get(&w->names, i)))
            continue;
        matched++;
        p->var.flags = frozen ? p->var.flags & ~(uint32_t)LN__VAR_WANTS_GRAD : p->var.flags | LN__VAR_WANTS_GRAD;
        if (!w->grad)
            continue;
        void *const grad = (char *)w->grad + ln_dtype_bytes(w->dtype, 1) * (size_t)p->at;
        if (frozen) /* no stale gradient in the block: norms and reductions run over all of it */
            memset(grad, 0, ln_dtype_bytes(w->dtype, p->var.count));
        p->var.grad = frozen ? NULL : grad;
    }
    return matched;
}

void ln_weights_zero_grad(ln_weights *w)
{
    if (w && w->grad)
        memset(w->grad, 0, ln_dtype_bytes(w->dtype, w->block));
}
