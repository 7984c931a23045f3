/* fisher.c - accumulating Fisher diagonals without ever keeping a weight gradient.
 *
 * A sample's gradient of a layer is D = G^T X (O, I). Sums over outputs need only T x T matrices:
 * sum_o D_oi^2 = x_i^T (G G^T) x_i, at T^2 (O + I) multiply-adds instead of T O I, and sums over inputs likewise with
 * the roles of X and G changed. That form is taken in f64 when it is the cheaper one, or else D is made 64 rows at a
 * time in f32 and squared at once. Pitfall: the square is of the sum over tokens; squaring per token is another
 * definition (by_token). Source: Hsu et al., ICLR 2022, section 2.2; structured-linear 4.1. */
#include "compress/fisher.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <linnet/io.h>

#include "core/threads.h"
#include "linalg/linalg.h"

enum { TILE = 64, COLUMNS_AT_ONCE = 128 };

typedef struct layer {
    ln__fisher_shape shape;
    double *in, *out;
    float *full;
    /* of the current sample: how often used; with several uses, the rows of those so far */
    int used;
    float *x, *g;
    int64_t rows, cap;
} layer;

struct ln__fisher {
    int64_t n, samples;
    int keep;
    bool by_token;
    layer *layers;
    /* scratch, grown as needed: f64 copies of X and G, T x T, T x max(I, O); a tile of D or squares */
    double *xd, *gd, *kernel, *product;
    float *tile;
    int64_t cap_x, cap_g, cap_kernel, cap_product, cap_tile;
};

void ln__fisher_free(ln__fisher *f)
{
    if (!f)
        return;
    for (int64_t i = 0; f->layers && i < f->n; i++) {
        layer *l = &f->layers[i];
        ln__free(l->in);
        ln__free(l->out);
        ln__free(l->full);
        ln__free(l->x);
        ln__free(l->g);
    }
    ln__free(f->layers);
    ln__free(f->xd);
    ln__free(f->gd);
    ln__free(f->kernel);
    ln__free(f->product);
    ln__free(f->tile);
    ln__free(f);
}

ln_status ln__fisher_new(ln__fisher **out, const ln__fisher_shape *layers, int64_t n, int keep, bool by_token)
{
    ln_status st = LN_OK;
    ln__fisher *f = NULL;
    LN_TRY(LN_NEW0(&f, 1));
    LN_TRY(LN_NEW0(&f->layers, n));
    f->n = n;
    f->keep = keep;
    f->by_token = by_token;
    for (int64_t i = 0; i < n; i++) {
        layer *l = &f->layers[i];
        l->shape = layers[i];
        if (keep & LN__FISHER_IN)
            LN_TRY(LN_NEW0(&l->in, l->shape.inputs));
        if (keep & LN__FISHER_OUT)
            LN_TRY(LN_NEW0(&l->out, l->shape.outputs));
        if (keep & LN__FISHER_FULL)
            LN_TRY(LN_NEW0(&l->full, l->shape.inputs * l->shape.outputs));
    }
    *out = f;
    f = NULL;
done:
    ln__fisher_free(f);
    return st;
}

static ln_status grow_f64(double **p, int64_t *cap, int64_t n)
{
    if (n <= *cap)
        return LN_OK;
    ln__free(*p);
    *p = NULL;
    *cap = 0;
    const ln_status st = LN_NEW(p, n);
    if (st == LN_OK)
        *cap = n;
    return st;
}

static ln_status widen(double **p, int64_t *cap, const float *x, int64_t n)
{
    const ln_status st = grow_f64(p, cap, n);
    for (int64_t i = 0; st == LN_OK && i < n; i++)
        (*p)[i] = (double)x[i];
    return st;
}

/* ---- sums of squares through T x T matrices ---- */

/* sums_j += sum_t a_tj (B B^T A)_tj for a (T, na), b (T, nb) */
static ln_status quadratic(double *sums, ln__fisher *f, const double *a, int64_t na, const double *b, int64_t nb,
                           int64_t T)
{
    ln_status st = LN_OK;
    LN_TRY(grow_f64(&f->kernel, &f->cap_kernel, T * T));
    LN_TRY(grow_f64(&f->product, &f->cap_product, T * na));
    LN_TRY(ln__dsyrk(false, T, nb, 1, b, nb, 0, f->kernel, T));
    LN_TRY(ln__dgemm(false, false, T, na, T, 1, f->kernel, T, a, na, 0, f->product, na));
    /* One sample's sum is a sum of squares: rounding alone can make it negative. */
    for (int64_t j = 0; j < na; j++)
        f->product[j] *= a[j];
    for (int64_t t = 1; t < T; t++)
        for (int64_t j = 0; j < na; j++)
            f->product[j] += f->product[t * na + j] * a[t * na + j];
    for (int64_t j = 0; j < na; j++)
        sums[j] += fmax(f->product[j], 0);
done:
    return st;
}

static ln_status add_identity(ln__fisher *f, layer *l, const float *x, const float *g, int64_t T)
{
    ln_status st = LN_OK;
    const int64_t I = l->shape.inputs, O = l->shape.outputs;
    LN_TRY(widen(&f->xd, &f->cap_x, x, T * I));
    LN_TRY(widen(&f->gd, &f->cap_g, g, T * O));
    if (l->in)
        LN_TRY(quadratic(l->in, f, f->xd, I, f->gd, O, T));
    if (l->out)
        LN_TRY(quadratic(l->out, f, f->gd, O, f->xd, I, T));
done:
    return st;
}

/* ---- sums of squares of D itself, tile by tile; or of the products of squares ---- */

typedef struct fold {
    const float *tile; /* (rows, cols) */
    int64_t rows, cols;
    double *in, *out;
    float *full;
    bool squared; /* the tile holds squares already */
} fold;

static void fold_columns(void *ctx, int64_t first, int64_t last)
{
    const fold *p = ctx;
    for (int64_t r = 0; r < p->rows; r++) {
        const float *d = p->tile + r * p->cols;
        if (p->in)
            for (int64_t j = first; j < last; j++)
                p->in[j] += p->squared ? (double)d[j] : (double)d[j] * (double)d[j];
        if (p->full)
            for (int64_t j = first; j < last; j++)
                p->full[r * p->cols + j] += p->squared ? d[j] : d[j] * d[j];
    }
}

static void fold_rows(void *ctx, int64_t first, int64_t last)
{
    const fold *p = ctx;
    for (int64_t r = first; r < last; r++) {
        const float *d = p->tile + r * p->cols;
        double sum = 0;
        for (int64_t j = 0; j < p->cols; j++)
            sum += p->squared ? (double)d[j] : (double)d[j] * (double)d[j];
        p->out[r] += sum;
    }
}

static ln_status add_tiles(ln__fisher *f, layer *l, const float *x, const float *g, int64_t T, bool squared)
{
    ln_status st = LN_OK;
    const int64_t I = l->shape.inputs, O = l->shape.outputs;
    if (f->cap_tile < TILE * I) {
        ln__free(f->tile);
        f->tile = NULL;
        f->cap_tile = 0;
        LN_TRY(LN_NEW(&f->tile, TILE * I));
        f->cap_tile = TILE * I;
    }
    for (int64_t o = 0; o < O; o += TILE) {
        fold p = { .tile = f->tile,
                   .rows = LN_MIN(TILE, O - o),
                   .cols = I,
                   .in = l->in,
                   .out = l->out ? l->out + o : NULL,
                   .full = l->full ? l->full + o * I : NULL,
                   .squared = squared };
        LN_TRY(ln__sgemm(true, false, p.rows, I, T, 1, g + o, O, x, I, 0, f->tile, I));
        ln__parallel_for(I, COLUMNS_AT_ONCE, fold_columns, &p);
        if (p.out)
            ln__parallel_for(p.rows, TILE / 4, fold_rows, &p);
    }
done:
    return st;
}

/* F = (G*G)^T (X*X); its sums need no matrix at all. */
static ln_status add_tokens(ln__fisher *f, layer *l, const float *x, const float *g, int64_t T)
{
    ln_status st = LN_OK;
    const int64_t I = l->shape.inputs, O = l->shape.outputs;
    float *x2 = NULL, *g2 = NULL;
    if (l->full) {
        LN_TRY(LN_NEW(&x2, T * I));
        LN_TRY(LN_NEW(&g2, T * O));
        for (int64_t i = 0; i < T * I; i++)
            x2[i] = x[i] * x[i];
        for (int64_t i = 0; i < T * O; i++)
            g2[i] = g[i] * g[i];
        LN_TRY(add_tiles(f, l, x2, g2, T, true));
        goto done;
    }
    for (int64_t t = 0; t < T; t++) {
        double gg = 0, xx = 0;
        for (int64_t o = 0; o < O; o++)
            gg += (double)g[t * O + o] * (double)g[t * O + o];
        for (int64_t i = 0; i < I; i++)
            xx += (double)x[t * I + i] * (double)x[t * I + i];
        for (int64_t i = 0; l->in && i < I; i++)
            l->in[i] += gg * (double)x[t * I + i] * (double)x[t * I + i];
        for (int64_t o = 0; l->out && o < O; o++)
            l->out[o] += xx * (double)g[t * O + o] * (double)g[t * O + o];
    }
done:
    ln__free(x2);
    ln__free(g2);
    return st;
}

/* ---- samples ---- */

static ln_status add_sample(ln__fisher *f, layer *l, const float *x, const float *g, int64_t T)
{
    const double I = (double)l->shape.inputs, O = (double)l->shape.outputs;
    const double sides = (l->in ? 1 : 0) + (l->out ? 1 : 0);
    if (f->by_token)
        return add_tokens(f, l, x, g, T);
    if (!l->full && 2 * (double)T * (O + I) * sides < O * I) /* f64 costs twice as much */
        return add_identity(f, l, x, g, T);
    return add_tiles(f, l, x, g, T, false);
}

/* Keeps the rows of one of several uses. */
static ln_status buffer(layer *l, const float *x, const float *g, int64_t T)
{
    ln_status st = LN_OK;
    const int64_t I = l->shape.inputs, O = l->shape.outputs;
    if (l->rows + T > l->cap) {
        const int64_t cap = LN_MAX(l->rows + T, 2 * l->cap);
        LN_TRY(ln__realloc((void **)&l->x, (size_t)(cap * I), sizeof *l->x));
        LN_TRY(ln__realloc((void **)&l->g, (size_t)(cap * O), sizeof *l->g));
        l->cap = cap;
    }
    memcpy(l->x + l->rows * I, x, (size_t)(T * I) * sizeof *x);
    memcpy(l->g + l->rows * O, g, (size_t)(T * O) * sizeof *g);
    l->rows += T;
done:
    return st;
}

ln_status ln__fisher_add(ln__fisher *f, int64_t index, const float *x, const float *g, int64_t T)
{
    ln_status st = LN_OK;
    if (index < 0 || index >= f->n || T < 1)
        LN_FAIL(LN_ERR_ARG, "Fisher information: layer %lld of %lld, %lld tokens", (long long)index, (long long)f->n,
                (long long)T);
    layer *l = &f->layers[index];
    if (l->used >= l->shape.uses)
        LN_FAIL(LN_ERR_ARG, "%s: used more than %d times in one sample", l->shape.name, l->shape.uses);
    if (ln__find_nonfinite_f32(g, T * l->shape.outputs) >= 0 || ln__find_nonfinite_f32(x, T * l->shape.inputs) >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "%s: its input or gradient in sample %lld is not finite", l->shape.name,
                (long long)f->samples);
    l->used++;
    if (l->shape.uses == 1) {
        LN_TRY(add_sample(f, l, x, g, T));
    } else {
        LN_TRY(buffer(l, x, g, T));
        if (l->used == l->shape.uses)
            LN_TRY(add_sample(f, l, l->x, l->g, l->rows));
    }
done:
    return st;
}

ln_status ln__fisher_next(ln__fisher *f)
{
    for (int64_t i = 0; i < f->n; i++) {
        if (f->layers[i].used != f->layers[i].shape.uses)
            return ln__fail(LN_ERR_ARG, "%s: used %d times in a sample, %d expected", f->layers[i].shape.name,
                            f->layers[i].used, f->layers[i].shape.uses);
    }
    for (int64_t i = 0; i < f->n; i++) {
        f->layers[i].used = 0;
        f->layers[i].rows = 0;
    }
    f->samples++;
    return LN_OK;
}

int64_t ln__fisher_samples(const ln__fisher *f)
{
    return f->samples;
}

static ln_status mean_of(double *mean, const ln__fisher *f, const double *sums, int64_t n, const char *name)
{
    if (!sums || f->samples < 1)
        return ln__fail(LN_ERR_NOTFITTED, "%s: no Fisher information was gathered", name);
    for (int64_t i = 0; i < n; i++) {
        mean[i] = sums[i] / (double)f->samples;
        if (!(mean[i] >= 0) || isinf(mean[i]))
            return ln__fail(LN_ERR_NUMERIC, "%s: Fisher information %lld is %g", name, (long long)i, mean[i]);
    }
    return LN_OK;
}

ln_status ln__fisher_in(double *in, const ln__fisher *f, int64_t index)
{
    const layer *l = &f->layers[index];
    return mean_of(in, f, l->in, l->shape.inputs, l->shape.name);
}

ln_status ln__fisher_out(double *out, const ln__fisher *f, int64_t index)
{
    const layer *l = &f->layers[index];
    return mean_of(out, f, l->out, l->shape.outputs, l->shape.name);
}

ln_status ln__fisher_full(float *full, const ln__fisher *f, int64_t index)
{
    const layer *l = &f->layers[index];
    if (!l->full || f->samples < 1)
        return ln__fail(LN_ERR_NOTFITTED, "%s: no Fisher information was gathered", l->shape.name);
    for (int64_t i = 0; i < l->shape.inputs * l->shape.outputs; i++) {
        full[i] = l->full[i] / (float)f->samples;
        if (!(full[i] >= 0) || isinf(full[i]))
            return ln__fail(LN_ERR_NUMERIC, "%s: Fisher information %lld is %g", l->shape.name, (long long)i,
                            (double)full[i]);
    }
    return LN_OK;
}

/* ---- files ---- */

/* The arrays of a layer, under the names they have in a file. */
typedef struct stored {
    const char *prefix;
    void *data;
    ln_dtype type;
    int ndim;
    int64_t dims[2];
} stored;

static int arrays_of(stored out[3], const layer *l)
{
    int n = 0;
    if (l->in)
        out[n++] = (stored){ "fisher_in", l->in, LN_F64, 1, { l->shape.inputs, 0 } };
    if (l->out)
        out[n++] = (stored){ "fisher_out", l->out, LN_F64, 1, { l->shape.outputs, 0 } };
    if (l->full)
        out[n++] = (stored){ "fisher", l->full, LN_F32, 2, { l->shape.outputs, l->shape.inputs } };
    return n;
}

static ln_status put_layer(ln_writer *w, const layer *l, bool declare)
{
    ln_status st = LN_OK;
    stored a[3];
    char *name = NULL;
    ln_tensor *t = NULL;
    const int n = arrays_of(a, l);
    for (int i = 0; i < n; i++) {
        LN_TRY(ln__sprintf(&name, "%s:%s", a[i].prefix, l->shape.name));
        if (declare) {
            LN_TRY(ln_writer_declare(w, name, a[i].type, a[i].ndim, a[i].dims));
        } else {
            LN_TRY(ln_tensor_wrap(&t, a[i].type, a[i].ndim, a[i].dims, NULL, a[i].data, NULL, NULL));
            LN_TRY(ln_writer_put(w, name, t));
            ln_tensor_release(t);
            t = NULL;
        }
        ln__free(name);
        name = NULL;
    }
done:
    ln_tensor_release(t);
    ln__free(name);
    return st;
}

ln_status ln__fisher_save(const ln__fisher *f, const char *path, const char *definition, const char *key)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    char samples[24];
    snprintf(samples, sizeof samples, "%" PRId64, f->samples);
    LN_TRY(ln_writer_new(&w, path));
    LN_TRY(ln_writer_meta(w, "fisher.samples", samples));
    LN_TRY(ln_writer_meta(w, "fisher.definition", definition));
    LN_TRY(ln_writer_meta(w, "fisher.reduction", "sum over samples"));
    LN_TRY(ln_writer_meta(w, "fisher.key", key));
    for (int64_t i = 0; i < f->n; i++)
        LN_TRY(put_layer(w, &f->layers[i], true));
    for (int64_t i = 0; i < f->n; i++)
        LN_TRY(put_layer(w, &f->layers[i], false));
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    return st;
}

static ln_status get_layer(layer *l, const ln_archive *a, const char *path)
{
    ln_status st = LN_OK;
    stored want[3];
    char *name = NULL;
    ln_tensor *t = NULL;
    const int n = arrays_of(want, l);
    for (int i = 0; i < n; i++) {
        LN_TRY(ln__sprintf(&name, "%s:%s", want[i].prefix, l->shape.name));
        LN_TRY(ln_archive_get(&t, a, name));
        const int64_t count = want[i].dims[0] * (want[i].ndim == 2 ? want[i].dims[1] : 1);
        if (ln_tensor_dtype(t) != want[i].type || ln_tensor_count(t) != count)
            LN_FAIL(LN_ERR_SHAPE, "%s: tensor %s: %lld numbers of %s expected, found %lld of %s", path, name,
                    (long long)count, ln_dtype_name(want[i].type), (long long)ln_tensor_count(t),
                    ln_dtype_name(ln_tensor_dtype(t)));
        memcpy(want[i].data, ln_tensor_cdata(t), (size_t)ln_dtype_bytes(want[i].type, count));
        ln_tensor_release(t);
        t = NULL;
        ln__free(name);
        name = NULL;
    }
done:
    ln_tensor_release(t);
    ln__free(name);
    return st;
}

static ln_status check_meta(const ln_archive *a, const char *path, const char *field, const char *expected)
{
    const char *found = ln_archive_meta(a, field);
    if (found && strcmp(found, expected) == 0)
        return LN_OK;
    return ln__fail(LN_ERR_FORMAT, "%s: %s is \"%s\", expected \"%s\"", path, field, found ? found : "", expected);
}

ln_status ln__fisher_load(ln__fisher *f, const char *path, const char *definition, const char *key)
{
    ln_status st = LN_OK;
    ln_archive *a = NULL;
    LN_TRY(ln_archive_open(&a, path));
    LN_TRY(check_meta(a, path, "fisher.definition", definition));
    LN_TRY(check_meta(a, path, "fisher.key", key));
    const char *text = ln_archive_meta(a, "fisher.samples");
    char *end = NULL;
    const long long samples = text ? strtoll(text, &end, 10) : 0;
    if (!text || *end || samples < 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: fisher.samples is \"%s\", expected a count", path, text ? text : "");
    for (int64_t i = 0; i < f->n; i++)
        LN_TRY(get_layer(&f->layers[i], a, path));
    f->samples = samples;
done:
    ln_archive_release(a);
    return st;
}
