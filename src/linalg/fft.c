/* fft.c - plans of discrete Fourier transforms, and their cache.
 *
 * Lengths 2^a 3^b 5^c: Stockham's autosort passes of radix 4, 2, 3 and 5 (Van Loan, Computational Frameworks for the
 * Fast Fourier Transform, 1992, 1.7), no bit reversal, reads and writes of whole lines. Other lengths: Bluestein's
 * convolution (IEEE Trans. AU 18, 1970). Real transforms of even length: half as long a complex one of x_2k + i x_2k+1.
 * Every root of unity comes from a reduced angle in f64, so rounding grows with log n only.
 * Pitfall: k^2 in the chirp overflows and loses digits as an angle; it is taken modulo 2n in integers first. */
#include "linalg/fft.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "linalg/fft_vec.h"

enum { MAX_STAGES = 40, MAX_IDLE = 64 };
static const int64_t max_length = (int64_t)1 << 30;
static const size_t max_idle_bytes = (size_t)64 << 20;

typedef struct stage {
    int radix;
    int64_t m;
    size_t at; /* of its twiddles */
} stage;

struct ln__fft {
    ln__fft *next;
    int64_t refs, last_use;
    int64_t n;
    ln__fft_kind kind;
    bool f64;
    int stages; /* of a complex plan; 0: length 1 or Bluestein */
    stage stage[MAX_STAGES];
    void *twiddles;       /* by stage; real: those that part even and odd; cosine: exp(-i pi k / 2n), k <= n/2 */
    void *chirp;          /* Bluestein: c (n) as real and imaginary parts, then the transform of c* over M (inner->n) */
    const ln__fft *inner; /* Bluestein: length M; real: n/2 when n is even, else n; cosine: the real one of n */
    size_t bytes;
};

#define REAL float
#define NAME(f) f##_f32
#define IS_F64 0
#include "linalg/fft_tmpl.c"
#undef REAL
#undef NAME
#undef IS_F64
#define REAL double
#define NAME(f) f##_f64
#define IS_F64 1
#include "linalg/fft_tmpl.c"

/* ---- making plans ---- */

void ln__fft_root(int64_t j, int64_t n, double *re, double *im)
{
    const double two_pi = 6.28318530717958647693;
    const int64_t eighths = 8 * j / n; /* which eighth of the circle */
    const int64_t quarter = (eighths + 1) / 2;
    const double angle = two_pi * (double)(4 * j - quarter * n) / (4 * (double)n); /* within pi/4 of 0 */
    const double c = cos(angle), s = sin(angle);
    const double cs[4] = { c, -s, -c, s }, sn[4] = { s, c, -s, -c };
    *re = cs[quarter % 4];
    *im = -sn[quarter % 4];
}

static void store(const ln__fft *f, void *array, int64_t i, double x)
{
    if (f->f64)
        ((double *)array)[i] = x;
    else
        ((float *)array)[i] = (float)x;
}

static ln_status numbers(void **out, ln__fft *f, int64_t count)
{
    const size_t width = f->f64 ? sizeof(double) : sizeof(float);
    count = LN_MAX(count, 1); /* a pointer to no bytes looks like a leak to tools that follow pointers */
    const ln_status st = ln__alloc(out, (size_t)count, width);
    if (st == LN_OK)
        f->bytes += (size_t)count * width;
    return st;
}

/* Radix 4 as long as it goes; false when another prime than 2, 3, 5 is left. */
static bool divide(ln__fft *f)
{
    static const int radices[] = { 4, 2, 3, 5 };
    int64_t rest = f->n;
    size_t at = 0;
    f->stages = 0;
    for (int i = 0; i < (int)LN_COUNT(radices); i++)
        for (; rest % radices[i] == 0; rest /= radices[i]) {
            stage *const g = &f->stage[f->stages++];
            *g = (stage){ radices[i], rest / radices[i], at };
            at += 2 * (size_t)(radices[i] - 1) * (size_t)g->m;
        }
    return rest == 1;
}

static ln_status make_passes(ln__fft *f)
{
    ln_status st = LN_OK;
    size_t total = 0;
    for (int i = 0; i < f->stages; i++)
        total += 2 * (size_t)(f->stage[i].radix - 1) * (size_t)f->stage[i].m;
    LN_TRY(numbers(&f->twiddles, f, (int64_t)total));
    for (int i = 0; i < f->stages; i++) {
        const stage *const g = &f->stage[i];
        for (int k = 1; k < g->radix; k++)
            for (int64_t p = 0; p < g->m; p++) {
                double re, im;
                ln__fft_root(p * k, g->m * g->radix, &re, &im);
                store(f, f->twiddles, (int64_t)g->at + (2 * k - 2) * g->m + p, re);
                store(f, f->twiddles, (int64_t)g->at + (2 * k - 1) * g->m + p, im);
            }
    }
done:
    return st;
}

static ln_status make_bluestein(ln__fft *f)
{
    ln_status st = LN_OK;
    const ln__fft *exact = NULL; /* the same length in f64 */
    double *b = NULL;
    const int64_t n = f->n, M = ln__fft_good_size(2 * n - 1);
    f->stages = 0;
    LN_TRY(ln__fft_get(&f->inner, M, LN__FFT_COMPLEX, f->f64));
    LN_TRY(ln__fft_get(&exact, M, LN__FFT_COMPLEX, true));
    LN_TRY(numbers(&f->chirp, f, 2 * n + 2 * M));
    LN_TRY(LN_NEW0(&b, 4 * M));
    for (int64_t j = 0; j < n; j++) {
        double re, im;
        ln__fft_root((int64_t)((uint64_t)j * (uint64_t)j % (uint64_t)(2 * n)), 2 * n, &re, &im);
        store(f, f->chirp, j, re);
        store(f, f->chirp, n + j, im);
        b[j] = re;
        b[M + j] = -im;
        if (j > 0) {
            b[M - j] = re;
            b[2 * M - j] = -im;
        }
    }
    ln__fft_run(exact, false, b, b + M, 1, b + 2 * M);
    for (int64_t j = 0; j < 2 * M; j++)
        store(f, f->chirp, 2 * n + j, b[j] / (double)M);
done:
    ln__fft_put(exact);
    ln__free(b);
    return st;
}

/* exp(-2 pi i k / of), k <= m. */
static ln_status make_roots(ln__fft *f, int64_t m, int64_t of)
{
    ln_status st = LN_OK;
    LN_TRY(numbers(&f->twiddles, f, 2 * (m + 1)));
    for (int64_t k = 0; k <= m; k++) {
        double re, im;
        ln__fft_root(k, of, &re, &im);
        store(f, f->twiddles, k, re);
        store(f, f->twiddles, m + 1 + k, im);
    }
done:
    return st;
}

static ln_status make_real(ln__fft *f)
{
    ln_status st = LN_OK;
    const bool odd = f->n % 2;
    LN_TRY(ln__fft_get(&f->inner, odd ? f->n : f->n / 2, LN__FFT_COMPLEX, f->f64));
    if (!odd)
        LN_TRY(make_roots(f, f->n / 2, f->n));
done:
    return st;
}

static ln_status make_cosine(ln__fft *f)
{
    ln_status st = LN_OK;
    LN_TRY(ln__fft_get(&f->inner, f->n, LN__FFT_REAL, f->f64));
    LN_TRY(make_roots(f, f->n / 2, 4 * f->n));
done:
    return st;
}

static void destroy(ln__fft *f)
{
    if (!f)
        return;
    ln__fft_put(f->inner);
    ln__free(f->twiddles);
    ln__free(f->chirp);
    ln__free(f);
}

static ln_status make(ln__fft **out, int64_t n, ln__fft_kind kind, bool f64)
{
    ln_status st = LN_OK;
    ln__fft *f = NULL;
    LN_TRY(LN_NEW0(&f, 1));
    *f = (ln__fft){ .refs = 1, .n = n, .kind = kind, .f64 = f64, .bytes = sizeof *f };
    if (kind == LN__FFT_COSINE)
        LN_TRY(make_cosine(f));
    else if (kind == LN__FFT_REAL)
        LN_TRY(make_real(f));
    else
        LN_TRY(divide(f) ? make_passes(f) : make_bluestein(f));
    *out = f;
    f = NULL;
done:
    destroy(f);
    return st;
}

/* ---- the cache ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ln__fft *plans;
static int64_t uses;

static ln__fft *find(int64_t n, ln__fft_kind kind, bool f64)
{
    for (ln__fft *f = plans; f; f = f->next)
        if (f->n == n && f->kind == kind && f->f64 == f64) {
            f->refs++;
            f->last_use = ++uses;
            return f;
        }
    return NULL;
}

ln_status ln__fft_get(const ln__fft **out, int64_t n, ln__fft_kind kind, bool f64)
{
    ln_status st = LN_OK;
    ln__fft *made = NULL;
    if (n < 1 || n > max_length)
        return ln__fail(LN_ERR_SHAPE, "a transform of length %lld, expected 1 … %lld", (long long)n,
                        (long long)max_length);
    pthread_mutex_lock(&lock);
    ln__fft *f = find(n, kind, f64);
    pthread_mutex_unlock(&lock);
    if (f) {
        *out = f;
        return LN_OK;
    }
    LN_TRY(make(&made, n, kind, f64)); /* not under the lock: it may take long, and gets plans itself */
    pthread_mutex_lock(&lock);
    f = find(n, kind, f64);
    if (!f) {
        f = made;
        made = NULL;
        f->last_use = ++uses;
        f->next = plans;
        plans = f;
    }
    pthread_mutex_unlock(&lock);
    *out = f;
done:
    destroy(made);
    return st;
}

/* Takes the idle plan used longest ago out of the list; NULL while those that remain are few. */
static ln__fft *surplus(int64_t allowed, size_t allowed_bytes)
{
    ln__fft **oldest = NULL, *f;
    int64_t idle = 0;
    size_t bytes = 0;
    for (ln__fft **p = &plans; *p; p = &(*p)->next) {
        if ((*p)->refs > 0)
            continue;
        idle++;
        bytes += (*p)->bytes;
        if (!oldest || (*p)->last_use < (*oldest)->last_use)
            oldest = p;
    }
    if (!oldest || (idle <= allowed && bytes <= allowed_bytes))
        return NULL;
    f = *oldest;
    *oldest = f->next;
    return f;
}

static void shrink(int64_t allowed, size_t allowed_bytes)
{
    for (ln__fft *f = NULL;;) {
        pthread_mutex_lock(&lock);
        f = surplus(allowed, allowed_bytes);
        pthread_mutex_unlock(&lock);
        if (!f)
            return;
        destroy(f);
    }
}

void ln__fft_put(const ln__fft *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&lock);
    const int64_t left = --((ln__fft *)(uintptr_t)f)->refs;
    pthread_mutex_unlock(&lock);
    if (left == 0)
        shrink(MAX_IDLE, max_idle_bytes);
}

void ln__fft_trim(void)
{
    shrink(0, 0);
}

/* ---- running them ---- */

int64_t ln__fft_good_size(int64_t n)
{
    if (n <= 1)
        return 1;
    int64_t best = 2;
    while (best < n)
        best *= 2;
    for (int64_t five = 1; five < best; five *= 5)
        for (int64_t three = five; three < best; three *= 3) {
            int64_t size = 2 * three;
            while (size < n)
                size *= 2;
            best = LN_MIN(best, size);
        }
    return best;
}

static size_t work_numbers(const ln__fft *f)
{
    if (f->kind == LN__FFT_COSINE)
        return 2 * (size_t)f->n + 2 + work_numbers(f->inner);
    if (f->kind == LN__FFT_REAL)
        return 2 * (size_t)f->inner->n + work_numbers(f->inner);
    return f->chirp ? 4 * (size_t)f->inner->n : 2 * (size_t)f->n;
}

size_t ln__fft_work(const ln__fft *f, int64_t lanes)
{
    return work_numbers(f) * (size_t)lanes * (f->f64 ? sizeof(double) : sizeof(float));
}

void ln__fft_run(const ln__fft *f, bool inverse, void *re, void *im, int64_t lanes, void *work)
{
    void *const a = inverse ? im : re, *const b = inverse ? re : im;
    if (f->f64)
        run_f64(f, a, b, lanes, work);
    else
        run_f32(f, a, b, lanes, work);
}

void ln__rfft_run(const ln__fft *f, void *X, const void *x, void *work)
{
    if (f->f64)
        rfft_f64(f, X, x, work);
    else
        rfft_f32(f, X, x, work);
}

void ln__irfft_run(const ln__fft *f, void *x, const void *X, double scale, void *work)
{
    if (f->f64)
        irfft_f64(f, x, X, scale, work);
    else
        irfft_f32(f, x, X, scale, work);
}

void ln__dct_run(const ln__fft *f, int type, void *y, const void *x, void *work)
{
    if (f->f64)
        dct_f64(f, type, y, x, work);
    else
        dct_f32(f, type, y, x, work);
}
