/* heal.c - `linnet tune heal`: the factors of a compressed checkpoint are trained, everything else stays. A dictionary
 * layer W = C D keeps the pattern of its non-zeros: D and the values of C move (ROCKET, arXiv 2602.11008, its recovery
 * by fine-tuning); a low-rank layer W = U V moves both. The output is the same kind of checkpoint, linnet.json says
 * that it was healed. */
#include "adapt/systems.h"
#include "adapt/tune.h"
#include "core/file.h"
#include "core/json.h"
#include "model/checkpoint.h"
#include "model/model.h"

typedef struct heal_opts {
    uint32_t struct_size;
} heal_opts;

static const ln_param params[] = { LN_P_END };

static ln_status factored_only(const ln_model *m, const void *opts)
{
    (void)opts;
    if (ln__model_checkpoint(m) == LN_CHECKPOINT_LINNET)
        return LN_OK;
    return ln__fail(LN_ERR_UNSUPPORTED, "%s: nothing in it is factored; tune heal is for what linnet compress wrote",
                    ln_model_path(m));
}

/* linnet.json of the source with the facts of this run. */
static ln_status write_provenance(const ln__tune *t, const ln_train_report *run)
{
    ln_status st = LN_OK;
    char *from = NULL, *to = NULL;
    json_t *root = NULL;
    LN_TRY(ln__path_join(&from, t->path, "linnet.json"));
    LN_TRY(ln__path_join(&to, t->lm.out, "linnet.json"));
    LN_TRY(ln__json_read(&root, from));
    LN_TRY(ln__json_set(root, "healed",
                        json_pack("{s:I,s:I,s:I,s:f}", "steps", (json_int_t)run->step, "batch", (json_int_t)t->o.batch,
                                  "context", (json_int_t)t->o.context, "lr", t->lm.o.lr)));
    LN_TRY(ln__json_write(to, root, 1));
done:
    ln__free(from);
    ln__free(to);
    json_decref(root);
    return st;
}

static ln_status write(const ln__tune *t, const ln_train_report *run)
{
    ln_status st = LN_OK;
    ln_model *to = NULL;
    ln_dtype type = LN_F16;
    LN_TRY(ln_model_open(&to, t->path));
    const ln_dtype stored = ln_tensor_dtype(to->embed);
    if (stored == LN_F32 || stored == LN_BF16)
        type = stored;
    LN_TRY(ln__tape_model_apply(t->lm.model, to));
    const ln__checkpoint_plan plan = { .model = to, .type = type, .progress = t->o.progress, .payload = t->o.payload };
    LN_TRY(ln__checkpoint_write_dir(t->lm.out, &plan));
    LN_TRY(write_provenance(t, run)); /* last: it says that all is there */
done:
    ln_model_release(to);
    return st;
}

static const ln__tuner tuner = { .what = LN__TAPE_FACTORS, .lr = 1e-4, .check = factored_only, .write = write };

const ln_system ln__system_heal = {
    .name = "heal",
    .verb = "tune",
    .summary = "train the factors of a compressed checkpoint, their pattern fixed",
    .paper = "ROCKET, arXiv 2602.11008 (its recovery by fine-tuning)",
    .example = "linnet tune heal small/ --text train.txt --clean wikitext --max-tokens 500000 -o healed/",
    .params = params,
    .opts_size = sizeof(heal_opts),
    .impl = &tuner,
};
