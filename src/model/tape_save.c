/* tape_save.c - trained weights as files, and back into a model for inference.
 *
 * LoRA files are those of peft: adapter_model.safetensors with A (r,I) and B (O,r) of every module, and
 * adapter_config.json. peft matches a target with a module's whole path or its end, so where the last parts of the
 * paths would match more than was trained, paths are written in full. */
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "grad/tape.h"
#include "linop/linop.h"
#include "model/adapter.h"
#include "model/tape.h"

/* ---- files ---- */

static ln_status write_json(const char *dir, const char *file, const json_t *json)
{
    char *path = NULL;
    ln_status st;
    LN_TRY(ln__path_join(&path, dir, file));
    LN_TRY(ln__json_write(path, json, 2));
done:
    ln__free(path);
    return st;
}

static ln_status write_weights(const ln__tape_model *m, const char *dir, const char *file)
{
    char *path = NULL;
    ln_status st;
    LN_TRY(ln__path_join(&path, dir, file));
    LN_TRY(ln_weights_save(m->w, path));
done:
    ln__free(path);
    return st;
}

/* Does slot i have a pair in every block, or (`any`) in at least one? */
static bool paired(const ln__tape_model *m, int i, bool any)
{
    int64_t n = 0;
    for (int64_t l = 0; l < m->c.layers; l++)
        n += m->block[l].lin[i].a != NULL;
    return any ? n > 0 : n == m->c.layers;
}

static ln_status list_targets(json_t *list, const ln__tape_model *m)
{
    ln_status st = LN_OK;
    bool ends = m->c.family == LN_FAMILY_LLAMA; /* BERT's "dense" is four modules */
    for (int i = 0; i < LN_LIN_COUNT; i++)
        ends = ends && paired(m, i, true) == paired(m, i, false);
    for (int i = 0; i < LN_LIN_COUNT && ends; i++)
        if (paired(m, i, true))
            LN_TRY(ln__json_append(list, json_string(strrchr(ln__linear_suffix(m->c.family, i), '.') + 1)));
    for (int64_t l = 0; l < m->c.layers && !ends; l++)
        for (int i = 0; i < LN_LIN_COUNT; i++)
            if (m->block[l].lin[i].a)
                LN_TRY(ln__json_append(list, json_string(m->source->linear_name[l * LN_LIN_COUNT + i])));
done:
    return st;
}

static ln_status adapter_config(json_t **out, const ln__tape_model *m)
{
    const bool bert = m->c.family == LN_FAMILY_BERT;
    json_t *o = json_object(), *targets = json_array(), *path = NULL;
    ln_status st = LN_OK;
    if (!o || !targets)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(ln__json_new_str(&path, m->source->path, strlen(m->source->path)));
    LN_TRY(ln__json_set(o, "peft_type", json_string("LORA")));
    LN_TRY(ln__json_set(o, "task_type", json_string(bert ? "FEATURE_EXTRACTION" : "CAUSAL_LM")));
    LN_TRY(ln__json_set(o, "base_model_name_or_path", json_incref(path)));
    LN_TRY(ln__json_set(o, "r", json_integer(m->o.rank)));
    LN_TRY(ln__json_set(o, "lora_alpha", json_real(m->o.alpha)));
    LN_TRY(ln__json_set(o, "lora_dropout", json_real(0)));
    LN_TRY(ln__json_set(o, "bias", json_string("none")));
    LN_TRY(ln__json_set(o, "fan_in_fan_out", json_false()));
    LN_TRY(ln__json_set(o, "inference_mode", json_true()));
    LN_TRY(ln__json_set(o, "modules_to_save", json_null()));
    LN_TRY(list_targets(targets, m));
    LN_TRY(ln__json_set(o, "target_modules", json_incref(targets)));
    *out = json_incref(o);
done:
    json_decref(path);
    json_decref(targets);
    json_decref(o);
    return st;
}

ln_status ln__tape_model_save(const ln__tape_model *m, const char *dir)
{
    json_t *json = NULL;
    ln_status st;
    if (!m || !dir)
        return ln__fail(LN_ERR_ARG, "saving a trained model: NULL");
    switch (m->o.what) {
    case LN__TAPE_FULL:
        LN_TRY(ln__config_to_json(&json, &m->c));
        LN_TRY(write_weights(m, dir, "model.safetensors"));
        LN_TRY(write_json(dir, "config.json", json));
        break;
    case LN__TAPE_LORA:
        LN_TRY(adapter_config(&json, m));
        LN_TRY(write_weights(m, dir, "adapter_model.safetensors"));
        LN_TRY(write_json(dir, "adapter_config.json", json));
        break;
    default:
        LN_FAIL(LN_ERR_UNSUPPORTED, "saving trained factors: they go back into the model first");
    }
done:
    json_decref(json);
    return st;
}

/* ---- back into a model ---- */

static ln_status merged(ln_linop **out, const ln__tape_linear *l)
{
    if (!l->up || !l->a)
        return ln__fail(LN_ERR_ARG, "a layer without a pair has nothing to merge");
    return ln__lora_merged(out, l->op, l->a->data, l->up->data, l->up->dim[1], l->scale);
}

/* The weight in a storage type. */
static ln_status stored(ln_tensor **out, const ln_var *v, ln_dtype dt)
{
    ln_tensor *wide = NULL;
    ln_status st;
    LN_TRY(ln_tensor_new(&wide, LN_F32, v->ndim, v->dim));
    memcpy(ln_tensor_data(wide), v->data, (size_t)v->count * sizeof(float));
    LN_TRY(ln_tensor_convert(out, wide, dt));
done:
    ln_tensor_release(wide);
    return st;
}

static ln_status factored(ln_linop **out, const ln__tape_linear *l, const ln_linop *from)
{
    const char *suffix[4];
    ln_tensor *tensor[4], *first = NULL, *second = NULL;
    ln_status st;
    (void)from->kind->tensors(from, suffix, tensor);
    LN_TRY(stored(&first, l->values ? l->d : l->a, ln_tensor_dtype(tensor[0])));
    LN_TRY(stored(&second, l->values ? l->values : l->up, ln_tensor_dtype(tensor[1])));
    if (l->values)
        LN_TRY(ln_linop_dict_packed(out, first, second, l->mask));
    else
        LN_TRY(ln_linop_lowrank(out, second, first));
done:
    ln_tensor_release(first);
    ln_tensor_release(second);
    return st;
}

ln_status ln__tape_model_apply(const ln__tape_model *m, ln_model *to)
{
    ln_linop *op = NULL;
    ln_status st = LN_OK;
    if (!m || !to)
        return ln__fail(LN_ERR_ARG, "putting trained weights into a model: NULL");
    if (m->o.what == LN__TAPE_FULL)
        return ln__fail(LN_ERR_UNSUPPORTED, "putting trained weights into a model: full training saves a model anew");
    for (int64_t l = 0; l < m->c.layers; l++)
        for (int i = 0; i < LN_LIN_COUNT; i++) {
            const ln__tape_linear *lin = &m->block[l].lin[i];
            const char *name = m->source->linear_name[l * LN_LIN_COUNT + i];
            if (!lin->a && !lin->values)
                continue;
            if (m->o.what == LN__TAPE_LORA)
                LN_TRY(merged(&op, lin));
            else
                LN_TRY(factored(&op, lin, m->source->blocks[l].lin[i]));
            st = ln_model_set_linear(to, name, op);
            if (st != LN_OK) {
                st = ln__fail_in(st, "%s", name);
                goto done;
            }
            ln_linop_release(op);
            op = NULL;
        }
done:
    ln_linop_release(op);
    return st;
}
