/* subset.c - `linnet regress subset`: for each k the k columns of least squared error, exactly, up to 30 columns.
 *
 * A node of the search is a triangular factor R of some columns v_0 … v_{p-1} with z = Q^T y; the sum of z_i^2 from
 * i = j on, added to the residual of all p, is the residual of the first j, so a node prices p subsets at once. Its
 * children drop v_i, i >= fixed, and are triangular again after p - i Givens rotations (Gatu and Kontoghiorghes 2006).
 * No subset of a node does better than all its columns: a child whose residual is no less than the best found for
 * fixed + 1 columns, which is the largest of the bests it could improve, is cut with all that is below it. Columns are
 * put in the order in which greedy selection takes them, so that good subsets come first. Dependent columns give zero
 * rows of R, which the rotations pass over. */
#include <math.h>
#include <string.h>

#include "solve/colqr.h"
#include "solve/regress.h"
#include "solve/sparse_grid.h"
#include "solve/systems.h"

enum { MOST = 30 };
#define DEPENDENT 1e-10

static const ln_param subset_params[] = {
    LN_SPARSE_K_PARAMS,
    LN_P_END,
};

typedef struct node {
    int p, fixed;
    int v[MOST];
    double rss; /* of all p columns */
    double r[MOST][MOST + 1];
} node;

typedef struct search {
    int most;                /* greatest k asked for */
    double best[MOST + 1];   /* residual of the best k columns */
    uint32_t mask[MOST + 1]; /* which, in the order of the root  */
    node *stack;             /* one per depth */
} search;

static void price(search *s, const node *a)
{
    double rss = a->rss;
    uint32_t mask = 0;
    for (int j = 0; j < a->p; j++)
        mask |= 1u << a->v[j];
    for (int j = a->p; j > a->fixed; j--) {
        if (j <= s->most && rss < s->best[j]) {
            s->best[j] = rss;
            s->mask[j] = mask;
        }
        rss += a->r[j - 1][a->p] * a->r[j - 1][a->p];
        mask &= ~(1u << a->v[j - 1]);
    }
}

/* b = a without its column i, triangular again. Row layout: r[row][column], z in column p. */
static void drop(node *b, const node *a, int i)
{
    const int p = a->p - 1;
    b->p = p;
    b->fixed = i;
    for (int c = 0; c < p; c++)
        b->v[c] = a->v[c + (c >= i)];
    for (int row = 0; row <= p; row++)
        for (int c = 0; c <= p; c++)
            b->r[row][c] = a->r[row][c + (c >= i)];
    for (int row = i; row < p; row++) { /* the entry below the diagonal goes */
        const double x = b->r[row][row], y = b->r[row + 1][row], h = hypot(x, y);
        if (y == 0)
            continue;
        for (int c = row; c <= p; c++) {
            const double up = b->r[row][c], down = b->r[row + 1][c];
            b->r[row][c] = (x * up + y * down) / h;
            b->r[row + 1][c] = (x * down - y * up) / h;
        }
    }
    b->rss = a->rss + b->r[p][p] * b->r[p][p];
}

static void explore(search *s, int depth)
{
    node *a = &s->stack[depth];
    price(s, a);
    for (int i = a->fixed; i < a->p - 1 && i < s->most; i++) {
        if (s->best[i + 1] <= a->rss)
            continue;
        drop(&s->stack[depth + 1], a, i);
        if (s->best[i + 1] > s->stack[depth + 1].rss)
            explore(s, depth + 1);
    }
}

/* Greedy order of all columns, dependent ones last. */
static ln_status order_columns(int64_t *order, const ln__design *X)
{
    ln_status st = LN_OK;
    ln__colqr qr = { 0 };
    double *r = NULL;
    bool taken[MOST] = { false };
    int64_t n = 0;
    LN_TRY(ln__colqr_new(&qr, X->n, LN_MIN(X->d, X->n)));
    LN_TRY(LN_NEW(&r, X->n));
    memcpy(r, X->y, (size_t)X->n * sizeof *r);
    while (n < X->d) {
        int64_t best = -1;
        double most = -1;
        for (int64_t j = 0; j < X->d; j++) {
            const double c = taken[j] ? -1 : fabs(ln__dot(X->x + j * X->n, r, X->n)) / sqrt(fmax(X->square[j], 1e-300));
            if (c > most) {
                most = c;
                best = j;
            }
        }
        taken[best] = true;
        order[n++] = best;
        if (ln__colqr_add(&qr, X->x + best * X->n, X->y, DEPENDENT)) {
            const double *q = qr.q + (qr.k - 1) * X->n;
            ln__axpy(r, -ln__dot(q, r, X->n), q, X->n);
        }
    }
done:
    ln__colqr_free(&qr);
    ln__free(r);
    return st;
}

/* The factor of all columns in their order. */
static ln_status plant(node *root, const ln__design *X, const int64_t *order)
{
    ln_status st = LN_OK;
    ln__colqr qr = { 0 };
    const int d = (int)X->d;
    *root = (node){ .p = d, .rss = X->yy };
    LN_TRY(ln__colqr_new(&qr, X->n, LN_MIN(X->d, X->n)));
    for (int c = 0; c < d; c++) {
        const double *x = X->x + order[c] * X->n;
        root->v[c] = c;
        /* row c is the direction that column c brings; none where it is dependent */
        const bool new = ln__colqr_add(&qr, x, X->y, DEPENDENT);
        const double *q = qr.q + (qr.k - 1) * X->n;
        for (int k = c; new &&k < d; k++)
            root->r[c][k] = ln__dot(q, X->x + order[k] * X->n, X->n);
        root->r[c][d] = new ? qr.b[qr.k - 1] : 0;
        root->rss -= root->r[c][d] * root->r[c][d];
    }
    root->rss = fmax(root->rss, 0);
done:
    ln__colqr_free(&qr);
    return st;
}

static ln_status subset_grid(ln__grid *g, const ln__design *X, int64_t least, const void *opts,
                             const ln_regress_opts *o)
{
    if (X->d > MOST)
        return ln__fail(LN_ERR_RANGE, "subset: %lld columns, the exact search takes at most %d (--ignore, or omp)",
                        (long long)X->d, MOST);
    return ln__sparse_grid(g, X, least, opts, o);
}

static ln_status subset_solve(ln__solution *out, const ln__design *X, const ln__grid *g, int64_t group,
                              const void *opts, uint64_t seed)
{
    ln_status st = LN_OK;
    search s = { .most = (int)g->steps };
    ln__colqr qr = { 0 };
    int64_t order[MOST], set[MOST];
    (void)group;
    (void)opts;
    (void)seed;
    LN_TRY(LN_NEW(&s.stack, X->d + 1));
    LN_TRY(ln__colqr_new(&qr, X->n, LN_MIN(X->d, X->n)));
    LN_TRY(order_columns(order, X));
    LN_TRY(plant(&s.stack[0], X, order));
    for (int k = 0; k <= MOST; k++)
        s.best[k] = INFINITY;
    explore(&s, 0);
    for (int64_t k = 1; k <= g->steps; k++) {
        int64_t n = 0;
        for (int64_t c = 0; c < X->d; c++)
            if (s.mask[k] >> c & 1u)
                set[n++] = order[c];
        ln__colqr_fit(out->w + (k - 1) * X->d, &qr, X, set, n);
    }
done:
    ln__free(s.stack);
    ln__colqr_free(&qr);
    return st;
}

LN_SPARSE_SYSTEM(subset, subset_grid, "the best k columns of up to 30, exactly, by branch and bound",
                 "Furnival and Wilson 1974; Gatu and Kontoghiorghes 2006",
                 "linnet regress subset diabetes.csv --target progression");
