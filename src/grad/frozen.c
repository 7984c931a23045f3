/* frozen.c - see frozen.h. */
#include "grad/frozen.h"

#include "grad/tape.h"

#include "linop/linop.h"

static void release(void *op)
{
    ln_linop_release(op);
}

ln_status ln__frozen_hold(ln_tape *t, const ln_linop *op)
{
    ln_linop *held = ln_linop_retain(op);
    const ln_status st = ln__tape_keep(t, release, held);
    if (st != LN_OK)
        ln_linop_release(held);
    return st;
}

ln_status ln__frozen_apply(const ln_linop *op, bool f64, void *y, const void *x, int64_t rows)
{
    const int64_t in = ln_linop_cols(op), out = ln_linop_rows(op);
    const bool before = ln__linop_exact_here(true);
    const ln_status st = f64 ? ln_linop_apply_f64(op, y, out, x, in, rows) : ln_linop_apply(op, y, out, x, in, rows);
    (void)ln__linop_exact_here(before);
    return st;
}

ln_status ln__frozen_apply_t(const ln_linop *op, bool f64, void *x, const void *y, int64_t rows)
{
    const int64_t in = ln_linop_cols(op), out = ln_linop_rows(op);
    const bool before = ln__linop_exact_here(true);
    const ln_status st =
        f64 ? ln_linop_apply_t_f64(op, x, in, y, out, rows) : ln_linop_apply_t(op, x, in, y, out, rows);
    (void)ln__linop_exact_here(before);
    return st;
}
