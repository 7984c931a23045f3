/* sparse_tmpl.c - products of one storage type VAL with vectors of VEC; AS(name) names them. Included by
 * sparse_product.c. A range of rows belongs to one thread; the transposed products give each thread a stripe of
 * columns, which every row is searched for, so a sum runs over ascending rows whoever computes it. */

static void AS(vecs_rows)(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    const VAL *value = p->a->value;
    const int32_t *column = p->a->column;
    for (int64_t t = 0; t < p->k; t++) {
        const VEC *x = (const VEC *)p->from + t * p->ld_from;
        VEC *y = (VEC *)p->to + t * p->ld_to;
        for (int64_t i = begin; i < end; i++) {
            const int64_t stop = p->a->start[i + 1];
            int64_t e = p->a->start[i];
            double s0 = 0, s1 = 0;
            for (; e + 1 < stop; e += 2) {
                s0 += (double)value[e] * (double)x[column[e]];
                s1 += (double)value[e + 1] * (double)x[column[e + 1]];
            }
            if (e < stop)
                s0 += (double)value[e] * (double)x[column[e]];
            y[i] = (VEC)(s0 + s1);
        }
    }
}

static void AS(mm_rows)(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    const VAL *value = p->a->value;
    for (int64_t i = begin; i < end; i++) {
        VEC *y = (VEC *)p->to + i * p->ld_to;
        memset(y, 0, (size_t)p->k * sizeof *y);
        for (int64_t e = p->a->start[i]; e < p->a->start[i + 1]; e++) {
            const VEC *x = (const VEC *)p->from + p->a->column[e] * p->ld_from;
            const VEC v = (VEC)value[e];
            for (int64_t c = 0; c < p->k; c++)
                y[c] += v * x[c];
        }
    }
}

/* Columns begin … end-1 of A, as rows of the result; k numbers each. */
static void AS(mm_t_stripe)(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    const VAL *value = p->a->value;
    for (int64_t j = begin; j < end; j++)
        memset((VEC *)p->to + j * p->ld_to, 0, (size_t)p->k * sizeof(VEC));
    for (int64_t i = 0; i < p->a->rows; i++) {
        const VEC *y = (const VEC *)p->from + i * p->ld_from;
        const int64_t stop = p->a->start[i + 1];
        for (int64_t e = first_from(p->a, i, begin); e < stop && p->a->column[e] < end; e++) {
            VEC *x = (VEC *)p->to + p->a->column[e] * p->ld_to;
            const VEC v = (VEC)value[e];
            for (int64_t c = 0; c < p->k; c++)
                x[c] += v * y[c];
        }
    }
}

static void AS(vecs_t_stripe)(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    const VAL *value = p->a->value;
    for (int64_t t = 0; t < p->k; t++) {
        const VEC *y = (const VEC *)p->from + t * p->ld_from;
        VEC *x = (VEC *)p->to + t * p->ld_to;
        memset(x + begin, 0, (size_t)(end - begin) * sizeof *x);
        for (int64_t i = 0; i < p->a->rows; i++) {
            const int64_t stop = p->a->start[i + 1];
            const VEC v = y[i];
            for (int64_t e = first_from(p->a, i, begin); e < stop && p->a->column[e] < end; e++)
                x[p->a->column[e]] += (VEC)value[e] * v;
        }
    }
}
