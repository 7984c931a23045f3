/* fwsvd.c - FWSVD: truncated SVD of each weight in the norm of the task's Fisher information.
 *
 * The calibration data go forward and backward through the model once; each layer's F_oi = mean (d loss / d W_oi)^2 is
 * kept as sums over outputs (row), over both sides (sep) or whole (elem). The gram and svd weights make the other two
 * truncations with the same code: activation whitening and none. Under the knapsack, layers compete with their tail
 * energies in units of the loss. Source: Hsu et al., Language model compression with weighted low-rank factorization,
 * ICLR 2022. */
#include <math.h>
#include <string.h>

#include "compress/fisher_pass.h"
#include "compress/fwsvd_layer.h"
#include "compress/systems.h"
#include "compress/truncate.h"
#include "linalg/linalg.h"

enum { BY_ROW = 0, BY_BOTH = 1, BY_ELEMENT = 2, BY_GRAM = 3, BY_NOTHING = 4 };

typedef struct fwsvd_opts {
    uint32_t struct_size;
    int32_t weights; /* BY_*                  */
    int32_t split;   /* ln__fwsvd_split       */
    int32_t fisher;  /* ln__fisher_definition */
    double rank_ratio;
    int32_t allow_growth;
    int64_t samples, batch;
    int32_t sweeps;
    int64_t seed;
} fwsvd_opts;

static const ln_param params[] = {
    LN_P_CHOICE(fwsvd_opts, weights, BY_ROW, "row|sep|elem|gram|svd",
                "errors count by the Fisher information summed per input, per input and output, or entry by entry; by "
                "the layer's inputs; or all alike"),
    LN_P_REAL(fwsvd_opts, rank_ratio, 0, 0, 1,
              "rank of every layer as a fraction of its smaller side, instead of --remove; 0: by --remove"),
    LN_P_BOOL(fwsvd_opts, allow_growth, 0, "factor also layers that --rank-ratio makes larger; else they stay dense"),
    LN_P_CHOICE(
        fwsvd_opts, split, LN__FWSVD_FIRST, "first|balanced",
        "singular values go into the first factor, or both factors get equal norms (for training); elem balances"),
    LN_P_CHOICE(fwsvd_opts, fisher, LN__FISHER_SAMPLE, "sample|token|batch",
                "gradient that is squared: of a sample (exact), of each token, of the mean of a batch"),
    LN_P_INT64(fwsvd_opts, samples, 512, 1, 1LL << 40, "samples of the Fisher information at most"),
    LN_P_INT64(fwsvd_opts, batch, 8, 1, 4096, "samples per batch with --fisher batch"),
    LN_P_INT(fwsvd_opts, sweeps, 20, 1, 1000, "sweeps of weighted least squares at most, with --weights elem"),
    LN_P_INT64(fwsvd_opts, seed, 0, 0, 1LL << 53, "which samples are taken, when there are more than --samples"),
    LN_P_END
};

/* run->state */
typedef struct state {
    ln__fisher_data *data;
    ln__fisher *fisher;
    bool cached;
} state;

static bool wants_fisher(const fwsvd_opts *o)
{
    return o->weights <= BY_ELEMENT;
}

static bool grams(const void *opts)
{
    return ((const fwsvd_opts *)opts)->weights == BY_GRAM;
}

static bool fixed(const void *opts)
{
    return ((const fwsvd_opts *)opts)->rank_ratio > 0;
}

/* Forward, backward to the activations, the squares. A pass holds each layer's input and output (7 bytes for each of
 * their numbers, measured: activations are shared, gradients come and go); a batch buffers them. */
static void gathering(ln__gathering *g, const ln__run *run)
{
    enum { SENTENCE = 32 }; /* tokens of one, about */
    const fwsvd_opts *o = run->method_opts;
    const bool pairs = ln_model_family(run->model) == LN_FAMILY_BERT;
    const double length = pairs ? 2 * SENTENCE : (double)LN_MIN(run->o.calib_context, run->o.calib_tokens);
    double widths = 0, weights = 0;
    if (!wants_fisher(o))
        return;
    for (int64_t l = 0; l < run->n_layers; l++) {
        widths += (double)(run->layers[l].d1 + run->layers[l].d2);
        weights += (double)run->layers[l].params;
    }
    g->tokens = (double)o->samples * length;
    if (!pairs)
        g->tokens = fmin(g->tokens, (double)run->o.calib_tokens);
    g->passes = 3;
    g->bytes = 7 * widths * length + 8 * widths + (pairs ? 0 : 4.0 * (1 << 23)) +
               /* a chunk of logits */ (o->weights == BY_ELEMENT ? 4 * weights : 0) +
               (o->fisher == LN__FISHER_BATCH ? 4 * widths * length * (double)o->batch : 0);
}

/* With a rank ratio. */
static int64_t kept(const ln__run *run, const ln__job_layer *layer)
{
    const fwsvd_opts *o = run->method_opts;
    const int64_t n = ln__fwsvd_rank(o->rank_ratio, layer->d1, layer->d2) * (layer->d1 + layer->d2);
    return o->rank_ratio > 0 ? (n < layer->params || o->allow_growth ? n : layer->params) : 0;
}

/* ---- the data ---- */

/* With a rank ratio, is there a layer that becomes smaller? */
static ln_status check_growth(const ln__run *run, const fwsvd_opts *o)
{
    for (int64_t l = 0; l < run->n_layers; l++) {
        const ln__job_layer *layer = &run->layers[l];
        if (ln__fwsvd_rank(o->rank_ratio, layer->d1, layer->d2) * (layer->d1 + layer->d2) < layer->params)
            return LN_OK;
    }
    const ln__job_layer *first = &run->layers[0];
    const int64_t k = ln__fwsvd_rank(o->rank_ratio, first->d1, first->d2);
    return ln__fail(LN_ERR_RANGE,
                    "rank-ratio = %g makes no layer smaller: %s would go from %lld to %lld parameters; --allow-growth "
                    "factors it all the same",
                    o->rank_ratio, first->name, (long long)first->params, (long long)(k * (first->d1 + first->d2)));
}

static ln_status begin(ln__run *run)
{
    ln_status st = LN_OK;
    const fwsvd_opts *o = run->method_opts;
    state *s = NULL;
    const ln__fisher_plan plan = { .definition = (ln__fisher_definition)o->fisher,
                                   .samples = o->samples,
                                   .batch = o->batch,
                                   .keep = LN__FISHER_IN | LN__FISHER_OUT | /* one pass serves row and sep */
                                           (o->weights == BY_ELEMENT ? LN__FISHER_FULL : 0),
                                   .seed = (uint64_t)o->seed };
    if (o->rank_ratio > 0 && (run->o.budget == LN_BUDGET_KNAPSACK || run->o.alpha > 0))
        LN_FAIL(LN_ERR_ARG, "fwsvd: --rank-ratio fixes every rank: no --budget knapsack and no --alpha with it");
    if (o->rank_ratio > 0 && !o->allow_growth && run->n_layers > 0)
        LN_TRY(check_growth(run, o));
    if (!wants_fisher(o))
        goto done;
    if (!run->o.calib || !*run->o.calib)
        LN_FAIL(LN_ERR_ARG, "fwsvd needs the task's data: --calib FILE, %s",
                ln_model_family(run->model) == LN_FAMILY_BERT ? "lines sentence1,sentence2,score" : "a text");
    LN_TRY(LN_NEW0(&s, 1));
    run->state = s;
    LN_TRY(ln__fisher_data_new(&s->data, run->model, run->model_hash, &run->o, &plan));
    snprintf(run->state_key, sizeof run->state_key, "%s", ln__fisher_data_key(s->data));
done:
    return st;
}

static ln_status gather(ln__run *run, const char *scratch)
{
    state *s = run->state;
    return s ? ln__fisher_pass(&s->fisher, &s->cached, s->data, run->model, &run->o, scratch) : LN_OK;
}

static void end(ln__run *run)
{
    state *s = run->state;
    if (!s)
        return;
    ln__fisher_data_free(s->data);
    ln__fisher_free(s->fisher);
    ln__free(s);
    run->state = NULL;
}

static ln_status report(const ln__run *run, ln_result *result)
{
    static const char *const names[] = { "sample", "token", "batch" };
    ln_status st = LN_OK;
    const state *s = run->state;
    const fwsvd_opts *o = run->method_opts;
    int64_t dense = 0, zero = 0;
    for (int64_t l = 0; l < run->n_layers; l++) {
        dense += run->layers[l].choice == 0;
        zero += json_is_true(json_object_get(run->layers[l].report, "no_information"));
    }
    if (s) {
        LN_TRY(ln_result_text(result, "fisher", names[o->fisher]));
        LN_TRY(ln_result_integer(result, "fisher_samples", ln__fisher_samples(s->fisher)));
        LN_TRY(ln_result_bool(result, "fisher_from_cache", s->cached));
        LN_TRY(ln_result_integer(result, "layers_without_information", zero));
    }
    LN_TRY(ln_result_integer(result, "layers_kept_dense", dense));
done:
    return st;
}

/* ---- one layer ---- */

static ln_status weigh_by_gram(ln__whitened *wh, ln__run *run, const ln__job_layer *layer, const double *w)
{
    ln_status st = LN_OK;
    double *gram = NULL;
    LN_TRY(LN_NEW(&gram, layer->d1 * layer->d1));
    LN_TRY(ln__calibration_gram(gram, run->calibration, layer->block, layer->group, layer->d1));
    LN_TRY(ln__whiten(wh, w, gram, layer->d1, layer->d2, 0, layer->name));
    wh->energy = 1;
done:
    ln__free(gram);
    return st;
}

static ln_status weigh_by_fisher(ln__whitened *wh, ln__run *run, const ln__job_layer *layer, const double *w)
{
    ln_status st = LN_OK;
    const fwsvd_opts *o = run->method_opts;
    const state *s = run->state;
    double *in = NULL, *out = NULL;
    float *full = NULL;
    LN_TRY(LN_NEW(&in, layer->d1));
    LN_TRY(ln__fisher_in(in, s->fisher, layer->index));
    if (o->weights != BY_ROW) {
        LN_TRY(LN_NEW(&out, layer->d2));
        LN_TRY(ln__fisher_out(out, s->fisher, layer->index));
    }
    if (o->weights == BY_ELEMENT) {
        LN_TRY(LN_NEW(&full, layer->params));
        LN_TRY(ln__fisher_full(full, s->fisher, layer->index));
    }
    LN_TRY(ln__fwsvd_weigh(wh, w, in, out, full, layer->d1, layer->d2, layer->name));
done:
    ln__free(in);
    ln__free(out);
    ln__free(full);
    return st;
}

static ln_status weigh(ln__whitened *wh, ln__run *run, const ln__job_layer *layer)
{
    ln_status st = LN_OK;
    ln_tensor *w = NULL;
    const fwsvd_opts *o = run->method_opts;
    LN_TRY(ln_linop_to_dense(&w, ln_model_linear(run->model, layer->name), LN_F64));
    if (o->weights == BY_GRAM)
        st = weigh_by_gram(wh, run, layer, ln_tensor_cdata(w));
    else if (o->weights == BY_NOTHING)
        st = ln__fwsvd_weigh(wh, ln_tensor_cdata(w), NULL, NULL, NULL, layer->d1, layer->d2, layer->name);
    else
        st = weigh_by_fisher(wh, run, layer, ln_tensor_cdata(w));
done:
    ln_tensor_release(w);
    return st;
}

static int64_t grid(double *cr, double remove, const void *opts)
{
    (void)opts;
    return ln__cr_grid(cr, 0.02, remove);
}

static void add_option(ln__option_list *list, const ln__whitened *wh, const double *tails, int64_t k, double cr)
{
    list->items[list->n++] = (ln__option){ .cr = cr,
                                           .ks = 1,
                                           .removed = list->params - k * (wh->d1 + wh->d2),
                                           .error = wh->energy * tails[k],
                                           .output_error = tails[0] > 0 ? sqrt(tails[k] / tails[0]) : 0 };
}

static ln_status profile(ln__option_list *list, const ln__whitened *wh, const double *cr, int64_t n, const void *opts,
                         const char *what)
{
    (void)what;
    ln_status st = LN_OK;
    const fwsvd_opts *o = opts;
    const double params_dense = (double)list->params;
    double *tails = NULL;
    LN_TRY(LN_NEW(&tails, wh->m + 1));
    LN_TRY(ln__fwsvd_tails(tails, NULL, wh));
    if (o->rank_ratio > 0) {
        const int64_t k = ln__fwsvd_rank(o->rank_ratio, wh->d1, wh->d2), cost = k * (wh->d1 + wh->d2);
        if (cost < list->params || o->allow_growth)
            add_option(list, wh, tails, k, 1 - (double)cost / params_dense);
        goto done;
    }
    for (int64_t c = 0; c < n; c++) {
        const int64_t k = (int64_t)floor((1 - cr[c]) * params_dense / (double)(wh->d1 + wh->d2));
        if (k >= 1 && k <= wh->m)
            add_option(list, wh, tails, k, cr[c]);
    }
done:
    ln__free(tails);
    return st;
}

/* What the factors attain beside what they should: sum over j > k of sigma_j^2. */
static ln_status describe_tail(json_t *describe, const ln__whitened *wh, const double *w, const double *lr1,
                               const double *lr2, int64_t k)
{
    ln_status st = LN_OK;
    double *tails = NULL, attained = 0;
    LN_TRY(LN_NEW(&tails, wh->m + 1));
    LN_TRY(ln__fwsvd_tails(tails, NULL, wh));
    LN_TRY(ln__json_set(describe, "weighted_error", json_real(tails[0] > 0 ? sqrt(tails[k] / tails[0]) : 0)));
    LN_TRY(ln__json_set(describe, "tail_energy", json_real(wh->energy * tails[k])));
    if (wh->range > 0) {
        LN_TRY(ln__fwsvd_objective(&attained, w, lr1, lr2, NULL, wh->in, wh->out, wh->d1, wh->d2, k));
        LN_TRY(ln__json_set(describe, "attained_energy", json_real(wh->energy * attained)));
        LN_TRY(ln__json_set(describe, "dynamic_range", json_real(wh->range)));
    }
    if (wh->unweighted)
        LN_TRY(ln__json_set(describe, "no_information", json_true()));
done:
    ln__free(tails);
    return st;
}

static ln_status refine(json_t *describe, const ln__whitened *wh, const double *w, double *lr1, double *lr2, int64_t k,
                        const fwsvd_opts *o)
{
    ln_status st = LN_OK;
    ln__fwsvd_als als = { .sweeps = o->sweeps, .tolerance = 1e-5 };
    LN_TRY(ln__fwsvd_refine(&als, lr1, lr2, w, wh->elementwise, wh->d1, wh->d2, k));
    LN_TRY(ln__json_set(describe, "sweeps", json_integer(als.sweeps)));
    LN_TRY(ln__json_set(describe, "elementwise_error_before", json_real(als.before)));
    LN_TRY(ln__json_set(describe, "elementwise_error_after", json_real(als.after)));
done:
    return st;
}

static ln_status factor(ln_linop **out, const double *w, const ln__whitened *wh, const ln__option *option,
                        ln_dtype storage, const void *opts, json_t *describe, const char *what)
{
    ln_status st = LN_OK;
    const fwsvd_opts *o = opts;
    const int64_t d1 = wh->d1, d2 = wh->d2, k = (d1 * d2 - option->removed) / (d1 + d2);
    double *lr1 = NULL, *lr2 = NULL;
    ln_tensor *first = NULL, *second = NULL;
    if (k < 1 || k > wh->m)
        LN_FAIL(LN_ERR_RANGE, "%s: rank %lld, 1 to %lld expected", what, (long long)k, (long long)wh->m);
    LN_TRY(LN_NEW(&lr1, k * d1));
    LN_TRY(LN_NEW(&lr2, d2 * k));
    ln__fwsvd_factors(lr1, lr2, wh, k, (ln__fwsvd_split)o->split);
    LN_TRY(ln__json_set(describe, "rank", json_integer(k)));
    LN_TRY(describe_tail(describe, wh, w, lr1, lr2, k));
    if (wh->elementwise)
        LN_TRY(refine(describe, wh, w, lr1, lr2, k, o));
    LN_TRY(ln__matrix_as(&second, lr2, d2, k, storage));
    LN_TRY(ln__matrix_as(&first, lr1, k, d1, storage));
    LN_TRY(ln_linop_lowrank(out, second, first));
done:
    ln__free(lr1);
    ln__free(lr2);
    ln_tensor_release(first);
    ln_tensor_release(second);
    return st;
}

static double factor_cost(double d1, double d2, const void *opts)
{
    const fwsvd_opts *o = opts;
    const double k = 0.8 * d1 * d2 / (d1 + d2);
    return 2 * d1 * d2 * fmin(d1, d2) + (o->weights == BY_ELEMENT ? o->sweeps * 2 * d1 * d2 * k * k : 0);
}

static const char *const factor_only[] = { "split", "sweeps", NULL };

static const ln__compressor method = {
    .grams = grams,
    .budget = LN_BUDGET_UNIFORM,
    .uncapped = true,
    .error_label = "weighted squared error",
    .grid = grid,
    .profile = profile,
    .factor = factor,
    .factor_only = factor_only,
    .profile_cost = ln__lowrank_cost,
    .factor_cost = factor_cost,
    .begin = begin,
    .gather = gather,
    .weigh = weigh,
    .report = report,
    .end = end,
    .gathering = gathering,
    .kept = kept,
    .fixed = fixed,
};

const ln_system ln__system_fwsvd = {
    .name = "fwsvd",
    .verb = "compress",
    .summary = "truncated SVD weighted by the Fisher information of a task",
    .paper = "FWSVD, arXiv 2207.00112",
    .example = "linnet compress fwsvd model.gguf --calib text.txt --remove 0.2 -o small/",
    .params = params,
    .opts_size = sizeof(fwsvd_opts),
    .impl = &method,
};
