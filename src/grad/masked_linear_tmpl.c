/* masked_linear_tmpl.c - included by masked_linear.c twice, with REAL = float and REAL = double. Rows [begin, end). */

/* dense = the values at the mask's bits, 0 elsewhere */
static void NAME(spread)(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const REAL *v = (const REAL *)j->values + j->offset[r];
        REAL *row = (REAL *)j->dense + r * j->k;
        memset(row, 0, (size_t)j->k * sizeof *row);
        for (int64_t b = 0; b < j->bytes; b++)
            for (unsigned m = j->mask[r * j->bytes + b]; m; m &= m - 1)
                row[8 * b + __builtin_ctz(m)] = *v++;
    }
}

/* to = or += dense at the mask's bits */
static void NAME(pick)(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        REAL *to = (REAL *)j->to + j->offset[r];
        const REAL *row = (const REAL *)j->dense + r * j->k;
        for (int64_t b = 0; b < j->bytes; b++)
            for (unsigned m = j->mask[r * j->bytes + b]; m; m &= m - 1, to++)
                *to = row[8 * b + __builtin_ctz(m)] + (j->add ? *to : 0);
    }
}
