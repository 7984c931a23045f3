/* train_plan.c - what a run will hold in memory, from one step on a dry tape: shapes are worked out, numbers are not.
 */
#include <string.h>

#include "grad/trainer.h"

ln_status ln_train_plan_of(ln_train_plan *plan, const ln_training *what, const ln_optimizer_opts *optimizer,
                           const ln_train_opts *opts)
{
    ln_status st = LN_OK;
    ln_tape *t = NULL;
    int64_t *index = NULL;
    ln_train_opts o;
    ln_tape_opts dry = LN_TAPE_OPTS_INIT;
    ln_train_plan p = { 0 };
    if (!plan)
        return ln__fail(LN_ERR_ARG, "train: plan is NULL");
    LN_TRY(ln__training_check(what));
    LN_TRY(ln__train_opts_adopt(&o, opts));
    const int64_t ranks = ln_comm_size(o.comm), all = LN_MIN(o.batch, what->samples);
    const int64_t batch = (all + ranks - 1) / ranks, parts = LN_MIN(o.accumulate, batch); /* the largest share */
    const int64_t n = (batch + parts - 1) / parts;
    LN_TRY(LN_NEW(&index, n));
    for (int64_t i = 0; i < n; i++)
        index[i] = i;
    dry.dry = 1;
    LN_TRY(ln_tape_new(&t, &dry));
    ln_var *loss = what->loss(what->ctx, t, index, n);
    LN_TRY(ln_tape_status(t));
    p.nodes = ln_tape_nodes(t);
    LN_TRY(ln_backward(t, loss));
    p.struct_size = plan->struct_size;
    p.tape = ln_tape_peak(t);
    p.optimizer = ln_optimizer_bytes(what->weights, optimizer);
    p.weights = 2 * (int64_t)ln_dtype_bytes(what->weights->dtype, what->weights->block);
    p.total = p.tape + p.optimizer + p.weights;
    p.fits = p.tape + p.optimizer <= ln__memory_free();
    memcpy(plan, &p, LN_MIN((size_t)plan->struct_size, sizeof p));
done:
    ln_tape_free(t);
    ln__free(index);
    return st;
}
