/* similarity.c - cosine of rows, and late interaction (max_sim).
 *
 *   cosine   c = a.b / (max(|a|, eps) max(|b|, eps)),  da = g (b / (|a| |b|) - c a / |a|^2), the second part only where
 *            |a| > eps
 *   max_sim  s[n,m] = sum_t max_s q[n,t].doc[m,s] over unmasked s; all masked: 0 (Khattab, Zaharia 2020, ColBERT)
 *
 * The winner of each (t,m) is kept, ties to the first; dq[n,t] = sum_m g[n,m] doc[m,win], and the documents' likewise,
 * each document by one thread. Scores of a tile of queries and documents at a time by one product. */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "grad/gemm.h"
#include "grad/tape.h"

enum { CHUNK = 4096, TILE_QUERY = 256, TILE_DOCUMENT = 1024 };

typedef struct cosine_job {
    const void *a, *b, *g;
    void *y, *da, *db;
    int64_t d;
    double eps;
    bool add_a, add_b;
} cosine_job;

typedef struct max_sim_job {
    const ln__node *n;
    const ln__back *g;
    const void *score; /* (queries Tq, documents Td) of the tile */
    int64_t query, document, queries, documents, tq, td, d, m;
} max_sim_job;

#define REAL float
#define NAME(fn) fn##_f32
#define SQRT(x) sqrtf(x)
#include "grad/similarity_tmpl.c"
#undef REAL
#undef NAME
#undef SQRT
#define REAL double
#define NAME(fn) fn##_f64
#define SQRT(x) sqrt(x)
#include "grad/similarity_tmpl.c"

/* ---- cosine ---- */

static ln_status cosine_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, 2));
    LN_TRY(ln__want_float(n, 1, 2));
    const ln_var *a = n->in[0], *b = n->in[1];
    if (a->dim[0] != b->dim[0] || a->dim[1] != b->dim[1])
        LN_TRY(ln__shape_error(n, "equal shapes [n,d]"));
    LN_TRY(ln__out(t, n, 0, a->dtype, 1, a->dim));
done:
    return st;
}

static cosine_job cosine_of(const ln__node *n)
{
    return (cosine_job){ .a = n->in[0]->data,
                         .b = n->in[1]->data,
                         .y = n->out[0]->data,
                         .d = n->in[0]->dim[1],
                         .eps = *(const double *)n->attrs };
}

static ln_status cosine_forward(ln_tape *t, const ln__node *n)
{
    cosine_job j = cosine_of(n);
    (void)t;
    ln__parallel_for(n->in[0]->dim[0], LN_MAX(CHUNK / LN_MAX(j.d, 1), 1),
                     n->in[0]->dtype == LN_F64 ? cosine_rows_f64 : cosine_rows_f32, &j);
    return LN_OK;
}

static ln_status cosine_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    cosine_job j = cosine_of(n);
    (void)t;
    j.g = g->out[0];
    j.da = g->in[0];
    j.db = g->in[1];
    j.add_a = g->add[0];
    j.add_b = g->add[1];
    ln__parallel_for(n->in[0]->dim[0], LN_MAX(CHUNK / LN_MAX(j.d, 1), 1),
                     n->in[0]->dtype == LN_F64 ? cosine_back_rows_f64 : cosine_back_rows_f32, &j);
    return LN_OK;
}

/* ---- max_sim ---- */

static int64_t queries_at_once(const ln_var *q)
{
    return LN_MIN(LN_MAX(TILE_QUERY / LN_MAX(q->dim[1], 1), 1), LN_MAX(q->dim[0], 1));
}

static int64_t documents_at_once(const ln_var *documents)
{
    return LN_MIN(LN_MAX(TILE_DOCUMENT / LN_MAX(documents->dim[1], 1), 1), LN_MAX(documents->dim[0], 1));
}

static ln_status max_sim_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    LN_TRY(ln__want_float(n, 0, 3));
    LN_TRY(ln__want_float(n, 1, 3));
    const ln_var *q = n->in[0], *doc = n->in[1], *mask = n->in[2];
    if (mask && mask->dtype != LN_U8 && mask->dtype != LN_BOOL)
        LN_FAIL(LN_ERR_DTYPE, "%s: the mask must be u8 or bool, found %s", n->op->name, ln_dtype_name(mask->dtype));
    if (q->dim[2] != doc->dim[2] || q->dim[2] < 1 ||
        (mask && (mask->ndim != 2 || mask->dim[0] != doc->dim[0] || mask->dim[1] != doc->dim[1])))
        LN_TRY(ln__shape_error(n, "q [n,Tq,d], documents [m,Td,d], mask [m,Td]"));
    if (doc->dim[1] > INT32_MAX)
        LN_FAIL(LN_ERR_RANGE, "%s: documents of %lld tokens", n->op->name, (long long)doc->dim[1]);
    LN_TRY(ln__out(t, n, 0, q->dtype, 2, (int64_t[]){ q->dim[0], doc->dim[0] }));
    LN_TRY(ln__save(t, n, LN_I32, q->dim[0] * q->dim[1] * doc->dim[0]));
    n->scratch = ln_dtype_bytes(q->dtype, queries_at_once(q) * q->dim[1] * documents_at_once(doc) * doc->dim[1]);
done:
    return st;
}

static max_sim_job max_sim_of(const ln__node *n)
{
    const ln_var *q = n->in[0], *doc = n->in[1];
    return (max_sim_job){ .n = n, .tq = q->dim[1], .td = doc->dim[1], .d = q->dim[2], .m = doc->dim[0] };
}

static ln_status max_sim_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    max_sim_job j = max_sim_of(n);
    const bool f64 = n->in[0]->dtype == LN_F64;
    const size_t width = f64 ? 8 : 4;
    const int64_t all = n->in[0]->dim[0], queries = queries_at_once(n->in[0]), documents = documents_at_once(n->in[1]);
    const char *q = n->in[0]->data, *doc = n->in[1]->data;
    j.score = ln__scratch(t);
    for (j.query = 0; j.query < all; j.query += queries)
        for (j.document = 0; j.document < j.m; j.document += documents) {
            j.queries = LN_MIN(queries, all - j.query);
            j.documents = LN_MIN(documents, j.m - j.document);
            const int64_t rows = j.queries * j.tq, cols = j.documents * j.td;
            if (rows > 0 && cols > 0)
                LN_TRY(ln__gemm_any(f64, false, true, rows, cols, j.d, q + (size_t)(j.query * j.tq * j.d) * width, j.d,
                                    doc + (size_t)(j.document * j.td * j.d) * width, j.d, false, ln__scratch(t), cols));
            ln__parallel_for(j.queries * j.documents, LN_MAX(CHUNK / LN_MAX(j.tq * j.td, 1), 1),
                             f64 ? pick_pairs_f64 : pick_pairs_f32, &j);
        }
done:
    return st;
}

static ln_status max_sim_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    max_sim_job j = max_sim_of(n);
    const bool f64 = n->in[0]->dtype == LN_F64;
    (void)t;
    j.g = g;
    if (g->in[0])
        ln__parallel_for(n->in[0]->dim[0] * j.tq, 8, f64 ? query_rows_f64 : query_rows_f32, &j);
    if (g->in[1])
        ln__parallel_for(j.m, 1, f64 ? documents_f64 : documents_f32, &j);
    return LN_OK;
}

/* ---- public functions and the generated checks ---- */

static ln_var *cosine_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t dims[][2] = { { 3, 5 }, { 1, 9 }, { 0, 4 }, { 2, 3 } };
    if (k >= (int)LN_COUNT(dims))
        return NULL;
    ln_var *a = ln__case_leaf(t, c, 2, dims[k], -2, 2);
    return ln_cosine(t, a, ln__case_leaf(t, c, 2, dims[k], -2, 2), k == 3 ? 50 : 1e-8);
}

static ln_var *max_sim_build(ln_tape *t, ln__case *c, int k)
{
    static const int64_t s[][5] = {
        { 2, 3, 3, 4, 5 }, { 1, 2, 2, 3, 1 }, { 0, 2, 3, 2, 2 }, { 3, 1, 1, 5, 4 }, { 2, 2, 0, 2, 3 }
    };
    if (k >= (int)LN_COUNT(s)) /* n, Tq, m, Td, d */
        return NULL;
    ln_var *q = ln__case_distinct(t, c, LN_DIMS(s[k][0], s[k][1], s[k][4]));
    ln_var *doc = ln__case_distinct(t, c, LN_DIMS(s[k][2], s[k][3], s[k][4]));
    return ln_max_sim(t, q, doc, k % 2 ? NULL : ln__case_mask(t, c, LN_DIMS(s[k][2], s[k][3])));
}

const ln__op ln__op_cosine = { .name = "cosine",
                               .infer = cosine_infer,
                               .forward = { cosine_forward, cosine_forward },
                               .backward = { cosine_backward, cosine_backward },
                               .reads = 3u,
                               .build = cosine_build };
const ln__op ln__op_max_sim = { .name = "max_sim",
                                .infer = max_sim_infer,
                                .forward = { max_sim_forward, max_sim_forward },
                                .backward = { max_sim_backward, max_sim_backward },
                                .reads = 3u,
                                .build = max_sim_build };

ln_var *ln_cosine(ln_tape *t, ln_var *a, ln_var *b, double eps)
{
    ln_var *in[2] = { a ? ln_contiguous(t, a) : NULL, b ? ln_contiguous(t, b) : NULL };
    if (!ln__tape_failed(t) && !(eps >= 0))
        return ln__tape_fail(t, ln__fail(LN_ERR_RANGE, "cosine: eps %g is negative", eps));
    return ln__run1(t, &ln__op_cosine, 2, in, &eps, sizeof eps);
}

ln_var *ln_max_sim(ln_tape *t, ln_var *q, ln_var *documents, ln_var *mask)
{
    ln_var *in[3] = { q ? ln_contiguous(t, q) : NULL, documents ? ln_contiguous(t, documents) : NULL,
                      mask ? ln_contiguous(t, mask) : NULL };
    return ln__run1(t, &ln__op_max_sim, 3, in, NULL, 0);
}
