/* linnet/train.h - optimisers, schedules of the learning rate, and a training loop that can be stopped and resumed.
 *
 *     ln_training what = { .weights = w, .samples = n, .loss = my_loss, .ctx = my_data };
 *     ln_train_opts o = LN_TRAIN_OPTS_INIT;  o.steps = 1000;  o.batch = 64;  o.dir = "run";
 *     ln_status st = ln_train(&what, &optimizer_opts, &schedule, &o, &report);
 *
 * A run that was stopped, by time, Ctrl-C or kill -9, and is resumed ends with the same bytes as one that was not.
 * Formulas and sources: docs/training.md. */
#ifndef LINNET_TRAIN_H
#define LINNET_TRAIN_H

#include <linnet/comm.h>
#include <linnet/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimisers ---- */

typedef enum ln_optimizer_kind {
    LN_SGD = 0,      /* v = momentum v + g; w -= lr v (nesterov: g + momentum v); decay is added to g     */
    LN_ADAM = 1,     /* decay is added to g                                                              */
    LN_ADAMW = 2,    /* w -= lr decay w first (Loshchilov and Hutter 2019)                               */
    LN_LION = 3,     /* w -= lr (sign(b1 m + (1-b1) g) + decay w); m = b2 m + (1-b2) g (Chen et al. 2023)  */
    LN_MUON = 4,     /* matrices: orthogonalised momentum (Jordan 2024); AdamW for the rest               */
    LN_ADAFACTOR = 5 /* factored second moments (Shazeer and Stern 2018); lr is capped by 1/sqrt(step)    */
} ln_optimizer_kind;

/** Start from LN_OPTIMIZER_OPTS_INIT. */
typedef struct ln_optimizer_opts {
    uint32_t struct_size;
    int32_t kind;
    double lr;            /* of weights whose factor is 1; ln_optimizer_step is given the one in force     */
    double decay;         /* weight decay                                                                 */
    double momentum;      /* SGD, Muon                                                                     */
    int32_t nesterov;     /* SGD, Muon                                                                     */
    int32_t skip_limit;   /* so many steps in a row with a non-finite gradient norm are skipped, then an error */
    double beta1, beta2;  /* Adam, AdamW, Lion, the rest of Muon                                          */
    double eps;           /* outside the root                                                             */
    double clip_norm;     /* global norm of gradients is at most this; 0: no limit                        */
    double clip_value;    /* and before that every entry is; 0: no limit                                  */
    double ema;           /* decay of a moving average of the weights, kept beside them; 0: none          */
    double rest_lr;       /* Muon: learning rate of the AdamW part, times lr                              */
    const char *no_decay; /* names without decay, "*.bias|*norm*"; NULL: none. Copied                     */
    const char *rest;     /* Muon: names of matrices that AdamW moves all the same                        */
} ln_optimizer_opts;
#define LN_OPTIMIZER_OPTS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(ln_optimizer_opts), LN_ADAMW, 1e-3, 0.01, 0.9, 0, 10, 0.9, 0.999, 1e-8, 0, 0, 0, 0.015, NULL,           \
            "*embed*|*lm_head*"                                                                                        \
    }

typedef struct ln_optimizer ln_optimizer;
/** For sealed weights, which must outlive it. Moments start at zero, the moving average at the weights. */
LN_API LN_MUST_CHECK ln_status ln_optimizer_new(ln_optimizer **out, ln_weights *w, const ln_optimizer_opts *opts);
LN_API void ln_optimizer_free(ln_optimizer *o);
/** Factors on learning rate and decay of the weights that match ('*' any run). Returns how many matched. */
LN_API int64_t ln_optimizer_group(ln_optimizer *o, const char *pattern, double lr_factor, double decay_factor);
/**
 * Moves the weights against their gradients, which are zeroed. A step whose gradient norm is NaN or infinite is
 * skipped (LN_OK, ln_optimizer_skipped counts); LN_ERR_NUMERIC after `skip_limit` in a row.
 */
LN_API LN_MUST_CHECK ln_status ln_optimizer_step(ln_optimizer *o, double lr);
LN_API double ln_optimizer_norm(const ln_optimizer *o); /* of the gradients of the last step, before clipping by it */
LN_API int64_t ln_optimizer_steps(const ln_optimizer *o);
LN_API int64_t ln_optimizer_skipped(const ln_optimizer *o);
/** Exchanges the weights and their moving average (to evaluate, to save; again to go on). Nothing without one. */
LN_API void ln_optimizer_swap_average(ln_optimizer *o);
/** Bytes an optimiser of these options will hold for w. */
LN_API int64_t ln_optimizer_bytes(const ln_weights *w, const ln_optimizer_opts *opts);

/* ---- schedules ---- */

typedef enum ln_schedule_kind {
    LN_SCHEDULE_CONSTANT = 0,
    LN_SCHEDULE_LINEAR = 1,      /* to final lr at `total`                                 */
    LN_SCHEDULE_COSINE = 2,      /* to final lr at `total` (Loshchilov and Hutter 2017)     */
    LN_SCHEDULE_STEP = 3,        /* times gamma every `every` steps                        */
    LN_SCHEDULE_MULTI_STEP = 4,  /* times gamma at each milestone                          */
    LN_SCHEDULE_EXPONENTIAL = 5, /* gamma^(step / every)                                   */
    LN_SCHEDULE_INV_SQRT = 6,    /* sqrt(w / max(step, w)), w = max(warmup, 1)             */
    LN_SCHEDULE_POLYNOMIAL = 7,  /* final + (1 - final)(1 - step/total)^power              */
    LN_SCHEDULE_WSD = 8,         /* constant to `hold` of total, then 1 - sqrt, to final   */
    LN_SCHEDULE_ONE_CYCLE = 9,   /* cosine from 1/25 up to 1 at 0.3 total, then to final    */
    LN_SCHEDULE_PLATEAU = 10     /* times gamma when the metric has not improved for `every` evaluations */
} ln_schedule_kind;

/** Start from LN_SCHEDULE_INIT. All but plateau are pure functions of the step. */
typedef struct ln_schedule {
    uint32_t struct_size;
    int32_t kind;
    double lr;       /* the peak                                                */
    int64_t total;   /* steps in all                                            */
    int64_t warmup;  /* steps of lr (step + 1) / warmup before; they count in total */
    double final_lr; /* times lr                                                */
    double gamma;
    int64_t every;
    double power;
    double hold;
    const int64_t *milestones; /* ascending; borrowed */
    int64_t n_milestones;
    double scale, best; /* state of plateau; scale 1, best infinite at first */
    int64_t bad;
} ln_schedule;
#define LN_SCHEDULE_INIT                                                                                               \
    {                                                                                                                  \
        sizeof(ln_schedule), LN_SCHEDULE_CONSTANT, 1e-3, 0, 0, 0, 0.1, 1, 1, 0.8, NULL, 0, 1, 1e308, 0                 \
    }
LN_API LN_MUST_CHECK ln_status ln_schedule_check(const ln_schedule *s);
/** Learning rate of step `step`, counted from 0. */
LN_API double ln_schedule_lr(const ln_schedule *s, int64_t step);
/** Tells a plateau schedule the metric of an evaluation (lower is better). Others ignore it. */
LN_API void ln_schedule_metric(ln_schedule *s, double metric);

/* ---- training ---- */

/** Sample at place `i` of pass `epoch` over n samples: a permutation of 0 … n-1 that needs no memory (Feistel). */
LN_API int64_t ln_shuffle(uint64_t seed, int64_t epoch, int64_t n, int64_t i);

typedef struct ln_train_event {
    int64_t step, steps; /* done; in all (0: unknown)                             */
    double epoch;        /* passes over the samples                               */
    double loss, smooth; /* of this step; a moving average over about 50 steps    */
    double lr, norm;     /* gradient norm before clipping                         */
    double metric;       /* of an evaluation at this step, else NaN               */
    double seconds;      /* since the start of this run                           */
    double rate;         /* samples per second since the last event               */
    double eta;          /* seconds; NaN: unknown                                 */
    int64_t peak;        /* bytes held at most                                    */
    int64_t skipped;     /* steps skipped for a non-finite gradient               */
} ln_train_event;

/** What is trained. */
typedef struct ln_training {
    ln_weights *weights;
    int64_t samples;
    /** Mean loss of the samples index[0 … n-1], on the tape. It must depend on weights, index and the tape's random
     * numbers only. A dry tape is used to plan memory: hand it the data as to any other. */
    ln_var *(*loss)(void *ctx, ln_tape *t, const int64_t *index, int64_t n);
    /** Lower is better. The tape is in evaluation, without gradients; it may be reset at will. NULL: none. */
    ln_status (*evaluate)(void *ctx, ln_tape *t, double *metric);
    /** Every `log_every` steps and after evaluations. NULL: none. A failure ends the run with that status. */
    ln_status (*event)(void *ctx, const ln_train_event *e);
    void *ctx;
    uint64_t fingerprint; /* of the data: a checkpoint made with another is refused */
} ln_training;

/** Start from LN_TRAIN_OPTS_INIT. */
typedef struct ln_train_opts {
    uint32_t struct_size;
    int32_t accumulate; /* micro-batches per step; gradients are means over all their samples        */
    int64_t steps;      /* 0: as many as `epochs` make                                               */
    double epochs;
    int64_t batch;  /* samples per step; the last of an epoch may be smaller                     */
    uint64_t seed;  /* of shuffling, dropout and noise                                           */
    double minutes; /* stop, with a checkpoint, after so long; 0: no limit                       */
    int64_t log_every, eval_every, save_every; /* steps; 0: never (a last checkpoint is always written)   */
    int64_t keep;       /* checkpoints                                                               */
    int64_t patience;   /* stop after so many evaluations without a better metric; 0: never           */
    int32_t restore;    /* put the weights of the best evaluation back at the end                    */
    int32_t resume;     /* go on from the newest checkpoint of `dir`, if there is one                 */
    int32_t force;      /* resume although configuration or data differ                              */
    int32_t average;    /* evaluate with the optimiser's moving average                              */
    const char *dir;    /* checkpoints, best.safetensors, log.jsonl; NULL: nothing is written         */
    const char *config; /* what else the numbers depend on: a JSON object, whose members are compared one by one when
                           resuming, or any other text */
    ln_progress_fn progress; /* called after each step with stage "train"; nonzero: checkpoint, LN_ERR_CANCELLED */
    void *payload;
    ln_comm *comm; /* ranks that share every batch; all make the same call. NULL: this process alone. Borrowed */
} ln_train_opts;
#define LN_TRAIN_OPTS_INIT                                                                                             \
    {                                                                                                                  \
        sizeof(ln_train_opts), 1, 0, 1, 32, 0, 0, 10, 0, 0, 2, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL             \
    }

typedef enum ln_train_end {
    LN_TRAIN_DONE = 0,
    LN_TRAIN_TIME = 1,
    LN_TRAIN_EARLY = 2,
    LN_TRAIN_CANCELLED = 3
} ln_train_end;

typedef struct ln_train_report {
    uint32_t struct_size;
    int32_t end;                       /* ln_train_end                         */
    int64_t first, step;               /* steps before this run, and now       */
    double loss, smooth, metric, best; /* NaN: never worked out  */
    int64_t best_step, skipped;
    double seconds;
} ln_train_report;

/**
 * Trains. Failures leave the last checkpoint as it was: LN_ERR_NUMERIC names the operation, the step and that
 * checkpoint when the loss is NaN; LN_ERR_NOMEM comes before the first step when memory will not do; LN_ERR_FORMAT for
 * a damaged checkpoint, or one of another configuration or other data. `schedule` NULL: constant at the optimiser's lr.
 *
 * With ranks (opts->comm) each works out its share of every batch and all take the same step; weights begin as rank
 * 0's. Rank 0 alone evaluates, reports events and writes; all end at the same step with the same status.
 */
LN_API LN_MUST_CHECK ln_status ln_train(const ln_training *what, const ln_optimizer_opts *optimizer,
                                        const ln_schedule *schedule, const ln_train_opts *opts,
                                        ln_train_report *report);

/** What a run will hold, from a dry step. Bytes. */
typedef struct ln_train_plan {
    uint32_t struct_size;
    int32_t fits; /* below ln_memory_limit */
    int64_t weights, optimizer, tape, total;
    int64_t nodes; /* notes on the tape of one micro-batch */
} ln_train_plan;
LN_API LN_MUST_CHECK ln_status ln_train_plan_of(ln_train_plan *plan, const ln_training *what,
                                                const ln_optimizer_opts *optimizer, const ln_train_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
