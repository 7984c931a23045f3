/* copy.c - contiguous copies of strided variables, and gradients summed over what was broadcast.
 *
 * Sums are in f64 and in an order that sizes alone fix. Kept numbers side by side: blocks of columns, down the lost
 * rows; lost numbers side by side: along them; else one by one. */
#include <string.h>

#include "core/threads.h"
#include "grad/blocks.h"
#include "grad/loops.h"
#include "grad/reduce_vec.h"

enum { CHUNK = 8192, COLUMNS = 256, NARROW = 64 };

void ln__copy_out(void *dst, const ln_var *v, bool add)
{
    ln__block b = { .ndim = v->ndim };
    memcpy(b.dim, v->dim, sizeof b.dim);
    memcpy(b.from, v->stride, sizeof b.from);
    ln__row_major(b.to, v->ndim, v->dim);
    ln__block_copy(&b, dst, v->data, v->dtype, add);
}

typedef struct sum_job {
    ln__loops keep, lost; /* a: strides in the source (from); b: in the destination (0 for lost ones) */
    int64_t lost_count, wide, block;
    const ln__fold_loop *fold;
    char *dst;
    const char *src;
    bool f64, add;
} sum_job;

static void put(const sum_job *j, int64_t at, double sum)
{
    if (j->f64) {
        double *d = (double *)(void *)j->dst + at;
        *d = j->add ? *d + sum : sum;
    } else {
        float *d = (float *)(void *)j->dst + at;
        *d = (float)(j->add ? (double)*d + sum : sum);
    }
}

static const char *source(const sum_job *j, int64_t at)
{
    return j->src + at * (j->f64 ? 8 : 4);
}

/* [begin, end) are blocks of columns, of all lines of kept numbers. */
static void sum_columns(void *ctx, int64_t begin, int64_t end)
{
    const sum_job *j = ctx;
    const int64_t per_line = (j->wide + j->block - 1) / j->block;
    const int64_t rows = j->lost.dim[j->lost.n - 1], step = j->lost.a[j->lost.n - 1];
    for (int64_t i = begin; i < end; i++) {
        double sum[COLUMNS] = { 0 };
        const int64_t line = i / per_line * j->wide, c = i % per_line * j->block, n = LN_MIN(j->block, j->wide - c);
        const int64_t from = ln__loops_at(&j->keep, line, j->keep.a) + c;
        const int64_t to = ln__loops_at(&j->keep, line, j->keep.b) + c;
        for (int64_t r = 0; r < j->lost_count; r += rows)
            j->fold->columns(sum, source(j, from + ln__loops_at(&j->lost, r, j->lost.a)), j->src, rows, step, n);
        for (int64_t k = 0; k < n; k++)
            put(j, to + k, sum[k]);
    }
}

/* [begin, end) are kept numbers. */
static void sum_elements(void *ctx, int64_t begin, int64_t end)
{
    const sum_job *j = ctx;
    const int64_t inner = j->lost.dim[j->lost.n - 1], step = j->lost.a[j->lost.n - 1];
    for (int64_t i = begin; i < end; i++) {
        const int64_t from = ln__loops_at(&j->keep, i, j->keep.a);
        double sum = 0;
        for (int64_t r = 0; r < j->lost_count; r += inner) {
            const char *x = source(j, from + ln__loops_at(&j->lost, r, j->lost.a));
            if (step == 1)
                sum += j->fold->row(x, 0, inner);
            else if (j->f64)
                for (int64_t k = 0; k < inner; k++)
                    sum += ((const double *)(const void *)x)[k * step];
            else
                for (int64_t k = 0; k < inner; k++)
                    sum += (double)((const float *)(const void *)x)[k * step];
        }
        put(j, ln__loops_at(&j->keep, i, j->keep.b), sum);
    }
}

/* The loops of kept and lost dimensions. */
static sum_job job_of(const ln_var *to, const ln_var *from)
{
    int64_t keep_dim[LN_MAX_DIMS], keep_a[LN_MAX_DIMS], keep_b[LN_MAX_DIMS];
    int64_t lost_dim[LN_MAX_DIMS], lost_a[LN_MAX_DIMS], lost_b[LN_MAX_DIMS];
    int64_t sa[LN_MAX_DIMS], sb[LN_MAX_DIMS], from_step = 1, to_step = 1;
    int kept = 0, lost = 0;
    sum_job j = { .lost_count = 1, .f64 = to->dtype == LN_F64 };
    for (int i = from->ndim - 1; i >= 0; i--) {
        const int it = i - (from->ndim - to->ndim);
        sa[i] = from_step;
        from_step *= from->dim[i];
        sb[i] = it >= 0 && to->dim[it] != 1 ? to_step : 0;
        to_step *= it >= 0 ? to->dim[it] : 1;
    }
    for (int i = 0; i < from->ndim; i++) {
        const int it = i - (from->ndim - to->ndim);
        if (it >= 0 && to->dim[it] == from->dim[i]) {
            keep_dim[kept] = from->dim[i];
            keep_a[kept] = sa[i];
            keep_b[kept++] = sb[i];
        } else {
            lost_dim[lost] = from->dim[i];
            lost_a[lost] = sa[i];
            lost_b[lost++] = 0;
            j.lost_count *= from->dim[i];
        }
    }
    j.keep = ln__loops_of(kept, keep_dim, keep_a, keep_b);
    j.lost = ln__loops_of(lost, lost_dim, lost_a, lost_b);
    j.fold = &((const ln__reduce_loops *)LN__LEVELS(ln__reduce))->fold[j.f64][LN__FOLD_ONE];
    return j;
}

void ln__sum_to(void *dst, const ln_var *to, const void *src, const ln_var *from, bool add)
{
    sum_job j = job_of(to, from);
    const int last = j.keep.n - 1;
    j.dst = dst;
    j.src = src;
    j.add = add;
    j.wide = j.keep.dim[last];
    if (to->count == 0)
        return;
    if (j.keep.a[last] == 1 && j.keep.b[last] == 1 && j.wide >= 4) {
        j.block = j.wide >= 2 * COLUMNS ? COLUMNS : NARROW; /* few columns: enough blocks to share out */
        const int64_t blocks = to->count / j.wide * ((j.wide + j.block - 1) / j.block);
        const int64_t work = LN_MAX(j.lost_count, 1) * LN_MIN(j.block, j.wide);
        ln__parallel_for(blocks, LN_MAX(CHUNK / work, 1), sum_columns, &j);
    } else {
        ln__parallel_for(to->count, LN_MAX(CHUNK / LN_MAX(j.lost_count, 1), 1), sum_elements, &j);
    }
}
