/* info.c - tables of a tensor file: header, metadata, tensors, and the linear operators of a model. */
#include <string.h>

#include "info.h"
#include "core/file.h"
#include "core/json.h"
#include "io/gguf.h"

ln_status info_header(cli_ctx *ctx, const ln_archive *a)
{
    static const char *const names[] = { "safetensors", "gguf", "npy", "npz", "llama2.c" };
    ln_status st = LN_OK;
    char size[32], version[24] = "";
    int64_t bytes = 0;
    char *path = cli_safe(ctx->operand[0], strlen(ctx->operand[0]));
    const char *format = names[ln_archive_format(a)];
    if (!path)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    if (ln_archive_format(a) == LN_FORMAT_GGUF) {
        snprintf(version, sizeof version, " v%lld", (long long)ln__gguf_version(a));
        LN_TRY(ln_result_integer(ctx->result, "gguf_version", ln__gguf_version(a)));
    }
    LN_TRY(ln_result_text(ctx->result, "format", format));
    cli_say(ctx, "%s\n", path);
    cli_row(ctx, "format", "%s%s%s", format, version, ln__file_is_dir(ctx->operand[0]) ? ", directory" : "");
    if (!ln__file_is_dir(ctx->operand[0])) {
        LN_TRY(ln__file_size(&bytes, ctx->operand[0]));
        LN_TRY(ln_result_integer(ctx->result, "bytes", bytes));
        cli_row(ctx, "file size", "%s", ln__human_bytes(size, sizeof size, (double)bytes));
    }
done:
    ln__free(path);
    return st;
}

/* A GGUF value that is not text: as a number where it is one, else described ("[49152 strings]"). */
static ln_status gguf_value(json_t **out, const ln_archive *a, const char *key)
{
    ln_status st = LN_OK;
    int64_t whole;
    double real;
    char *text = NULL;
    if (ln__gguf_int(&whole, a, key) == LN_OK) {
        *out = json_integer(whole);
    } else if (ln__gguf_real(&real, a, key) == LN_OK && (*out = json_real(real)) != NULL) {
    } else {
        LN_TRY(ln__gguf_describe(&text, a, key));
        *out = json_string(text);
    }
    if (!*out)
        LN_FAIL(LN_ERR_FORMAT, "%s: the value of \"%s\" cannot be shown", ln_archive_path(a), key);
done:
    ln__free(text);
    return st;
}

/* Long values (chat templates, vocabularies) are cut at about a line for people; the result has all of them. */
static ln_status say_value(const cli_ctx *ctx, const char *key, const char *text)
{
    enum { SHOWN = 100 };
    size_t n = strlen(text);
    const bool cut = n > SHOWN;
    if (cut)
        n = ln_text_complete(text, SHOWN);
    char *safe_key = cli_safe(key, strlen(key)), *safe = cli_safe(text, n);
    if (safe_key && safe)
        cli_say(ctx, "  %-38s %s%s\n", safe_key, safe, cut ? " …" : "");
    const ln_status st = safe_key && safe ? LN_OK : LN_ERR_NOMEM;
    ln__free(safe_key);
    ln__free(safe);
    return st;
}

static ln_status one_key(cli_ctx *ctx, const ln_archive *a, json_t *object, const char *key)
{
    ln_status st = LN_OK;
    json_t *value = NULL;
    char *text = NULL;
    size_t bytes;
    const char *string = ln_archive_meta(a, key);
    if (string) {
        LN_TRY(ln_text_repair(&text, &bytes, string, strlen(string)));
        value = json_string(text);
    } else {
        LN_TRY(gguf_value(&value, a, key));
        if (json_is_string(value))
            LN_TRY(ln__strdup(&text, json_string_value(value)));
        else
            LN_TRY(ln__json_text(&text, value, 0));
    }
    LN_TRY(say_value(ctx, key, text));
    st = ln__json_set(object, key, value);
    value = NULL;
done:
    json_decref(value);
    ln_free(text);
    return st;
}

ln_status info_metadata(cli_ctx *ctx, const ln_archive *a)
{
    ln_status st = LN_OK;
    json_t *object = json_object();
    if (!object)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    if (ln_archive_meta_count(a) > 0)
        cli_say(ctx, "metadata\n");
    for (int64_t i = 0; i < ln_archive_meta_count(a); i++)
        LN_TRY(one_key(ctx, a, object, ln_archive_meta_key(a, i)));
    LN_TRY(cli_json(ctx, "metadata", object));
done:
    json_decref(object);
    return st;
}

/* ---- tensors ---- */

static void shape_text(char *buf, size_t n, const ln_tensor *t)
{
    size_t len = 0;
    snprintf(buf, n, "scalar");
    for (int d = 0; d < ln_tensor_ndim(t) && len < n; d++)
        len += (size_t)snprintf(buf + len, n - len, "%s%lld", d ? " x " : "", (long long)ln_tensor_dim(t, d));
}

static ln_status tensor_json(json_t *array, const char *name, const ln_tensor *t)
{
    ln_status st = LN_OK;
    json_t *o = json_object(), *shape = NULL;
    LN_TRY(ln__json_append(array, o));
    LN_TRY(ln__json_set(o, "name", json_string(name)));
    LN_TRY(ln__json_set(o, "dtype", json_string(ln_dtype_name(ln_tensor_dtype(t)))));
    shape = json_array();
    LN_TRY(ln__json_set(o, "shape", shape));
    for (int d = 0; d < ln_tensor_ndim(t); d++)
        LN_TRY(ln__json_append(shape, json_integer(ln_tensor_dim(t, d))));
    LN_TRY(ln__json_set(o, "bytes", json_integer((json_int_t)ln_tensor_bytes(t))));
done:
    return st;
}

typedef struct totals {
    int64_t n[LN_DTYPE_COUNT], bytes[LN_DTYPE_COUNT], count[LN_DTYPE_COUNT];
} totals;

static ln_status say_totals(cli_ctx *ctx, const totals *all, int64_t n)
{
    ln_status st = LN_OK;
    char size[32], digits[32], key[64];
    int64_t bytes = 0, count = 0;
    for (int d = 0; d < LN_DTYPE_COUNT; d++)
        bytes += all->bytes[d], count += all->count[d];
    cli_say(ctx, "tensors\n");
    LN_TRY(ln_result_integer(ctx->result, "tensor_count", n));
    LN_TRY(ln_result_integer(ctx->result, "tensor_elements", count));
    LN_TRY(ln_result_integer(ctx->result, "tensor_bytes", bytes));
    cli_row(ctx, "all", "%lld tensor%s, %s numbers, %s", (long long)n, n == 1 ? "" : "s",
            cli_group_digits(digits, count), ln__human_bytes(size, sizeof size, (double)bytes));
    for (int d = 0; d < LN_DTYPE_COUNT; d++) {
        if (all->n[d] == 0)
            continue;
        snprintf(key, sizeof key, "dtypes.%s.tensors", ln_dtype_name((ln_dtype)d));
        LN_TRY(ln_result_integer(ctx->result, key, all->n[d]));
        snprintf(key, sizeof key, "dtypes.%s.bytes", ln_dtype_name((ln_dtype)d));
        LN_TRY(ln_result_integer(ctx->result, key, all->bytes[d]));
        cli_row(ctx, ln_dtype_name((ln_dtype)d), "%lld tensor%s, %s", (long long)all->n[d], all->n[d] == 1 ? "" : "s",
                ln__human_bytes(size, sizeof size, (double)all->bytes[d]));
    }
done:
    return st;
}

static void say_tensor(const cli_ctx *ctx, int width, const char *name, const ln_tensor *t)
{
    char shape[200], size[32];
    char *safe = cli_safe(name, strlen(name));
    shape_text(shape, sizeof shape, t);
    cli_say(ctx, "  %-*s  %-5s %-14s %9s\n", width, safe ? safe : "", ln_dtype_name(ln_tensor_dtype(t)), shape,
            ln__human_bytes(size, sizeof size, (double)ln_tensor_bytes(t)));
    ln__free(safe);
}

ln_status info_tensors(cli_ctx *ctx, const ln_archive *a, bool each)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    totals all = { 0 };
    json_t *array = json_array();
    if (!array)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    int width = 12;
    const int64_t n = ln_archive_count(a);
    for (int pass = 0; pass < (each && cli_talks(ctx) ? 2 : 1); pass++) { /* totals are printed before the list */
        for (int64_t i = 0; i < n; i++) {
            const char *name = ln_archive_name(a, i);
            LN_TRY(ln_archive_get(&t, a, name));
            if (pass == 1) {
                say_tensor(ctx, width, name, t);
            } else {
                const ln_dtype d = ln_tensor_dtype(t);
                all.n[d]++;
                all.bytes[d] += (int64_t)ln_tensor_bytes(t);
                all.count[d] += ln_tensor_count(t);
                width = LN_MAX(width, (int)LN_MIN(strlen(name), 60));
                LN_TRY(tensor_json(array, name, t));
            }
            ln_tensor_release(t);
            t = NULL;
        }
        if (pass == 0)
            LN_TRY(say_totals(ctx, &all, n));
    }
    LN_TRY(cli_json(ctx, "tensors", array));
done:
    ln_tensor_release(t);
    json_decref(array);
    return st;
}

ln_status info_linops(cli_ctx *ctx, const ln_model *m)
{
    ln_status st = LN_OK;
    enum { KINDS = 8 };
    const char *kind[KINDS];
    int64_t layers[KINDS] = { 0 }, params[KINDS] = { 0 };
    int kinds = 0;
    char key[80], digits[32];
    for (int64_t i = 0; i < ln_model_linear_count(m); i++) {
        const ln_linop *op = ln_model_linear(m, ln_model_linear_name(m, i));
        int k = 0;
        while (op && k < kinds && strcmp(kind[k], ln_linop_kind(op)) != 0)
            k++;
        if (!op || k == KINDS)
            continue;
        kind[k] = ln_linop_kind(op);
        kinds = LN_MAX(kinds, k + 1);
        layers[k]++;
        params[k] += ln_linop_params(op);
    }
    for (int k = 0; k < kinds; k++) {
        snprintf(key, sizeof key, "model.linear.%s.layers", kind[k]);
        LN_TRY(ln_result_integer(ctx->result, key, layers[k]));
        snprintf(key, sizeof key, "model.linear.%s.parameters", kind[k]);
        LN_TRY(ln_result_integer(ctx->result, key, params[k]));
        cli_row(ctx, "linear layers", "%lld %s, %s parameters", (long long)layers[k], kind[k],
                cli_group_digits(digits, params[k]));
    }
done:
    return st;
}
