/* attention_tmpl.c - included by attention.c twice, with REAL = float and REAL = double. */

static REAL *NAME(at)(const heads *x, int64_t b, int64_t i, int64_t h)
{
    return (REAL *)(void *)x->data + b * x->batch + i * x->row + h * x->head;
}

/* s (rows, keys) = scale Q K^T */
static ln_status NAME(scores)(const job *j, const tile *t, int64_t b, int64_t h, REAL *s)
{
    const int64_t g = h / (j->H / j->G);
    return GEMM(false, true, t->rows, t->keys, j->d, (REAL)j->a.scale, NAME(at)(&j->q, b, t->i, h), j->q.row,
                NAME(at)(&j->k, b, t->u, g), j->k.row, 0, s, j->tile_k);
}

/* What row r does not see becomes 0, the rest takes its bias: s[*a, *b). */
static void NAME(mask_row)(const job *j, const tile *t, int64_t r, double slope, REAL *s, int64_t *a, int64_t *b)
{
    tile_range(j, t, r, a, b);
    memset(s, 0, (size_t)*a * sizeof *s);
    memset(s + *b, 0, (size_t)(t->keys - *b) * sizeof *s);
    if (slope > 0 && *a < *b)
        j->row->bias(s + *a, *b - *a, slope, (double)(t->i + r + j->Tk - j->Tq - t->u - *a));
}

static ln_status NAME(forward_tile)(const job *j, int64_t b, int64_t h, int64_t i, REAL *s)
{
    const double slope = slope_of(j, h);
    const int64_t rows = LN_MIN(TILE_Q, j->Tq - i), g = h / (j->H / j->G);
    double top[TILE_Q] = { 0 }, sum[TILE_Q] = { 0 };
    int64_t lo, hi, a, e;
    REAL *o = NAME(at)(&j->o, b, i, h), *lse = (REAL *)j->lse + (b * j->H + h) * j->Tq + i;
    ln_status st = LN_OK;
    visible(j, i, &lo, &hi);
    visible(j, i + rows - 1, &a, &hi);
    for (int64_t r = 0; r < rows; r++) {
        top[r] = -INFINITY;
        sum[r] = 0;
        if (lo >= hi)
            memset(o + r * j->o.row, 0, (size_t)j->d * sizeof *o);
    }
    for (int64_t u = lo; u < hi; u += j->tile_k) {
        const tile t = { i, rows, u, LN_MIN(j->tile_k, hi - u) };
        LN_TRY(NAME(scores)(j, &t, b, h, s));
        for (int64_t r = 0; r < rows; r++) {
            REAL *row = s + r * j->tile_k;
            NAME(mask_row)(j, &t, r, slope, row, &a, &e);
            const double shrink = a < e ? j->row->weights(row + a, e - a, &top[r], &sum[r]) : 1;
            if (shrink < 1 && u > lo)
                j->row->scale(o + r * j->o.row, shrink, j->d);
        }
        LN_TRY(GEMM(false, false, rows, j->d, t.keys, 1, s, j->tile_k, NAME(at)(&j->v, b, u, g), j->v.row, u > lo, o,
                    j->o.row));
    }
    for (int64_t r = 0; r < rows; r++) {
        lse[r] = sum[r] > 0 || sum[r] != sum[r] ? (REAL)(top[r] + log(sum[r])) : 0;
        if (sum[r] != 1 && sum[r] != 0)
            j->row->scale(o + r * j->o.row, 1 / sum[r], j->d);
    }
done:
    return st;
}

static void NAME(forward_items)(void *ctx, int64_t begin, int64_t end)
{
    job *j = ctx;
    REAL *s = (REAL *)j->scratch + slot_of(j) * 2 * TILE_Q * j->tile_k;
    for (int64_t item = begin; item < end; item++) {
        const int64_t pair = item / j->tiles;
        failed(j, NAME(forward_tile)(j, pair / j->H, pair % j->H, item % j->tiles * TILE_Q, s));
    }
}

static ln_status NAME(forward)(ln_tape *t, const ln__node *n)
{
    job j = job_of(n);
    if (n->out[0]->count == 0)
        return LN_OK;
    j.o.data = n->out[0]->data;
    j.lse = n->save[0]->data;
    j.scratch = ln__scratch(t);
    return run_items(&j, j.B * j.H * j.tiles, NAME(forward_items));
}

/* The three products of one tile, with P in s and dS in ds. dk, dv: this part's sums from key 0 on. */
static ln_status NAME(backward_products)(const job *j, const tile *t, int64_t b, int64_t h, const REAL *s,
                                         const REAL *ds, REAL *dk, REAL *dv, bool add_q)
{
    const int64_t g = h / (j->H / j->G), d = j->d, ld = j->tile_k;
    const REAL scale = (REAL)j->a.scale;
    ln_status st = LN_OK;
    if (j->dv)
        LN_TRY(GEMM(true, false, t->keys, d, t->rows, 1, s, ld, NAME(at)(&j->dout, b, t->i, h), j->dout.row, 1,
                    dv + t->u * d, d));
    if (j->dk)
        LN_TRY(GEMM(true, false, t->keys, d, t->rows, scale, ds, ld, NAME(at)(&j->q, b, t->i, h), j->q.row, 1,
                    dk + t->u * d, d));
    if (j->dq.data)
        LN_TRY(GEMM(false, false, t->rows, d, t->keys, scale, ds, ld, NAME(at)(&j->k, b, t->u, g), j->k.row, add_q,
                    NAME(at)(&j->dq, b, t->i, h), j->dq.row));
done:
    return st;
}

static ln_status NAME(backward_tile)(const job *j, int64_t b, int64_t h, int64_t i, REAL *s, REAL *dk, REAL *dv)
{
    const double slope = slope_of(j, h);
    const int64_t rows = LN_MIN(TILE_Q, j->Tq - i), g = h / (j->H / j->G);
    const REAL *lse = (const REAL *)j->lse + (b * j->H + h) * j->Tq + i;
    REAL *ds = s + TILE_Q * j->tile_k;
    double mean[TILE_Q];
    int64_t lo, hi, a, e;
    ln_status st = LN_OK;
    visible(j, i, &lo, &hi);
    visible(j, i + rows - 1, &a, &hi);
    for (int64_t r = 0; r < rows; r++) {
        mean[r] = j->row->dot(NAME(at)(&j->o, b, i + r, h), NAME(at)(&j->dout, b, i + r, h), j->d);
        if (lo >= hi && j->dq.data && !j->add_q)
            memset(NAME(at)(&j->dq, b, i + r, h), 0, (size_t)j->d * sizeof *s);
    }
    for (int64_t u = lo; u < hi; u += j->tile_k) {
        const tile t = { i, rows, u, LN_MIN(j->tile_k, hi - u) };
        LN_TRY(NAME(scores)(j, &t, b, h, s));
        LN_TRY(GEMM(false, true, rows, t.keys, j->d, 1, NAME(at)(&j->dout, b, i, h), j->dout.row,
                    NAME(at)(&j->v, b, u, g), j->v.row, 0, ds, j->tile_k));
        for (int64_t r = 0; r < rows; r++) {
            REAL *p = s + r * j->tile_k, *dp = ds + r * j->tile_k;
            NAME(mask_row)(j, &t, r, slope, p, &a, &e);
            memset(dp, 0, (size_t)a * sizeof *dp);
            memset(dp + e, 0, (size_t)(t.keys - e) * sizeof *dp);
            j->row->slopes(p + a, dp + a, e - a, (double)lse[r], mean[r]);
        }
        LN_TRY(NAME(backward_products)(j, &t, b, h, s, ds, dk, dv, j->add_q || u > lo));
    }
done:
    return st;
}

static void NAME(backward_items)(void *ctx, int64_t begin, int64_t end)
{
    job *j = ctx;
    REAL *s = (REAL *)j->scratch + slot_of(j) * 2 * TILE_Q * j->tile_k;
    for (int64_t item = begin; item < end; item++) {
        const int64_t pair = item / j->a.parts, part = item % j->a.parts, size = j->Tk * j->d;
        REAL *dk = (REAL *)j->partial + item * size, *dv = dk + partial_count(j);
        if (j->dk)
            memset(dk, 0, (size_t)size * sizeof *dk);
        if (j->dv)
            memset(dv, 0, (size_t)size * sizeof *dv);
        for (int64_t q = part; q < j->tiles; q += j->a.parts)
            failed(j, NAME(backward_tile)(j, pair / j->H, pair % j->H, q * TILE_Q, s, dk, dv));
    }
}

/* Row (b, u) of dK or dV: its heads' and parts' sums. [begin, end) counts (b, u). */
static void NAME(sum_row)(const job *j, int64_t at, const REAL *from, REAL *to, bool add)
{
    const int64_t b = at / j->Tk, u = at % j->Tk, group = j->H / j->G, d = j->d;
    for (int64_t g = 0; g < j->G; g++) {
        REAL *dst = to + (at * j->G + g) * d;
        if (!add)
            memset(dst, 0, (size_t)d * sizeof *dst);
        for (int64_t k = 0; k < group * j->a.parts; k++)
            j->row->accumulate(dst, from + (((b * j->H + g * group) * j->a.parts + k) * j->Tk + u) * d, 1, d);
    }
}

static void NAME(sum_rows)(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t at = begin; at < end; at++) {
        if (j->dk)
            NAME(sum_row)(j, at, j->partial, j->dk, j->add_k);
        if (j->dv)
            NAME(sum_row)(j, at, (const REAL *)j->partial + partial_count(j), j->dv, j->add_v);
    }
}

static ln_status NAME(backward)(ln_tape *t, const ln__node *n, const ln__back *g)
{
    ln_status st = LN_OK;
    job j = job_of(n);
    j.o.data = n->out[0]->data;
    j.dout.data = (char *)(uintptr_t)g->out[0];
    j.lse = n->save[0]->data;
    j.scratch = ln__scratch(t);
    j.partial = (REAL *)j.scratch + j.a.slots * 2 * TILE_Q * j.tile_k;
    j.dq.data = g->in[0];
    j.dk = g->in[1];
    j.dv = g->in[2];
    j.add_q = g->add[0];
    j.add_k = g->add[1];
    j.add_v = g->add[2];
    LN_TRY(run_items(&j, j.B * j.H * j.a.parts, NAME(backward_items)));
    if (j.G > 0)
        ln__parallel_for(j.B * j.Tk, SUM_ROWS, NAME(sum_rows), &j);
done:
    return st;
}
