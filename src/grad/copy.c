/* copy.c - contiguous copies of strided variables, and gradients summed over what was broadcast. */
#include <string.h>

#include "core/threads.h"
#include "grad/loops.h"

enum { MIN_CHUNK = 4096 };

typedef struct copy_job {
    ln__loops l;
    char *dst;
    const char *src;
    size_t width;
    ln_dtype dt;
    bool add;
} copy_job;

static void copy_line(const copy_job *j, char *dst, const char *src, int64_t n, int64_t step)
{
    if (j->add && j->dt == LN_F32) {
        float *d = (float *)(void *)dst;
        const float *s = (const float *)(const void *)src;
        for (int64_t i = 0; i < n; i++)
            d[i] += s[i * step];
    } else if (j->add) {
        double *d = (double *)(void *)dst;
        const double *s = (const double *)(const void *)src;
        for (int64_t i = 0; i < n; i++)
            d[i] += s[i * step];
    } else if (step == 1) {
        memcpy(dst, src, (size_t)n * j->width);
    } else if (j->width == 4) {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + 4 * i, src + 4 * i * step, 4);
    } else if (j->width == 8) {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + 8 * i, src + 8 * i * step, 8);
    } else {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + j->width * (size_t)i, src + (int64_t)j->width * i * step, j->width);
    }
}

/* [begin, end) are lines: all loops but the innermost. */
static void copy_lines(void *ctx, int64_t begin, int64_t end)
{
    const copy_job *j = ctx;
    const ln__loops *l = &j->l;
    const int64_t n = l->dim[l->n - 1], step = l->a[l->n - 1];
    for (int64_t line = begin; line < end; line++) {
        int64_t rest = line, at = 0;
        for (int k = l->n - 2; k >= 0; k--) {
            at += rest % l->dim[k] * l->a[k];
            rest /= l->dim[k];
        }
        copy_line(j, j->dst + (size_t)(line * n) * j->width, j->src + at * (int64_t)j->width, n, step);
    }
}

void ln__copy_out(void *dst, const ln_var *v, bool add)
{
    int64_t flat[LN_MAX_DIMS];
    if (v->count == 0)
        return;
    int64_t step = 1;
    for (int i = v->ndim - 1; i >= 0; i--) {
        flat[i] = step;
        step *= v->dim[i];
    }
    copy_job j = { .l = ln__loops_of(v->ndim, v->dim, v->stride, flat),
                   .dst = dst,
                   .src = v->data,
                   .dt = v->dtype,
                   .width = ln_dtype_bytes(v->dtype, 1),
                   .add = add };
    int64_t n = j.l.dim[j.l.n - 1];
    if (j.l.n == 1 && n > MIN_CHUNK) { /* one long line: cut it where it divides evenly */
        int64_t cut = MIN_CHUNK;
        while (n % cut != 0)
            cut /= 2;
        if (cut >= MIN_CHUNK / 16) {
            j.l.dim[1] = cut;
            j.l.a[1] = j.l.a[0];
            j.l.dim[0] = n / cut;
            j.l.a[0] *= cut;
            j.l.n = 2;
            n = cut;
        }
    }
    ln__parallel_for(v->count / n, LN_MAX(MIN_CHUNK / n, 1), copy_lines, &j);
}

/* ---- sums over broadcast dimensions ---- */

typedef struct sum_job {
    ln__loops keep, lost; /* a: strides in the source (from); b: in the destination (0 for lost ones) */
    int64_t lost_count;
    void *dst;
    const void *src;
    bool f64, add;
} sum_job;

/* Rows of the source side by side: 512 sums at a time, down the rows. */
static void sum_columns(const sum_job *j, int64_t begin, int64_t end)
{
    double sum[512];
    for (int64_t at = begin; at < end; at += LN_COUNT(sum)) {
        const int64_t n = LN_MIN(LN_COUNT(sum), end - at);
        memset(sum, 0, sizeof sum);
        for (int64_t r = 0; r < j->lost_count; r++) {
            const int64_t from = at + ln__loops_at(&j->lost, r, j->lost.a);
            if (j->f64)
                for (int64_t k = 0; k < n; k++)
                    sum[k] += ((const double *)j->src)[from + k];
            else
                for (int64_t k = 0; k < n; k++)
                    sum[k] += (double)((const float *)j->src)[from + k];
        }
        for (int64_t k = 0; k < n; k++)
            if (j->f64)
                ((double *)j->dst)[at + k] = j->add ? ((double *)j->dst)[at + k] + sum[k] : sum[k];
            else
                ((float *)j->dst)[at + k] = (float)(j->add ? (double)((float *)j->dst)[at + k] + sum[k] : sum[k]);
    }
}

/* Sums in f64 and in the order of the source, so that chunking does not matter. */
static void sum_elements(void *ctx, int64_t begin, int64_t end)
{
    const sum_job *j = ctx;
    if (j->keep.n == 1 && j->keep.a[0] == 1 && j->keep.b[0] == 1) {
        sum_columns(j, begin, end);
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        const int64_t from = ln__loops_at(&j->keep, i, j->keep.a), to = ln__loops_at(&j->keep, i, j->keep.b);
        double sum = 0;
        const int64_t inner = j->lost.dim[j->lost.n - 1], step = j->lost.a[j->lost.n - 1];
        for (int64_t r = 0; r < j->lost_count; r += inner) {
            const int64_t at = from + ln__loops_at(&j->lost, r, j->lost.a);
            if (j->f64)
                for (int64_t k = 0; k < inner; k++)
                    sum += ((const double *)j->src)[at + k * step];
            else
                for (int64_t k = 0; k < inner; k++)
                    sum += (double)((const float *)j->src)[at + k * step];
        }
        if (j->f64)
            ((double *)j->dst)[to] = j->add ? ((double *)j->dst)[to] + sum : sum;
        else
            ((float *)j->dst)[to] = (float)(j->add ? (double)((float *)j->dst)[to] + sum : sum);
    }
}

void ln__sum_to(void *dst, const ln_var *to, const void *src, const ln_var *from, bool add)
{
    int64_t keep_dim[LN_MAX_DIMS], keep_a[LN_MAX_DIMS], keep_b[LN_MAX_DIMS];
    int64_t lost_dim[LN_MAX_DIMS], lost_a[LN_MAX_DIMS], lost_b[LN_MAX_DIMS];
    int kept = 0, lost = 0;
    int64_t from_step = 1, to_step = 1, lost_count = 1;
    int64_t sa[LN_MAX_DIMS], sb[LN_MAX_DIMS];
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
            lost_count *= from->dim[i];
        }
    }
    sum_job j = { .keep = ln__loops_of(kept, keep_dim, keep_a, keep_b),
                  .lost = ln__loops_of(lost, lost_dim, lost_a, lost_b),
                  .lost_count = lost_count,
                  .dst = dst,
                  .src = src,
                  .f64 = to->dtype == LN_F64,
                  .add = add };
    ln__parallel_for(to->count, LN_MAX(MIN_CHUNK / LN_MAX(lost_count, 1), 64), sum_elements, &j);
}
