/* full.c - `linnet tune full`: every weight is trained, in f32; quantised weights begin at the values they stand for.
 */
#include <string.h>

#include "adapt/systems.h"
#include "adapt/tune.h"
#include "model/checkpoint.h"

typedef struct full_opts {
    uint32_t struct_size;
} full_opts;

static const ln_param params[] = { LN_P_END };

static ln_status dense_only(const ln_model *m, const void *opts)
{
    (void)opts;
    for (int64_t i = 0; i < ln_model_linear_count(m); i++) {
        const char *name = ln_model_linear_name(m, i), *kind = ln_linop_kind(ln_model_linear(m, name));
        if (strcmp(kind, "dense") != 0)
            return ln__fail(LN_ERR_UNSUPPORTED, "%s: %s is stored as %s; tune heal trains its factors",
                            ln_model_path(m), name, kind);
    }
    return LN_OK;
}

static ln_status write(const ln__tune *t, const ln_train_report *run)
{
    ln_status st = LN_OK;
    (void)run;
    LN_TRY(ln__checkpoint_write_tokenizer(t->lm.out, t->lm.tokenizer));
    LN_TRY(ln__tape_model_save(t->lm.model, t->lm.out));
done:
    return st;
}

static const ln__tuner tuner = { .what = LN__TAPE_FULL, .lr = 2e-5, .check = dense_only, .write = write };

const ln_system ln__system_full = {
    .name = "full",
    .verb = "tune",
    .summary = "train every weight of a model on a text",
    .paper = NULL,
    .example = "linnet tune full smollm2.gguf --text novel.txt --remat -o tuned/",
    .params = params,
    .opts_size = sizeof(full_opts),
    .impl = &tuner,
};
