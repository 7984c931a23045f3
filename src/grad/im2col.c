/* im2col.c - patches of a channels-last image or volume as rows of a matrix, and their adjoint.
 *
 * Gathering is cut by positions. Scattering is cut by lines of the image, each line fetching what lands on it, so that
 * no two threads add to the same place and the order of additions is fixed. Where a patch lies inside the image, its
 * row of kw taps is one contiguous run. */
#include <string.h>

#include "core/threads.h"
#include "grad/conv.h"

enum { TILE_NUMBERS = 1 << 18, MIN_TILE = 32, CHUNK = 4096 };

int64_t ln__conv_tile(const ln__conv *g)
{
    const int64_t fit = LN_MAX(TILE_NUMBERS / LN_MAX(ln__conv_patch(g), 1), MIN_TILE);
    return LN_MIN(fit, LN_MAX(ln__conv_positions(g), 1));
}

typedef struct job {
    const ln__conv *g;
    char *columns, *image;
    size_t width; /* bytes of an element */
    int64_t group, begin, end, first_line;
    bool f64;
} job;

/* One line of taps of one position. */
static void gather_taps(const job *j, char *to, int64_t line, int64_t column)
{
    const ln__conv *g = j->g;
    const int64_t cg = g->c / g->groups;
    const size_t tap = (size_t)cg * j->width;
    const char *from = j->image + (size_t)(line * g->w * g->c + j->group * cg) * j->width;
    if (g->groups == 1 && g->dilation == 1 && column >= 0 && column + g->kw <= g->w) {
        memcpy(to, from + (size_t)(column * g->c) * j->width, (size_t)g->kw * tap);
        return;
    }
    for (int64_t k = 0; k < g->kw; k++, to += tap) {
        const int64_t at = column + k * g->dilation;
        if (at >= 0 && at < g->w)
            memcpy(to, from + (size_t)(at * g->c) * j->width, tap);
        else
            memset(to, 0, tap);
    }
}

/* The planes and lines of taps of the position (oz, oh, ow) of volume b. */
static void gather_patch(const job *j, char *to, int64_t b, int64_t oz, int64_t oh, int64_t ow)
{
    const ln__conv *g = j->g;
    const size_t taps = (size_t)(g->kw * (g->c / g->groups)) * j->width;
    for (int64_t kz = 0; kz < g->kz; kz++) {
        const int64_t plane = oz * g->stride - g->pad_z + kz * g->dilation;
        for (int64_t k = 0; k < g->kh; k++, to += taps) {
            const int64_t line = oh * g->stride - g->pad_h + k * g->dilation;
            if (plane < 0 || plane >= g->z || line < 0 || line >= g->h)
                memset(to, 0, taps);
            else
                gather_taps(j, to, (b * g->z + plane) * g->h + line, ow * g->stride - g->pad_w);
        }
    }
}

static void gather_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const ln__conv *g = j->g;
    const size_t row = (size_t)ln__conv_patch(g) * j->width;
    const int64_t first = (j->begin + begin) / g->ow;
    int64_t ow = (j->begin + begin) % g->ow, oh = first % g->oh, oz = first / g->oh % g->oz;
    int64_t b = first / g->oh / g->oz;
    for (int64_t p = begin; p < end; p++) {
        gather_patch(j, j->columns + (size_t)p * row, b, oz, oh, ow);
        if (++ow < g->ow)
            continue;
        ow = 0;
        if (++oh < g->oh)
            continue;
        oh = 0;
        if (++oz < g->oz)
            continue;
        oz = 0;
        b++;
    }
}

void ln__conv_gather(void *columns, const void *image, const ln__conv *g, ln_dtype dt, int64_t group, int64_t begin,
                     int64_t end)
{
    job j = { .g = g,
              .columns = columns,
              .image = (char *)(uintptr_t)image,
              .width = ln_dtype_bytes(dt, 1),
              .group = group,
              .begin = begin };
    ln__parallel_for(end - begin, LN_MAX(CHUNK / LN_MAX(ln__conv_patch(g), 1), 1), gather_rows, &j);
}

static void add_run(const job *j, char *to, const char *from, int64_t n)
{
    if (j->f64) {
        double *restrict d = (double *)(void *)to;
        const double *restrict s = (const double *)(const void *)from;
        for (int64_t i = 0; i < n; i++)
            d[i] += s[i];
    } else {
        float *restrict d = (float *)(void *)to;
        const float *restrict s = (const float *)(const void *)from;
        for (int64_t i = 0; i < n; i++)
            d[i] += s[i];
    }
}

/* What the positions (line `from`, columns [lo, hi) of the results) add to a line of the volume through taps `k`, which
 * count planes and lines of the kernel. */
static void scatter_taps(const job *j, char *line, int64_t from, int64_t lo, int64_t hi, int64_t k)
{
    const ln__conv *g = j->g;
    const int64_t cg = g->c / g->groups, patch = ln__conv_patch(g);
    for (int64_t ow = lo; ow < hi; ow++) {
        const int64_t column = ow * g->stride - g->pad_w;
        const char *taps = j->columns + (size_t)((from * g->ow + ow - j->begin) * patch + k * g->kw * cg) * j->width;
        if (g->groups == 1 && g->dilation == 1 && column >= 0 && column + g->kw <= g->w) {
            add_run(j, line + (size_t)(column * g->c) * j->width, taps, g->kw * cg);
            continue;
        }
        for (int64_t i = 0; i < g->kw; i++) {
            const int64_t at = column + i * g->dilation;
            if (at >= 0 && at < g->w)
                add_run(j, line + (size_t)(at * g->c + j->group * cg) * j->width, taps + (size_t)(i * cg) * j->width,
                        cg);
        }
    }
}

/* The result, along one axis, that sees place `at` through tap k; -1 when none does. */
static int64_t seen_by(int64_t at, int64_t k, int64_t pad, int64_t results, const ln__conv *g)
{
    const int64_t above = at + pad - k * g->dilation;
    return above < 0 || above % g->stride != 0 || above / g->stride >= results ? -1 : above / g->stride;
}

static void scatter_lines(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const ln__conv *g = j->g;
    for (int64_t l = j->first_line + begin; l < j->first_line + end; l++) {
        char *line = j->image + (size_t)(l * g->w * g->c) * j->width;
        const int64_t h = l % g->h, z = l / g->h % g->z, b = l / g->h / g->z;
        for (int64_t kz = 0; kz < g->kz; kz++) {
            const int64_t plane = seen_by(z, kz, g->pad_z, g->oz, g);
            for (int64_t k = 0; k < g->kh && plane >= 0; k++) {
                const int64_t row = seen_by(h, k, g->pad_h, g->oh, g);
                if (row < 0)
                    continue;
                const int64_t from = (b * g->oz + plane) * g->oh + row;
                scatter_taps(j, line, from, LN_MAX(j->begin - from * g->ow, 0), LN_MIN(j->end - from * g->ow, g->ow),
                             kz * g->kh + k);
            }
        }
    }
}

void ln__conv_scatter(void *image, const void *columns, const ln__conv *g, ln_dtype dt, int64_t group, int64_t begin,
                      int64_t end)
{
    const int64_t per_image = g->oz * g->oh * g->ow, lines_of_image = g->z * g->h;
    if (begin >= end)
        return;
    job j = { .g = g,
              .columns = (char *)(uintptr_t)columns,
              .image = image,
              .width = ln_dtype_bytes(dt, 1),
              .group = group,
              .begin = begin,
              .end = end,
              .first_line = begin / per_image * lines_of_image,
              .f64 = dt == LN_F64 };
    const int64_t lines = ((end - 1) / per_image + 1) * lines_of_image - j.first_line;
    ln__parallel_for(lines, LN_MAX(CHUNK / LN_MAX(g->w * g->c, 1), 1), scatter_lines, &j);
}
