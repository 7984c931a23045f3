/* spmm.c - y = A x for a sparse A in compressed rows: dx = A^T g, d value_e = g_row . x_column.
 *
 * A^T is never built as such: a counting sort puts the entries in order of their columns, stably, and each row of dx
 * collects its own; nothing is written by two threads. The sort runs in scratch, on the calling thread. */
#include <string.h>

#include "core/threads.h"
#include "grad/product_vec.h"
#include "grad/tape.h"

enum { CHUNK = 1 << 14 };

typedef struct spmm_job {
    const ln__product_loops *loops;
    bool f64, add;
    int64_t width; /* of a row of x, y, g */
    const int32_t *offsets, *columns;
    const int32_t *start, *entry, *row; /* backward: entries by column, and the row of each */
    const char *values, *x, *g;
    char *y;
} spmm_job;

static double value(const spmm_job *j, int64_t e)
{
    return j->f64 ? ((const double *)(const void *)j->values)[e] : (double)((const float *)(const void *)j->values)[e];
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const spmm_job *j = ctx;
    const int64_t bytes = j->width * (j->f64 ? 8 : 4);
    for (int64_t r = begin; r < end; r++) {
        memset(j->y + r * bytes, 0, (size_t)bytes);
        for (int64_t e = j->offsets[r]; e < j->offsets[r + 1]; e++)
            j->loops->axpy[j->f64](j->y + r * bytes, j->x + j->columns[e] * bytes, value(j, e), j->width);
    }
}

static void back_rows(void *ctx, int64_t begin, int64_t end)
{
    const spmm_job *j = ctx;
    const int64_t bytes = j->width * (j->f64 ? 8 : 4);
    for (int64_t c = begin; c < end; c++) {
        if (!j->add)
            memset(j->y + c * bytes, 0, (size_t)bytes);
        for (int64_t i = j->start[c]; i < j->start[c + 1]; i++) {
            const int64_t e = j->entry[i];
            j->loops->axpy[j->f64](j->y + c * bytes, j->g + j->row[e] * bytes, value(j, e), j->width);
        }
    }
}

static void back_values(void *ctx, int64_t begin, int64_t end)
{
    const spmm_job *j = ctx;
    const int64_t bytes = j->width * (j->f64 ? 8 : 4);
    for (int64_t r = begin; r < end; r++)
        for (int64_t e = j->offsets[r]; e < j->offsets[r + 1]; e++) {
            const double d = j->loops->dot[j->f64](j->g + r * bytes, j->x + j->columns[e] * bytes, j->width);
            if (j->f64) {
                double *to = (double *)(void *)j->y + e;
                *to = j->add ? *to + d : d;
            } else {
                float *to = (float *)(void *)j->y + e;
                *to = (float)(j->add ? (double)*to + d : d);
            }
        }
}

static ln_status spmm_infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    static const char expected[] = "offsets (rows+1), columns (nnz), values (nnz) and x (n,C)";
    LN_TRY(ln__want_index(n, 0));
    LN_TRY(ln__want_index(n, 1));
    LN_TRY(ln__want_float(n, 2, 1));
    LN_TRY(ln__want_float(n, 3, 2));
    const ln_var *offsets = n->in[0], *columns = n->in[1], *values = n->in[2], *x = n->in[3];
    if (offsets->ndim != 1 || offsets->dim[0] < 1 || columns->ndim != 1 || columns->dim[0] != values->dim[0] ||
        LN_MAX(LN_MAX(columns->dim[0], offsets->dim[0]), x->dim[0]) >= INT32_MAX)
        LN_TRY(ln__shape_error(n, expected));
    LN_TRY(ln__out(t, n, 0, x->dtype, 2, (int64_t[]){ offsets->dim[0] - 1, x->dim[1] }));
    n->scratch = (size_t)(x->dim[0] + 2 + 2 * columns->dim[0]) * sizeof(int32_t);
done:
    return st;
}

/* Offsets ascend from 0 to nnz, columns name rows of x. */
static ln_status check_pattern(const ln__node *n)
{
    const int32_t *offsets = n->in[0]->data, *columns = n->in[1]->data;
    const int64_t rows = n->in[0]->dim[0] - 1, nnz = n->in[1]->dim[0], below = n->in[3]->dim[0];
    if (offsets[0] != 0 || offsets[rows] != nnz)
        return ln__fail(LN_ERR_RANGE, "%s: offsets run from %d to %d, expected 0 to %lld", n->op->name, offsets[0],
                        offsets[rows], (long long)nnz);
    for (int64_t r = 0; r < rows; r++)
        if (offsets[r + 1] < offsets[r])
            return ln__fail(LN_ERR_RANGE, "%s: offset %lld is %d, the one before %d", n->op->name, (long long)(r + 1),
                            offsets[r + 1], offsets[r]);
    for (int64_t e = 0; e < nnz; e++)
        if (columns[e] < 0 || columns[e] >= below)
            return ln__fail(LN_ERR_RANGE, "%s: column %d of entry %lld is outside [0, %lld)", n->op->name, columns[e],
                            (long long)e, (long long)below);
    return LN_OK;
}

static spmm_job job_of(const ln__node *n)
{
    return (spmm_job){ .loops = LN__LEVELS(ln__product),
                       .f64 = n->in[3]->dtype == LN_F64,
                       .width = n->in[3]->dim[1],
                       .offsets = n->in[0]->data,
                       .columns = n->in[1]->data,
                       .values = n->in[2]->data,
                       .x = n->in[3]->data };
}

/* Rows of work in one chunk, by the average number of entries. */
static int64_t rows_per_chunk(const spmm_job *j, int64_t rows, int64_t nnz)
{
    return LN_MAX(CHUNK / LN_MAX(j->width * (nnz / LN_MAX(rows, 1) + 1), 1), 1);
}

static ln_status spmm_forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    spmm_job j = job_of(n);
    const int64_t rows = n->in[0]->dim[0] - 1;
    (void)t;
    LN_TRY(check_pattern(n));
    j.y = n->out[0]->data;
    if (n->out[0]->count > 0)
        ln__parallel_for(rows, rows_per_chunk(&j, rows, n->in[1]->count), forward_rows, &j);
done:
    return st;
}

/* Counting sort of the entries by column: start (columns+1, one more while counting), entry and row (nnz). */
static void sort_entries(spmm_job *j, int32_t *scratch, int64_t rows, int64_t columns, int64_t nnz)
{
    int32_t *start = scratch, *entry = start + columns + 2, *row = entry + nnz;
    memset(start, 0, (size_t)(columns + 2) * sizeof *start);
    for (int64_t e = 0; e < nnz; e++)
        start[j->columns[e] + 2]++;
    for (int64_t c = 2; c < columns + 2; c++)
        start[c] += start[c - 1];
    for (int64_t r = 0; r < rows; r++)
        for (int32_t e = j->offsets[r]; e < j->offsets[r + 1]; e++) {
            entry[start[j->columns[e] + 1]++] = e;
            row[e] = (int32_t)r;
        }
    j->start = start;
    j->entry = entry;
    j->row = row;
}

static ln_status spmm_backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    spmm_job j = job_of(n);
    const int64_t rows = n->in[0]->dim[0] - 1, nnz = n->in[1]->dim[0], columns = n->in[3]->dim[0];
    j.g = g->out[0];
    if (g->in[2]) {
        j.y = g->in[2];
        j.add = g->add[2];
        ln__parallel_for(rows, rows_per_chunk(&j, rows, nnz), back_values, &j);
    }
    if (g->in[3] && n->in[3]->count > 0) {
        sort_entries(&j, ln__scratch(t), rows, columns, nnz);
        j.y = g->in[3];
        j.add = g->add[3];
        ln__parallel_for(columns, rows_per_chunk(&j, columns, nnz), back_rows, &j);
    }
    return LN_OK;
}

static ln_var *spmm_build(ln_tape *t, ln__case *c, int k)
{
    static const int32_t offsets[][5] = { { 0, 2, 2, 5, 6 }, { 0, 0, 0, 0, 0 }, { 0, 1, 3, 4, 4 } };
    static const struct {
        int64_t nnz, columns, width;
    } size[] = { { 6, 3, 5 }, { 0, 3, 2 }, { 4, 2, 17 }, { 6, 4, 0 } };
    if (k >= (int)LN_COUNT(size))
        return NULL;
    ln_var *columns = ln__case_index(t, c, LN_DIMS(size[k].nnz), (int32_t)size[k].columns);
    ln_var *values = ln__case_leaf(t, c, LN_DIMS(size[k].nnz), -1, 1);
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(size[k].columns, size[k].width), -1, 1);
    return ln_spmm(t, ln_input(t, LN_I32, LN_DIMS(5), offsets[k % 3]), columns, values, x);
}

extern const ln__op ln__op_spmm;
const ln__op ln__op_spmm = { .name = "spmm",
                             .infer = spmm_infer,
                             .forward = { spmm_forward, spmm_forward },
                             .backward = { spmm_backward, spmm_backward },
                             .reads = 15u,
                             .build = spmm_build };

ln_var *ln_spmm(ln_tape *t, ln_var *offsets, ln_var *columns, ln_var *values, ln_var *x)
{
    ln_var *in[4] = { offsets, columns, values, x };
    for (int i = 0; i < 4; i++)
        in[i] = in[i] ? ln_contiguous(t, in[i]) : NULL;
    return ln__run1(t, &ln__op_spmm, 4, in, NULL, 0);
}
