/* tape_fixture.h - the tiny models on a tape: what their tests share, and the losses of tests/golden/tiny_gradients.py.
 */
#ifndef LINNET_TESTS_TAPE_FIXTURE_H
#define LINNET_TESTS_TAPE_FIXTURE_H

#include "model_fixture.h"

#include "core/rng.h"
#include "grad/tape.h"
#include "linop/linop.h"
#include "model/tape.h"

static inline ln_tape *tape_new(void)
{
    ln_tape *t = NULL;
    OK(ln_tape_new(&t, NULL));
    return t;
}

static inline ln__tape_model *trained(const ln_model *m, ln__tape_opts o)
{
    ln__tape_model *tm = NULL;
    OK(ln__tape_model_new(&tm, m, &o));
    return tm;
}

/* The loss of tiny_gradients.py: the golden ids and, as a second sequence, the same backwards. */
static inline ln_var *causal_loss(ln__tape_model *tm, ln_tape *t, const char *family)
{
    int64_t n;
    int32_t ids[2 * 128], next[2 * 128];
    ln_archive *a = golden_open(family);
    int32_t *golden = golden_ids(a, "input_ids", &n);
    assert_true(n <= 128);
    for (int64_t i = 0; i < n; i++) {
        ids[i] = golden[i];
        ids[n + i] = golden[n - 1 - i];
    }
    for (int64_t i = 0; i < 2 * n; i++)
        next[i] = i % n == n - 1 ? -100 : ids[i + 1];
    ln_free(golden);
    ln_archive_release(a);
    const int64_t dims[2] = { 2, n };
    return ln__tape_llama_loss(tm, t, ln_input(t, LN_I32, 2, dims, ids), ln_input(t, LN_I32, 2, dims, next), NULL);
}

/* The two packed sequences of bert's golden.safetensors, without their padding. */
typedef struct pair {
    int32_t ids[64], types[64];
    int64_t offsets[3];
} pair;

static inline pair bert_pair(void)
{
    pair p = { .offsets = { 0 } };
    int64_t n, at = 0;
    ln_archive *a = golden_open("bert");
    int32_t *ids = golden_ids(a, "input_ids", &n), *types = golden_ids(a, "token_type_ids", &n),
            *mask = golden_ids(a, "attention_mask", &n);
    for (int64_t i = 0; i < n; i++) {
        if (i == n / 2)
            p.offsets[1] = at;
        if (mask[i]) {
            p.ids[at] = ids[i];
            p.types[at++] = types[i];
        }
    }
    p.offsets[2] = at;
    ln_free(ids);
    ln_free(types);
    ln_free(mask);
    ln_archive_release(a);
    return p;
}

static inline ln_var *bert_states(ln__tape_model *tm, ln_tape *t, const pair *p)
{
    return ln__tape_bert(tm, t, ln_input(t, LN_I32, 1, &p->offsets[2], p->ids),
                         ln_input(t, LN_I32, 1, &p->offsets[2], p->types), p->offsets, 2);
}

static inline ln_var *bert_loss(ln__tape_model *tm, ln_tape *t)
{
    const pair p = bert_pair();
    ln_var *last = bert_states(tm, t, &p);
    ln_var *e = ln__tape_sentences(t, last, p.offsets, 2);
    ln_var *dot = ln_sum(t, ln_mul(t, ln_narrow(t, e, 0, 0, 1), ln_narrow(t, e, 0, 1, 1)), LN_ALL, 0);
    return ln_add(t, dot, ln_mean(t, ln_square(t, last), LN_ALL, 0));
}

static inline ln_var *loss_of(ln__tape_model *tm, ln_tape *t, const char *family)
{
    return strcmp(family, "bert") == 0 ? bert_loss(tm, t) : causal_loss(tm, t, family);
}

#endif
