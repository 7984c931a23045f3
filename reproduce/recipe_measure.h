/* recipe_measure.h - what the recipes of compressors measure on a language model. */
#ifndef LINNET_REPRODUCE_MEASURE_H
#define LINNET_REPRODUCE_MEASURE_H

#include "recipe_work.h"

/* How much of each data set; 0 leaves a measurement out. */
typedef struct measure_plan {
    int64_t test_tokens, context;
    int64_t pairs, choices;
    int64_t prompt, new_tokens, repeat; /* of the speed measurement: best of `repeat` */
} measure_plan;

typedef struct measure_data {
    char *test, *blimp, *arc, *piqa; /* paths; owned */
} measure_data;
ln_status measure_data_find(measure_data *data, const recipe_opts *opts);
void measure_data_free(measure_data *data);

/* One model. Accuracies are fractions; NaN-free: what was left out is 0 with a count of 0. */
typedef struct measures {
    double perplexity, mean_nll, standard_error; /* nats */
    double blimp, arc, arc_norm, piqa, piqa_norm;
    int64_t n_blimp, n_arc, n_piqa;
    int64_t bytes, parameters;
    double prefill, decode; /* tokens per second */
    double seconds;         /* to make the model; the caller's */
} measures;
/* All but the speeds. */
ln_status measure_model(measures *out, cli_ctx *ctx, const char *path, const measure_data *data,
                        const measure_plan *plan);
/* Perplexity alone. */
ln_status measure_perplexity(measures *out, cli_ctx *ctx, const char *path, const char *text, const measure_plan *plan);
ln_status measure_speed(measures *out, const char *path, const char *text, const measure_plan *plan);
/* All but the speeds as a new JSON object for a journal, and back. */
ln_status measure_journal(json_t **out, const measures *m);
ln_status measure_from_json(measures *m, const json_t *object, const char *what);
/* The measures as members of a JSON object. */
ln_status measure_to_json(json_t *object, const measures *m, const measure_plan *plan);
/* Standard deviation of a difference of two proportions. */
double measure_sigma(double p, int64_t n, double q, int64_t m);

#endif
