/* optimizer.c - steps of SGD, Adam, AdamW and Lion in one pass over the block of weights, shared between threads in
 * chunks of fixed size; the norm of all gradients before it; the moving average after it.
 *
 *   norm = sqrt(sum g^2) in f64 and chunk order; g is scaled by c / (norm + 1e-6) when norm > c.
 *   Adam: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, w -= lr m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps)
 *
 * Kingma and Ba 2015; Loshchilov and Hutter 2019 (decoupled decay); Chen et al. 2023 (Lion). Muon and Adafactor, which
 * need whole matrices: muon.c, adafactor.c. A step with a non-finite norm changes nothing but the counters. */
#include "grad/optimizer.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "core/words.h"

static const ln_param params[] = {
    LN_P_INT(ln_optimizer_opts, kind, LN_ADAMW, LN_SGD, LN_ADAFACTOR, "the method"),
    LN_P_REAL(ln_optimizer_opts, lr, 1e-3, 0, 1e6, "learning rate"),
    LN_P_REAL(ln_optimizer_opts, decay, 0.01, 0, 1e6, "weight decay"),
    LN_P_REAL(ln_optimizer_opts, momentum, 0.9, 0, 0.999999, "momentum of SGD and Muon"),
    LN_P_BOOL(ln_optimizer_opts, nesterov, 0, "look ahead along the momentum"),
    LN_P_INT(ln_optimizer_opts, skip_limit, 10, 1, 1 << 30, "skipped steps in a row that are an error"),
    LN_P_REAL(ln_optimizer_opts, beta1, 0.9, 0, 0.999999, "decay of the first moment"),
    LN_P_REAL(ln_optimizer_opts, beta2, 0.999, 0, 0.99999999, "decay of the second moment"),
    LN_P_REAL(ln_optimizer_opts, eps, 1e-8, 0, 1, "added to the root of the second moment"),
    LN_P_REAL(ln_optimizer_opts, clip_norm, 0, 0, 1e30, "most norm of all gradients; 0: no limit"),
    LN_P_REAL(ln_optimizer_opts, clip_value, 0, 0, 1e30, "most size of a gradient's entry; 0: no limit"),
    LN_P_REAL(ln_optimizer_opts, ema, 0, 0, 0.99999999, "decay of the average of the weights; 0: none"),
    LN_P_REAL(ln_optimizer_opts, rest_lr, 0.015, 0, 1e6, "Muon: learning rate of the rest, times lr"),
    LN_P_END
};

bool ln__name_listed(const char *patterns, const char *name)
{
    char one[256];
    while (patterns && *patterns) {
        const size_t n = strcspn(patterns, "|");
        if (n < sizeof one) {
            memcpy(one, patterns, n);
            one[n] = '\0';
            if (ln__glob(one, name))
                return true;
        }
        patterns += patterns[n] ? n + 1 : n;
    }
    return false;
}

static int64_t chunks_of(int64_t n)
{
    return (n + LN_OPTIMIZER_CHUNK - 1) / LN_OPTIMIZER_CHUNK;
}

static bool has_m(const ln_optimizer_opts *o)
{
    return o->kind != LN_ADAFACTOR && !(o->kind == LN_SGD && o->momentum == 0);
}

static bool has_v(const ln_optimizer_opts *o)
{
    return o->kind == LN_ADAM || o->kind == LN_ADAMW || o->kind == LN_MUON;
}

int64_t ln_optimizer_bytes(const ln_weights *w, const ln_optimizer_opts *opts)
{
    const ln_optimizer_opts defaults = LN_OPTIMIZER_OPTS_INIT, *o = opts ? opts : &defaults;
    const int64_t one = w ? (int64_t)ln_dtype_bytes(w->dtype, 1) : 0;
    int64_t bytes = 0, factored = 0;
    if (!w)
        return 0;
    bytes = one * w->block * (has_m(o) + has_v(o) + (o->ema > 0));
    for (int64_t i = 0; i < w->names.n && o->kind == LN_ADAFACTOR; i++)
        factored += ln__adafactor_part(&w->list[i], 0).n;
    return bytes + 8 * factored + one * ln__muon_work(w, o) + 8 * chunks_of(w->block);
}

/* A block that every step passes over: fewer, larger pages make the pass faster. */
static ln_status zeros(void **out, size_t bytes)
{
    const ln_status st = ln__calloc(out, bytes, 1);
    if (st == LN_OK)
        ln__use_huge_pages(*out);
    return st;
}

static ln_status set_up(ln_optimizer *o)
{
    ln_status st = LN_OK;
    const size_t bytes = ln_dtype_bytes(o->w->dtype, o->w->block);
    const int64_t n = o->w->names.n;
    if (has_m(&o->o))
        LN_TRY(zeros(&o->m, bytes));
    if (has_v(&o->o))
        LN_TRY(zeros(&o->v, bytes));
    if (o->o.ema > 0) {
        LN_TRY(ln__alloc(&o->ema, bytes, 1));
        memcpy(o->ema, o->w->data, bytes);
    }
    LN_TRY(LN_NEW(&o->lr_factor, n));
    LN_TRY(LN_NEW(&o->decay_factor, n));
    LN_TRY(LN_NEW0(&o->alone, n));
    LN_TRY(LN_NEW0(&o->update, n));
    LN_TRY(LN_NEW(&o->partial, chunks_of(o->w->block)));
    LN_TRY(ln__alloc(&o->work, (size_t)ln__muon_work(o->w, &o->o), ln_dtype_bytes(o->w->dtype, 1)));
    if (o->o.kind == LN_ADAFACTOR)
        LN_TRY(LN_NEW(&o->parts, n));
    for (int64_t i = 0; i < n; i++) {
        const char *name = ln__names_get(&o->w->names, i);
        o->lr_factor[i] = 1;
        o->decay_factor[i] = ln__name_listed(o->no_decay, name) ? 0 : 1;
        o->alone[i] = ln__muon_takes(&o->o, &o->w->list[i], name);
        if (o->parts) {
            o->parts[i] = ln__adafactor_part(&o->w->list[i], o->n_factored);
            o->n_factored += o->parts[i].n;
        }
    }
    LN_TRY(LN_NEW0(&o->factored, o->n_factored));
done:
    return st;
}

ln_status ln_optimizer_new(ln_optimizer **out, ln_weights *w, const ln_optimizer_opts *opts)
{
    ln_status st = LN_OK;
    ln_optimizer *o = NULL;
    ln_optimizer_opts adopted = LN_OPTIMIZER_OPTS_INIT;
    if (!out || !w)
        return ln__fail(LN_ERR_ARG, "optimizer: out and weights must not be NULL");
    if (!w->data)
        return ln__fail(LN_ERR_ARG, "optimizer: the set of weights is not sealed");
    LN_TRY(ln__opts_adopt(&adopted, sizeof adopted, opts, params, "optimizer"));
    LN_TRY(LN_NEW0(&o, 1));
    o->o = adopted;
    o->w = w;
    o->type = w->dtype == LN_F64;
    o->loops = LN__LEVELS(ln__optimizer);
    if (adopted.no_decay)
        LN_TRY(ln__strdup(&o->no_decay, adopted.no_decay));
    if (adopted.rest)
        LN_TRY(ln__strdup(&o->rest, adopted.rest));
    o->o.no_decay = o->no_decay;
    o->o.rest = o->rest;
    LN_TRY(set_up(o));
    *out = o;
    o = NULL;
done:
    ln_optimizer_free(o);
    return st;
}

void ln_optimizer_free(ln_optimizer *o)
{
    if (!o)
        return;
    void *const owned[] = { o->m,     o->v,      o->ema,     o->factored, o->parts,    o->lr_factor, o->decay_factor,
                            o->alone, o->update, o->partial, o->work,     o->no_decay, o->rest };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        ln__free(owned[i]);
    ln__free(o);
}

int64_t ln_optimizer_group(ln_optimizer *o, const char *pattern, double lr_factor, double decay_factor)
{
    int64_t matched = 0;
    for (int64_t i = 0; o && pattern && i < o->w->names.n; i++)
        if (ln__glob(pattern, ln__names_get(&o->w->names, i))) {
            o->lr_factor[i] = lr_factor;
            o->decay_factor[i] = decay_factor;
            matched++;
        }
    return matched;
}

/* ---- the passes ---- */

static void norm_range(void *ctx, int64_t begin, int64_t end)
{
    ln_optimizer *o = ctx;
    const size_t one = ln_dtype_bytes(o->w->dtype, 1);
    const double limit = o->o.clip_value > 0 ? o->o.clip_value : INFINITY;
    for (int64_t c = begin; c < end; c++) {
        const int64_t at = c * LN_OPTIMIZER_CHUNK, n = LN_MIN(LN_OPTIMIZER_CHUNK, o->w->block - at);
        o->partial[c] = o->loops->sum_of_squares[o->type]((char *)o->w->grad + one * (size_t)at, limit, n);
    }
}

static double norm_of(ln_optimizer *o)
{
    const int64_t chunks = chunks_of(o->w->block);
    double sum = 0;
    ln__parallel_for(chunks, 1, norm_range, o);
    for (int64_t c = 0; c < chunks; c++)
        sum += o->partial[c];
    return sqrt(sum);
}

static void apply(const ln_optimizer *o, const ln__update *u, size_t at, int64_t n)
{
    void *const p = (char *)o->w->data + at, *const g = (char *)o->w->grad + at;
    void *const m = o->m ? (char *)o->m + at : NULL;
    switch (o->o.kind) {
    case LN_SGD:
        o->loops->sgd[o->type](p, g, m, u, n);
        break;
    case LN_LION:
        o->loops->lion[o->type](p, g, m, u, n);
        break;
    default:
        o->loops->adam[o->type](p, g, m, (char *)o->v + at, u, n);
        break;
    }
}

/* Index of the weight that holds, or comes next after, place `at` of the block. */
static int64_t weight_at(const ln_weights *w, int64_t at)
{
    int64_t lo = 0, hi = w->names.n;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (w->list[mid].at + w->list[mid].var.count <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void step_range(void *ctx, int64_t begin, int64_t end)
{
    const ln_optimizer *o = ctx;
    const ln_weights *w = o->w;
    const size_t one = ln_dtype_bytes(w->dtype, 1);
    for (int64_t i = weight_at(w, begin); i < w->names.n && w->list[i].at < end; i++) {
        const int64_t from = LN_MAX(begin, w->list[i].at), to = LN_MIN(end, w->list[i].at + w->list[i].var.count);
        if (from < to && ln__weight_trained(&w->list[i]) && !o->alone[i])
            apply(o, &o->update[i], one * (size_t)from, to - from);
    }
}

static void average_range(void *ctx, int64_t begin, int64_t end)
{
    const ln_optimizer *o = ctx;
    const size_t at = ln_dtype_bytes(o->w->dtype, begin);
    o->loops->average[o->type]((char *)o->ema + at, (char *)o->w->data + at, o->o.ema, end - begin);
}

static void set_updates(ln_optimizer *o, double lr, double scale, double limit)
{
    const ln_optimizer_opts *p = &o->o;
    const bool adam = has_v(p), coupled = p->kind == LN_SGD || p->kind == LN_ADAM;
    const double t = (double)o->steps, c1 = 1 - pow(p->beta1, t), c2 = 1 - pow(p->beta2, t);
    for (int64_t i = 0; i < o->w->names.n; i++) {
        const double mine = lr * o->lr_factor[i] * (p->kind == LN_MUON ? p->rest_lr : 1);
        const double decay = p->decay * o->decay_factor[i];
        o->update[i] = (ln__update){
            .lr = adam ? mine / c1 : mine,
            .limit = limit,
            .scale = scale,
            .keep = coupled ? 1 : 1 - mine * decay,
            .decay = coupled ? decay : 0,
            .beta1 = p->kind == LN_SGD ? p->momentum : p->beta1,
            .beta2 = p->beta2,
            .eps = p->eps,
            .root = adam ? 1 / sqrt(c2) : 1,
            .nesterov = p->nesterov,
        };
    }
}

static void moved(ln_weights *w)
{
    for (int64_t i = 0; i < w->names.n; i++)
        ++*w->list[i].var.version; /* a tape that still holds them must not differentiate through the new values */
}

ln_status ln_optimizer_step(ln_optimizer *o, double lr)
{
    ln_status st = LN_OK;
    if (!o)
        return ln__fail(LN_ERR_ARG, "optimizer: NULL");
    if (!(lr >= 0) || !isfinite(lr))
        return ln__fail(LN_ERR_RANGE, "optimizer: the learning rate is %g", lr);
    const double limit = o->o.clip_value > 0 ? o->o.clip_value : INFINITY;
    o->norm = norm_of(o);
    if (!isfinite(o->norm)) {
        o->skipped++;
        ln_weights_zero_grad(o->w);
        if (++o->in_row >= o->o.skip_limit)
            return ln__fail(LN_ERR_NUMERIC, "optimizer: the gradient is not finite in %lld steps in a row",
                            (long long)o->in_row);
        return LN_OK;
    }
    const double clip = o->o.clip_norm, scale = clip > 0 && o->norm > clip ? clip / (o->norm + 1e-6) : 1;
    o->in_row = 0;
    o->steps++;
    set_updates(o, lr, scale, limit);
    if (o->o.kind == LN_ADAFACTOR)
        ln__adafactor_step(o, lr, scale, limit);
    else
        ln__parallel_for(o->w->block, LN_OPTIMIZER_CHUNK, step_range, o);
    if (o->o.kind == LN_MUON)
        LN_TRY(ln__muon_step(o, lr, scale, limit));
    if (o->ema)
        ln__parallel_for(o->w->block, LN_OPTIMIZER_CHUNK, average_range, o);
    moved(o->w);
done:
    return st;
}

double ln_optimizer_norm(const ln_optimizer *o)
{
    return o ? o->norm : NAN;
}

int64_t ln_optimizer_steps(const ln_optimizer *o)
{
    return o ? o->steps : 0;
}

int64_t ln_optimizer_skipped(const ln_optimizer *o)
{
    return o ? o->skipped : 0;
}

void ln_optimizer_swap_average(ln_optimizer *o)
{
    if (!o || !o->ema)
        return;
    unsigned char *a = o->w->data, *b = o->ema, keep[4096];
    const size_t bytes = ln_dtype_bytes(o->w->dtype, o->w->block);
    for (size_t at = 0; at < bytes; at += sizeof keep) {
        const size_t n = LN_MIN(sizeof keep, bytes - at);
        memcpy(keep, a + at, n);
        memcpy(a + at, b + at, n);
        memcpy(b + at, keep, n);
    }
    moved(o->w);
}
