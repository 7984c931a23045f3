/* tune.h - how a way of adapting a model plugs into: open, read the text, train, write. */
#ifndef LINNET_ADAPT_TUNE_H
#define LINNET_ADAPT_TUNE_H

#include <linnet/tune.h>

#include "model/lm.h"

typedef struct ln__tune {
    const ln_system *system;
    const void *system_opts;
    const char *path; /* of the model */
    ln_tune_opts o;
    ln_model *model;
    ln__lm lm;
} ln__tune;

/* ln_system.impl of the verb tune. Static storage. */
typedef struct ln__tuner {
    ln__tape_what what;
    double lr;                                                         /* unless --lr says otherwise     */
    void (*prepare)(ln__tape_opts *tape, const void *opts);            /* NULL: nothing to add           */
    ln_status (*check)(const ln_model *m, const void *opts);           /* can this model be so adapted?  */
    ln_status (*write)(const ln__tune *t, const ln_train_report *run); /* into t->lm.out                 */
} ln__tuner;

#endif
