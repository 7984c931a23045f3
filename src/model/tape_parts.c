/* tape_parts.c - pieces that the families share on a tape: linear layers in all their forms, gains, frozen tables. */
#include "core/threads.h"
#include "grad/lora_linear.h"
#include "grad/masked_linear.h"
#include "model/tape.h"

enum { ROWS_AT_ONCE = 16 };

static ln_var *wrap_floats(ln_tape *t, const float *x, int64_t n)
{
    return ln_wrap(t, LN_F32, 1, &n, NULL, (void *)(uintptr_t)x);
}

ln_var *ln__tape_gain(ln_tape *t, ln_var *trained, const float *frozen, int64_t width)
{
    return trained ? trained : frozen ? wrap_floats(t, frozen, width) : NULL;
}

static ln_var *wrap_mask(ln_tape *t, const ln_tensor *mask)
{
    const int64_t dims[2] = { ln_tensor_dim(mask, 0), ln_tensor_dim(mask, 1) };
    return ln_wrap(t, LN_U8, 2, dims, NULL, (void *)(uintptr_t)ln_tensor_cdata(mask));
}

ln_var *ln__tape_linear_of(const ln__tape_block *b, ln_tape *t, int slot, ln_var *x)
{
    const ln__tape_linear *l = &b->lin[slot];
    const ln__tape_opts *o = &b->m->o;
    ln_var *y;
    if (l->w)
        return ln_linear(t, x, l->w, l->b);
    if (l->values) {
        y = ln__masked_linear(t, ln_linear(t, x, l->d, NULL), l->values, wrap_mask(t, l->mask));
    } else if (l->a && !l->op) {
        y = ln_linear(t, ln_linear(t, x, l->a, NULL), l->up, NULL);
    } else if (l->a) {
        y = ln__lora_linear(t, x, l->op, l->a, l->up, l->scale);
    } else if (o->watch) {
        y = ln__frozen_linear(t, x, l->op, o->watch, o->watch_ctx, l->index);
    } else {
        y = ln_apply_linop(t, x, l->op);
    }
    return l->bias ? ln_add(t, y, wrap_floats(t, l->bias, l->rows)) : y;
}

bool ln__tape_ids_ok(ln_tape *t, const ln_var *ids, int64_t below, const char *what)
{
    const int32_t *id = ln_var_data(ids);
    for (int64_t i = 0; id && i < ln_var_count(ids); i++)
        if (id[i] < 0 || id[i] >= below) {
            (void)ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "%s %lld is %d, there are %lld", what, (long long)i,
                                            (int)id[i], (long long)below));
            return false;
        }
    return true;
}

typedef struct lookup {
    const ln_tensor *table;
    const int32_t *id;
    float *to;
    int64_t width;
} lookup;

static void look_up(void *ctx, int64_t begin, int64_t end)
{
    const lookup *j = ctx;
    for (int64_t i = begin; i < end; i++)
        ln__embed_row(j->to + i * j->width, j->table, j->id[i]);
}

ln_var *ln__tape_frozen_rows(ln_tape *t, const ln_tensor *table, ln_var *ids, bool leaf, const char *what)
{
    int64_t dims[LN_MAX_DIMS];
    const int n = ln_var_ndim(ids);
    if (ln__tape_failed(t) || !ln__tape_ids_ok(t, ids, ln_tensor_dim(table, 0), what))
        return ln__tape_fail(t, LN_OK);
    if (n >= LN_MAX_DIMS || !ln__var_contiguous(ids))
        return ln__tape_fail(t, ln__fail(LN_ERR_SHAPE, "%s ids must be contiguous", what));
    for (int i = 0; i < n; i++)
        dims[i] = ln_var_dim(ids, i);
    dims[n] = ln_tensor_dim(table, 1);
    ln_var *x = leaf ? ln_leaf(t, LN_F32, n + 1, dims, NULL) : ln_input(t, LN_F32, n + 1, dims, NULL);
    if (ln_var_data(x) && !ln__tape_failed(t)) {
        lookup j = { table, ln_var_data(ids), x->data, dims[n] };
        ln__parallel_for(ln_var_count(ids), ROWS_AT_ONCE, look_up, &j);
    }
    return x;
}
