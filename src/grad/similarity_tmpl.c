/* similarity_tmpl.c - included with REAL, NAME and SQRT. */

typedef struct NAME(pair) {
    REAL dot, a, b;      /* a.b, and the lengths, not below eps */
    bool long_a, long_b; /* is the length itself used?         */
} NAME(pair);

static NAME(pair) NAME(pair_of)(const REAL *a, const REAL *b, int64_t d, REAL eps)
{
    REAL ab = 0, aa = 0, bb = 0;
#pragma omp simd reduction(+ : ab, aa, bb)
    for (int64_t i = 0; i < d; i++) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    const REAL la = SQRT(aa), lb = SQRT(bb);
    return (NAME(pair)){ ab, la > eps ? la : eps, lb > eps ? lb : eps, la > eps, lb > eps };
}

static void NAME(cosine_rows)(void *ctx, int64_t begin, int64_t end)
{
    const cosine_job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const NAME(pair) p =
            NAME(pair_of)((const REAL *)j->a + r * j->d, (const REAL *)j->b + r * j->d, j->d, (REAL)j->eps);
        ((REAL *)j->y)[r] = p.a > 0 && p.b > 0 ? p.dot / (p.a * p.b) : 0;
    }
}

/* d = or += u other - v own */
static void NAME(combine)(REAL *restrict d, const REAL *other, const REAL *own, REAL u, REAL v, int64_t n, bool add)
{
    if (add)
        for (int64_t i = 0; i < n; i++)
            d[i] += u * other[i] - v * own[i];
    else
        for (int64_t i = 0; i < n; i++)
            d[i] = u * other[i] - v * own[i];
}

static void NAME(cosine_back_rows)(void *ctx, int64_t begin, int64_t end)
{
    const cosine_job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const REAL *a = (const REAL *)j->a + r * j->d, *b = (const REAL *)j->b + r * j->d;
        const NAME(pair) p = NAME(pair_of)(a, b, j->d, (REAL)j->eps);
        const REAL g = p.a > 0 && p.b > 0 ? ((const REAL *)j->g)[r] / (p.a * p.b) : 0, c = g * p.dot;
        if (j->da)
            NAME(combine)((REAL *)j->da + r * j->d, b, a, g, p.long_a ? c / (p.a * p.a) : 0, j->d, j->add_a);
        if (j->db)
            NAME(combine)((REAL *)j->db + r * j->d, a, b, g, p.long_b ? c / (p.b * p.b) : 0, j->d, j->add_b);
    }
}

/* Pairs (query, document) of a tile: the winners and the sum of their scores. */
static void NAME(pick_pairs)(void *ctx, int64_t begin, int64_t end)
{
    const max_sim_job *j = ctx;
    const int64_t wide = j->documents * j->td;
    const uint8_t *mask = j->n->in[2] ? j->n->in[2]->data : NULL;
    for (int64_t p = begin; p < end; p++) {
        const int64_t query = p / j->documents, document = p % j->documents;
        const uint8_t *allowed = mask ? mask + (j->document + document) * j->td : NULL;
        int32_t *won = (int32_t *)j->n->save[0]->data + (j->query + query) * j->tq * j->m + j->document + document;
        double sum = 0;
        for (int64_t i = 0; i < j->tq; i++) {
            const REAL *s = (const REAL *)j->score + (query * j->tq + i) * wide + document * j->td;
            int32_t best = -1;
            for (int64_t k = 0; k < j->td; k++)
                if ((!allowed || allowed[k]) && (best < 0 || s[k] > s[best]))
                    best = (int32_t)k;
            won[i * j->m] = best;
            sum += best >= 0 ? (double)s[best] : 0;
        }
        ((REAL *)j->n->out[0]->data)[(j->query + query) * j->m + j->document + document] = (REAL)sum;
    }
}

static void NAME(add_row)(REAL *restrict d, const REAL *restrict x, REAL s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        d[i] += s * x[i];
}

static void NAME(query_rows)(void *ctx, int64_t begin, int64_t end)
{
    const max_sim_job *j = ctx;
    const int32_t *won = j->n->save[0]->data;
    for (int64_t r = begin; r < end; r++) {
        REAL *d = (REAL *)j->g->in[0] + r * j->d;
        if (!j->g->add[0])
            memset(d, 0, (size_t)j->d * sizeof *d);
        for (int64_t k = 0; k < j->m; k++)
            if (won[r * j->m + k] >= 0)
                NAME(add_row)
        (d, (const REAL *)j->n->in[1]->data + (k * j->td + won[r * j->m + k]) * j->d,
         ((const REAL *)j->g->out[0])[r / j->tq * j->m + k], j->d);
    }
}

static void NAME(documents)(void *ctx, int64_t begin, int64_t end)
{
    const max_sim_job *j = ctx;
    const int32_t *won = j->n->save[0]->data;
    const int64_t rows = j->n->in[0]->dim[0] * j->tq;
    for (int64_t k = begin; k < end; k++) {
        REAL *d = (REAL *)j->g->in[1] + k * j->td * j->d;
        if (!j->g->add[1])
            memset(d, 0, (size_t)(j->td * j->d) * sizeof *d);
        for (int64_t r = 0; r < rows; r++)
            if (won[r * j->m + k] >= 0)
                NAME(add_row)
        (d + won[r * j->m + k] * j->d, (const REAL *)j->n->in[0]->data + r * j->d,
         ((const REAL *)j->g->out[0])[r / j->tq * j->m + k], j->d);
    }
}
