/* channel_norm.c - group_norm and batch_norm of channels-last arrays (B,…,C).
 *
 * Both normalise sets of numbers that share a mean and a variance: group_norm those of one sample and C/groups
 * channels, batch_norm those of one channel in all rows. So a batch is one sample with as many groups as channels.
 *   y = (x - m) s gain + bias, s = 1 / sqrt(v + eps);   dx = s (gh - mean gh - xh mean(gh xh)), gh = g gain
 *   in evaluation batch_norm takes m and v from the running statistics, and dx = s gain g.
 *
 * Rows are cut into blocks by the shape. Each block gives its channels' means and squares, combined as in Chan, Golub,
 * LeVeque 1979 in f64 and in order: one pass over memory, no cancellation, no dependence on threads. Ioffe, Szegedy
 * 2015; Wu, He 2018. The running variance is the unbiased one, as in PyTorch. */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "grad/channel_vec.h"
#include "grad/tape_impl.h" /* whether this is a second run within a backward pass */

enum { BLOCK_NUMBERS = 1 << 13, MAX_BLOCKS = 64 };

typedef struct attrs {
    double eps, momentum;
    int64_t groups;
    int32_t batch;
    int32_t frozen; /* batch_norm in evaluation */
} attrs;

static const ln__channel_loops *loops(void)
{
    return LN__LEVELS(ln__channel);
}

/* How the numbers lie: samples of rows of c channels, rows in blocks. */
typedef struct layout {
    int64_t samples, rows, c, groups, block, blocks;
} layout;

static layout layout_of(const ln__node *n)
{
    const attrs *a = n->attrs;
    const ln_var *x = n->in[0];
    layout l = { .c = x->dim[x->ndim - 1], .groups = a->groups };
    const int64_t all = x->count / LN_MAX(l.c, 1);
    l.samples = a->batch ? 1 : x->dim[0];
    l.rows = all / LN_MAX(l.samples, 1);
    l.block = LN_MAX(LN_MAX(BLOCK_NUMBERS / LN_MAX(l.c, 1), 1), (l.rows + MAX_BLOCKS - 1) / MAX_BLOCKS);
    l.blocks = (l.rows + l.block - 1) / l.block;
    return l;
}

/* Scratch: two rows of c per block, then COEFFICIENTS rows of c per sample. */
enum { COEFFICIENTS = 4 };

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    attrs *a = n->attrs;
    LN_TRY(ln__want_float(n, 0, -1));
    const ln_var *x = n->in[0];
    if (x->ndim < 2)
        LN_TRY(ln__shape_error(n, "at least two dimensions"));
    const int64_t c = x->dim[x->ndim - 1];
    if (!(a->eps >= 0))
        LN_FAIL(LN_ERR_RANGE, "%s: eps %g is negative", n->op->name, a->eps);
    if (a->batch)
        a->groups = c;
    if (a->groups < 1 ? c > 0 : c % a->groups != 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld channels in %lld groups", n->op->name, (long long)c, (long long)a->groups);
    for (int i = 1; i < n->nin; i++) {
        if (!n->in[i] && i > 2 && a->frozen)
            LN_FAIL(LN_ERR_ARG, "%s: evaluation needs the running statistics", n->op->name);
        if (!n->in[i])
            continue;
        LN_TRY(ln__want_float(n, i, 1));
        if (n->in[i]->dim[0] != c)
            LN_TRY(ln__shape_error(n, "x [B,...,C] and [C] each"));
        if (i > 2 && ln_var_wants_grad(n->in[i]))
            LN_FAIL(LN_ERR_ARG, "%s: running statistics cannot want a gradient", n->op->name);
    }
    const layout l = layout_of(n);
    LN_TRY(ln__out(t, n, 0, x->dtype, x->ndim, x->dim));
    LN_TRY(ln__save(t, n, x->dtype, l.samples * l.groups));
    LN_TRY(ln__save(t, n, x->dtype, l.samples * l.groups));
    n->scratch = ln_dtype_bytes(x->dtype, (2 * l.blocks + COEFFICIENTS) * l.samples * l.c);
done:
    return st;
}

typedef struct job {
    layout l;
    const attrs *a;
    const ln__node *n;
    const void *g;
    void *dx;
    char *part, *coefficient;
    bool f64, add;
} job;

static job job_of(ln_tape *t, const ln__node *n)
{
    job j = { .l = layout_of(n), .a = n->attrs, .n = n, .part = ln__scratch(t), .f64 = n->in[0]->dtype == LN_F64 };
    j.coefficient = j.part + ln_dtype_bytes(n->in[0]->dtype, 2 * j.l.blocks * j.l.samples * j.l.c);
    return j;
}

static double get(const job *j, const void *p, int64_t i)
{
    return j->f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static void put(const job *j, void *p, int64_t i, double v)
{
    if (j->f64)
        ((double *)p)[i] = v;
    else
        ((float *)p)[i] = (float)v;
}

static char *at(const job *j, const void *p, int64_t numbers)
{
    return p ? (char *)(uintptr_t)p + numbers * (j->f64 ? 8 : 4) : NULL;
}

static char *part(const job *j, int64_t sample, int64_t block, int which)
{
    return at(j, j->part, ((sample * j->l.blocks + block) * 2 + which) * j->l.c);
}

static char *coefficient(const job *j, int64_t sample, int which)
{
    return at(j, j->coefficient, (sample * COEFFICIENTS + which) * j->l.c);
}

static int64_t rows_in(const job *j, int64_t block)
{
    return LN_MIN(j->l.block, j->l.rows - block * j->l.block);
}

/* ---- forward ---- */

/* Items are blocks of all samples, for all four. */
static void moments_items(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        const int64_t s = i / j->l.blocks, b = i % j->l.blocks;
        loops()->moments[j->f64](part(j, s, b, 0), part(j, s, b, 1),
                                 at(j, j->n->in[0]->data, (s * j->l.rows + b * j->l.block) * j->l.c), rows_in(j, b),
                                 j->l.c);
    }
}

static void affine_items(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        const int64_t s = i / j->l.blocks, b = i % j->l.blocks, from = (s * j->l.rows + b * j->l.block) * j->l.c;
        loops()->affine[j->f64](at(j, j->n->out[0]->data, from), at(j, j->n->in[0]->data, from), coefficient(j, s, 0),
                                coefficient(j, s, 1), coefficient(j, s, 2), rows_in(j, b), j->l.c);
    }
}

/* Mean and sum of squares of a group: channels of a block have equally many rows, blocks not. */
static void combine(const job *j, int64_t sample, int64_t group, double *mean, double *square)
{
    const int64_t cg = j->l.c / j->l.groups, first = group * cg;
    double n = 0;
    *mean = *square = 0;
    for (int64_t b = 0; b < j->l.blocks; b++) {
        const double rows = (double)rows_in(j, b), more = rows * (double)cg;
        const char *means = part(j, sample, b, 0), *squares = part(j, sample, b, 1);
        double own = 0, spread = 0, inside = 0;
        for (int64_t c = first; c < first + cg; c++)
            own += get(j, means, c);
        own /= (double)cg;
        for (int64_t c = first; c < first + cg; c++) {
            const double off = get(j, means, c) - own;
            spread += off * off;
            inside += get(j, squares, c);
        }
        const double off = own - *mean;
        *square += inside + rows * spread + off * off * n * more / (n + more);
        n += more;
        *mean += off * more / n;
    }
}

static void set_coefficients(const job *j, int64_t sample, int64_t group, double mean, double inv)
{
    const ln_var *gain = j->n->in[1], *bias = j->n->in[2];
    const int64_t cg = j->l.c / j->l.groups;
    put(j, j->n->save[0]->data, sample * j->l.groups + group, mean);
    put(j, j->n->save[1]->data, sample * j->l.groups + group, inv);
    for (int64_t c = group * cg; c < (group + 1) * cg; c++) {
        put(j, coefficient(j, sample, 0), c, mean);
        put(j, coefficient(j, sample, 1), c, gain ? inv * get(j, gain->data, c) : inv);
        put(j, coefficient(j, sample, 2), c, bias ? get(j, bias->data, c) : 0);
    }
}

static void update_running(const job *j, int64_t c, double mean, double square)
{
    const double m = j->a->momentum, n = (double)j->l.rows, variance = square / LN_MAX(n - 1, 1);
    ln_var *const running[2] = { j->n->in[3], j->n->in[4] };
    if (running[0])
        put(j, running[0]->data, c, (1 - m) * get(j, running[0]->data, c) + m * mean);
    if (running[1])
        put(j, running[1]->data, c, (1 - m) * get(j, running[1]->data, c) + m * variance);
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    job j = job_of(t, n);
    const layout *l = &j.l;
    if (n->in[0]->count == 0)
        return LN_OK;
    if (!j.a->frozen)
        ln__parallel_for(l->samples * l->blocks, 1, moments_items, &j);
    for (int64_t s = 0; s < l->samples; s++)
        for (int64_t g = 0; g < l->groups; g++) {
            double mean, square, variance;
            if (j.a->frozen) {
                mean = get(&j, n->in[3]->data, g);
                variance = get(&j, n->in[4]->data, g);
            } else {
                combine(&j, s, g, &mean, &square);
                const int64_t of_group = l->c / l->groups;
                variance = square / (double)(l->rows * of_group);
                if (j.a->batch && !t->backward)
                    update_running(&j, g, mean, square);
            }
            set_coefficients(&j, s, g, mean, 1 / sqrt(variance + j.a->eps));
        }
    ln__parallel_for(l->samples * l->blocks, 1, affine_items, &j);
    return LN_OK;
}

/* ---- backward ---- */

static void sums_items(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        const int64_t s = i / j->l.blocks, b = i % j->l.blocks, from = (s * j->l.rows + b * j->l.block) * j->l.c;
        loops()->sums[j->f64](part(j, s, b, 0), part(j, s, b, 1), at(j, j->g, from), at(j, j->n->in[0]->data, from),
                              coefficient(j, s, 0), rows_in(j, b), j->l.c);
    }
}

static void back_items(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        const int64_t s = i / j->l.blocks, b = i % j->l.blocks, from = (s * j->l.rows + b * j->l.block) * j->l.c;
        loops()->back[j->f64](at(j, j->dx, from), at(j, j->g, from), at(j, j->n->in[0]->data, from),
                              coefficient(j, s, 0), coefficient(j, s, 1), coefficient(j, s, 2), coefficient(j, s, 3),
                              rows_in(j, b), j->l.c, j->add);
    }
}

/* Items are the two parts of each sample: the first block's numbers become the sums over all blocks. */
static void collapse_items(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    double sum[512];
    for (int64_t i = begin; i < end; i++)
        for (int64_t from = 0; from < j->l.c; from += (int64_t)LN_COUNT(sum)) {
            const int64_t n = LN_MIN((int64_t)LN_COUNT(sum), j->l.c - from);
            memset(sum, 0, sizeof sum);
            for (int64_t b = 0; b < j->l.blocks; b++) {
                const char *p = at(j, part(j, i / 2, b, i % 2), from);
                for (int64_t c = 0; c < n; c++)
                    sum[c] += get(j, p, c);
            }
            for (int64_t c = 0; c < n; c++)
                put(j, at(j, part(j, i / 2, 0, i % 2), from), c, sum[c]);
        }
}

/* Sum of part `which` of channel c over a sample, after collapse_items. */
static double total(const job *j, int64_t sample, int which, int64_t c)
{
    return j->l.blocks > 0 ? get(j, part(j, sample, 0, which), c) : 0;
}

/* p, q, r of one group: dx = p g - q - r (x - mean). */
static void back_coefficients(const job *j, int64_t sample, int64_t group)
{
    const ln_var *gain = j->n->in[1];
    const int64_t cg = j->l.c / j->l.groups, first = group * cg;
    const double inv = get(j, j->n->save[1]->data, sample * j->l.groups + group), n = (double)(j->l.rows * cg);
    double plain = 0, dot = 0;
    for (int64_t c = first; c < first + cg && !j->a->frozen; c++) {
        const double w = gain ? get(j, gain->data, c) : 1;
        plain += w * total(j, sample, 0, c);
        dot += w * total(j, sample, 1, c);
    }
    for (int64_t c = first; c < first + cg; c++) {
        put(j, coefficient(j, sample, 1), c, gain ? inv * get(j, gain->data, c) : inv);
        put(j, coefficient(j, sample, 2), c, inv * plain / n);
        put(j, coefficient(j, sample, 3), c, inv * inv * inv * dot / n);
    }
}

static void vector_gradients(const job *j, const ln__back *g)
{
    const int64_t cg = j->l.c / LN_MAX(j->l.groups, 1);
    for (int which = 1; which >= 0; which--) { /* in the order of the inputs: they may be one variable */
        void *d = g->in[which ? 1 : 2];        /* bias from the plain sums, gain from the products */
        for (int64_t c = 0; d && c < j->l.c; c++) {
            double sum = 0;
            for (int64_t s = 0; s < j->l.samples; s++)
                sum += total(j, s, which, c) * (which ? get(j, j->n->save[1]->data, s * j->l.groups + c / cg) : 1);
            put(j, d, c, g->add[which ? 1 : 2] ? get(j, d, c) + sum : sum);
        }
    }
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    job j = job_of(t, n);
    const layout *l = &j.l;
    const int64_t cg = l->c / LN_MAX(l->groups, 1), items = n->in[0]->count > 0 ? l->samples * l->blocks : 0;
    j.g = g->out[0];
    j.dx = g->in[0];
    j.add = g->add[0];
    if (n->in[0]->count == 0)
        j.l.blocks = 0;
    for (int64_t s = 0; s < l->samples && items > 0; s++)
        for (int64_t c = 0; c < l->c; c++)
            put(&j, coefficient(&j, s, 0), c, get(&j, n->save[0]->data, s * l->groups + c / cg));
    ln__parallel_for(items, 1, sums_items, &j);
    ln__parallel_for(items > 0 ? 2 * l->samples : 0, 1, collapse_items, &j);
    vector_gradients(&j, g);
    if (!j.dx || items == 0)
        return LN_OK;
    for (int64_t s = 0; s < l->samples; s++)
        for (int64_t i = 0; i < l->groups; i++)
            back_coefficients(&j, s, i);
    ln__parallel_for(items, 1, back_items, &j);
    return LN_OK;
}

/* ---- public functions and the generated checks ---- */

extern const ln__op ln__op_group_norm, ln__op_batch_norm;

ln_var *ln_group_norm(ln_tape *t, ln_var *x, ln_var *gain, ln_var *bias, int groups, double eps)
{
    ln_var *in[3] = { x ? ln_contiguous(t, x) : NULL, gain ? ln_contiguous(t, gain) : NULL,
                      bias ? ln_contiguous(t, bias) : NULL };
    return ln__run1(t, &ln__op_group_norm, 3, in, &(attrs){ .eps = eps, .groups = groups }, sizeof(attrs));
}

ln_var *ln_batch_norm(ln_tape *t, ln_var *x, ln_var *gain, ln_var *bias, ln_var *running_mean, ln_var *running_var,
                      double momentum, double eps)
{
    ln_var *in[5] = { x ? ln_contiguous(t, x) : NULL, gain ? ln_contiguous(t, gain) : NULL,
                      bias ? ln_contiguous(t, bias) : NULL, running_mean, running_var };
    if (!ln__tape_failed(t) && !(momentum >= 0 && momentum <= 1))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "batch_norm: momentum must be in [0, 1], found %g", momentum));
    const attrs a = { .eps = eps, .momentum = momentum, .batch = 1, .frozen = !ln__tape_training(t) };
    return ln__run1(t, &ln__op_batch_norm, 5, in, &a, sizeof a);
}

static ln_var *group_norm_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[4];
        int groups;
    } s[] = { { 4, { 2, 3, 2, 6 }, 3 }, { 2, { 3, 8 }, 2 }, { 3, { 1, 5, 4 }, 4 },
              { 3, { 2, 3, 5 }, 1 },    { 2, { 0, 4 }, 2 }, { 3, { 1, 4200, 2 }, 1 } };
    if (k >= (int)LN_COUNT(s))
        return NULL;
    const int64_t *const channels = &s[k].dim[s[k].ndim - 1];
    ln_var *x = ln__case_leaf(t, c, s[k].ndim, s[k].dim, -2, 2);
    ln_var *gain = k == 1 ? NULL : ln__case_leaf(t, c, 1, channels, 0.5, 1.5);
    return ln_group_norm(t, x, gain, k == 2 ? NULL : ln__case_leaf(t, c, 1, channels, -1, 1), s[k].groups, 1e-5);
}

/* Odd cases in evaluation. */
static ln_var *batch_norm_build(ln_tape *t, ln__case *c, int k)
{
    static const struct {
        int ndim;
        int64_t dim[4];
    } s[] = { { 4, { 2, 3, 2, 3 } }, { 2, { 5, 4 } }, { 2, { 9, 5 } },
              { 3, { 2, 3, 1 } },    { 2, { 0, 3 } }, { 2, { 0, 3 } } };
    if (k >= (int)LN_COUNT(s))
        return NULL;
    const int64_t *const channels = &s[k].dim[s[k].ndim - 1];
    ln_var *x = ln__case_leaf(t, c, s[k].ndim, s[k].dim, -2, 2);
    ln_var *gain = k == 2 ? NULL : ln__case_leaf(t, c, 1, channels, 0.5, 1.5);
    ln_var *bias = k == 3 ? NULL : ln__case_leaf(t, c, 1, channels, -1, 1);
    ln_var *mean = ln__case_constant(t, c, 1, channels, -1, 1),
           *variance = ln__case_constant(t, c, 1, channels, 0.5, 2);
    ln_tape_train(t, k % 2 == 0);
    ln_var *y = ln_batch_norm(t, x, gain, bias, mean, variance, 0.1, 1e-5);
    ln_tape_train(t, 1);
    return y;
}

#define CHANNEL_NORM(fn)                                                                                               \
    const ln__op ln__op_##fn = { .name = #fn,                                                                          \
                                 .infer = infer,                                                                       \
                                 .forward = { forward, forward },                                                      \
                                 .backward = { backward, backward },                                                   \
                                 .reads = 3u,                                                                          \
                                 .build = fn##_build };
CHANNEL_NORM(group_norm)
CHANNEL_NORM(batch_norm)
