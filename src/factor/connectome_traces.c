/* connectome_traces.c - recordings of several animals, one file each, on one list of neurons.
 *
 * A file is a table (CSV, TSV, npy): rows are time, columns neurons, named by its header or by a file of names. Neurons
 * without a name, or with a '?' in it (side not known), are left out; a neuron that one animal lacks is NaN there.
 * Pitfall: a name that stands twice in one animal would mix two cells: the one with the greater `confidence` is kept,
 * and without one it is refused. */
#include <math.h>
#include <string.h>

#include "core/words.h"
#include "factor/connectome.h"
#include "io/csv.h"
#include "io/table.h"

typedef struct animal {
    ln__table table;
    ln__names names; /* of its identified neurons, in order of columns */
    int64_t *column; /* of each */
    double *sure;
} animal;

static void animal_free(animal *a)
{
    ln__table_free(&a->table);
    ln__names_free(&a->names);
    ln__free(a->column);
    ln__free(a->sure);
}

void ln__traces_free(ln__traces *t)
{
    ln__names_free(&t->names);
    ln_tensor_release(t->x);
    *t = (ln__traces){ 0 };
}

/* Column `c` of the table is called `name`, with this much confidence (NaN: not said). Of two traces of one name the
 * surer one is kept. */
static ln_status name_column(animal *a, const char *path, int64_t c, const char *name, size_t len, double sure)
{
    ln_status st = LN_OK;
    bool fresh = false;
    if (len == 0 || memchr(name, '?', len))
        return LN_OK;
    if (!ln__name_ok(name, len))
        return ln__fail(LN_ERR_FORMAT, "%s: name of column %lld: not text", path, (long long)c);
    LN_TRY(ln__names_add(&a->names, name, len, &fresh));
    const int64_t at = ln__names_find(&a->names, name, len);
    if (!fresh && !(sure > a->sure[at]) && !(sure < a->sure[at]))
        LN_FAIL(LN_ERR_FORMAT, "%s: neuron '%.80s' is there twice, and none is surer", path, name);
    if (fresh || sure > a->sure[at]) {
        a->column[at] = c;
        a->sure[at] = sure;
    }
done:
    return st;
}

static int64_t field_called(const ln__csv_field *f, int64_t n, const char *name)
{
    for (int64_t i = 0; i < n; i++)
        if (strcmp(f[i].text, name) == 0)
            return i;
    return -1;
}

/* One record per column of the table, in its order; the name is in the field under `label`. */
static ln_status names_from_file(animal *a, const char *path, const char *label)
{
    ln_status st = LN_OK;
    ln__csv *csv = NULL;
    ln__csv_field *f = NULL;
    int64_t n = 0, c = 0;
    LN_TRY(ln__csv_open(&csv, path, ','));
    LN_TRY(ln__csv_next(csv, &f, &n));
    const int64_t at = field_called(f, n, label), sure = field_called(f, n, "confidence");
    if (at < 0)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: no column '%s' (--label)", path, label);
    for (;; c++) {
        LN_TRY(ln__csv_next(csv, &f, &n));
        if (!f)
            break;
        if (c < a->table.cols)
            LN_TRY(name_column(a, path, c, f[at].text, f[at].len,
                               sure >= 0 && f[sure].len > 0 ? ln__strtod(f[sure].text, NULL) : NAN));
    }
    if (c != a->table.cols)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld names, the recording has %lld columns", path, (long long)c,
                (long long)a->table.cols);
done:
    ln__csv_free(csv);
    return st;
}

/* The i-th of a list separated by commas, as a new string. */
static ln_status item(char **out, const char *list, int64_t i, int64_t n)
{
    const char *p = list;
    int64_t all = 1;
    for (const char *q = list; *q; q++)
        all += *q == ',';
    if (all != n)
        return ln__fail(LN_ERR_ARG, "connectome: --names lists %lld files, there are %lld recordings", (long long)all,
                        (long long)n);
    for (; i > 0; i--)
        p = strchr(p, ',') + 1;
    return ln__strndup(out, p, strcspn(p, ","));
}

static ln_status read_animal(animal *a, const ln_job *job, int i, const ln_connectome_opts *o)
{
    ln_status st = LN_OK;
    char *path = NULL;
    const ln__table_opts t = { .skip = o->skip, .keep_missing = o->fill > 0 };
    LN_TRY(ln__table_read(&a->table, job->input[i], &t));
    if (a->table.rows < 4 || a->table.cols < 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld samples of %lld neurons, expected at least 4 of 2", job->input[i],
                (long long)a->table.rows, (long long)a->table.cols);
    LN_TRY(LN_NEW(&a->column, a->table.cols));
    LN_TRY(LN_NEW(&a->sure, a->table.cols));
    if (o->names) {
        LN_TRY(item(&path, o->names, i, job->inputs));
        LN_TRY(names_from_file(a, path, o->label));
    } else {
        for (int64_t c = 0; c < a->table.cols; c++) {
            const char *name = ln__names_get(&a->table.names, c);
            LN_TRY(name_column(a, job->input[i], c, name, strlen(name), NAN));
        }
    }
done:
    ln__free(path);
    return st;
}

/* One trace into x, gaps bridged by straight lines; all NaN: the neuron is missing here. */
static ln_status copy_trace(ln__traces *t, const animal *a, const char *file, int64_t c, double *x, int64_t stride,
                            int64_t most)
{
    const double *from = a->table.data + c;
    const int64_t n = a->table.rows, width = a->table.cols;
    int64_t last = -1;
    for (int64_t i = 0; i < n; i++) {
        x[i * stride] = from[i * width];
        if (isnan(from[i * width]) && i + 1 < n)
            continue;
        const bool open = isnan(from[i * width]);
        const int64_t next = open ? n : i, gap = next - last - 1;
        if (gap == n)
            return LN_OK;
        if (gap > most)
            return ln__fail(LN_ERR_NUMERIC,
                            "%s: column '%.80s', row %lld: %lld samples are missing, --fill bridges %lld", file,
                            ln__names_get(&a->table.names, c), (long long)(last + 2), (long long)gap, (long long)most);
        for (int64_t j = last + 1; j < next; j++) {
            const double left = last >= 0 ? from[last * width] : from[next * width];
            const double right = open ? left : from[next * width];
            x[j * stride] = left + (right - left) * (double)(j - last) / (double)(next - last);
            t->bridged++;
        }
        last = i;
    }
    return LN_OK;
}

/* Neurons known in enough animals, in order of first appearance. */
static ln_status choose_names(ln__traces *t, const animal *a, int64_t animals, int64_t least)
{
    ln_status st = LN_OK;
    bool fresh = false;
    for (int64_t w = 0; w < animals; w++)
        for (int64_t i = 0; i < a[w].names.n; i++) {
            const char *name = ln__names_get(&a[w].names, i);
            int64_t known = 0;
            for (int64_t v = 0; v < animals; v++)
                known += ln__names_find(&a[v].names, name, strlen(name)) >= 0;
            if (known >= least)
                LN_TRY(ln__names_add(&t->names, name, strlen(name), &fresh));
        }
    t->neurons = t->names.n;
done:
    return st;
}

ln_status ln__traces_read(ln__traces *out, const ln_job *job, const ln_connectome_opts *o)
{
    ln_status st = LN_OK;
    ln__traces t = { .animals = job->inputs };
    animal *a = NULL;
    if (job->inputs < 1)
        LN_FAIL(LN_ERR_ARG, "connectome: no recording was given");
    LN_TRY(LN_NEW0(&a, job->inputs));
    for (int i = 0; i < job->inputs; i++) {
        LN_TRY(read_animal(&a[i], job, i, o));
        if (a[i].table.rows != a[0].table.rows)
            LN_FAIL(LN_ERR_SHAPE, "%s: %lld samples, %s has %lld", job->input[i], (long long)a[i].table.rows,
                    job->input[0], (long long)a[0].table.rows);
    }
    const int64_t least = o->animals > 0 ? LN_MIN(o->animals, t.animals) : t.animals;
    LN_TRY(choose_names(&t, a, t.animals, least));
    if (t.neurons < 3)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld neurons are known in %lld of %lld animals, expected at least 3 (--animals)",
                job->input[0], (long long)t.neurons, (long long)least, (long long)t.animals);
    t.time = a[0].table.rows;
    LN_TRY(ln_tensor_new(&t.x, LN_F64, 3, (int64_t[]){ t.animals, t.time, t.neurons }));
    double *x = ln_tensor_data(t.x);
    for (int64_t w = 0; w < t.animals; w++) {
        t.dropped += a[w].table.cols;
        for (int64_t i = 0; i < t.neurons; i++) {
            const char *name = ln__names_get(&t.names, i);
            const int64_t at = ln__names_find(&a[w].names, name, strlen(name));
            double *to = x + w * t.time * t.neurons + i;
            for (int64_t k = 0; k < t.time; k++)
                to[k * t.neurons] = NAN;
            if (at < 0)
                continue;
            t.dropped--;
            LN_TRY(copy_trace(&t, &a[w], job->input[w], a[w].column[at], to, t.neurons, o->fill));
        }
    }
    *out = t;
    t = (ln__traces){ 0 };
done:
    for (int i = 0; a && i < job->inputs; i++)
        animal_free(&a[i]);
    ln__free(a);
    ln__traces_free(&t);
    return st;
}
