/* fisher_loss.c - the loss of a sample with every weight frozen: next tokens of a text, or the cosine of two sentences.
 *
 * The models are those of model/tape.h, watched: the embedded tokens are leaves, so that the backward pass reaches
 * every linear layer and shows (X, G) there, and nothing else is differentiated but activations. */
#include "compress/fisher_loss.h"

#include <linnet/ops.h>

#include "grad/tape.h"
#include "model/tape.h"

struct ln__fisher_loss {
    ln_model *m;
    ln__tape_model *expression;
    ln_tape *tape;
    double value;
};

/* The loss is on the tape: differentiate, keep its value. */
static ln_status finish(ln__fisher_loss *l, ln_var *loss, double scale)
{
    ln_status st = LN_OK;
    LN_TRY(ln_tape_status(l->tape));
    l->value = ln_var_value(loss);
    LN_TRY(ln_backward(l->tape, scale == 1 ? loss : ln_scale(l->tape, loss, scale)));
done:
    return st;
}

ln_status ln__fisher_loss_text(ln__fisher_loss *l, const int32_t *ids, int64_t n, double scale)
{
    ln_status st = LN_OK;
    const ln__config *c = &l->m->cfg;
    ln_tape *t = l->tape;
    if (c->family != LN_FAMILY_LLAMA || n < 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: a causal language model and 2 or more tokens are needed, found %s and %lld",
                l->m->path, c->architecture, (long long)n);
    ln_tape_reset(t);
    ln_var *tokens = ln_input(t, LN_I32, LN_DIMS(1, n - 1), ids);
    ln_var *targets = ln_input(t, LN_I32, LN_DIMS(1, n - 1), ids + 1);
    LN_TRY(finish(l, ln__tape_llama_loss(l->expression, t, tokens, targets, NULL), scale));
done:
    return st;
}

static ln_var *sentence(ln__fisher_loss *l, const int32_t *ids, int64_t n)
{
    const int64_t offsets[] = { 0, n };
    ln_var *states =
        ln__tape_bert(l->expression, l->tape, ln_input(l->tape, LN_I32, LN_DIMS(n), ids), NULL, offsets, 1);
    return ln__tape_sentences(l->tape, states, offsets, 1);
}

ln_status ln__fisher_loss_pair(ln__fisher_loss *l, const int32_t *a, int64_t na, const int32_t *b, int64_t nb,
                               double target, double scale)
{
    ln_status st = LN_OK;
    const ln__config *c = &l->m->cfg;
    if (c->family != LN_FAMILY_BERT || na < 1 || nb < 1 || LN_MAX(na, nb) > c->max_context)
        LN_FAIL(LN_ERR_SHAPE, "%s: an encoder and sentences of 1 to %lld tokens are needed, found %s, %lld and %lld",
                l->m->path, (long long)c->max_context, c->architecture, (long long)na, (long long)nb);
    ln_tape_reset(l->tape);
    ln_var *ea = sentence(l, a, na), *eb = sentence(l, b, nb);
    ln_var *cosine = ln_sum(l->tape, ln_mul(l->tape, ea, eb), LN_ALL, 0);
    LN_TRY(finish(l, ln_square(l->tape, ln_shift(l->tape, cosine, -target)), scale));
done:
    return st;
}

/* ---- life ---- */

ln_status ln__fisher_loss_new(ln__fisher_loss **out, ln_model *m, ln__frozen_watch hook, void *ctx)
{
    ln_status st = LN_OK;
    ln__fisher_loss *l = NULL;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    ln__tape_opts expression = LN__TAPE_OPTS_INIT;
    o.train = 0;
    expression.what = LN__TAPE_WATCHED;
    expression.watch = hook;
    expression.watch_ctx = ctx;
    LN_TRY(LN_NEW0(&l, 1));
    LN_TRY(ln__tape_model_new(&l->expression, m, &expression));
    LN_TRY(ln_tape_new(&l->tape, &o));
    l->m = ln_model_retain(m);
    *out = l;
    l = NULL;
done:
    ln__fisher_loss_free(l);
    return st;
}

void ln__fisher_loss_free(ln__fisher_loss *l)
{
    if (!l)
        return;
    ln_tape_free(l->tape);
    ln__tape_model_free(l->expression);
    ln_model_release(l->m);
    ln__free(l);
}

double ln__fisher_loss_value(const ln__fisher_loss *l)
{
    return l->value;
}
