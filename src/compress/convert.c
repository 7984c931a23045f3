/* convert.c - a checkpoint as another one: Hugging Face directory or GGUF file, factored layers merged to dense. */
#include <string.h>

#include "compress/convert.h"
#include "compress/run.h"
#include "core/file.h"
#include "core/json.h"
#include "model/adapter.h"
#include "model/model.h"

static ln_status check_type(const ln_convert_opts *o)
{
    const bool plain = o->type == LN_F32 || o->type == LN_F16 || o->type == LN_BF16;
    const bool blocks = o->type == LN_Q8_0 || o->type == LN_Q4_0 || o->type == LN_Q4_1;
    if (plain || (o->gguf && blocks))
        return LN_OK;
    return ln__fail(
        LN_ERR_ARG, "type %s cannot be written to %s: %s", ln_dtype_name(o->type), o->gguf ? "GGUF" : "safetensors",
        o->gguf ? "f32, f16, bf16, q8_0, q4_0 or q4_1" : "f32, f16 or bf16 (q8_0, q4_0, q4_1 need a .gguf output)");
}

static ln_status check_merge(const ln_model *m, const ln_convert_opts *o)
{
    for (int64_t i = 0; i < ln_model_linear_count(m); i++) {
        const char *name = ln_model_linear_name(m, i);
        const char *kind = ln_linop_kind(ln_model_linear(m, name));
        if (strcmp(kind, "dense") != 0 && !o->merge)
            return ln__fail(LN_ERR_ARG, "%s: %s is stored as %s; --merge makes it a dense weight", ln_model_path(m),
                            name, kind);
    }
    return LN_OK;
}

static ln_status may_write_file(const char *out, bool force)
{
    if (ln__file_is_dir(out))
        return ln__fail(LN_ERR_EXISTS, "%s: a file is expected, this is a directory", out);
    if (ln__file_exists(out) && !force)
        return ln__fail(LN_ERR_EXISTS, "%s: the file exists; --force replaces it", out);
    return LN_OK;
}

static ln_status write_dir(const char *out, const ln_convert_opts *o, const ln__checkpoint_plan *plan)
{
    ln_status st = LN_OK;
    ln__outdir *dir = NULL;
    LN_TRY(ln__outdir_open(&dir, out, o->force));
    LN_TRY(ln__checkpoint_write_dir(ln__outdir_path(dir), plan));
    LN_TRY(ln__outdir_commit(dir));
done:
    ln__outdir_free(dir);
    return st;
}

static ln_status report(ln_result *result, const ln_model *m, const char *model, const char *out,
                        const ln_convert_opts *o)
{
    ln_status st = LN_OK;
    uint64_t hash;
    int64_t before = 0, after = 0;
    char *weights = NULL;
    if (!result)
        return LN_OK;
    LN_TRY(ln__checkpoint_hash(&hash, &before, model));
    if (o->gguf) {
        LN_TRY(ln__file_size(&after, out));
    } else {
        LN_TRY(ln__path_join(&weights, out, "model.safetensors"));
        LN_TRY(ln__file_size(&after, weights));
    }
    LN_TRY(ln_result_text(result, "format", o->gguf ? "gguf" : "safetensors"));
    LN_TRY(ln_result_text(result, "type", ln_dtype_name(o->type)));
    LN_TRY(ln_result_text(result, "architecture", ln_model_architecture(m)));
    LN_TRY(ln_result_integer(result, "bytes_before", before));
    LN_TRY(ln_result_integer(result, "bytes_after", after));
done:
    ln__free(weights);
    return st;
}

ln_status ln_convert(const char *model, const char *out, const ln_convert_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln_convert_opts o = LN_CONVERT_OPTS_INIT;
    ln_model *m = NULL;
    int64_t merged = 0;
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, NULL, "convert"));
    LN_TRY(check_type(&o));
    if (!out || !*out)
        LN_FAIL(LN_ERR_ARG, "an output is needed: -o DIR, or -o FILE.gguf");
    LN_TRY(o.gguf ? may_write_file(out, o.force) : ln__checkpoint_may_write(out, o.force));
    LN_TRY(!o.gguf && model ? ln__outdir_spares(out, model, "the model", true) : LN_OK);
    LN_TRY(ln_model_open(&m, model));
    LN_TRY(check_merge(m, &o));
    if (o.adapter)
        LN_TRY(ln__adapter_merge(m, o.adapter, &merged));
    const ln__checkpoint_plan plan = {
        .model = m, .type = o.type, .merge = true, .progress = o.progress, .payload = o.payload
    };
    st = o.gguf ? ln__checkpoint_write_gguf(out, &plan) : write_dir(out, &o, &plan);
    if (st == LN_ERR_NUMERIC) /* a value that is none, or does not fit: the source's, not the output's */
        LN_TRY(ln__fail_in(st, "%s", model));
    LN_TRY(st);
    LN_TRY(report(result, m, model, out, &o));
    if (result && o.adapter)
        LN_TRY(ln_result_integer(result, "adapted_layers", merged));
done:
    ln_model_release(m);
    return st;
}
