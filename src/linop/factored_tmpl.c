/* factored_tmpl.c - included by factored.c twice, with REAL = float and REAL = double. */

/* X (T, cols) = (Y P1) P0 */
static ln_status NAME(adjoint)(const ln_linop *self, REAL *x, int64_t ldx, const REAL *y, int64_t ldy, int64_t T)
{
    const ln__factored *f = ln__factored_of(self);
    ln_status st = LN_OK;
    ln__scratch scratch = { NULL, 0 };
    if (f->parts == 1)
        return NAME(ln__part_apply_t)(&f->part[0], x, ldx, y, ldy, T);
    const int64_t k = f->part[0].rows, batch = LN_MIN(T, BATCH);
    LN_TRY(ln__scratch_get(&scratch, (size_t)(batch * k) * sizeof(REAL)));
    for (int64_t t = 0; t < T; t += batch) {
        const int64_t m = LN_MIN(batch, T - t);
        LN_TRY(NAME(ln__part_apply_t)(&f->part[1], scratch.data, k, y + t * ldy, ldy, m));
        LN_TRY(NAME(ln__part_apply_t)(&f->part[0], x + t * ldx, ldx, scratch.data, k, m));
    }
done:
    ln__scratch_put(&scratch);
    return st;
}
