/* lora.c - `linnet tune lora`: W stays as it is stored, y = W x + (alpha / rank) B A x, and A and B are trained. B is
 * zero at first, so the model begins as it was. Hu et al., LoRA (arXiv 2106.09685), sections 4 and 5. */
#include "adapt/systems.h"
#include "adapt/tune.h"

static const ln_param params[] = {
    LN_P_INT64(ln_lora_opts, rank, 8, 1, 1 << 16, "rank of a pair"),
    LN_P_REAL(ln_lora_opts, alpha, 16, 1e-6, 1e6, "what B A counts: alpha / rank"),
    LN_P_TEXT(ln_lora_opts, targets, NULL, "NAMES",
              "layers that get a pair, by commas: q_proj,v_proj or patterns of whole paths; all unless given"),
    LN_P_END
};

static void prepare(ln__tape_opts *tape, const void *opts)
{
    const ln_lora_opts *o = opts;
    tape->rank = o->rank;
    tape->alpha = o->alpha;
    tape->targets = o->targets;
}

static ln_status write(const ln__tune *t, const ln_train_report *run)
{
    (void)run;
    return ln__tape_model_save(t->lm.model, t->lm.out);
}

static const ln__tuner tuner = { .what = LN__TAPE_LORA, .lr = 2e-4, .prepare = prepare, .write = write };

const ln_system ln__system_lora = {
    .name = "lora",
    .verb = "tune",
    .summary = "train low-rank pairs beside the frozen weights, written as peft reads them",
    .paper = "LoRA, arXiv 2106.09685",
    .example = "linnet tune lora smollm2.gguf --text novel.txt --rank 8 --targets q_proj,v_proj -o adapter/",
    .params = params,
    .opts_size = sizeof(ln_lora_opts),
    .impl = &tuner,
};
