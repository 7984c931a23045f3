/* resample_tmpl.c - included with REAL and NAME: lines of upsampling, vectorised along channels. */

static void NAME(forward_lines)(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t f = j->a->factor, c = j->c;
    for (int64_t l = begin; l < end; l++) {
        const look row = look_of(j->a, l % (j->h * f), j->h);
        const REAL *image = (const REAL *)j->x + l / (j->h * f) * j->h * j->w * c;
        const REAL *up = image + row.first * j->w * c, *down = image + row.second * j->w * c;
        const REAL v = (REAL)row.part;
        for (int64_t o = 0; o < j->w * f; o++) {
            REAL *restrict y = (REAL *)j->y + (l * j->w * f + o) * c;
            const look col = look_of(j->a, o, j->w);
            if (!j->a->bilinear) {
                memcpy(y, up + col.first * c, (size_t)c * sizeof *y);
                continue;
            }
            const REAL *a = up + col.first * c, *b = up + col.second * c, *d = down + col.first * c;
            const REAL *e = down + col.second * c, u = (REAL)col.part;
            for (int64_t i = 0; i < c; i++)
                y[i] = (1 - v) * ((1 - u) * a[i] + u * b[i]) + v * ((1 - u) * d[i] + u * e[i]);
        }
    }
}

/* Adds `share` of a line of the large image's gradient to a line of the small one. */
static void NAME(add_line)(const job *j, REAL *line, const REAL *g, REAL share)
{
    const int64_t c = j->c;
    for (int64_t o = 0; o < j->w * j->a->factor; o++, g += c) {
        const look col = look_of(j->a, o, j->w);
        const REAL u = (REAL)col.part;
        REAL *a = line + col.first * c, *b = line + col.second * c;
        for (int64_t i = 0; i < c; i++)
            a[i] += share * (1 - u) * g[i];
        for (int64_t i = 0; u > 0 && i < c; i++)
            b[i] += share * u * g[i];
    }
}

static void NAME(backward_lines)(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t f = j->a->factor, wide = j->w * f * j->c;
    for (int64_t l = begin; l < end; l++) {
        const int64_t h = l % j->h;
        REAL *line = (REAL *)j->y + l * j->w * j->c;
        if (!j->add)
            memset(line, 0, (size_t)(j->w * j->c) * sizeof *line);
        const int64_t from = LN_MAX(h - 1, 0) * f, to = LN_MIN(h + 2, j->h) * f;
        for (int64_t o = from; o < to; o++) {
            const look row = look_of(j->a, o, j->h);
            const REAL *g = (const REAL *)j->x + (l / j->h * j->h * f + o) * wide;
            const double share = (row.first == h ? 1 - row.part : 0) + (row.second == h ? row.part : 0);
            if (share != 0)
                NAME(add_line)(j, line, g, (REAL)share);
        }
    }
}
