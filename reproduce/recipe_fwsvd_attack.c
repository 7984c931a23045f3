/* recipe_fwsvd_attack.c - removing one tenth of the directions of all layers at a time (Hsu et al., section 3). */
#include "recipe_fwsvd.h"

#include "compress/fisher_pass.h"
#include "compress/fwsvd_layer.h"
#include "compress/run.h"
#include "model/checkpoint.h"

typedef struct attack {
    ln_model *m;
    ln__fisher_data *data;
    ln__fisher *fisher;
    ln__whitened *layer; /* of every linear layer, as it was */
    int64_t n;
} attack;

static void attack_free(attack *a)
{
    for (int64_t i = 0; a->layer && i < a->n; i++)
        ln__whiten_free(&a->layer[i]);
    ln__free(a->layer);
    ln__fisher_free(a->fisher);
    ln__fisher_data_free(a->data);
    ln_model_release(a->m);
}

static ln_status gather(attack *a, cli_ctx *ctx, const attack_plan *plan)
{
    ln_status st = LN_OK;
    uint64_t hash = 0;
    int64_t bytes = 0;
    bool cached = false;
    ln_compress_opts o = LN_COMPRESS_OPTS_INIT;
    const ln__fisher_plan fisher = { .samples = plan->samples,
                                     .batch = 1,
                                     .keep = LN__FISHER_IN | LN__FISHER_OUT }; /* the compressions' own pass */
    o.calib = plan->train;
    o.cache = plan->cache;
    o.progress = ln__progress_show;
    o.payload = &ctx->progress;
    LN_TRY(ln__checkpoint_hash(&hash, &bytes, plan->model));
    LN_TRY(ln__fisher_data_new(&a->data, a->m, hash, &o, &fisher));
    LN_TRY(ln__fisher_pass(&a->fisher, &cached, a->data, a->m, &o, plan->cache));
done:
    return st;
}

static ln_status weigh(attack *a, int64_t i)
{
    ln_status st = LN_OK;
    const char *name = ln_model_linear_name(a->m, i);
    const ln_linop *op = ln_model_linear(a->m, name);
    ln_tensor *w = NULL;
    double *in = NULL;
    if (a->fisher) {
        LN_TRY(LN_NEW(&in, ln_linop_cols(op)));
        LN_TRY(ln__fisher_in(in, a->fisher, i));
    }
    LN_TRY(ln_linop_to_dense(&w, op, LN_F64));
    LN_TRY(
        ln__fwsvd_weigh(&a->layer[i], ln_tensor_cdata(w), in, NULL, NULL, ln_linop_cols(op), ln_linop_rows(op), name));
done:
    ln_tensor_release(w);
    ln__free(in);
    return st;
}

/* Layer i without its group g. */
static ln_status rebuild(attack *a, int64_t i, int64_t g)
{
    ln_status st = LN_OK;
    const ln__whitened *wh = &a->layer[i];
    const int64_t first = g * wh->m / ATTACK_GROUPS, last = (g + 1) * wh->m / ATTACK_GROUPS;
    ln_tensor *wide = NULL, *w = NULL;
    ln_linop *op = NULL;
    LN_TRY(ln_tensor_new(&wide, LN_F64, 2, (int64_t[]){ wh->d2, wh->d1 }));
    LN_TRY(ln__fwsvd_without(ln_tensor_data(wide), wh, first, last));
    LN_TRY(ln_tensor_convert(&w, wide, LN_F32));
    LN_TRY(ln_linop_dense(&op, w));
    LN_TRY(ln_model_set_linear(a->m, ln_model_linear_name(a->m, i), op));
done:
    ln_linop_release(op);
    ln_tensor_release(wide);
    ln_tensor_release(w);
    return st;
}

static ln_status score(double *rho, attack *a, cli_ctx *ctx, const attack_plan *plan)
{
    ln_status st = LN_OK;
    ln_similarity_result r = { .struct_size = sizeof r };
    LN_TRY(ln_eval_similarity(&r, a->m, plan->test, plan->pairs, ln__progress_show, &ctx->progress));
    *rho = r.spearman;
done:
    return st;
}

ln_status rank_attack(double drop[ATTACK_GROUPS], cli_ctx *ctx, const attack_plan *plan)
{
    ln_status st = LN_OK;
    attack a = { 0 };
    double whole = 0;
    LN_TRY(ln_model_open(&a.m, plan->model));
    a.n = ln_model_linear_count(a.m);
    LN_TRY(LN_NEW0(&a.layer, a.n));
    if (plan->weighted)
        LN_TRY(gather(&a, ctx, plan));
    for (int64_t i = 0; i < a.n; i++)
        LN_TRY(weigh(&a, i));
    LN_TRY(score(&whole, &a, ctx, plan));
    for (int64_t g = 0; g < ATTACK_GROUPS; g++) {
        double rho = 0;
        for (int64_t i = 0; i < a.n; i++)
            LN_TRY(rebuild(&a, i, g));
        LN_TRY(score(&rho, &a, ctx, plan));
        drop[g] = whole - rho;
    }
done:
    attack_free(&a);
    return st;
}
