/* nearest_tmpl.c - included with REAL, NAME, GEMM and GEMV. */

typedef struct NAME(tile) {
    const REAL *score, *half; /* (rows,K) products; |c|^2 / 2 */
    const REAL *codebook;
    REAL *y;
    int32_t *index;
    int64_t k, d;
} NAME(tile);

static void NAME(pick_rows)(void *ctx, int64_t begin, int64_t end)
{
    const NAME(tile) *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const REAL *s = j->score + r * j->k;
        int64_t best = 0;
        for (int64_t i = 1; i < j->k; i++)
            if (j->half[i] - s[i] < j->half[best] - s[best])
                best = i;
        j->index[r] = (int32_t)best;
        memcpy(j->y + r * j->d, j->codebook + best * j->d, (size_t)j->d * sizeof(REAL));
    }
}

static ln_status NAME(forward)(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    const int64_t rows = n->in[0]->dim[0], d = n->in[0]->dim[1], k = n->in[1]->dim[0];
    const REAL *x = n->in[0]->data, *c = n->in[1]->data;
    REAL *half = ln__scratch(t), *score = half + k;
    for (int64_t i = 0; i < k; i++) {
        double sum = 0;
        for (int64_t a = 0; a < d; a++)
            sum += (double)c[i * d + a] * (double)c[i * d + a];
        half[i] = (REAL)(sum / 2);
    }
    for (int64_t at = 0; at < rows; at += TILE) {
        const int64_t m = LN_MIN(TILE, rows - at);
        if (m == 1)
            LN_TRY(GEMV(false, k, d, 1, c, d, x + at * d, 0, score));
        else
            LN_TRY(GEMM(false, true, m, k, d, 1, x + at * d, d, c, d, 0, score, k));
        NAME(tile) tile = { score, half, c, (REAL *)n->out[0]->data + at * d, (int32_t *)n->out[1]->data + at, k, d };
        ln__parallel_for(m, 8, NAME(pick_rows), &tile);
    }
done:
    return st;
}
