/* attention_vec_tmpl.c - the loops of attention_vec.h for one type and level. Long sums pass into f64 every STRETCH
 * elements; a tile's row is short. */

static double VEC(row_dot)(const void *xp, const void *yp, int64_t n)
{
    const REAL *x = xp, *y = yp;
    double sum = 0;
    for (int64_t at = 0; at < n; at += STRETCH) {
        const int64_t end = at + STRETCH < n ? at + STRETCH : n;
        REAL part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t i = at; i < end; i++)
            part += x[i] * y[i];
        sum += (double)part;
    }
    return sum;
}

static double VEC(weights)(void *sp, int64_t n, double *top, double *sum)
{
    REAL *s = sp;
    const REAL old = (REAL)*top;
    REAL t = old, part = 0;
#pragma omp simd reduction(max : t)
    for (int64_t i = 0; i < n; i++)
        t = s[i] > t ? s[i] : t;
    const double shrink = t > old ? exp((double)old - (double)t) : 1;
#pragma omp simd reduction(+ : part)
    for (int64_t i = 0; i < n; i++) {
        const REAL x = s[i] - t, e = EXP(x < LOW ? LOW : x);
        s[i] = e;
        part += e;
    }
    *top = (double)t;
    *sum = *sum * shrink + (double)part;
    return shrink;
}

static void VEC(slopes)(void *sp, void *dp, int64_t n, double lse_, double mean_)
{
    REAL *s = sp, *d = dp;
    const REAL lse = (REAL)lse_, mean = (REAL)mean_;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const REAL x = s[i] - lse, p = EXP(x < LOW ? LOW : x);
        s[i] = p;
        d[i] = p * (d[i] - mean);
    }
}

static void VEC(bias)(void *sp, int64_t n, double slope_, double at_)
{
    REAL *s = sp;
    const REAL slope = (REAL)slope_, at = (REAL)at_;
    for (int64_t i = 0; i < n; i++) {
        const REAL away = at - (REAL)i;
        s[i] -= slope * (away < 0 ? -away : away);
    }
}

static void VEC(row_scale)(void *yp, double a_, int64_t n)
{
    REAL *y = yp;
    const REAL a = (REAL)a_;
    for (int64_t i = 0; i < n; i++)
        y[i] *= a;
}

static void VEC(accumulate)(void *yp, const void *xp, double a_, int64_t n)
{
    REAL *restrict y = yp;
    const REAL *restrict x = xp;
    const REAL a = (REAL)a_;
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void VEC(turn)(REAL *restrict y, const REAL *restrict x, const REAL *restrict cos, const REAL *restrict sin,
                      int64_t half, REAL sign)
{
    for (int64_t i = 0; i < half; i++) {
        const REAL a = x[i], b = x[i + half], c = cos[i], s = sign * sin[i];
        y[i] = a * c - b * s;
        y[i + half] = b * c + a * s;
    }
}

static void VEC(turn_add)(REAL *restrict y, const REAL *restrict x, const REAL *restrict cos, const REAL *restrict sin,
                          int64_t half, REAL sign)
{
    for (int64_t i = 0; i < half; i++) {
        const REAL a = x[i], b = x[i + half], c = cos[i], s = sign * sin[i];
        y[i] += a * c - b * s;
        y[i + half] += b * c + a * s;
    }
}

static void VEC(rotate)(void *yp, const void *xp, const void *cos, const void *sin, int64_t heads, int64_t half,
                        bool back, bool add)
{
    const REAL sign = back ? -1 : 1;
    for (int64_t h = 0; h < heads; h++) {
        REAL *y = (REAL *)yp + 2 * half * h;
        const REAL *x = (const REAL *)xp + 2 * half * h;
        if (add)
            VEC(turn_add)(y, x, cos, sin, half, sign);
        else
            VEC(turn)(y, x, cos, sin, half, sign);
    }
}
