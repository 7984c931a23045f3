/* bench_kernels.c - how fast the kernels are beside what this machine can do at most: a loop that only reads memory and
 * one that only multiplies and adds, measured in the same run. Every figure is the fastest of many short runs.
 *     bench_kernels [--threads N] [--seconds S] [WORD...]     only lines whose name contains one of the words */
#include "core/core.h"
#include "core/kernels.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static int threads = 1;
static double budget = 0.15; /* seconds per figure */
static char **words;
static int n_words;
static double stream_rate, peak_rate;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool wanted(const char *name)
{
    for (int i = 0; i < n_words; i++)
        if (strstr(name, words[i]))
            return true;
    return !n_words;
}

/* Fastest time of job(cookie, part, parts), all parts at once; each run is repeated until the budget is used up. */
typedef void job(const void *cookie, int part, int parts);

static double fastest(job *run, const void *cookie)
{
    double best = INFINITY;
    const double end = now() + budget;
    for (int i = 0; i < 5 || now() < end; i++) {
        const double begin = now();
        if (threads == 1) {
            run(cookie, 0, 1);
        } else {
#pragma omp parallel num_threads(threads)
            run(cookie, omp_get_thread_num(), omp_get_num_threads());
        }
        best = fmin(best, now() - begin);
    }
    return best;
}

/* ---- the machine's limits ---- */

typedef struct area {
    const uint8_t *bytes;
    size_t size;
} area;

static volatile uint64_t sink;

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t read_all(const uint8_t *p, size_t n)
{
    __m256i s[4] = { _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256() };
    for (size_t i = 0; i + 256 <= n; i += 256) {
        const __m256i *v = (const __m256i *)(p + i);
        s[0] = _mm256_or_si256(_mm256_or_si256(s[0], v[0]), v[4]);
        s[1] = _mm256_or_si256(_mm256_or_si256(s[1], v[1]), v[5]);
        s[2] = _mm256_or_si256(_mm256_or_si256(s[2], v[2]), v[6]);
        s[3] = _mm256_or_si256(_mm256_or_si256(s[3], v[3]), v[7]);
    }
    const __m256i all = _mm256_or_si256(_mm256_or_si256(s[0], s[1]), _mm256_or_si256(s[2], s[3]));
    return (uint64_t)_mm256_extract_epi64(all, 0) ^ (uint64_t)_mm256_extract_epi64(all, 3);
}
#define FMA(j) "vfmadd231ps %[a], %[a], %%ymm" #j "\n\t"
__attribute__((target("avx2,fma"))) static float multiply_add(int64_t n)
{
    const __m256 a = _mm256_set1_ps(1e-9f);
    for (int64_t i = 0; i < n; i++)
        __asm__ volatile(FMA(0) FMA(1) FMA(2) FMA(3) FMA(4) FMA(5) FMA(6) FMA(7) FMA(8) FMA(9) FMA(10) FMA(11)
                         :
                         : [a] "x"(a)
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                           "xmm11");
    return _mm256_cvtss_f32(a);
}
enum { FLOPS_PER_ROUND = 12 * 8 * 2 };
#else
static uint64_t read_all(const uint8_t *p, size_t n)
{
    uint64_t s[4] = { 0 };
    for (size_t i = 0; i + 32 <= n; i += 32)
        for (int j = 0; j < 4; j++)
            s[j] ^= *(const uint64_t *)(p + i + 8 * j);
    return s[0] ^ s[1] ^ s[2] ^ s[3];
}
static float multiply_add(int64_t n)
{
    float s[16] = { 0 };
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < 16; j++)
            s[j] = fmaf(s[j], 0.5f, 1);
    return s[0] + s[15];
}
enum { FLOPS_PER_ROUND = 16 * 2 };
#endif

static void read_part(const void *cookie, int part, int parts)
{
    const area *a = cookie;
    const size_t share = a->size / (size_t)parts & ~(size_t)255;
    sink = read_all(a->bytes + (size_t)part * share, share);
}

enum { ROUNDS = 20000 };

static void multiply_part(const void *cookie, int part, int parts)
{
    (void)cookie, (void)part, (void)parts;
    sink = (uint64_t)multiply_add(ROUNDS);
}

/* ---- gemv and codes ---- */

typedef struct product {
    const ln__kernels *k;
    ln_dtype dtype;
    const uint8_t *w;
    size_t row_bytes;
    int64_t rows, cols, T, ldx;
    const void *x;
    float *y;
} product;

static void gemv_part(const void *cookie, int part, int parts)
{
    const product *p = cookie;
    const int64_t from = p->rows * part / parts, to = p->rows * (part + 1) / parts;
    p->k->gemv[p->dtype](p->y + from, p->rows, p->w + (size_t)from * p->row_bytes, p->row_bytes, to - from, p->cols,
                         p->x, p->ldx, p->T);
}

static void to_f32_part(const void *cookie, int part, int parts)
{
    const product *p = cookie;
    const int64_t from = p->rows * part / parts, to = p->rows * (part + 1) / parts;
    for (int64_t r = from; r < to; r++) /* into a tile that stays in L2, as prefill does */
        p->k->to_f32[p->dtype](p->y + ((from + (r - from) % 64) * p->cols), p->w + (size_t)r * p->row_bytes, p->cols);
}

static void line(const char *name, double bytes, double flops, double seconds)
{
    const double rate = bytes / seconds * 1e-9, compute = flops / seconds * 1e-9;
    printf("%-44s %9.2f GB/s %5.0f %% of stream %9.1f GFLOP/s %5.0f %% of peak %10.2f us\n", name, rate,
           100 * rate / stream_rate, compute, 100 * compute / peak_rate, seconds * 1e6);
    fflush(stdout);
}

/* Weights with random quants and every f16 scale set to something tame. */
static void fill(uint8_t *w, ln_dtype dtype, size_t bytes, const ln__kernels *k)
{
    uint32_t s = 1;
    float row[256];
    const int64_t block = ln_dtype_block(dtype);
    if (k->from_f32[dtype]) {
        const int64_t n = LN_MAX(block, 256);
        const size_t step = ln_dtype_bytes(dtype, n);
        for (size_t at = 0; at + step <= bytes; at += step) {
            if (at >= 64 * step) {
                memcpy(w + at, w + at % (64 * step), step);
                continue;
            }
            for (int j = 0; j < 256; j++)
                row[j] = (float)((s = s * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
            k->from_f32[dtype](w + at, row, n);
        }
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        w[i] = (uint8_t)((s = s * 1664525u + 1013904223u) >> 24) & 0x37; /* f16 below 1 wherever the scales are */
}

static void products(const ln__kernels *k, uint8_t *w, size_t room)
{
    static const ln_dtype types[] = { LN_F32,  LN_F16,  LN_BF16, LN_Q8_0, LN_Q4_0, LN_Q4_1, LN_Q5_0,
                                      LN_Q5_1, LN_Q2_K, LN_Q3_K, LN_Q4_K, LN_Q5_K, LN_Q6_K };
    static const size_t sizes[] = { 200u << 10, 6u << 20, 96u << 20 };
    static const char *const places[] = { "L2", "L3", "DRAM" };
    static const int64_t tokens[] = { 1, 2, 4, 8 };
    static float x[8 * 1536], y[8 * 400000];
    static ln__q8 q[8 * 48];
    for (int i = 0; i < 8 * 1536; i++)
        x[i] = (float)sin(i);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const bool super = ln_dtype_block(types[i]) == 256;
        for (int place = 0; place < 3; place++)
            for (int t = 0; t < 4; t++) {
                char name[96];
                product p = { .k = k, .dtype = types[i], .w = w, .cols = super ? 1536 : 576, .T = tokens[t], .y = y };
                snprintf(name, sizeof name, "gemv %s %s cols %d T %d %s", ln_dtype_name(types[i]), ln__cpu_name(k),
                         (int)p.cols, (int)p.T, places[place]);
                if (!k->gemv[types[i]] || !wanted(name))
                    continue;
                p.row_bytes = ln_dtype_bytes(types[i], p.cols);
                p.rows = (int64_t)(LN_MIN(sizes[place], room) / p.row_bytes);
                fill(w, types[i], (size_t)p.rows * p.row_bytes, k);
                for (int64_t r = 0; r < p.T; r++)
                    k->q8_pack(q + r * 48, x + r * 1536, p.cols);
                p.x = k->gemv_takes_q8[types[i]] ? (const void *)q : (const void *)x;
                p.ldx = k->gemv_takes_q8[types[i]] ? 48 : 1536;
                line(name, (double)p.rows * (double)p.row_bytes, 2.0 * (double)(p.rows * p.cols * p.T),
                     fastest(gemv_part, &p));
            }
        char name[96];
        product p = { .k = k, .dtype = types[i], .w = w, .cols = super ? 1536 : 576, .y = y };
        snprintf(name, sizeof name, "to_f32 %s %s", ln_dtype_name(types[i]), ln__cpu_name(k));
        if (!wanted(name))
            continue;
        p.row_bytes = ln_dtype_bytes(types[i], p.cols);
        p.rows = (int64_t)((6u << 20) / p.row_bytes);
        fill(w, types[i], (size_t)p.rows * p.row_bytes, k);
        const double seconds = fastest(to_f32_part, &p);
        printf("%-44s %9.2f GB/s read %8.2f G elements/s\n", name,
               (double)p.rows * (double)p.row_bytes / seconds * 1e-9, (double)(p.rows * p.cols) / seconds * 1e-9);
    }
}

/* ---- dictionary codes ---- */

typedef struct code_product {
    const ln__kernels *k;
    ln_dtype dtype;
    const uint8_t *values, *mask;
    const int64_t *offsets;
    int64_t rows, width, T;
    const float *h;
    float *y;
} code_product;

static void codes_part(const void *cookie, int part, int parts)
{
    const code_product *p = cookie;
    const int64_t from = p->rows * part / parts, to = p->rows * (part + 1) / parts;
    p->k->codes[p->dtype](p->y + from, p->rows, p->values, p->offsets + from, p->mask + from * ((p->width + 7) / 8),
                          to - from, p->width, p->h, p->width, p->T);
}

/* 1536 outputs, 331 atoms, half of them set: a layer of a model compressed by a fifth. GFLOP/s count the set ones. */
static void code_products(const ln__kernels *k, uint8_t *values)
{
    enum { ROWS = 1536, WIDTH = 331, MASK_BYTES = (WIDTH + 7) / 8 };
    static const ln_dtype types[] = { LN_F32, LN_F16, LN_BF16 };
    static uint8_t mask[ROWS * MASK_BYTES];
    static int64_t offsets[ROWS];
    static float h[8 * WIDTH], y[8 * ROWS];
    int64_t count = 0;
    uint32_t s = 1;
    for (int i = 0; i < 8 * WIDTH; i++)
        h[i] = (float)sin(i);
    memset(mask, 0, sizeof mask);
    for (int r = 0; r < ROWS; r++) {
        offsets[r] = count;
        for (int i = 0; i < WIDTH; i++)
            if ((s = s * 1664525u + 1013904223u) >> 31) {
                mask[r * MASK_BYTES + i / 8] |= (uint8_t)(1u << i % 8);
                count++;
            }
    }
    for (int i = 0; i < 3; i++)
        for (int64_t T = 1; T <= 8; T *= 2) {
            char name[96];
            code_product p = { k, types[i], values, mask, offsets, ROWS, WIDTH, T, h, y };
            snprintf(name, sizeof name, "codes %s %s %d x %d half T %d", ln_dtype_name(types[i]), ln__cpu_name(k), ROWS,
                     WIDTH, (int)T);
            if (!wanted(name))
                continue;
            fill(values, types[i], ln_dtype_bytes(types[i], ROWS * WIDTH), k);
            line(name, (double)(ln_dtype_bytes(types[i], count) + sizeof mask), 2.0 * (double)(count * T),
                 fastest(codes_part, &p));
        }
}

int main(int argc, char **argv)
{
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (!strcmp(argv[i], "--threads"))
            threads = LN_MAX(1, atoi(argv[i + 1]));
        else if (!strcmp(argv[i], "--seconds"))
            budget = atof(argv[i + 1]);
        else
            break;
    }
    words = argv + i;
    n_words = argc - i;
    const size_t room = 96u << 20;
    uint8_t *w = aligned_alloc(4096, room);
    if (!w)
        return 1;
    memset(w, 1, room);
    const double read_seconds = fastest(read_part, &(area){ w, room });
    const double read_l3 = fastest(read_part, &(area){ w, 6u << 20 });
    const double read_l2 = fastest(read_part, &(area){ w, 200u << 10 });
    const double multiply_seconds = fastest(multiply_part, NULL);
    stream_rate = (double)room / read_seconds * 1e-9;
    peak_rate = (double)threads * ROUNDS * FLOPS_PER_ROUND / multiply_seconds * 1e-9;
    printf("threads %d: reading %.1f GB/s from DRAM, %.1f from L3 (6 MiB), %.1f from L2 (200 KiB); %.0f GFLOP/s f32\n",
           threads, stream_rate, (6 << 20) / read_l3 * 1e-9, (200 << 10) / read_l2 * 1e-9, peak_rate);
    ln__kernels k;
    for (int level = LN_CPU_REF; ln__kernels_for(&k, (ln__cpu_level)level) == LN_OK; level++) {
        products(&k, w, room);
        code_products(&k, w);
    }
    free(w);
    return 0;
}
