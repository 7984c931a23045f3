/* run.h - how a compressor plugs into calibrate -> profile -> allocate -> factor -> write. */
#ifndef LINNET_COMPRESS_RUN_H
#define LINNET_COMPRESS_RUN_H

#include <jansson.h>
#include <linnet/compress.h>
#include <pthread.h>

#include "compress/calibrate.h"
#include "compress/knapsack.h"
#include "compress/whiten.h"
#include "core/journal.h"

enum { LN_MAX_CR = 64 };

typedef struct ln__run ln__run;
typedef struct ln__job_layer ln__job_layer;

/* ln_system.impl of the verb compress. Static storage. Callbacks that get a layer or its whitened weight are called
 * from several threads at once. */
typedef struct ln__gathering {
    double tokens; /* that go through the model                               */
    double passes; /* multiply-adds per token and weight of the linear layers */
    double bytes;  /* held at most                                            */
} ln__gathering;

typedef struct ln__compressor {
    bool whitened;                   /* needs Grams, hence a calibration text                                      */
    bool (*grams)(const void *opts); /* whether it does, where that depends on the options; NULL: as `whitened`   */
    ln_budget budget;                /* what LN_BUDGET_DEFAULT means                                               */
    bool uncapped;                   /* knapsack: no cap on a layer's error unless --alpha says so                 */
    const char *error_label;         /* what an option's `error` is, for charts; NULL: relative error of the weight */
    /* Removed fractions worth profiling for a knapsack, ascending, at most LN_MAX_CR. */
    int64_t (*grid)(double *cr, double remove, const void *opts);
    /* Appends at most one option per fraction to `list` (room for n + 1; items[0] is the dense one). */
    ln_status (*profile)(ln__option_list *list, const ln__whitened *wh, const double *cr, int64_t n, const void *opts,
                         const char *what);
    /* The operator (d2, d1) for an option of the weight w (d2, d1), of which wh is the decomposition; describe receives
     * method facts ("atoms", "nonzeros") for the report. */
    ln_status (*factor)(ln_linop **out, const double *w, const ln__whitened *wh, const ln__option *option,
                        ln_dtype storage, const void *opts, json_t *describe, const char *what);
    const char *const *factor_only; /* options that a profile does not depend on, NULL-terminated; or NULL */
    /* Multiply-adds of profiling one fraction of a (d1, d2) layer, and of factoring it: for `plan`. */
    double (*profile_cost)(double d1, double d2, const void *opts);
    double (*factor_cost)(double d1, double d2, const void *opts);

    /* For a method with statistics of its own; each may be NULL. */
    ln_status (*begin)(ln__run *run); /* reads its data: sets run->state, and run->state_key to what they hash to */
    ln_status (*gather)(ln__run *run, const char *scratch); /* the long part, once the journal is open            */
    ln_status (*weigh)(ln__whitened *wh, ln__run *run, const ln__job_layer *layer); /* in place of whitening       */
    ln_status (*report)(const ln__run *run, ln_result *result); /* its own numbers                                */
    void (*end)(ln__run *run);
    /* For `plan`: what gather will take, and the numbers of a layer that --remove does not decide (0: it does). */
    void (*gathering)(ln__gathering *g, const ln__run *run);
    int64_t (*kept)(const ln__run *run, const ln__job_layer *layer);
    /* Profile makes one option per layer whatever --remove says, and it is taken; a layer without one stays dense. */
    bool (*fixed)(const void *opts);
} ln__compressor;

/* One linear layer of the run. */
struct ln__job_layer {
    const char *name;
    int64_t index, block;
    int slot, group; /* of the model room: LN_LIN_*, input group */
    int64_t d1, d2, params;
    ln__option_list options;
    int32_t choice;
    json_t *report; /* owned; filled by the factor stage */
};

/* One call of ln_compress. */
struct ln__run {
    const ln_system *system;
    const ln__compressor *method;
    const void *method_opts;
    ln_compress_opts o;
    const char *out;
    ln_model *model;
    uint64_t model_hash;
    int64_t model_bytes;
    ln__calibration *calibration; /* NULL when no Gram is needed */
    ln__journal *journal;
    ln__job_layer *layers;
    int64_t n_layers;
    double cr[LN_MAX_CR];
    int64_t n_cr;
    bool uniform, fixed;
    double alpha; /* used by the knapsack */
    void *state;  /* of a method with statistics of its own */
    char state_key[40];
    char identity[64];
    /* shared by the worker threads */
    pthread_mutex_t lock;
    int64_t done;
    ln_status failed;
    char *failure; /* message of the first failure */
};

/* Largest first over all layers, each by one thread unless memory or the layer count forbids it. */
typedef ln_status (*ln__layer_fn)(ln__run *run, ln__job_layer *layer);
ln_status ln__run_layers(ln__run *run, const char *stage, ln__layer_fn fn);
/* Bytes one worker needs for the largest layer. */
int64_t ln__run_worker_bytes(const ln__run *run);
bool ln__run_wants_grams(const ln__run *run);
/* The whitened weight of a layer. */
ln_status ln__run_whiten(ln__whitened *wh, ln__run *run, const ln__job_layer *layer);
/* Index of the option to take when the run is uniform or fixed. */
ln_status ln__run_choose(int32_t *choice, const ln__run *run, const ln__job_layer *layer);

/* Stages. */
ln_status ln__run_profile(ln__run *run);  /* options of every layer; from o.profile when given */
ln_status ln__run_allocate(ln__run *run); /* choice of every layer                             */
ln_status ln__run_factor(ln__run *run);   /* blobs and reports in the journal                  */
/* One layer of the factor stage. `wh` is its whitened weight when somebody has it at hand, else NULL. */
ln_status ln__run_factor_layer(ln__run *run, ln__job_layer *layer, const ln__whitened *wh);

/* profile.json: reading checks that it belongs to this run. */
ln_status ln__profile_json(json_t **out, const ln__run *run);
ln_status ln__profile_read(ln__run *run, const char *path);

ln_dtype ln__storage_dtype(int32_t storage);
const char *ln__layer_kind(const char *name); /* "q_proj": the last part of a module path */

#endif
