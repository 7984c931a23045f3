/* weights_init.c - initial values: number i of a weight comes from its own place in the Philox stream that seed and
 * name select, so values depend neither on the order of weights nor on threads.
 *
 * Kaiming and Xavier: He et al. 2015, Glorot and Bengio 2010. Orthogonal: Q of a Gaussian matrix, columns with random
 * signs, which makes it uniform (Mezzadri 2007). */
#include <math.h>
#include <string.h>

#include <xxhash.h>

#include "core/threads.h"
#include "grad/weights.h"
#include "linalg/linalg.h"

enum { CHUNK = 4096, TRIES = 16 };

typedef struct filling {
    const ln__weight *w;
    uint64_t seed, stream;
    double scale;
    ln_init init; /* NORMAL, UNIFORM or TRUNCATED */
} filling;

static void store(const ln__weight *w, int64_t i, double x)
{
    if (w->var.dtype == LN_F64)
        ((double *)w->var.data)[i] = x;
    else
        ((float *)w->var.data)[i] = (float)x;
}

static double draw(const filling *f, int64_t i)
{
    ln__rng r = ln__rng_make(f->seed, f->stream);
    double x = 0;
    switch (f->init) {
    case LN_INIT_UNIFORM:
        r.position = (uint64_t)i * 2;
        return f->scale * (2 * ln__rng_uniform(&r) - 1);
    case LN_INIT_TRUNCATED: /* sixteen misses in a row: never in practice; then the mean */
        r.position = (uint64_t)i * 4 * TRIES;
        for (int k = 0; k < TRIES; k++)
            if (fabs(x = ln__rng_normal(&r)) <= 2)
                return f->scale * x;
        return 0;
    default:
        r.position = (uint64_t)i * 4;
        return f->scale * ln__rng_normal(&r);
    }
}

static void fill_range(void *ctx, int64_t begin, int64_t end)
{
    const filling *f = ctx;
    for (int64_t i = begin; i < end; i++)
        store(f->w, i, draw(f, i));
}

static ln_status orthogonal(const filling *f)
{
    ln_status st = LN_OK;
    const ln__weight *w = f->w;
    double *q = NULL;
    const int64_t rows = w->var.dim[0], cols = rows > 0 ? w->var.count / rows : 0;
    const int64_t tall = LN_MAX(rows, cols), thin = LN_MIN(rows, cols);
    if (thin == 0)
        return LN_OK;
    LN_TRY(ln__alloc((void **)&q, (size_t)w->var.count, sizeof *q));
    for (int64_t i = 0; i < w->var.count; i++)
        q[i] = draw(&(filling){ w, f->seed, f->stream, 1, LN_INIT_NORMAL }, i);
    LN_TRY(ln__qr(q, tall, thin));
    ln__rng signs = ln__rng_make(f->seed, f->stream);
    signs.position = (uint64_t)w->var.count * 4;
    for (int64_t j = 0; j < thin; j++) {
        const double a = ln__rng_u32(&signs) & 1 ? w->a : -w->a;
        for (int64_t i = 0; i < tall; i++)
            store(w, rows >= cols ? i * cols + j : j * cols + i, a * q[i * thin + j]);
    }
done:
    ln__free(q);
    return st;
}

ln_status ln__weight_init(const ln__weight *w, uint64_t seed, const char *name)
{
    filling f = { w, seed, XXH64(name, strlen(name), 0), w->a, LN_INIT_NORMAL };
    const int64_t rows = w->var.ndim > 0 ? w->var.dim[0] : 1, n = w->var.count;
    const int64_t fan_in = w->var.ndim > 1 && rows > 0 ? n / rows : rows;
    const int64_t rest = w->var.ndim > 1 && w->var.dim[1] > 0 ? fan_in / w->var.dim[1] : 1; /* of the field */
    const double in = (double)LN_MAX(fan_in, 1), both = LN_MAX(in + (double)(rows * rest), 1);
    switch (w->init) {
    case LN_INIT_ZEROS: /* the block is zeroed */
        return LN_OK;
    case LN_INIT_ONES:
        for (int64_t i = 0; i < n; i++)
            store(w, i, 1);
        return LN_OK;
    case LN_INIT_IDENTITY:
        for (int64_t i = 0; i < LN_MIN(rows, fan_in) && n > 0; i++)
            store(w, i * fan_in + i, w->a);
        return LN_OK;
    case LN_INIT_ORTHOGONAL:
        return orthogonal(&f);
    case LN_INIT_UNIFORM:
    case LN_INIT_TRUNCATED:
        f.init = w->init;
        break;
    case LN_INIT_KAIMING_UNIFORM:
        f.init = LN_INIT_UNIFORM;
        f.scale = sqrt(3) * w->a / sqrt(in);
        break;
    case LN_INIT_KAIMING_NORMAL:
        f.scale = w->a / sqrt(in);
        break;
    case LN_INIT_XAVIER_UNIFORM:
        f.init = LN_INIT_UNIFORM;
        f.scale = sqrt(3) * w->a * sqrt(2 / both);
        break;
    case LN_INIT_XAVIER_NORMAL:
        f.scale = w->a * sqrt(2 / both);
        break;
    case LN_INIT_NORMAL:
        break;
    }
    ln__parallel_for(n, CHUNK, fill_range, &f);
    return LN_OK;
}
