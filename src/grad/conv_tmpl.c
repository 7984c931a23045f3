/* conv_tmpl.c - included with REAL, TYPE, NAME, GEMM and GEMV: a convolution and its two adjoints as products with
 * tiles of columns. */

/* Columns of positions [p, p + m) in a group and their row length; pointwise convolutions use the image itself. */
static const REAL *NAME(columns)(int64_t *ld, REAL *room, const REAL *x, const ln__conv *g, int64_t group, int64_t p,
                                 int64_t m)
{
    if (ln__conv_pointwise(g)) {
        *ld = g->c;
        return x + p * g->c + group * (g->c / g->groups);
    }
    *ld = ln__conv_patch(g);
    ln__conv_gather(room, x, g, TYPE, group, p, p + m);
    return room;
}

/* y = or += columns(x) w^T, or with `bias` that plus the bias. */
static ln_status NAME(apply)(REAL *y, const REAL *x, const REAL *w, const REAL *bias, const ln__conv *g, REAL *room,
                             bool add)
{
    ln_status st = LN_OK;
    const int64_t patch = ln__conv_patch(g), og = g->o / g->groups, all = ln__conv_positions(g);
    const int64_t tile = ln__conv_tile(g);
    int64_t ld;
    for (int64_t p = 0; p < all; p += tile) {
        const int64_t m = LN_MIN(tile, all - p);
        REAL *to = y + p * g->o;
        for (int64_t i = 0; i < m && bias; i++)
            memcpy(to + i * g->o, bias, (size_t)g->o * sizeof(REAL));
        for (int64_t q = 0; q < g->groups; q++) {
            const REAL *a = NAME(columns)(&ld, room, x, g, q, p, m), *wq = w + q * og * patch;
            if (m == 1)
                LN_TRY(GEMV(false, og, patch, 1, wq, patch, a, add || bias ? 1 : 0, to + q * og));
            else
                LN_TRY(GEMM(false, true, m, og, patch, 1, a, ld, wq, patch, add || bias ? 1 : 0, to + q * og, g->o));
        }
    }
done:
    return st;
}

/* dx = or += the adjoint of apply in x. */
static ln_status NAME(to_image)(REAL *dx, const REAL *dy, const REAL *w, const ln__conv *g, REAL *room, bool add)
{
    ln_status st = LN_OK;
    const int64_t patch = ln__conv_patch(g), og = g->o / g->groups, all = ln__conv_positions(g);
    const int64_t tile = ln__conv_tile(g);
    const bool direct = ln__conv_pointwise(g);
    if (!add && !direct)
        memset(dx, 0, (size_t)(g->batch * g->z * g->h * g->w * g->c) * sizeof(REAL));
    for (int64_t p = 0; p < all; p += tile) {
        const int64_t m = LN_MIN(tile, all - p);
        for (int64_t q = 0; q < g->groups; q++) {
            const REAL *from = dy + p * g->o + q * og, *wq = w + q * og * patch;
            REAL *to = direct ? dx + p * g->c + q * patch : room;
            const REAL beta = direct && add ? 1 : 0;
            if (m == 1)
                LN_TRY(GEMV(true, og, patch, 1, wq, patch, from, beta, to));
            else
                LN_TRY(GEMM(false, false, m, patch, og, 1, from, g->o, wq, patch, beta, to, direct ? g->c : patch));
            if (!direct)
                ln__conv_scatter(dx, room, g, TYPE, q, p, p + m);
        }
    }
done:
    return st;
}

/* dw = or += the adjoint of apply in w. */
static ln_status NAME(to_weights)(REAL *dw, const REAL *dy, const REAL *x, const ln__conv *g, REAL *room, bool add)
{
    ln_status st = LN_OK;
    const int64_t patch = ln__conv_patch(g), og = g->o / g->groups, all = ln__conv_positions(g);
    const int64_t tile = ln__conv_tile(g);
    int64_t ld;
    if (all == 0 && !add)
        memset(dw, 0, (size_t)(g->o * patch) * sizeof(REAL));
    for (int64_t p = 0; p < all; p += tile) {
        const int64_t m = LN_MIN(tile, all - p);
        for (int64_t q = 0; q < g->groups; q++) {
            const REAL *a = NAME(columns)(&ld, room, x, g, q, p, m);
            LN_TRY(GEMM(true, false, og, patch, m, 1, dy + p * g->o + q * og, g->o, a, ld, add || p > 0 ? 1 : 0,
                        dw + q * og * patch, patch));
        }
    }
done:
    return st;
}

static ln_status NAME(forward)(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    const ln__conv *g = &a->g;
    const REAL *x = n->in[0]->data, *w = n->in[1]->data, *bias = n->in[2] ? n->in[2]->data : NULL;
    REAL *y = n->out[0]->data;
    if (a->kind != TRANSPOSED)
        return NAME(apply)(y, x, w, bias, g, ln__scratch(t), false);
    const int64_t pixels = g->batch * g->h * g->w;
    for (int64_t i = 0; i < pixels && bias; i++)
        memcpy(y + i * g->c, bias, (size_t)g->c * sizeof(REAL));
    LN_TRY(NAME(to_image)(y, x, w, g, ln__scratch(t), bias != NULL));
done:
    return st;
}

static ln_status NAME(backward)(ln_tape *t, const ln__node *n, const ln__back *back)
{
    ln_status st = LN_OK;
    const attrs *a = n->attrs;
    const ln__conv *g = &a->g;
    const REAL *x = n->in[0]->data, *w = n->in[1]->data, *dy = back->out[0];
    REAL *room = ln__scratch(t);
    if (back->in[0] && a->kind == TRANSPOSED) {
        LN_TRY(NAME(apply)(back->in[0], dy, w, NULL, g, room, back->add[0]));
    } else if (back->in[0]) {
        LN_TRY(NAME(to_image)(back->in[0], dy, w, g, room, back->add[0]));
    }
    if (back->in[1])
        LN_TRY(NAME(to_weights)(back->in[1], a->kind == TRANSPOSED ? x : dy, a->kind == TRANSPOSED ? dy : x, g, room,
                                back->add[1]));
    if (back->in[2])
        bias_gradient(n, back);
done:
    return st;
}
