/* connectome_save.c - what a dynamic connectome is shown and kept as.
 *
 * The directory: factors.safetensors {weights (R), pairs (P, R), time (T, R), animals (W, R)}, partitions.json (per
 * component the description length and the group of every neuron at every level), component_N.graphml (edges with
 * `weight`, nodes with name and finest group), linnet.json (kind, seed, names). */
#include <math.h>
#include <string.h>

#include <linnet/io.h>

#include "core/file.h"
#include "core/json.h"
#include "core/outdir.h"
#include "core/result.h"
#include "factor/connectome.h"

static double weight_of(const ln__dynamic *d, int32_t r)
{
    return ((const double *)ln_tensor_cdata(d->weights))[r];
}

/* ---- JSON ---- */

static ln_status group_list(json_t **out, const ln__dynamic *d, const int32_t *of)
{
    ln_status st = LN_OK;
    json_t *list = json_array();
    for (int64_t i = 0; i < d->traces->neurons; i++)
        LN_TRY(ln__json_append(list, json_integer(of[i])));
    *out = list;
    list = NULL;
done:
    json_decref(list);
    return st;
}

static ln_status groups_of(json_t **out, const ln__dynamic *d, int32_t r)
{
    ln_status st = LN_OK;
    json_t *levels = json_array(), *one = NULL;
    for (int32_t l = 0; d->sbm[r] && l < ln_sbm_levels(d->sbm[r]); l++) {
        LN_TRY(group_list(&one, d, ln_sbm_partition(d->sbm[r], l)));
        LN_TRY(ln__json_append(levels, json_incref(one)));
        json_decref(one);
        one = NULL;
    }
    *out = levels;
    levels = NULL;
done:
    json_decref(one);
    json_decref(levels);
    return st;
}

static ln_status neuron_names(json_t **out, const ln__dynamic *d)
{
    ln_status st = LN_OK;
    json_t *names = json_array();
    for (int64_t i = 0; i < d->traces->neurons; i++)
        LN_TRY(ln__json_append(names, json_string(ln__names_get(&d->traces->names, i))));
    *out = names;
    names = NULL;
done:
    json_decref(names);
    return st;
}

/* The members of the groups of the finest level: "ASEL ASER, AVAL AVAR". */
static ln_status members(ln__buf *b, const ln__dynamic *d, int32_t r)
{
    ln_status st = LN_OK;
    const int32_t *of = d->sbm[r] ? ln_sbm_partition(d->sbm[r], 0) : NULL;
    for (int32_t g = 0; of && g < ln_sbm_groups(d->sbm[r], 0); g++) {
        bool first = true;
        for (int64_t i = 0; i < d->traces->neurons; i++)
            if (of[i] == g) {
                LN_TRY(ln__buf_puts(b, !first ? " " : g > 0 ? ", " : ""));
                LN_TRY(ln__buf_puts(b, ln__names_get(&d->traces->names, i)));
                first = false;
            }
    }
done:
    return st;
}

/* Mean weight inside groups of the finest level over that of all pairs, pairs without an edge counted as 0. */
static double inside(const ln__dynamic *d, int32_t r)
{
    const double *a = ln_tensor_cdata(d->factor[0]);
    const int32_t *of = ln_sbm_partition(d->sbm[r], 0);
    double in = 0, all = 0;
    int64_t n_in = 0, p = 0;
    for (int64_t i = 0; i < d->traces->neurons; i++)
        for (int64_t j = i + 1; j < d->traces->neurons; j++, p++) {
            const double w = a[p * d->rank + r];
            all += w;
            in += of[i] == of[j] ? w : 0;
            n_in += of[i] == of[j];
        }
    return n_in > 0 && all > 0 ? in / (double)n_in / (all / (double)p) : 0;
}

static ln_status component_row(json_t *rows, const ln__dynamic *d, int32_t r, double total)
{
    ln_status st = LN_OK;
    ln__buf names = { 0 };
    json_t *of = NULL;
    char label[24];
    snprintf(label, sizeof label, "component %d", r + 1);
    json_t *row = json_pack("{s:s,s:f,s:f,s:I}", "name", label, "weight", weight_of(d, r), "share",
                            total > 0 ? weight_of(d, r) / total : 0, "edges", (json_int_t)d->edges[r]);
    if (!row)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    if (d->sbm[r]) {
        const ln_sbm *s = d->sbm[r];
        LN_TRY(ln__json_set(row, "groups", json_integer(ln_sbm_groups(s, 0))));
        LN_TRY(ln__json_set(row, "levels", json_integer(ln_sbm_levels(s))));
        LN_TRY(ln__json_set(row, "degree_corrected", json_boolean(ln_sbm_is_corrected(s))));
        LN_TRY(ln__json_set(row, "description_length", json_real(ln_sbm_length(s))));
        LN_TRY(ln__json_set(row, "inside_ratio", json_real(inside(d, r))));
        LN_TRY(group_list(&of, d, ln_sbm_partition(s, 0)));
        LN_TRY(ln__json_set(row, "group_of", json_incref(of)));
        LN_TRY(members(&names, d, r));
        LN_TRY(ln__json_set(row, "communities", json_string(names.data ? names.data : "")));
    }
    LN_TRY(ln__json_append(rows, json_incref(row)));
done:
    json_decref(row);
    json_decref(of);
    ln__buf_free(&names);
    return st;
}

/* ---- curves ---- */

static ln_status time_courses(const ln__dynamic *d, ln_result *result)
{
    ln_status st = LN_OK;
    double *x = NULL, *y = NULL;
    char name[48], group[64];
    const double *b = ln_tensor_cdata(d->factor[1]);
    const int64_t parts = d->o->joined ? d->traces->animals : 1;
    LN_TRY(LN_NEW(&x, d->samples));
    LN_TRY(LN_NEW(&y, d->samples));
    for (int64_t w = 0; w < parts; w++)
        for (int32_t r = 0; r < d->rank; r++) {
            for (int64_t t = 0; t < d->samples; t++) {
                x[t] = (double)(t * d->step) / d->o->rate;
                y[t] = weight_of(d, r) * b[(w * d->samples + t) * d->rank + r];
            }
            snprintf(name, sizeof name, "component %d", r + 1);
            snprintf(group, sizeof group, parts > 1 ? "time course, animal %lld" : "time course", (long long)w + 1);
            LN_TRY(ln_result_series(result, group, name, "seconds", "strength", x, y, d->samples));
        }
done:
    ln__free(x);
    ln__free(y);
    return st;
}

static ln_status animal_weights(const ln__dynamic *d, ln_result *result)
{
    ln_status st = LN_OK;
    const int64_t W = d->traces->animals;
    double *x = NULL, *y = NULL;
    char name[48];
    const double *b = ln_tensor_cdata(d->factor[1]), *c = ln_tensor_cdata(d->factor[2]);
    LN_TRY(LN_NEW(&x, W));
    LN_TRY(LN_NEW(&y, W));
    for (int32_t r = 0; W > 1 && r < d->rank; r++) {
        for (int64_t w = 0; w < W; w++) {
            double sum = 0;
            for (int64_t t = 0; d->o->joined && t < d->samples; t++)
                sum += pow(b[(w * d->samples + t) * d->rank + r], 2);
            x[w] = (double)w + 1;
            y[w] = d->o->joined ? sqrt(sum) : c[w * d->rank + r];
        }
        snprintf(name, sizeof name, "component %d", r + 1);
        LN_TRY(ln_result_series(result, "animals", name, "animal", "weight", x, y, W));
    }
done:
    ln__free(x);
    ln__free(y);
    return st;
}

ln_status ln__dynamic_report(const ln__dynamic *d, ln_result *result)
{
    ln_status st = LN_OK;
    json_t *rows = json_array(), *names = NULL;
    double total = 0;
    for (int32_t r = 0; r < d->rank; r++)
        total += weight_of(d, r);
    for (int32_t r = 0; r < d->rank; r++)
        LN_TRY(component_row(rows, d, r, total));
    LN_TRY(ln__json_set(ln__result_object(result), "by_component", json_incref(rows)));
    LN_TRY(neuron_names(&names, d));
    LN_TRY(ln__json_set(ln__result_object(result), "neuron_names", json_incref(names)));
    LN_TRY(time_courses(d, result));
    LN_TRY(animal_weights(d, result));
done:
    json_decref(rows);
    json_decref(names);
    return st;
}

/* ---- files ---- */

static ln_status save_factors(const ln__dynamic *d, const char *dir)
{
    static const char *const names[] = { "pairs", "time", "animals" };
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    char *path = NULL;
    const int64_t R = d->rank;
    LN_TRY(ln__path_join(&path, dir, "factors.safetensors"));
    LN_TRY(ln_writer_new(&w, path));
    LN_TRY(ln_writer_declare(w, "weights", LN_F64, 1, &R));
    for (int i = 0; i < 3; i++)
        LN_TRY(ln_writer_declare(w, names[i], LN_F64, 2, (int64_t[]){ ln_tensor_dim(d->factor[i], 0), R }));
    LN_TRY(ln_writer_put(w, "weights", d->weights));
    for (int i = 0; i < 3; i++)
        LN_TRY(ln_writer_put(w, names[i], d->factor[i]));
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    ln__free(path);
    return st;
}

/* A name as XML text. */
static ln_status xml(ln__buf *b, const char *name)
{
    ln_status st = LN_OK;
    for (; *name && st == LN_OK; name++)
        st = *name == '&'   ? ln__buf_puts(b, "&amp;")
             : *name == '<' ? ln__buf_puts(b, "&lt;")
             : *name == '>' ? ln__buf_puts(b, "&gt;")
                            : ln__buf_add(b, name, 1);
    return st;
}

static ln_status save_graph(const ln__dynamic *d, int32_t r, const char *dir)
{
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    char *path = NULL, file[40];
    const int64_t n = d->traces->neurons, P = n * (n - 1) / 2;
    int32_t *from = NULL, *to = NULL;
    double *weight = NULL;
    LN_TRY(LN_NEW(&from, P));
    LN_TRY(LN_NEW(&to, P));
    LN_TRY(LN_NEW(&weight, P));
    const int64_t edges = ln__component_graph(d, r, from, to, weight);
    snprintf(file, sizeof file, "component_%d.graphml", r + 1);
    LN_TRY(ln__path_join(&path, dir, file));
    LN_TRY(ln__buf_puts(&b,
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/"
                        "xmlns\">\n<key id=\"name\" for=\"node\" attr.name=\"name\" attr.type=\"string\"/>\n<key id="
                        "\"group\" for=\"node\" attr.name=\"group\" attr.type=\"int\"/>\n<key id=\"weight\" for="
                        "\"edge\" attr.name=\"weight\" attr.type=\"double\"/>\n<graph edgedefault=\"undirected\">\n"));
    for (int64_t i = 0; i < n; i++) {
        LN_TRY(ln__buf_printf(&b, "<node id=\"n%lld\"><data key=\"name\">", (long long)i));
        LN_TRY(xml(&b, ln__names_get(&d->traces->names, i)));
        LN_TRY(ln__buf_printf(&b, "</data><data key=\"group\">%d</data></node>\n",
                              d->sbm[r] ? ln_sbm_partition(d->sbm[r], 0)[i] : 0));
    }
    for (int64_t e = 0; e < edges; e++)
        LN_TRY(ln__buf_printf(&b, "<edge source=\"n%d\" target=\"n%d\"><data key=\"weight\">%.17g</data></edge>\n",
                              (int)from[e], (int)to[e], weight[e]));
    LN_TRY(ln__buf_puts(&b, "</graph>\n</graphml>\n"));
    LN_TRY(ln__file_write(path, b.data, b.len));
done:
    ln__buf_free(&b);
    ln__free(path);
    ln__free(from);
    ln__free(to);
    ln__free(weight);
    return st;
}

static ln_status save_json(const ln__dynamic *d, const ln_job *job, const char *dir)
{
    ln_status st = LN_OK;
    char *path = NULL;
    json_t *all = json_array(), *row = NULL, *levels = NULL, *names = NULL, *head = NULL;
    for (int32_t r = 0; r < d->rank; r++) {
        json_t *length = d->sbm[r] ? json_real(ln_sbm_length(d->sbm[r])) : json_null();
        row = json_pack("{s:i,s:o}", "component", r + 1, "description_length", length);
        if (!row)
            LN_FAIL(LN_ERR_NOMEM, "out of memory");
        LN_TRY(groups_of(&levels, d, r));
        json_t *moved = levels;
        levels = NULL;
        LN_TRY(ln__json_set(row, "levels", moved));
        moved = row;
        row = NULL;
        LN_TRY(ln__json_append(all, moved));
    }
    LN_TRY(ln__path_join(&path, dir, "partitions.json"));
    LN_TRY(ln__json_write(path, all, 0));
    ln__free(path);
    path = NULL;
    LN_TRY(neuron_names(&names, d));
    head = json_pack("{s:s,s:s,s:I,s:i,s:f,s:I,s:b,s:O}", "kind", "connectome", "version", LN_VERSION, "seed",
                     (json_int_t)job->seed, "components", d->rank, "rate", d->o->rate, "step", (json_int_t)d->step,
                     "joined", d->o->joined, "neurons", names);
    if (!head)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(ln__path_join(&path, dir, "linnet.json"));
    LN_TRY(ln__json_write(path, head, 2));
done:
    ln__free(path);
    json_decref(all);
    json_decref(row);
    json_decref(levels);
    json_decref(names);
    json_decref(head);
    return st;
}

ln_status ln__dynamic_save(const ln__dynamic *d, const ln_job *job)
{
    ln_status st = LN_OK;
    ln__outdir *out = NULL;
    LN_TRY(ln__outdir_open(&out, job->out, job->force));
    LN_TRY(save_factors(d, ln__outdir_path(out)));
    for (int32_t r = 0; r < d->rank; r++)
        LN_TRY(save_graph(d, r, ln__outdir_path(out)));
    LN_TRY(save_json(d, job, ln__outdir_path(out)));
    LN_TRY(ln__outdir_commit(out));
done:
    ln__outdir_free(out);
    return st;
}
