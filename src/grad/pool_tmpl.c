/* pool_tmpl.c - included with REAL and NAME: lines of pooling, vectorised along channels. */

static void NAME(max_window)(REAL *restrict y, int32_t *restrict won, const REAL *restrict x, int64_t w, int64_t c,
                             range rows, range cols)
{
    for (int64_t i = 0; i < c; i++) {
        y[i] = x[(rows.begin * w + cols.begin) * c + i];
        won[i] = 0;
    }
    for (int64_t r = rows.begin; r < rows.end; r++)
        for (int64_t q = cols.begin; q < cols.end; q++) {
            const REAL *at = x + (r * w + q) * c;
            const int32_t tap = (int32_t)((r - rows.begin) * (cols.end - cols.begin) + q - cols.begin);
            for (int64_t i = 0; i < c; i++) {
                const REAL v = at[i], old = y[i];
                const int32_t more = !(v <= old) & (old == old), before = won[i]; /* NaN wins, and is then seen */
                won[i] = more ? tap : before;
                y[i] = more ? v : old;
            }
        }
}

static void NAME(mean_window)(REAL *restrict y, const REAL *x, int64_t w, int64_t c, range rows, range cols)
{
    const REAL share = 1 / (REAL)((rows.end - rows.begin) * (cols.end - cols.begin));
    for (int64_t i = 0; i < c; i++)
        y[i] = 0;
    for (int64_t r = rows.begin; r < rows.end; r++)
        for (int64_t q = cols.begin; q < cols.end; q++) {
            const REAL *at = x + (r * w + q) * c;
            for (int64_t i = 0; i < c; i++)
                y[i] += at[i];
        }
    for (int64_t i = 0; i < c; i++)
        y[i] *= share;
}

static void NAME(forward_lines)(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const attrs *a = j->a;
    for (int64_t l = begin; l < end; l++) {
        const REAL *x = (const REAL *)j->x + l / a->oh * j->h * j->w * j->c;
        const range rows = window(a, l % a->oh, j->h, a->oh);
        for (int64_t o = 0; o < a->ow; o++) {
            const int64_t to = (l * a->ow + o) * j->c;
            const range cols = window(a, o, j->w, a->ow);
            if (a->kind == MAX)
                NAME(max_window)((REAL *)j->y + to, j->won + to, x, j->w, j->c, rows, cols);
            else
                NAME(mean_window)((REAL *)j->y + to, x, j->w, j->c, rows, cols);
        }
    }
}

/* Row `row` of the windows of one line of outputs, into a line of the image. */
static void NAME(from_windows)(const job *j, REAL *line, int64_t out_line, int64_t row, int64_t height)
{
    const attrs *a = j->a;
    const int64_t c = j->c;
    for (int64_t o = 0; o < a->ow; o++) {
        const REAL *g = (const REAL *)j->g + (out_line * a->ow + o) * j->c;
        const int32_t *won = j->won ? j->won + (out_line * a->ow + o) * j->c : NULL;
        const range cols = window(a, o, j->w, a->ow);
        const REAL share = 1 / (REAL)(height * (cols.end - cols.begin));
        for (int64_t q = cols.begin; q < cols.end; q++) {
            REAL *restrict d = line + q * c;
            const int32_t tap = (int32_t)(row * (cols.end - cols.begin) + q - cols.begin);
            if (won)
                for (int64_t i = 0; i < c; i++) {
                    const REAL v = g[i];
                    d[i] += won[i] == tap ? v : 0;
                }
            else
                for (int64_t i = 0; i < c; i++)
                    d[i] += share * g[i];
        }
    }
}

static void NAME(backward_lines)(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const attrs *a = j->a;
    for (int64_t l = begin; l < end; l++) {
        const int64_t b = l / j->h, h = l % j->h;
        REAL *line = (REAL *)j->y + l * j->w * j->c;
        if (!j->add)
            memset(line, 0, (size_t)(j->w * j->c) * sizeof *line);
        const range from = outputs(a, h, j->h, a->oh);
        for (int64_t o = from.begin; o < from.end; o++) {
            const range rows = window(a, o, j->h, a->oh);
            if (h >= rows.begin && h < rows.end)
                NAME(from_windows)(j, line, b * a->oh + o, h - rows.begin, rows.end - rows.begin);
        }
    }
}
