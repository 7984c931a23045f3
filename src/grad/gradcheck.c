/* gradcheck.c - generated checks: central differences in f64, adjoints, types, threads, and dry runs.
 *
 * A case is an expression over leaves. Its first build draws the leaves' values; later builds get the same values, or
 * perturbed ones, so that the expression can be evaluated anywhere near. The loss is sum(w * y) with random w: a plain
 * sum would hide terms that cancel. */
#include "grad/gradcheck.h"

#include <math.h>
#include <string.h>

enum { MAX_LEAVES = 24, ALL_ENTRIES = 2000, DIRECTIONS = 20 };

typedef struct drawn {
    void *data; /* f64, i32 or u8 */
    int64_t count;
    bool leaf;
    ln_var *var; /* of the latest build */
} drawn;

struct ln__case {
    ln__rng rng;
    ln_dtype dt; /* of the float leaves of this build */
    bool permuted, again, no_grad, twice, reuse;
    drawn item[MAX_LEAVES];
    int n, next;
    ln_var *(*build)(ln_tape *t, ln__case *c, int k);
    int k;
    double *w; /* weights of the loss */
    int64_t y_count;
};

/* ---- leaves ---- */

static double draw(ln__case *c, double lo, double hi, int n, const double *kinks)
{
    for (;;) {
        const double x = lo + (hi - lo) * ln__rng_uniform(&c->rng);
        bool near = false;
        for (int i = 0; i < n; i++)
            near = near || fabs(x - kinks[i]) < 0.05;
        if (!near)
            return x;
    }
}

static ln_status next_item(drawn **out, ln__case *c, int ndim, const int64_t *dims, size_t width)
{
    ln_status st = LN_OK;
    int64_t count = 1;
    if (c->next == MAX_LEAVES)
        LN_FAIL(LN_ERR_ARG, "more than %d leaves", MAX_LEAVES);
    for (int i = 0; i < ndim; i++)
        count *= dims[i];
    drawn *d = &c->item[c->next];
    if (c->next == c->n) {
        LN_TRY(ln__calloc(&d->data, (size_t)LN_MAX(count, 1), width));
        d->count = count;
        c->n++;
    }
    c->next++;
    *out = d;
done:
    return st;
}

/* The values as a variable of the case's type; in permuted memory (last axis slowest) when asked. */
static ln_var *float_var(ln_tape *t, ln__case *c, drawn *d, int ndim, const int64_t *dims)
{
    if (c->reuse)
        return d->var;
    ln_var *v = d->leaf ? ln_leaf(t, c->dt, ndim, dims, NULL) : ln_input(t, c->dt, ndim, dims, NULL);
    if (v->flags & LN__VAR_FAILED)
        return v;
    if (c->permuted && ndim > 1 && v->count > 0) {
        int64_t step = 1;
        for (int i = 0; i < ndim; i++) {
            v->stride[i] = step;
            step *= dims[i];
        }
    }
    for (int64_t i = 0; i < d->count && v->data; i++) {
        int64_t rest = i, at = 0;
        for (int a = ndim - 1; a >= 0; a--) {
            at += rest % dims[a] * v->stride[a];
            rest /= dims[a];
        }
        if (c->dt == LN_F64)
            ((double *)v->data)[at] = ((const double *)d->data)[i];
        else
            ((float *)v->data)[at] = (float)((const double *)d->data)[i];
    }
    d->var = v;
    return v;
}

static ln_var *float_item(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, double lo, double hi, int n,
                          const double *kinks, bool leaf)
{
    drawn *d = NULL;
    const ln_status st = next_item(&d, c, ndim, dims, sizeof(double));
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    if (!c->again) {
        d->leaf = leaf;
        for (int64_t i = 0; i < d->count; i++) /* through f32, so that both types start from the same numbers */
            ((double *)d->data)[i] = (double)(float)draw(c, lo, hi, n, kinks);
    }
    return float_var(t, c, d, ndim, dims);
}

ln_var *ln__case_leaf(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, double lo, double hi)
{
    return float_item(t, c, ndim, dims, lo, hi, 0, NULL, true);
}

ln_var *ln__case_leaf_off(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, double lo, double hi, int n,
                          const double *kinks)
{
    return float_item(t, c, ndim, dims, lo, hi, n, kinks, true);
}

ln_var *ln__case_constant(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, double lo, double hi)
{
    return float_item(t, c, ndim, dims, lo, hi, 0, NULL, false);
}

ln_var *ln__case_distinct(ln_tape *t, ln__case *c, int ndim, const int64_t *dims)
{
    drawn *d = NULL;
    const ln_status st = next_item(&d, c, ndim, dims, sizeof(double));
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    if (!c->again) {
        double *x = d->data;
        d->leaf = true;
        const int64_t half = d->count / 2;
        for (int64_t i = 0; i < d->count; i++)
            x[i] = (double)(float)(0.05 * (double)(i - half) + 0.02 * ln__rng_uniform(&c->rng));
        for (int64_t i = d->count - 1; i > 0; i--) {
            const int64_t k = ln__rng_below(&c->rng, i + 1);
            const double swap = x[i];
            x[i] = x[k];
            x[k] = swap;
        }
    }
    return float_var(t, c, d, ndim, dims);
}

ln_var *ln__case_index(ln_tape *t, ln__case *c, int ndim, const int64_t *dims, int32_t below)
{
    drawn *d = NULL;
    const ln_status st = next_item(&d, c, ndim, dims, sizeof(int32_t));
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    for (int64_t i = 0; i < d->count && !c->again; i++)
        ((int32_t *)d->data)[i] = (int32_t)ln__rng_below(&c->rng, below);
    return ln_input(t, LN_I32, ndim, dims, d->data);
}

ln_var *ln__case_mask(ln_tape *t, ln__case *c, int ndim, const int64_t *dims)
{
    drawn *d = NULL;
    const ln_status st = next_item(&d, c, ndim, dims, 1);
    if (st != LN_OK)
        return ln__tape_fail(t, st);
    for (int64_t i = 0; i < d->count && !c->again; i++)
        ((uint8_t *)d->data)[i] = (uint8_t)(ln__rng_u32(&c->rng) >> 31);
    return ln_input(t, LN_U8, ndim, dims, d->data);
}

/* ---- evaluation ---- */

static ln_var *expression(ln_tape *t, ln__case *c)
{
    const bool no_grad = c->no_grad;
    ln_tape_reset(t);
    if (no_grad)
        ln_no_grad_begin(t);
    ln_tape_set_random_position(t, 0);
    c->next = 0;
    ln_var *y = c->build(t, c, c->k);
    c->again = true;
    if (y && c->twice) { /* again on the same leaves, with the same random numbers */
        c->next = 0;
        c->reuse = true;
        ln_tape_set_random_position(t, 0);
        y = ln_add(t, y, c->build(t, c, c->k));
        c->reuse = false;
    }
    return y ? ln_contiguous(t, y) : NULL;
}

static double weighted(const ln__case *c, const ln_var *y)
{
    double sum = 0;
    for (int64_t i = 0; i < c->y_count; i++)
        sum += c->w[i] * (y->dtype == LN_F64 ? ((const double *)y->data)[i] : (double)((const float *)y->data)[i]);
    return sum;
}

static ln_status loss_of(double *loss, ln_tape *t, ln__case *c)
{
    ln_status st = LN_OK;
    c->no_grad = true;
    ln_var *y = expression(t, c);
    c->no_grad = false;
    LN_TRY(ln_tape_status(t));
    *loss = weighted(c, y);
done:
    return st;
}

/* Forward and backward; gradients are then at item[i].var->grad. */
static ln_status gradients(ln_tape *t, ln__case *c, ln_var **result)
{
    ln_status st = LN_OK;
    float *narrow = NULL;
    ln_var *y = expression(t, c);
    LN_TRY(ln_tape_status(t));
    if (!c->w) {
        LN_TRY(LN_NEW(&c->w, LN_MAX(y->count, 1)));
        c->y_count = y->count;
        for (int64_t i = 0; i < y->count; i++)
            c->w[i] = (double)(float)(2 * ln__rng_uniform(&c->rng) - 1);
    }
    if (y->count != c->y_count)
        LN_FAIL(LN_ERR_RELATION, "the result has %lld elements, before %lld", (long long)y->count,
                (long long)c->y_count);
    if (ln_var_wants_grad(y) && y->node >= 0 && !ln__tape_dry(t)) {
        LN_TRY(LN_NEW(&narrow, LN_MAX(y->count, 1)));
        for (int64_t i = 0; i < y->count; i++)
            narrow[i] = (float)c->w[i];
        LN_TRY(ln_backward_from(t, y, y->dtype == LN_F64 ? (const void *)c->w : narrow));
    } else if (ln_var_wants_grad(y) && y->node >= 0) {
        LN_TRY(ln_backward_from(t, y, c->w));
    }
    *result = y;
done:
    ln__free(narrow);
    return st;
}

static double grad_at(const drawn *d, int64_t i)
{
    const void *g = d->var->grad;
    return !g ? 0 : d->var->dtype == LN_F64 ? ((const double *)g)[i] : (double)((const float *)g)[i];
}

/* ---- the checks ---- */

static ln_status difference(double *slope, ln_tape *t, ln__case *c, double *x, const double *v, int64_t n, double h)
{
    ln_status st = LN_OK;
    double up, down;
    for (int64_t i = 0; i < n; i++)
        x[i] += h * v[i];
    LN_TRY(loss_of(&up, t, c));
    for (int64_t i = 0; i < n; i++)
        x[i] -= 2 * h * v[i];
    LN_TRY(loss_of(&down, t, c));
    for (int64_t i = 0; i < n; i++)
        x[i] += h * v[i];
    *slope = (up - down) / (2 * h);
done:
    return st;
}

static ln_status disagree(const char *check, const ln__case *c, int leaf, int64_t i, double expected, double found)
{
    return ln__fail(LN_ERR_RELATION, "case %d%s, %s, leaf %d entry %lld: expected %.10g, found %.10g", c->k,
                    c->permuted ? " (permuted)" : "", check, leaf, (long long)i, expected, found);
}

static ln_status check_leaf(ln_tape *t, ln__case *c, int which, const double *g, double tolerance)
{
    ln_status st = LN_OK;
    drawn *d = &c->item[which];
    double *v = NULL, *keep = NULL;
    const bool all = d->count <= ALL_ENTRIES;
    const int64_t trials = all ? d->count : DIRECTIONS;
    LN_TRY(LN_NEW0(&v, d->count + 1));
    LN_TRY(LN_NEW(&keep, d->count + 1));
    memcpy(keep, d->data, (size_t)d->count * sizeof *keep);
    for (int64_t trial = 0; trial < trials; trial++) {
        double expected = 0, scale = 1, h = 6e-6;
        for (int64_t i = 0; i < d->count; i++)
            v[i] = all ? (double)(i == trial) : ln__rng_normal(&c->rng) / sqrt((double)d->count);
        if (all)
            h *= fmax(1, fabs(keep[trial]));
        double found = 0;
        for (int64_t i = 0; i < d->count; i++)
            found += g[i] * v[i];
        LN_TRY(difference(&expected, t, c, d->data, v, d->count, h));
        memcpy(d->data, keep, (size_t)d->count * sizeof *keep);
        scale += fabs(expected);
        if (!(fabs(found - expected) <= tolerance * scale))
            LN_FAIL(LN_ERR_RELATION, "case %d%s, gradient of leaf %d, %s %lld: expected %.10g, found %.10g", c->k,
                    c->permuted ? " (permuted)" : "", which, all ? "entry" : "direction", (long long)trial, expected,
                    found);
    }
done:
    ln__free(v);
    ln__free(keep);
    return st;
}

/* Gradients of all leaves as f64 copies. */
static ln_status copy_gradients(double **out, const ln__case *c)
{
    ln_status st = LN_OK;
    for (int i = 0; i < c->n; i++) {
        if (!c->item[i].leaf)
            continue;
        LN_TRY(LN_NEW(&out[i], c->item[i].count + 1));
        for (int64_t k = 0; k < c->item[i].count; k++)
            out[i][k] = grad_at(&c->item[i], k);
    }
done:
    return st;
}

static void free_gradients(double **g)
{
    for (int i = 0; i < MAX_LEAVES; i++) {
        ln__free(g[i]);
        g[i] = NULL;
    }
}

static ln_status check_adjoint(ln_tape *t, ln__case *c)
{
    ln_status st = LN_OK;
    ln_var *y;
    double forward, back = 0, scale = 1e-300;
    LN_TRY(gradients(t, c, &y));
    forward = weighted(c, y);
    for (int i = 0; i < c->n; i++)
        for (int64_t k = 0; c->item[i].leaf && k < c->item[i].count; k++) {
            const double part = grad_at(&c->item[i], k) * ((const double *)c->item[i].data)[k];
            back += part;
            scale += fabs(part);
        }
    if (!(fabs(forward - back) <= 1e-12 * scale))
        LN_FAIL(LN_ERR_RELATION, "case %d, adjoint: <Ax,y> = %.16g, <x,A'y> = %.16g", c->k, forward, back);
done:
    return st;
}

/* The f32 pass against the f64 one: values and gradients, relative to the largest of each array. */
static ln_status check_types(ln_tape *t, ln__case *c, double *const *g)
{
    ln_status st = LN_OK;
    ln_var *y;
    double *want = NULL, top = 1e-30;
    c->dt = LN_F64;
    LN_TRY(gradients(t, c, &y));
    LN_TRY(LN_NEW(&want, y->count + 1));
    memcpy(want, y->data, (size_t)y->count * sizeof *want);
    c->dt = LN_F32;
    LN_TRY(gradients(t, c, &y));
    for (int64_t i = 0; i < c->y_count; i++)
        top = fmax(top, fabs(want[i]));
    for (int64_t i = 0; i < c->y_count; i++)
        if (!(fabs(want[i] - (double)((const float *)y->data)[i]) <= 1e-4 * fmax(top, 1e-3)))
            LN_TRY(disagree("f32 against f64, result", c, -1, i, want[i], (double)((const float *)y->data)[i]));
    for (int i = 0; i < c->n; i++) {
        if (!c->item[i].leaf || !g[i])
            continue;
        top = 1e-3;
        for (int64_t k = 0; k < c->item[i].count; k++)
            top = fmax(top, fabs(g[i][k]));
        for (int64_t k = 0; k < c->item[i].count; k++)
            if (!(fabs(g[i][k] - grad_at(&c->item[i], k)) <= 1e-4 * top))
                LN_TRY(disagree("f32 against f64, gradient", c, i, k, g[i][k], grad_at(&c->item[i], k)));
    }
done:
    c->dt = LN_F64;
    ln__free(want);
    return st;
}

/* Two copies of the expression in one pass: every gradient doubles. */
static ln_status check_twice(ln_tape *t, ln__case *c, double *const *g, double tolerance)
{
    ln_status st = LN_OK;
    ln_var *y;
    c->twice = true;
    LN_TRY(gradients(t, c, &y));
    for (int i = 0; i < c->n; i++)
        for (int64_t k = 0; g[i] && k < c->item[i].count; k++)
            if (!(fabs(grad_at(&c->item[i], k) - 2 * g[i][k]) <= tolerance * (1 + fabs(2 * g[i][k]))))
                LN_TRY(disagree("used twice", c, i, k, 2 * g[i][k], grad_at(&c->item[i], k)));
done:
    c->twice = false;
    return st;
}

static ln_status check_threads(ln_tape *t, ln__case *c)
{
    ln_status st = LN_OK;
    double *one[MAX_LEAVES] = { 0 };
    float *values = NULL;
    ln_var *y;
    const int before = ln_threads();
    c->dt = LN_F32;
    ln_threads_set(1);
    LN_TRY(gradients(t, c, &y));
    LN_TRY(copy_gradients(one, c));
    LN_TRY(LN_NEW(&values, y->count + 1));
    memcpy(values, y->data, (size_t)y->count * sizeof *values);
    ln_threads_set(2);
    LN_TRY(gradients(t, c, &y));
    for (int64_t i = 0; i < y->count; i++)
        if (memcmp((const char *)values + 4 * i, (const char *)y->data + 4 * i, 4) != 0)
            LN_TRY(disagree("1 thread against 2, result", c, -1, i, (double)values[i],
                            (double)((const float *)y->data)[i]));
    for (int i = 0; i < c->n; i++)
        for (int64_t k = 0; one[i] && k < c->item[i].count; k++)
            if (grad_at(&c->item[i], k) != one[i][k])
                LN_TRY(disagree("1 thread against 2", c, i, k, one[i][k], grad_at(&c->item[i], k)));
done:
    c->dt = LN_F64;
    ln_threads_set(before);
    free_gradients(one);
    ln__free(values);
    return st;
}

static ln_status check_dry(ln__case *c)
{
    ln_status st = LN_OK;
    ln_tape *wet = NULL, *dry = NULL;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    ln_var *y, *z;
    LN_TRY(ln_tape_new(&wet, &o));
    o.dry = 1;
    LN_TRY(ln_tape_new(&dry, &o));
    LN_TRY(gradients(wet, c, &y));
    LN_TRY(gradients(dry, c, &z));
    if (y->count != z->count || z->data || ln_tape_peak(dry) < ln_tape_peak(wet))
        LN_FAIL(LN_ERR_RELATION, "case %d, dry: %lld elements and %lld bytes, really %lld and %lld", c->k,
                (long long)z->count, (long long)ln_tape_peak(dry), (long long)y->count, (long long)ln_tape_peak(wet));
done:
    ln_tape_free(wet);
    ln_tape_free(dry);
    return st;
}

static ln_status check_case(ln_tape *t, ln__case *c, ln__case *surrogate, uint32_t flags, double tolerance)
{
    ln_status st = LN_OK;
    double *g[MAX_LEAVES] = { 0 };
    ln_var *y;
    LN_TRY(gradients(t, c, &y));
    LN_TRY(copy_gradients(g, c));
    if (surrogate) { /* the same draws and weights, another function: the gradient must be that one's */
        surrogate->w = c->w;
        surrogate->y_count = c->y_count;
        for (int i = 0; i < c->n; i++)
            surrogate->item[i] = c->item[i];
        surrogate->n = c->n;
        surrogate->again = true;
    }
    ln__case *of = surrogate ? surrogate : c;
    for (int i = 0; i < c->n; i++)
        if (c->item[i].leaf)
            LN_TRY(check_leaf(t, of, i, g[i], tolerance > 0 ? tolerance : 1e-7));
    LN_TRY(check_twice(t, c, g, 1e-12));
    if (flags & LN__OP_LINEAR)
        LN_TRY(check_adjoint(t, c));
    if (!c->permuted) {
        LN_TRY(check_threads(t, c));
        LN_TRY(check_dry(c));
    }
    LN_TRY(check_types(t, c, g));
done:
    free_gradients(g);
    return st;
}

static void case_free(ln__case *c)
{
    for (int i = 0; i < c->n; i++)
        ln__free(c->item[i].data);
    ln__free(c->w);
}

typedef ln_var *(*build_fn)(ln_tape *t, ln__case *c, int k);

static ln_status check_one(bool *end, build_fn build, build_fn surrogate, int k, bool permuted, uint32_t flags,
                           uint64_t seed, double tolerance)
{
    ln_status st = LN_OK;
    ln_tape *t = NULL;
    ln__case c = { .rng = ln__rng_make(seed, (uint64_t)k), .dt = LN_F64, .permuted = permuted, .build = build, .k = k };
    ln__case s = c;
    s.build = surrogate;
    LN_TRY(ln_tape_new(&t, NULL));
    *end = !build(t, &c, k);
    LN_TRY(ln_tape_status(t));
    if (*end)
        goto done;
    c.again = true;
    LN_TRY(check_case(t, &c, surrogate ? &s : NULL, flags, tolerance));
done:
    ln_tape_free(t);
    case_free(&c);
    return st;
}

ln_status ln__gradcheck(const ln__op *op, uint64_t seed, int *cases)
{
    ln_status st = LN_OK;
    bool end = false;
    int k = 0;
    if (!op->build)
        LN_FAIL(LN_ERR_RELATION, "%s: no test cases", op->name);
    for (; !end; k += !end)
        for (int permuted = 0; permuted < 2 && !end; permuted++)
            LN_TRY(check_one(&end, op->build, op->surrogate, k, permuted, op->flags, seed, op->tolerance));
    if (k == 0)
        LN_FAIL(LN_ERR_RELATION, "%s: no test cases", op->name);
    if (cases)
        *cases = k;
done:
    return st == LN_OK ? st : ln__fail_in(st, "gradcheck %s", op->name);
}

ln_status ln__gradcheck_fn(build_fn build, int k, uint64_t seed, double tolerance, const char *what)
{
    bool end;
    const ln_status st = check_one(&end, build, NULL, k, false, 0, seed, tolerance);
    return st == LN_OK ? st : ln__fail_in(st, "gradcheck %s", what);
}
