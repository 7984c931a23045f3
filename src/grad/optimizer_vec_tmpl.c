/* optimizer_vec_tmpl.c - one pass over weights, gradients and moments, in the type REAL. */

static inline REAL VEC(cut)(REAL g, REAL limit)
{
    return g > limit ? limit : g < -limit ? -limit : g;
}

/* Sixteen running sums, added up in order: the same bytes at every level. Vectors are spelled out, since compilers keep
 * an array of sums in memory; without a limit an infinite entry makes the sum infinite by itself, with one x - x makes
 * it NaN, which cutting would hide. */
typedef REAL VEC(four) __attribute__((vector_size(4 * sizeof(REAL))));
typedef double VEC(wide) __attribute__((vector_size(32)));

/* By pointer: vectors as arguments would depend on the level's calling convention. */
static inline void VEC(add_squares)(VEC(wide) * sum, const REAL *g)
{
    VEC(four) x;
    memcpy(&x, g, sizeof x);
    const VEC(wide) a = __builtin_convertvector(x, VEC(wide));
    *sum += a * a;
}

static double VEC(sum_of_squares)(const void *gv, double limit, int64_t n)
{
    const REAL *restrict g = gv;
    const REAL most = (REAL)limit;
    double sum[16] = { 0 }, total = 0;
    int64_t i = 0;
    if (limit == INFINITY) {
        VEC(wide) a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
        for (; i + 16 <= n; i += 16) {
            VEC(add_squares)(&a, g + i);
            VEC(add_squares)(&b, g + i + 4);
            VEC(add_squares)(&c, g + i + 8);
            VEC(add_squares)(&d, g + i + 12);
        }
        memcpy(sum, &a, sizeof a);
        memcpy(sum + 4, &b, sizeof b);
        memcpy(sum + 8, &c, sizeof c);
        memcpy(sum + 12, &d, sizeof d);
    }
    for (; i < n; i++) {
        const double x = VEC(cut)(g[i], most) + (g[i] - g[i]);
        sum[i % 16] += x * x;
    }
    for (int k = 0; k < 16; k++)
        total += sum[k];
    return total;
}

static void VEC(sgd)(void *pv, void *gv, void *mv, const ln__update *u, int64_t n)
{
    REAL *restrict p = pv, *restrict g = gv, *restrict m = mv;
    const REAL lr = (REAL)u->lr, limit = (REAL)u->limit, scale = (REAL)u->scale, decay = (REAL)u->decay;
    const REAL mu = (REAL)u->beta1, direct = u->nesterov ? 1 : 0, by = u->nesterov ? mu : 1;
    if (!m) {
        for (int64_t i = 0; i < n; i++) {
            p[i] -= lr * (VEC(cut)(g[i], limit) * scale + decay * p[i]);
            g[i] = 0;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const REAL x = VEC(cut)(g[i], limit) * scale + decay * p[i];
        m[i] = mu * m[i] + x;
        p[i] -= lr * (direct * x + by * m[i]);
        g[i] = 0;
    }
}

static void VEC(adam)(void *pv, void *gv, void *mv, void *vv, const ln__update *u, int64_t n)
{
    REAL *restrict p = pv, *restrict g = gv, *restrict m = mv, *restrict v = vv;
    const REAL lr = (REAL)u->lr, limit = (REAL)u->limit, scale = (REAL)u->scale, decay = (REAL)u->decay;
    const REAL b1 = (REAL)u->beta1, b2 = (REAL)u->beta2, c1 = (REAL)(1 - u->beta1), c2 = (REAL)(1 - u->beta2);
    const REAL keep = (REAL)u->keep, root = (REAL)u->root, eps = (REAL)u->eps;
    for (int64_t i = 0; i < n; i++) {
        const REAL x = VEC(cut)(g[i], limit) * scale + decay * p[i];
        const REAL mi = b1 * m[i] + c1 * x, vi = b2 * v[i] + c2 * x * x;
        m[i] = mi;
        v[i] = vi;
        p[i] = keep * p[i] - lr * mi / (SQRT(vi) * root + eps);
        g[i] = 0;
    }
}

static void VEC(lion)(void *pv, void *gv, void *mv, const ln__update *u, int64_t n)
{
    REAL *restrict p = pv, *restrict g = gv, *restrict m = mv;
    const REAL lr = (REAL)u->lr, limit = (REAL)u->limit, scale = (REAL)u->scale, keep = (REAL)u->keep;
    const REAL b1 = (REAL)u->beta1, b2 = (REAL)u->beta2, c1 = (REAL)(1 - u->beta1), c2 = (REAL)(1 - u->beta2);
    for (int64_t i = 0; i < n; i++) {
        const REAL x = VEC(cut)(g[i], limit) * scale, d = b1 * m[i] + c1 * x;
        const REAL sign = d > 0 ? (REAL)1 : d < 0 ? (REAL)-1 : (REAL)0;
        m[i] = b2 * m[i] + c2 * x;
        p[i] = keep * p[i] - lr * sign;
        g[i] = 0;
    }
}

static void VEC(momentum)(void *xv, void *gv, void *mv, const ln__update *u, int64_t n)
{
    REAL *restrict out = xv, *restrict g = gv, *restrict m = mv;
    const REAL limit = (REAL)u->limit, scale = (REAL)u->scale, mu = (REAL)u->beta1;
    const REAL direct = u->nesterov ? 1 - mu : 0, by = u->nesterov ? mu : 1;
    for (int64_t i = 0; i < n; i++) {
        const REAL x = VEC(cut)(g[i], limit) * scale;
        m[i] = mu * m[i] + (1 - mu) * x;
        out[i] = direct * x + by * m[i];
        g[i] = 0;
    }
}

static void VEC(move)(void *pv, const void *xv, double keep, double by, int64_t n)
{
    REAL *restrict p = pv;
    const REAL *restrict x = xv;
    const REAL a = (REAL)keep, b = (REAL)by;
    for (int64_t i = 0; i < n; i++)
        p[i] = a * p[i] + b * x[i];
}

static void VEC(average)(void *ev, const void *pv, double keep, int64_t n)
{
    REAL *restrict e = ev;
    const REAL *restrict p = pv;
    const REAL a = (REAL)keep, b = (REAL)(1 - keep);
    for (int64_t i = 0; i < n; i++)
        e[i] = a * e[i] + b * p[i];
}
