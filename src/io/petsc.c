/* petsc.c - PETSc's binary files. Everything is big-endian and packed, one object behind the other:
 *
 *   matrix  1211216, rows, cols, nnz, rows row lengths, nnz columns, nnz values
 *   vector  1211214, n, n values
 *
 * Whole numbers have 32 bits, or 64 in a PETSc configured so: its class id then begins with four zero bytes. Values are
 * f64; files of other precisions look the same and are noticed by their length. (PETSc manual, MatLoad and VecLoad.) */
#include "io/petsc.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "core/file.h"

enum { CLASS_MATRIX = 1211216, CLASS_VECTOR = 1211214 };

typedef struct reader {
    const unsigned char *at, *end;
    const char *name;
    size_t width; /* bytes of a whole number */
    int object;   /* from 1 */
} reader;

static uint64_t big_endian(const unsigned char *p, size_t width)
{
    uint64_t v = 0;
    for (size_t i = 0; i < width; i++)
        v = v << 8 | p[i];
    return v;
}

static int64_t whole(const unsigned char *p, size_t width)
{
    const uint64_t v = big_endian(p, width);
    if (width == 4)
        return v <= INT32_MAX ? (int64_t)v : (int64_t)v - (INT64_C(1) << 32);
    int64_t as;
    memcpy(&as, &v, sizeof as);
    return as;
}

static double real(const unsigned char *p)
{
    const uint64_t v = big_endian(p, 8);
    double as;
    memcpy(&as, &v, sizeof as);
    return as;
}

static bool is_class(int64_t id)
{
    return id == CLASS_MATRIX || id == CLASS_VECTOR;
}

bool ln__petsc_begins(const void *head, size_t bytes)
{
    return bytes >= 8 && (is_class(whole(head, 4)) || is_class(whole(head, 8)));
}

void ln__petsc_free(ln__petsc *p)
{
    ln__coo_free(&p->matrix);
    ln__free(p->vector);
    *p = (ln__petsc){ 0 };
}

/* Are `ints` whole numbers and `reals` values still there? Both are at most 2^62 / 16. */
static ln_status needs(const reader *r, int64_t ints, int64_t reals)
{
    const size_t left = (size_t)(r->end - r->at), size = (size_t)ints * r->width + (size_t)reals * 8;
    if (size > left)
        return ln__fail(LN_ERR_FORMAT, "%s: object %d needs %zu more bytes (values of 64 bits), but %zu are left",
                        r->name, r->object, size, left);
    return LN_OK;
}

static int64_t next(reader *r)
{
    const int64_t v = whole(r->at, r->width);
    r->at += r->width;
    return v;
}

static ln_status values(reader *r, double *to, int64_t n)
{
    for (int64_t i = 0; i < n; i++, r->at += 8) {
        to[i] = real(r->at);
        if (!isfinite(to[i]))
            return ln__fail(LN_ERR_NUMERIC, "%s: object %d: value %lld is not finite", r->name, r->object,
                            (long long)i + 1);
    }
    return LN_OK;
}

/* Row lengths and columns. */
static ln_status pattern(reader *r, ln__coo *c)
{
    int64_t e = 0;
    for (int64_t i = 0; i < c->rows; i++) {
        const int64_t length = next(r);
        if (length < 0 || length > c->n - e)
            return ln__fail(LN_ERR_FORMAT, "%s: object %d: row %lld has %lld of %lld entries, %lld are left", r->name,
                            r->object, (long long)i + 1, (long long)length, (long long)c->n, (long long)(c->n - e));
        for (int64_t k = 0; k < length; k++)
            c->row[e++] = i;
    }
    if (e != c->n)
        return ln__fail(LN_ERR_FORMAT, "%s: object %d: the rows have %lld entries together, expected %lld", r->name,
                        r->object, (long long)e, (long long)c->n);
    for (e = 0; e < c->n; e++) {
        c->col[e] = next(r);
        if (c->col[e] < 0 || c->col[e] >= c->cols)
            return ln__fail(LN_ERR_FORMAT, "%s: object %d: entry %lld is in column %lld, expected 0 to %lld", r->name,
                            r->object, (long long)e + 1, (long long)c->col[e], (long long)c->cols - 1);
    }
    return LN_OK;
}

static ln_status read_matrix(reader *r, ln__coo *out)
{
    ln_status st = LN_OK;
    ln__coo c = { 0 };
    LN_TRY(needs(r, 3, 0));
    c.rows = next(r);
    c.cols = next(r);
    c.n = next(r);
    if (c.n == -1)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: object %d is a dense matrix, expected a sparse one (aij)", r->name, r->object);
    if (c.rows < 0 || c.cols < 0 || c.rows >= INT32_MAX || c.cols >= INT32_MAX || c.n < 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: object %d is %lld x %lld with %lld entries: rows and columns are 0 to 2^31",
                r->name, r->object, (long long)c.rows, (long long)c.cols, (long long)c.n);
    if (c.n > (r->end - r->at) / 8)
        LN_FAIL(LN_ERR_FORMAT, "%s: object %d promises %lld entries, but %zu bytes are left", r->name, r->object,
                (long long)c.n, (size_t)(r->end - r->at));
    LN_TRY(needs(r, c.rows + c.n, c.n));
    LN_TRY(LN_NEW(&c.row, c.n));
    LN_TRY(LN_NEW(&c.col, c.n));
    LN_TRY(LN_NEW(&c.value, c.n));
    LN_TRY(pattern(r, &c));
    LN_TRY(values(r, c.value, c.n));
    *out = c;
    c = (ln__coo){ 0 };
done:
    ln__coo_free(&c);
    return st;
}

static ln_status read_vector(reader *r, double **out, int64_t *n)
{
    ln_status st = LN_OK;
    double *v = NULL;
    LN_TRY(needs(r, 1, 0));
    const int64_t length = next(r);
    if (length < 0 || length > (r->end - r->at) / 8)
        LN_FAIL(LN_ERR_FORMAT, "%s: object %d is a vector of %lld values, but %zu bytes are left", r->name, r->object,
                (long long)length, (size_t)(r->end - r->at));
    LN_TRY(LN_NEW(&v, length));
    LN_TRY(values(r, v, length));
    *out = v;
    *n = length;
    v = NULL;
done:
    ln__free(v);
    return st;
}

static ln_status read_object(reader *r, ln__petsc *p)
{
    ln_status st = LN_OK;
    ln__petsc here = { 0 };
    LN_TRY(needs(r, 1, 0));
    const int64_t id = next(r);
    if (id == CLASS_MATRIX) {
        LN_TRY(read_matrix(r, &here.matrix));
        here.has_matrix = true;
    } else if (id == CLASS_VECTOR) {
        LN_TRY(read_vector(r, &here.vector, &here.n));
        here.has_vector = true;
    } else {
        LN_FAIL(LN_ERR_FORMAT,
                "%s: object %d has class %lld, expected %d (matrix) or %d (vector) in PETSc's binary format", r->name,
                r->object, (long long)id, CLASS_MATRIX, CLASS_VECTOR);
    }
    if (here.has_matrix && !p->has_matrix) {
        p->matrix = here.matrix;
        p->has_matrix = true;
        here.matrix = (ln__coo){ 0 };
    } else if (here.has_vector && !p->has_vector) {
        p->vector = here.vector;
        p->n = here.n;
        p->has_vector = true;
        here.vector = NULL;
    }
done:
    ln__petsc_free(&here);
    return st;
}

ln_status ln__petsc_from_memory(ln__petsc *out, const void *data, size_t bytes, const char *name)
{
    ln_status st = LN_OK;
    ln__petsc p = { 0 };
    reader r = { data, (const unsigned char *)data + bytes, name, 4, 0 };
    if (!ln__petsc_begins(data, bytes))
        LN_FAIL(LN_ERR_FORMAT, "%s: no matrix or vector in PETSc's binary format", name);
    r.width = is_class(whole(data, 4)) ? 4 : 8;
    while (r.at < r.end) {
        r.object++;
        LN_TRY(read_object(&r, &p));
    }
    *out = p;
    p = (ln__petsc){ 0 };
done:
    ln__petsc_free(&p);
    return st;
}

ln_status ln__petsc_read(ln__petsc *out, const char *path)
{
    ln__map *map = NULL;
    ln_status st = ln__map_open(&map, path);
    if (st == LN_OK)
        st = ln__petsc_from_memory(out, ln__map_data(map), ln__map_bytes(map), path);
    ln__map_release(map);
    return st;
}
