/* store.c - operators in files: names, metadata, and what other programs call the same things.
 *
 * Layer P: dense P.weight; low-rank P.lr1 = V, P.lr2 = U; dict P.D, P.Cval, P.Cmask; csr P.start,
 * P.column, P.value; stencil P.stencil. Every kind but dense has metadata
 * "slin:P" = {"kind","O","I",…}, and the file "slin.version" = "1" (Structured-linear 3). What the metadata says is
 * checked against the tensors. Dense weights are not searched for NaN here: that would read every page of a mapped
 * model; the forward pass looks when a state is not finite. */
#include <string.h>

#include "linop/part.h"

#define VERSION_KEY "slin.version"
#define VERSION "1"

/* ---- writing ---- */

static ln_status write_metadata(ln_writer *w, const ln_linop *op, const char *prefix)
{
    ln_status st = LN_OK;
    char *key = NULL, *text = NULL;
    json_t *object = json_object();
    if (!object)
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory for metadata", prefix);
    LN_TRY(ln__json_set(object, "kind", json_string(op->kind->name)));
    LN_TRY(ln__json_set(object, "O", json_integer(op->rows)));
    LN_TRY(ln__json_set(object, "I", json_integer(op->cols)));
    LN_TRY(op->kind->describe(op, object));
    LN_TRY(ln__json_text(&text, object, 0));
    LN_TRY(ln__sprintf(&key, "slin:%s", prefix));
    LN_TRY(ln_writer_meta(w, key, text));
    LN_TRY(ln_writer_meta(w, VERSION_KEY, VERSION));
done:
    json_decref(object);
    ln__free(key);
    ln__free(text);
    return st;
}

ln_status ln__linop_declare(ln_writer *w, const ln_linop *op, const char *prefix)
{
    ln_status st = LN_OK;
    char *name = NULL;
    const char *suffix[4];
    ln_tensor *tensor[4];
    const int n = op->kind->tensors(op, suffix, tensor);
    if (strcmp(op->kind->name, "dense") != 0)
        LN_TRY(write_metadata(w, op, prefix));
    for (int i = 0; i < n; i++) {
        int64_t dims[LN_MAX_DIMS];
        const int ndim = ln_tensor_ndim(tensor[i]);
        for (int d = 0; d < ndim; d++)
            dims[d] = ln_tensor_dim(tensor[i], d);
        LN_TRY(ln__sprintf(&name, "%s%s", prefix, suffix[i]));
        LN_TRY(ln_writer_declare(w, name, ln_tensor_dtype(tensor[i]), ndim, dims));
        ln__free(name);
        name = NULL;
    }
done:
    ln__free(name);
    return st;
}

ln_status ln__linop_put(ln_writer *w, const ln_linop *op, const char *prefix)
{
    ln_status st = LN_OK;
    char *name = NULL;
    const char *suffix[4];
    ln_tensor *tensor[4];
    const int n = op->kind->tensors(op, suffix, tensor);
    for (int i = 0; i < n; i++) {
        LN_TRY(ln__sprintf(&name, "%s%s", prefix, suffix[i]));
        LN_TRY(ln_writer_put(w, name, tensor[i]));
        ln__free(name);
        name = NULL;
    }
done:
    ln__free(name);
    return st;
}

/* ---- reading ---- */

static bool has(const ln_archive *a, const char *prefix, const char *suffix)
{
    char *name = NULL;
    const bool found = ln__sprintf(&name, "%s%s", prefix, suffix) == LN_OK && ln_archive_has(a, name);
    ln__free(name);
    return found;
}

static ln_status get(ln_tensor **out, const ln_archive *a, const char *prefix, const char *suffix)
{
    char *name = NULL;
    ln_status st = ln__sprintf(&name, "%s%s", prefix, suffix);
    if (st == LN_OK)
        st = ln_archive_get(out, a, name);
    ln__free(name);
    return st;
}

static ln_status load_dense(ln_linop **out, const ln_archive *a, const char *prefix)
{
    ln_tensor *w = NULL;
    ln_status st = get(&w, a, prefix, ".weight");
    if (st == LN_OK && (st = ln_linop_dense(out, w)) != LN_OK)
        ln__fail_in(st, "%s: %s", ln_archive_path(a), prefix);
    ln_tensor_release(w);
    return st;
}

static ln_status load_dict(ln_linop **out, const ln_archive *a, const char *prefix)
{
    ln_status st = LN_OK;
    ln_tensor *d = NULL, *values = NULL, *mask = NULL;
    LN_TRY(get(&d, a, prefix, ".D"));
    LN_TRY(get(&values, a, prefix, ".Cval"));
    LN_TRY(get(&mask, a, prefix, ".Cmask"));
    st = ln_linop_dict_packed(out, d, values, mask);
    if (st != LN_OK)
        ln__fail_in(st, "%s: %s", ln_archive_path(a), prefix);
done:
    ln_tensor_release(d);
    ln_tensor_release(values);
    ln_tensor_release(mask);
    return st;
}

static ln_status load_csr(ln_linop **out, const ln_archive *a, const char *prefix, const json_t *object,
                          const char *where)
{
    ln_status st = LN_OK;
    ln_tensor *t[3] = { NULL, NULL, NULL };
    int64_t cols = 0;
    LN_TRY(ln__json_int(&cols, object, "I", -1, where));
    LN_TRY(get(&t[0], a, prefix, ".start"));
    LN_TRY(get(&t[1], a, prefix, ".column"));
    LN_TRY(get(&t[2], a, prefix, ".value"));
    st = ln_linop_csr(out, cols, t[0], t[1], t[2]);
    if (st != LN_OK)
        ln__fail_in(st, "%s: %s", ln_archive_path(a), prefix);
done:
    for (int i = 0; i < 3; i++)
        ln_tensor_release(t[i]);
    return st;
}

static ln_status load_stencil(ln_linop **out, const ln_archive *a, const char *prefix, const json_t *object,
                              const char *where)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    int64_t dims[3];
    LN_TRY(ln__json_int(&dims[0], object, "n0", -1, where));
    LN_TRY(ln__json_int(&dims[1], object, "n1", -1, where));
    LN_TRY(ln__json_int(&dims[2], object, "n2", -1, where));
    LN_TRY(get(&t, a, prefix, ".stencil"));
    if (ln_tensor_dtype(t) != LN_F64 || ln_tensor_ndim(t) != 1 || ln_tensor_dim(t, 0) != 4)
        LN_FAIL(LN_ERR_FORMAT, "%s: .stencil must be 4 numbers in f64", where);
    const double *c = ln_tensor_cdata(t);
    st = ln_linop_stencil(out, 3, dims, c[0], c + 1);
    if (st != LN_OK)
        ln__fail_in(st, "%s: %s", ln_archive_path(a), prefix);
done:
    ln_tensor_release(t);
    return st;
}

/* first holds V (r, cols), second U (rows, r). With `sparse`, zeros in U make a dict where that is smaller. */
static ln_status load_pair(ln_linop **out, const ln_archive *a, const char *prefix, const char *first,
                           const char *second, bool sparse)
{
    ln_status st = LN_OK;
    ln_tensor *u = NULL, *v = NULL;
    ln_linop *op = NULL, *dict = NULL;
    LN_TRY(get(&v, a, prefix, first));
    LN_TRY(get(&u, a, prefix, second));
    st = ln_tensor_check_finite(v, first + (*first == '.'));
    if (st == LN_OK)
        st = ln_tensor_check_finite(u, second + (*second == '.'));
    if (st == LN_OK)
        st = ln_linop_lowrank(&op, u, v);
    if (st == LN_OK && sparse)
        st = ln_linop_dict(&dict, v, u, ln_tensor_dtype(u));
    if (st != LN_OK) {
        ln__fail_in(st, "%s: %s", ln_archive_path(a), prefix);
        goto done;
    }
    ln_linop **best = dict && dict->bytes < op->bytes ? &dict : &op;
    *out = *best;
    *best = NULL;
done:
    ln_tensor_release(u);
    ln_tensor_release(v);
    ln_linop_release(op);
    ln_linop_release(dict);
    return st;
}

/* What the metadata says about the operator must hold for the tensors. */
static ln_status agree(const ln_linop *op, const json_t *object, const char *where)
{
    ln_status st = LN_OK;
    json_t *own = json_object();
    const char *key;
    json_t *value;
    if (!own)
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory for metadata", where);
    LN_TRY(ln__json_set(own, "O", json_integer(op->rows)));
    LN_TRY(ln__json_set(own, "I", json_integer(op->cols)));
    LN_TRY(op->kind->describe(op, own));
    json_object_foreach(own, key, value)
    {
        int64_t said;
        LN_TRY(ln__json_int(&said, object, key, json_integer_value(value), where));
        if (said != json_integer_value(value))
            LN_FAIL(LN_ERR_FORMAT, "%s: the metadata say %s = %lld, the tensors %lld", where, key, (long long)said,
                    (long long)json_integer_value(value));
    }
done:
    json_decref(own);
    return st;
}

static ln_status load_by_metadata(ln_linop **out, const ln_archive *a, const char *prefix, const char *meta,
                                  const char *where)
{
    ln_status st = LN_OK;
    json_t *object = NULL;
    ln_linop *op = NULL;
    const char *kind, *version = ln_archive_meta(a, VERSION_KEY);
    if (version && strcmp(version, VERSION) != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: " VERSION_KEY " is '%.32s', this library reads " VERSION, ln_archive_path(a),
                version);
    LN_TRY(ln__json_parse(&object, meta, strlen(meta), where));
    LN_TRY(ln__json_str(&kind, object, "kind", "", where));
    if (strcmp(kind, "dict") == 0)
        LN_TRY(load_dict(&op, a, prefix));
    else if (strcmp(kind, "lowrank") == 0)
        LN_TRY(load_pair(&op, a, prefix, ".lr1", ".lr2", false));
    else if (strcmp(kind, "csr") == 0)
        LN_TRY(load_csr(&op, a, prefix, object, where));
    else if (strcmp(kind, "stencil") == 0)
        LN_TRY(load_stencil(&op, a, prefix, object, where));
    else if (strcmp(kind, "dense") == 0)
        LN_TRY(load_dense(&op, a, prefix));
    else
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: kind '%.32s' is not known to this library", where, kind);
    LN_TRY(agree(op, object, where));
    *out = op;
    op = NULL;
done:
    ln_linop_release(op);
    json_decref(object);
    return st;
}

static const struct alias {
    const char *first, *second;
    bool sparse; /* the second may be codes with explicit zeros */
    bool delta;  /* elsewhere it is added to a weight that must not be there */
} aliases[] = {
    { ".lr1", ".lr2", false, false },
    { "_u.weight", "_v.weight", true, false },
    { ".lin0.weight", ".lin1.weight", false, false },
    { ".lin0", ".lin1", false, false },
    { ".in_network.weight", ".out_network.weight", false, false },
    { ".in_network", ".out_network", false, false },
    { ".lora_A.weight", ".lora_B.weight", false, true },
    { ".lora_A", ".lora_B", false, true },
};

static ln_status load_by_names(ln_linop **out, const ln_archive *a, const char *prefix)
{
    const bool weight = has(a, prefix, ".weight"), base = has(a, prefix, ".base_layer.weight");
    for (int64_t i = 0; i < LN_COUNT(aliases); i++) {
        const struct alias *s = &aliases[i];
        if (!has(a, prefix, s->first) || !has(a, prefix, s->second))
            continue;
        if (s->delta && (weight || base))
            return ln__fail(LN_ERR_UNSUPPORTED, "%s: %s has a weight and adapters (%s%s) that are to be merged first",
                            ln_archive_path(a), prefix, prefix, s->first);
        if (!weight)
            return load_pair(out, a, prefix, s->first, s->second, s->sparse);
    }
    if (!weight && has(a, prefix, ".D") && has(a, prefix, ".Cval"))
        return load_dict(out, a, prefix);
    return load_dense(out, a, prefix);
}

ln_status ln__linop_load(ln_linop **out, const ln_archive *a, const char *prefix)
{
    ln_status st = LN_OK;
    char *key = NULL, *where = NULL;
    LN_TRY(ln__sprintf(&key, "slin:%s", prefix));
    const char *meta = ln_archive_meta(a, key);
    if (meta) {
        LN_TRY(ln__sprintf(&where, "%s: %s", ln_archive_path(a), prefix));
        LN_TRY(load_by_metadata(out, a, prefix, meta, where));
    } else {
        LN_TRY(load_by_names(out, a, prefix));
    }
done:
    ln__free(key);
    ln__free(where);
    return st;
}
