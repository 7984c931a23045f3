/* matrix.c - scale A + shift I over compressed rows, stencils and other operators: products, diagonals, checks. */
#include "solve/matrix.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "linop/csr.h"
#include "solve/vectors.h"

/* Of compressed rows: where diagonals are, the least and the greatest. */
static ln_status find_diagonal(ln__matrix *m)
{
    ln_status st = LN_OK;
    LN_TRY(LN_NEW(&m->diag, m->n));
    for (int64_t i = 0; i < m->n; i++) {
        const int64_t e = ln__csr_from(m->a, i, i);
        const bool found = e < m->a->start[i + 1] && m->a->column[e] == i;
        const double d = found ? ((const double *)m->a->value)[e] : 0;
        m->diag[i] = e;
        if (!found && m->bare < 0)
            m->bare = i;
        if (i == 0 || d < m->least) {
            m->least = d;
            m->least_row = i;
        }
        if (i == 0 || d > m->most) {
            m->most = d;
            m->most_row = i;
        }
    }
done:
    return st;
}

ln_status ln__matrix_make(ln__matrix *m, const ln_linop *op)
{
    ln_status st = LN_OK;
    *m = (ln__matrix){ .n = ln_linop_rows(op), .scale = 1, .bare = -1 };
    const ln__csr *a = ln__linop_csr_of(op);
    const ln__stencil *s = ln__linop_stencil_of(op);
    if (ln_linop_rows(op) != ln_linop_cols(op))
        LN_FAIL(LN_ERR_SHAPE, "solve: the matrix is %lld x %lld, expected a square one", (long long)ln_linop_rows(op),
                (long long)ln_linop_cols(op));
    if (a && a->dtype != LN_F64) {
        LN_TRY(ln__csr_cast(&m->own, a, LN_F64));
        a = m->own;
    }
    m->a = a;
    if (a)
        LN_TRY(find_diagonal(m));
    if (s) {
        m->grid = true;
        m->s = *s;
        m->least = m->most = s->centre;
        LN_TRY(LN_NEW0(&m->zeros, s->dims[2]));
    }
    m->op = ln_linop_retain(op);
done:
    if (st != LN_OK)
        ln__matrix_free(m);
    return st;
}

void ln__matrix_free(ln__matrix *m)
{
    ln__csr_free(m->own);
    ln__free(m->diag);
    ln__free(m->zeros);
    ln_linop_release(m->op);
    *m = (ln__matrix){ 0 };
}

void ln__matrix_set(ln__matrix *m, double scale, double shift)
{
    m->scale = scale;
    m->shift = shift;
    if (m->grid) {
        const ln__stencil *s = ln__linop_stencil_of(m->op);
        m->s.centre = scale * s->centre + shift;
        for (int i = 0; i < 3; i++)
            m->s.side[i] = scale * s->side[i];
    }
}

/* ---- products ---- */

typedef struct product {
    const ln__matrix *m;
    double *y, *work;
    const double *x;
    int64_t chunk;
} product;

static void row_block(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    const ln__csr *a = p->m->a;
    const double *value = a->value, *x = p->x;
    const double scale = p->m->scale, shift = p->m->shift;
    for (int64_t i = begin, e = a->start[begin]; i < end; i++) {
        const int64_t stop = a->start[i + 1];
        double sum = 0;
        for (; e < stop; e++)
            sum += value[e] * x[a->column[e]];
        p->y[i] = scale * sum + shift * x[i];
    }
    if (p->work)
        p->work[begin / p->chunk] = ln__vec_block_dot(p->y + begin, x + begin, end - begin);
}

static void line_block(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    const int64_t n = p->m->s.dims[2];
    ln__stencil_lines(&p->m->s, p->y, p->x, begin, end);
    if (p->work)
        p->work[begin / p->chunk] = ln__vec_block_dot(p->y + begin * n, p->x + begin * n, (end - begin) * n);
}

static int64_t lines_chunk(const ln__matrix *m)
{
    return LN_MAX(LN_VECTOR_BLOCK / m->s.dims[2], 1);
}

int64_t ln__matrix_partials(const ln__matrix *m)
{
    const int64_t blocks = ln__vector_blocks(m->n);
    const int64_t lines = m->grid ? m->s.dims[0] * m->s.dims[1] / lines_chunk(m) + 1 : 0;
    return LN_MAX(LN_MAX(blocks, lines), 1);
}

typedef struct shifting {
    double *y;
    const double *x;
    double scale, shift;
} shifting;

static void shift_block(void *ctx, int64_t begin, int64_t end)
{
    const shifting *s = ctx;
    for (int64_t i = begin; i < end; i++)
        s->y[i] = s->scale * s->y[i] + s->shift * s->x[i];
}

ln_status ln__matrix_mult(const ln__matrix *m, double *y, const double *x, double *work, double *dot)
{
    ln_status st = LN_OK;
    product p = { m, y, dot ? work : NULL, x, LN_VECTOR_BLOCK };
    int64_t items = m->n;
    if (m->a) {
        ln__parallel_for(items, p.chunk, row_block, &p);
    } else if (m->grid) {
        p.chunk = lines_chunk(m);
        items = m->s.dims[0] * m->s.dims[1];
        ln__parallel_for(items, p.chunk, line_block, &p);
    } else {
        LN_TRY(ln_linop_apply_f64(m->op, y, m->n, x, m->n, 1));
        if (m->scale != 1 || m->shift != 0)
            ln__parallel_for(m->n, LN_VECTOR_BLOCK, shift_block, &(shifting){ y, x, m->scale, m->shift });
        if (dot)
            *dot = ln__vec_dot(y, x, m->n, work);
        goto done;
    }
    if (dot) {
        *dot = 0;
        for (int64_t i = 0; i < (items + p.chunk - 1) / p.chunk; i++)
            *dot += work[i];
    }
done:
    return st;
}

/* ---- checks ---- */

ln_status ln__matrix_needs_diagonal(const ln__matrix *m, const char *who)
{
    if (!m->a && !m->grid)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s needs the entries of the matrix, which an operator of kind '%s' hides",
                        who, ln_linop_kind(m->op));
    if (m->bare >= 0)
        return ln__fail(LN_ERR_NUMERIC, "%s needs a positive diagonal, but row %lld has no diagonal entry", who,
                        (long long)m->bare + 1);
    const bool falls = m->scale < 0;
    const int64_t row = falls ? m->most_row : m->least_row;
    const double d = m->scale * (falls ? m->most : m->least) + m->shift;
    if (m->n > 0 && !(d > 0))
        return ln__fail(LN_ERR_NUMERIC, "%s needs a positive diagonal, but that of row %lld is %g", who,
                        (long long)row + 1, d);
    return LN_OK;
}

ln_status ln__matrix_needs_symmetry(const ln__matrix *m, const char *who)
{
    ln_status st = LN_OK;
    double worst = 0, most = 0;
    int64_t row = 0, col = 0;
    if (!m->a)
        goto done;
    LN_TRY(ln__csr_asymmetry(&worst, &row, &col, m->a));
    for (int64_t e = 0; e < m->a->nnz; e++)
        most = fmax(most, fabs(((const double *)m->a->value)[e]));
    if (worst > 1e-10 * most)
        LN_FAIL(
            LN_ERR_NUMERIC,
            "%s needs a symmetric matrix, but entry (%lld,%lld) is %g and (%lld,%lld) is %g: gmres and bicgstab take "
            "any",
            who, (long long)row + 1, (long long)col + 1, ln__csr_at(m->a, row, col), (long long)col + 1,
            (long long)row + 1, ln__csr_at(m->a, col, row));
done:
    return st;
}

void ln__matrix_diagonal(const ln__matrix *m, double *d)
{
    for (int64_t i = 0; i < m->n; i++) {
        if (m->grid) {
            d[i] = m->s.centre;
            continue;
        }
        const int64_t e = m->diag[i];
        const bool found = e < m->a->start[i + 1] && m->a->column[e] == i;
        d[i] = m->scale * (found ? ((const double *)m->a->value)[e] : 0) + m->shift;
    }
}

static ln_status csr_of_rows(ln__csr **out, const ln__matrix *m)
{
    ln_status st = LN_OK;
    ln__csr *c = NULL;
    LN_TRY(ln__csr_cast(&c, m->a, LN_F64));
    double *v = c->value;
    if (m->shift != 0 && m->bare >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "solve: row %lld stores no diagonal entry to shift", (long long)m->bare + 1);
    for (int64_t e = 0; e < c->nnz; e++)
        v[e] *= m->scale;
    for (int64_t i = 0; i < m->n && m->shift != 0; i++)
        v[m->diag[i]] += m->shift;
    *out = c;
    c = NULL;
done:
    ln__csr_free(c);
    return st;
}

ln_status ln__matrix_csr(ln__csr **out, const ln__matrix *m)
{
    ln_status st = LN_OK;
    ln__csr *c = NULL;
    const int64_t *dims = m->s.dims;
    const int64_t step[3] = { dims[1] * dims[2], dims[2], 1 };
    if (m->a)
        return csr_of_rows(out, m);
    if (!m->grid)
        return ln__matrix_needs_diagonal(m, "solve");
    LN_TRY(ln__csr_new(&c, LN_F64, m->n, m->n, 7 * m->n));
    int64_t e = 0;
    for (int64_t p = 0; p < m->n; p++) {
        for (int k = 0; k < 7; k++) { /* three below, the centre, three above */
            const int axis = k < 3 ? k : 6 - k;
            const int64_t at = k == 3 ? 0 : p / step[axis] % dims[axis];
            if (k != 3 && (k < 3 ? at == 0 : at + 1 == dims[axis]))
                continue;
            c->column[e] = (int32_t)(k == 3 ? p : k < 3 ? p - step[axis] : p + step[axis]);
            ((double *)c->value)[e++] = k == 3 ? m->s.centre : -m->s.side[axis];
        }
        c->start[p + 1] = e;
    }
    c->nnz = e;
    *out = c;
    c = NULL;
done:
    ln__csr_free(c);
    return st;
}
