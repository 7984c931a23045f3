/* weights_io.c - a set of weights as a safetensors file under official names, and back.
 *
 * Loading looks at everything first and names all that is wrong, then copies: a failed load changes nothing. */
#include <string.h>

#include <linnet/io.h>

#include "core/tensor.h"
#include "grad/weights.h"

enum { MOST_FAULTS = 8 }; /* that one message lists */

ln_status ln__weight_tensor(ln_tensor **out, const ln_weights *w, int64_t i, void *block)
{
    const ln__weight *p = &w->list[i];
    return ln_tensor_wrap(out, w->dtype, p->var.ndim, p->var.dim, NULL,
                          (char *)block + ln_dtype_bytes(w->dtype, 1) * (size_t)p->at, NULL, NULL);
}

ln_status ln_weights_save(const ln_weights *w, const char *path)
{
    ln_status st = LN_OK;
    ln_writer *file = NULL;
    ln_tensor *t = NULL;
    if (!w || !path)
        return ln__fail(LN_ERR_ARG, "weights: the set and a path are needed");
    if (!w->data)
        return ln__fail(LN_ERR_ARG, "%s: the set of weights is not sealed", path);
    LN_TRY(ln_writer_new(&file, path));
    LN_TRY(ln_writer_meta(file, "format", "pt")); /* what transformers asks for */
    for (int64_t i = 0; i < w->names.n; i++)
        LN_TRY(ln_writer_declare(file, ln__names_get(&w->names, i), w->dtype, w->list[i].var.ndim, w->list[i].var.dim));
    for (int64_t i = 0; i < w->names.n; i++) {
        LN_TRY(ln__weight_tensor(&t, w, i, w->data));
        LN_TRY(ln_writer_put(file, ln__names_get(&w->names, i), t));
        ln_tensor_release(t);
        t = NULL;
    }
    LN_TRY(ln_writer_commit(file));
done:
    ln_tensor_release(t);
    ln_writer_free(file);
    return st;
}

/* ---- loading ---- */

typedef struct faults {
    ln__buf text;
    int64_t n;
} faults;

__attribute__((format(printf, 2, 3))) static ln_status fault(faults *f, const char *fmt, ...)
{
    ln_status st = LN_OK;
    char line[400];
    va_list args;
    va_start(args, fmt);
    ln__vformat(line, sizeof line, fmt, args);
    va_end(args);
    if (f->n++ < MOST_FAULTS)
        st = ln__buf_printf(&f->text, "%s%s", f->n > 1 ? "; " : "", line);
    return st;
}

char *ln__tensor_text(char *buf, size_t n, const ln_tensor *t)
{
    size_t at = (size_t)ln__format(buf, n, "[");
    for (int i = 0; i < ln_tensor_ndim(t) && at < n; i++)
        at += (size_t)ln__format(buf + at, n - at, i ? ",%lld" : "%lld", (long long)ln_tensor_dim(t, i));
    if (at < n)
        ln__format(buf + at, n - at, "]");
    return buf;
}

bool ln__weight_fits(const ln__weight *w, const ln_tensor *t)
{
    bool same = ln_tensor_ndim(t) == w->var.ndim;
    for (int i = 0; i < w->var.ndim && same; i++)
        same = ln_tensor_dim(t, i) == w->var.dim[i];
    return same;
}

static ln_status look(faults *f, ln_tensor **out, const ln_weights *w, int64_t i, const ln_archive *a)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    char have[200], want[96];
    const char *name = ln__names_get(&w->names, i);
    if (!ln_archive_has(a, name))
        return fault(f, "no tensor %s", name);
    LN_TRY(ln_archive_get(&t, a, name));
    if (!ln__weight_fits(&w->list[i], t)) {
        st = fault(f, "%s: expected %s, found %s", name, ln__var_text(want, &w->list[i].var),
                   ln__tensor_text(have, sizeof have, t));
        goto done;
    }
    if (ln_tensor_check_finite(t, name) != LN_OK) {
        st = fault(f, "%s", ln_last_error());
        goto done;
    }
    if (ln_tensor_dtype(t) != w->dtype)
        LN_TRY(ln_tensor_convert(out, t, w->dtype));
    else
        *out = ln_tensor_retain(t);
done:
    ln_tensor_release(t);
    return st;
}

ln_status ln_weights_load(ln_weights *w, const char *path)
{
    ln_status st = LN_OK;
    ln_archive *a = NULL;
    ln_tensor **found = NULL;
    faults f = { 0 };
    if (!w || !path)
        return ln__fail(LN_ERR_ARG, "weights: the set and a path are needed");
    if (!w->data)
        return ln__fail(LN_ERR_ARG, "%s: the set of weights is not sealed", path);
    LN_TRY(ln_archive_open(&a, path));
    LN_TRY(ln__calloc((void **)&found, (size_t)w->names.n + 1, sizeof(ln_tensor *)));
    for (int64_t i = 0; i < w->names.n; i++)
        LN_TRY(look(&f, &found[i], w, i, a));
    if (f.n > MOST_FAULTS)
        LN_TRY(ln__buf_printf(&f.text, "; and %lld more", (long long)(f.n - MOST_FAULTS)));
    if (f.n > 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: %s", path, f.text.data);
    for (int64_t i = 0; i < w->names.n; i++) {
        ln_var *const v = &w->list[i].var;
        if (v->count > 0)
            memcpy(v->data, ln_tensor_cdata(found[i]), ln_dtype_bytes(v->dtype, v->count));
        ++*v->version;
    }
done:
    for (int64_t i = 0; found && i < w->names.n; i++)
        ln_tensor_release(found[i]);
    ln__free(found);
    ln__buf_free(&f.text);
    ln_archive_release(a);
    return st;
}
