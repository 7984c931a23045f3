/* adafactor.c - second moments of a matrix as an outer product of row and column means.
 *
 *   q = t^-0.8,  R = lerp(R, mean over columns of g^2, q),  C likewise over rows,  V = R C / mean(R)
 *   u = g / sqrt(V),  w -= max(1e-3, rms(w)) min(lr, 1/sqrt(t)) u / max(1, rms(u)),  w (1 - lr decay) first
 *
 * Shazeer and Stern 2018, as in torch.optim.Adafactor. Vectors keep all their second moments. Means are f64. A weight
 * is one thread's: rows are few sums, and the result does not depend on the number of threads. */
#include <math.h>

#include "core/threads.h"
#include "grad/optimizer.h"

static const double least_rms = 1e-3, rate_power = -0.8;

ln__factored ln__adafactor_part(const ln__weight *w, int64_t at)
{
    const int64_t rows = w->var.ndim > 1 ? w->var.dim[0] : 0, cols = rows > 0 ? w->var.count / rows : 0;
    if (rows > 0 && cols > 0)
        return (ln__factored){ rows, cols, at, rows + cols };
    return (ln__factored){ 0, 0, at, w->var.count };
}

typedef struct job {
    ln_optimizer *o;
    double lr, scale, limit, tiny;
} job;

static double number(const void *x, int type, int64_t i)
{
    return type ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static void store(void *x, int type, int64_t i, double v)
{
    if (type)
        ((double *)x)[i] = v;
    else
        ((float *)x)[i] = (float)v;
}

static double gradient(const job *j, const ln__weight *w, int64_t i)
{
    const double g = number(w->var.grad, j->o->type, i);
    return LN_MIN(LN_MAX(g, -j->limit), j->limit) * j->scale;
}

/* New means of g^2. */
static void moments(const job *j, const ln__weight *w, const ln__factored *f, double q)
{
    double *r = j->o->factored + f->at, *c = r + f->rows;
    if (f->rows == 0) {
        for (int64_t i = 0; i < f->n; i++) {
            const double g = gradient(j, w, i);
            r[i] += q * (g * g - r[i]);
        }
        return;
    }
    for (int64_t k = 0; k < f->cols; k++)
        c[k] *= 1 - q;
    for (int64_t i = 0; i < f->rows; i++) {
        double sum = 0;
        for (int64_t k = 0; k < f->cols; k++) {
            const double g = gradient(j, w, i * f->cols + k);
            sum += g * g;
            c[k] += q / (double)f->rows * g * g;
        }
        r[i] += q * (sum / (double)f->cols - r[i]);
    }
}

/* Turns the gradients into u, in place; returns their sum of squares. */
static double directions(const job *j, const ln__weight *w, const ln__factored *f)
{
    const double *r = j->o->factored + f->at, *c = r + f->rows;
    double mean = 0, sum = 0;
    for (int64_t i = 0; i < f->rows; i++)
        mean += r[i] / (double)f->rows;
    mean = LN_MAX(mean, j->tiny);
    const int64_t cols = f->rows ? f->cols : f->n;
    for (int64_t i = 0; i < LN_MAX(f->rows, 1); i++)
        for (int64_t k = 0; k < cols; k++) {
            const double v = f->rows ? r[i] * c[k] / mean : r[k];
            const double u = gradient(j, w, i * cols + k) / sqrt(LN_MAX(v, j->tiny * j->tiny));
            store(w->var.grad, j->o->type, i * cols + k, u);
            sum += u * u;
        }
    return sum;
}

static void one(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    ln_optimizer *o = j->o;
    const double t = (double)o->steps, q = pow(t, rate_power);
    for (int64_t i = begin; i < end; i++) {
        const ln__weight *w = &o->w->list[i];
        const double n = (double)w->var.count, lr = j->lr * o->lr_factor[i];
        if (!ln__weight_trained(w) || w->var.count == 0)
            continue;
        moments(j, w, &o->parts[i], q);
        const double size = sqrt(o->loops->sum_of_squares[o->type](w->var.data, INFINITY, w->var.count) / n);
        const double rms = sqrt(directions(j, w, &o->parts[i]) / n);
        const double by = LN_MAX(least_rms, size) * LN_MIN(lr, 1 / sqrt(t)) / LN_MAX(1, rms);
        o->loops->move[o->type](w->var.data, w->var.grad, 1 - lr * o->o.decay * o->decay_factor[i], -by, w->var.count);
    }
}

void ln__adafactor_step(ln_optimizer *o, double lr, double scale, double limit)
{
    job j = { o, lr, scale, limit, o->type ? 2.220446049250313e-16 : 1.1920928955078125e-07 };
    ln__parallel_for(o->w->names.n, 1, one, &j);
    ln_weights_zero_grad(o->w);
}
