/* vectors.c - the vector passes of iterative methods. Eight partial sums within a block: they vectorise, and keep
 * rounding errors of long sums small. */
#include "solve/vectors.h"

#include <math.h>

#include "core/threads.h"

typedef struct pass {
    double *y, *p, *work;
    const double *x, *z;
    double a, b;
} pass;

double ln__vec_block_dot(const double *a, const double *b, int64_t n)
{
    double s[8] = { 0 };
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            s[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

static double total(const double *work, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < ln__vector_blocks(n); i++)
        sum += work[i];
    return sum;
}

static void dot_blocks(void *ctx, int64_t begin, int64_t end)
{
    const pass *v = ctx;
    v->work[begin / LN_VECTOR_BLOCK] = ln__vec_block_dot(v->x + begin, v->z + begin, end - begin);
}

double ln__vec_dot(const double *a, const double *b, int64_t n, double *work)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, dot_blocks, &(pass){ .x = a, .z = b, .work = work });
    return total(work, n);
}

double ln__vec_norm(const double *a, int64_t n, double *work)
{
    return sqrt(ln__vec_dot(a, a, n, work));
}

static void axpy_blocks(void *ctx, int64_t begin, int64_t end)
{
    const pass *v = ctx;
    double *restrict y = v->y;
    const double *restrict x = v->x;
    for (int64_t i = begin; i < end; i++)
        y[i] += v->a * x[i];
    if (v->work)
        v->work[begin / LN_VECTOR_BLOCK] = ln__vec_block_dot(y + begin, y + begin, end - begin);
}

void ln__vec_axpy(double *y, double a, const double *x, int64_t n)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, axpy_blocks, &(pass){ .y = y, .x = x, .a = a });
}

double ln__vec_axpy_dot(double *y, double a, const double *x, int64_t n, double *work)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, axpy_blocks, &(pass){ .y = y, .x = x, .a = a, .work = work });
    return total(work, n);
}

static void xpay_blocks(void *ctx, int64_t begin, int64_t end)
{
    const pass *v = ctx;
    for (int64_t i = begin; i < end; i++)
        v->y[i] = v->x[i] + v->a * v->y[i];
}

void ln__vec_xpay(double *y, const double *x, double a, int64_t n)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, xpay_blocks, &(pass){ .y = y, .x = x, .a = a });
}

static void scale_blocks(void *ctx, int64_t begin, int64_t end)
{
    const pass *v = ctx;
    for (int64_t i = begin; i < end; i++)
        v->y[i] = v->a * v->x[i];
}

void ln__vec_scale(double *y, double a, const double *x, int64_t n)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, scale_blocks, &(pass){ .y = y, .x = x, .a = a });
}

static void residual_blocks(void *ctx, int64_t begin, int64_t end)
{
    const pass *v = ctx;
    for (int64_t i = begin; i < end; i++)
        v->y[i] = v->x[i] - v->z[i];
    v->work[begin / LN_VECTOR_BLOCK] = ln__vec_block_dot(v->y + begin, v->y + begin, end - begin);
}

double ln__vec_residual(double *r, const double *b, const double *y, int64_t n, double *work)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, residual_blocks, &(pass){ .y = r, .x = b, .z = y, .work = work });
    return total(work, n);
}

static void multiply_add_blocks(void *ctx, int64_t begin, int64_t end)
{
    const pass *v = ctx;
    for (int64_t i = begin; i < end; i++)
        v->y[i] += v->x[i] * v->z[i];
}

void ln__vec_multiply_add(double *y, const double *d, const double *x, int64_t n)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, multiply_add_blocks, &(pass){ .y = y, .x = d, .z = x });
}

static void multiply_blocks(void *ctx, int64_t begin, int64_t end)
{
    const pass *v = ctx;
    for (int64_t i = begin; i < end; i++)
        v->y[i] = v->x[i] * v->z[i];
}

void ln__vec_multiply(double *y, const double *d, const double *x, int64_t n)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, multiply_blocks, &(pass){ .y = y, .x = d, .z = x });
}

static void step_blocks(void *ctx, int64_t begin, int64_t end)
{
    const pass *v = ctx;
    double *restrict x = v->y, *restrict p = v->p;
    const double *restrict z = v->z;
    for (int64_t i = begin; i < end; i++) {
        x[i] += v->a * p[i];
        p[i] = z[i] + v->b * p[i];
    }
}

void ln__vec_step(double *x, double *p, double alpha, const double *z, double beta, int64_t n)
{
    ln__parallel_for(n, LN_VECTOR_BLOCK, step_blocks, &(pass){ .y = x, .p = p, .z = z, .a = alpha, .b = beta });
}
