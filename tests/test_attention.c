/* room: model */
/* test_attention.c - tiled and split attention against the definition in f64, over awkward sizes, groups and windows.
 */
#include "io_files.h"
#include "numbers.h"

#include "core/kernels.h"
#include "model/model.h"

typedef struct shape {
    int64_t rows, group, dim, before, window; /* before: keys in front of the first query */
    bool causal, f16;
} shape;

typedef struct data {
    shape s;
    int64_t keys, cap, width;
    float *q, *k, *v, *vt, *out; /* out, q (rows, group*dim); k, v (keys, dim); vt (dim, cap) */
    uint16_t *k16, *vt16;
    double *want;
} data;

static void data_new(data *d, shape s)
{
    *d = (data){ .s = s, .keys = s.before + s.rows, .width = s.group * s.dim };
    d->cap = d->keys + 5;
    d->q = num_f32(s.rows * d->width, 1);
    d->k = num_f32(d->keys * s.dim, 2);
    d->v = num_f32(d->keys * s.dim, 3);
    d->out = num_alloc((size_t)(s.rows * d->width), sizeof *d->out);
    d->vt = num_alloc((size_t)(s.dim * d->cap), sizeof *d->vt);
    d->k16 = num_alloc((size_t)(d->keys * s.dim), sizeof *d->k16);
    d->vt16 = num_alloc((size_t)(s.dim * d->cap), sizeof *d->vt16);
    d->want = num_alloc((size_t)(s.rows * d->width), sizeof *d->want);
    for (int64_t u = 0; u < d->keys; u++)
        for (int64_t i = 0; i < s.dim; i++) {
            float *k = &d->k[u * s.dim + i], *v = &d->v[u * s.dim + i];
            *k *= 4; /* peaked softmax */
            if (s.f16)
                *k = ln__f16_to_f32(ln__f32_to_f16(*k)), *v = ln__f16_to_f32(ln__f32_to_f16(*v));
            d->k16[u * s.dim + i] = ln__f32_to_f16(*k);
            d->vt[i * d->cap + u] = *v;
            d->vt16[i * d->cap + u] = ln__f32_to_f16(*v);
        }
}

static void data_free(data *d)
{
    free(d->q), free(d->k), free(d->v), free(d->vt), free(d->out), free(d->k16), free(d->vt16), free(d->want);
}

static void define(data *d)
{
    const shape *s = &d->s;
    double *p = num_alloc((size_t)d->keys, sizeof *p);
    for (int64_t t = 0; t < s->rows; t++)
        for (int64_t g = 0; g < s->group; g++) {
            const int64_t position = s->before + t;
            double sum = 0;
            for (int64_t u = 0; u < d->keys; u++) {
                double dot = 0;
                for (int64_t i = 0; i < s->dim; i++)
                    dot += (double)d->q[t * d->width + g * s->dim + i] * d->k[u * s->dim + i];
                const bool seen = (!s->causal || u <= position) && (!s->window || position - u < s->window);
                sum += p[u] = seen ? exp(dot / sqrt((double)s->dim)) : 0;
            }
            for (int64_t i = 0; i < s->dim; i++) {
                double o = 0;
                for (int64_t u = 0; u < d->keys; u++)
                    o += p[u] / sum * d->v[u * s->dim + i];
                d->want[t * d->width + g * s->dim + i] = o;
            }
        }
    free(p);
}

static ln__attend call_of(const data *d, bool transposed)
{
    const shape *s = &d->s;
    return (ln__attend){ .q = d->q,
                         .out = d->out,
                         .ldq = d->width,
                         .ldo = d->width,
                         .rows = s->rows,
                         .group = s->group,
                         .dim = s->dim,
                         .k = s->f16 ? (const void *)d->k16 : d->k,
                         .v = s->f16       ? (const void *)d->vt16
                              : transposed ? d->vt
                                           : d->v,
                         .ldk = s->dim,
                         .ldv = transposed ? d->cap : s->dim,
                         .f16 = s->f16,
                         .v_transposed = transposed,
                         .keys = d->keys,
                         .causal = s->causal,
                         .position = s->before,
                         .window = s->window,
                         .scale = 1.0f / sqrtf((float)s->dim) };
}

static void check(const data *d, const char *what)
{
    for (int64_t i = 0; i < d->s.rows * d->width; i++)
        if (!(fabs((double)d->out[i] - d->want[i]) < 2e-5))
            fail_msg("%s rows %lld group %lld dim %lld before %lld window %lld f16 %d: [%lld] %.8g, expected %.8g",
                     what, (long long)d->s.rows, (long long)d->s.group, (long long)d->s.dim, (long long)d->s.before,
                     (long long)d->s.window, d->s.f16, (long long)i, (double)d->out[i], d->want[i]);
}

static void blocks_are_the_definition(void **state)
{
    (void)state;
    static const shape shapes[] = {
        { 1, 1, 8, 0, 0, true, false },      { 5, 3, 64, 0, 0, true, false },      { 64, 3, 64, 250, 0, true, false },
        { 64, 1, 32, 0, 0, false, false },   { 17, 2, 12, 600, 0, true, false },   { 32, 8, 16, 511, 0, true, true },
        { 9, 1, 8, 30, 8, true, false },     { 64, 2, 16, 700, 300, true, false }, { 20, 1, 8, 0, 1, true, true },
        { 3, 3, 64, 1021, 256, true, true }, { 64, 4, 128, 192, 0, true, false },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        data d;
        data_new(&d, shapes[i]);
        define(&d);
        float *scratch = num_alloc((size_t)ln__attend_scratch(d.s.group, d.s.dim), sizeof *scratch);
        for (int transposed = d.s.f16; transposed < 2; transposed++) {
            const ln__attend a = call_of(&d, transposed);
            assert_true(a.rows <= ln__attend_query_block(a.group));
            memset(d.out, 0xff, (size_t)(d.s.rows * d.width) * sizeof *d.out);
            assert_int_equal(ln__attend_block(&a, scratch), LN_OK);
            check(&d, transposed ? "transposed" : "plain");
        }
        free(scratch);
        data_free(&d);
    }
}

/* One query, keys in pieces, joined: the same as a block of one row. */
static void splits_are_the_definition(void **state)
{
    (void)state;
    static const shape shapes[] = { { 1, 3, 64, 0, 0, true, false },     { 1, 3, 64, 127, 0, true, false },
                                    { 1, 3, 64, 128, 0, true, true },    { 1, 8, 16, 1000, 0, true, false },
                                    { 1, 1, 128, 700, 200, true, true }, { 1, 2, 8, 40, 8, true, false } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        data d;
        data_new(&d, shapes[i]);
        define(&d);
        const ln__attend a = call_of(&d, true);
        const int64_t part = a.group * (a.dim + 2), low = a.window ? LN_MAX(0, a.position - a.window + 1) : 0;
        const int64_t n = (d.keys + LN_KEY_SPLIT - 1) / LN_KEY_SPLIT, first = low / LN_KEY_SPLIT;
        float *scratch = num_alloc((size_t)ln__attend_scratch(a.group, a.dim), sizeof *scratch);
        float *parts = num_alloc((size_t)(n * part), sizeof *parts);
        for (int64_t p = first; p < n; p++)
            ln__attend_split(&a, LN_MAX(low, p * LN_KEY_SPLIT), LN_MIN(d.keys, (p + 1) * LN_KEY_SPLIT),
                             parts + p * part, scratch);
        ln__attend_combine(d.out, parts + first * part, n - first, a.group, a.dim);
        check(&d, "split");
        free(parts);
        free(scratch);
        data_free(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(blocks_are_the_definition),
                                        cmocka_unit_test(splits_are_the_definition) };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
