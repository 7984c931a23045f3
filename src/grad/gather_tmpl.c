/* gather_tmpl.c - included with REAL and NAME: elements by index along an axis, and added back. A task owns columns
 * [c0, c1) of one outer part, so that no two tasks write to the same place. */

/* dst (outer, count, inner) = or += src (outer, size, inner) at index (outer, count, inner). */
static void NAME(gather)(const elements_job *j, int64_t o, int64_t c0, int64_t c1)
{
    const ln__span s = j->s;
    const REAL *src = (const REAL *)j->src + o * s.size * s.inner;
    for (int64_t i = 0; i < j->count; i++) {
        const int64_t row = (o * j->count + i) * s.inner;
        REAL *dst = (REAL *)j->dst + row;
        for (int64_t c = c0; c < c1; c++) {
            const REAL v = src[j->index[row + c] * s.inner + c];
            dst[c] = j->add ? dst[c] + v : v;
        }
    }
}

/* dst (outer, size, inner) += src (outer, count, inner) at index. */
static void NAME(scatter)(const elements_job *j, int64_t o, int64_t c0, int64_t c1)
{
    const ln__span s = j->s;
    REAL *dst = (REAL *)j->dst + o * s.size * s.inner;
    for (int64_t i = 0; !j->add && i < s.size; i++)
        for (int64_t c = c0; c < c1; c++)
            dst[i * s.inner + c] = 0;
    for (int64_t i = 0; i < j->count; i++) {
        const int64_t row = (o * j->count + i) * s.inner;
        const REAL *src = (const REAL *)j->src + row;
        for (int64_t c = c0; c < c1; c++)
            dst[j->index[row + c] * s.inner + c] += src[c];
    }
}
