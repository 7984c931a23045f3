/* adapter.c - LoRA pairs of peft merged into the weights they belong to: W + (alpha / r) B A, or alpha / sqrt(r) where
 * the adapter says so (rsLoRA). Names: base_model.model.<module path>.lora_A.weight (r, I) and .lora_B.weight (O, r).
 */
#include "model/adapter.h"

#include <math.h>
#include <string.h>

#include "core/core.h"
#include "core/file.h"
#include "core/json.h"
#include "linalg/linalg.h"
#include "model/model.h"

ln_status ln__lora_merged(ln_linop **out, const ln_linop *w, const float *a, const float *b, int64_t r, double scale)
{
    ln_status st = LN_OK;
    ln_tensor *sum = NULL;
    const int64_t rows = ln_linop_rows(w), cols = ln_linop_cols(w);
    LN_TRY(ln_linop_to_dense(&sum, w, LN_F32));
    LN_TRY(ln__sgemm(false, false, rows, cols, r, (float)scale, b, r, a, cols, 1, ln_tensor_data(sum), cols));
    LN_TRY(ln_linop_dense(out, sum));
done:
    ln_tensor_release(sum);
    return st;
}

typedef struct adapter {
    ln_archive *archive;
    int64_t rank;
    double scale;
} adapter;

/* Members whose value must be absent, null, false or empty: what they ask for is not done here. */
static ln_status nothing_else(const json_t *o, const char *path)
{
    static const char *const keys[] = { "use_dora",       "modules_to_save",   "rank_pattern",   "alpha_pattern",
                                        "fan_in_fan_out", "layer_replication", "megatron_config" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *v = json_object_get(o, keys[i]);
        const bool empty = !v || json_is_null(v) || json_is_false(v) ||
                           (json_is_object(v) && json_object_size(v) == 0) ||
                           (json_is_array(v) && json_array_size(v) == 0);
        if (!empty)
            return ln__fail(LN_ERR_UNSUPPORTED, "%s: \"%s\" is set, which is not supported", path, keys[i]);
    }
    return LN_OK;
}

static ln_status read_config(adapter *a, const char *dir)
{
    ln_status st = LN_OK;
    char *path = NULL;
    json_t *o = NULL;
    const char *type = NULL, *bias = NULL;
    double alpha;
    bool root;
    LN_TRY(ln__path_join(&path, dir, "adapter_config.json"));
    LN_TRY(ln__json_read(&o, path));
    if (!json_is_object(o))
        LN_FAIL(LN_ERR_FORMAT, "%s: an object is expected", path);
    LN_TRY(ln__json_str(&type, o, "peft_type", "", path));
    if (strcmp(type, "LORA") != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: peft_type is \"%s\", only LORA can be merged", path, type);
    LN_TRY(ln__json_str(&bias, o, "bias", "none", path));
    if (strcmp(bias, "none") != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: bias is \"%s\", only \"none\" is supported", path, bias);
    LN_TRY(nothing_else(o, path));
    LN_TRY(ln__json_int(&a->rank, o, "r", 0, path));
    LN_TRY(ln__json_real(&alpha, o, "lora_alpha", NAN, path));
    LN_TRY(ln__json_bool(&root, o, "use_rslora", false, path));
    if (a->rank < 1 || a->rank > 1 << 20)
        LN_FAIL(LN_ERR_FORMAT, "%s: r is %lld, at least 1 is expected", path, (long long)a->rank);
    if (!isfinite(alpha))
        LN_FAIL(LN_ERR_FORMAT, "%s: lora_alpha is missing or no number", path);
    a->scale = alpha / (root ? sqrt((double)a->rank) : (double)a->rank);
done:
    json_decref(o);
    ln__free(path);
    return st;
}

/* One half of a pair as f32 (rows, cols). */
static ln_status half(ln_tensor **out, const adapter *a, const char *name, int64_t rows, int64_t cols)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    LN_TRY(ln_archive_get(&t, a->archive, name));
    if (ln_tensor_ndim(t) != 2 || ln_tensor_dim(t, 0) != rows || ln_tensor_dim(t, 1) != cols)
        LN_FAIL(LN_ERR_SHAPE, "%s: %s has another shape than (%lld, %lld)", ln_archive_path(a->archive), name,
                (long long)rows, (long long)cols);
    LN_TRY(ln_tensor_check_finite(t, name));
    LN_TRY(ln_tensor_convert(out, t, LN_F32));
done:
    ln_tensor_release(t);
    return st;
}

static ln_status merge_layer(ln_model *m, const adapter *a, const char *layer, bool *merged)
{
    ln_status st = LN_OK;
    char *name_a = NULL, *name_b = NULL;
    ln_tensor *down = NULL, *up = NULL;
    ln_linop *op = NULL;
    const ln_linop *w = ln_model_linear(m, layer);
    LN_TRY(ln__sprintf(&name_a, "base_model.model.%s.lora_A.weight", layer));
    LN_TRY(ln__sprintf(&name_b, "base_model.model.%s.lora_B.weight", layer));
    *merged = ln_archive_has(a->archive, name_a) || ln_archive_has(a->archive, name_b);
    if (!*merged)
        goto done;
    LN_TRY(half(&down, a, name_a, a->rank, ln_linop_cols(w)));
    LN_TRY(half(&up, a, name_b, ln_linop_rows(w), a->rank));
    LN_TRY(ln__lora_merged(&op, w, ln_tensor_cdata(down), ln_tensor_cdata(up), a->rank, a->scale));
    LN_TRY(ln_model_set_linear(m, layer, op));
done:
    ln__free(name_a);
    ln__free(name_b);
    ln_tensor_release(down);
    ln_tensor_release(up);
    ln_linop_release(op);
    return st;
}

/* The first tensor that belongs to no layer of m. */
static const char *stray(const ln_model *m, const ln_archive *a)
{
    static const char head[] = "base_model.model.", ends[2][16] = { ".lora_A.weight", ".lora_B.weight" };
    for (int64_t i = 0; i < ln_archive_count(a); i++) {
        const char *name = ln_archive_name(a, i);
        const size_t len = strlen(name), end = sizeof ends[0] - 2;
        bool known = false;
        for (int64_t k = 0; k < ln_model_linear_count(m) && !known; k++) {
            const char *layer = ln_model_linear_name(m, k);
            const size_t n = strlen(layer);
            known = len == sizeof head - 1 + n + end && strncmp(name, head, sizeof head - 1) == 0 &&
                    strncmp(name + sizeof head - 1, layer, n) == 0 &&
                    (strcmp(name + len - end, ends[0]) == 0 || strcmp(name + len - end, ends[1]) == 0);
        }
        if (!known)
            return name;
    }
    return NULL;
}

ln_status ln__adapter_merge(ln_model *m, const char *dir, int64_t *n)
{
    ln_status st = LN_OK;
    adapter a = { 0 };
    char *path = NULL;
    int64_t done = 0;
    LN_TRY(read_config(&a, dir));
    LN_TRY(ln__path_join(&path, dir, "adapter_model.safetensors"));
    LN_TRY(ln_archive_open(&a.archive, path));
    const char *odd = stray(m, a.archive);
    if (odd)
        LN_FAIL(LN_ERR_SHAPE, "%s: %s belongs to no linear layer of %s", path, odd, ln_model_path(m));
    for (int64_t i = 0; i < ln_model_linear_count(m); i++) {
        bool merged = false;
        LN_TRY(merge_layer(m, &a, ln_model_linear_name(m, i), &merged));
        done += merged;
    }
    if (done == 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: no pair in it", path);
    *n = done;
done:
    ln_archive_release(a.archive);
    ln__free(path);
    return st;
}
