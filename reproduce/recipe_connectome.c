/* recipe_connectome.c - dynamic connectomes of real recordings: do neurons that are known to work together land in one
 * community?
 *
 * Five worms (whole-brain calcium, the neurons named in all of them; they move freely, so their clocks are joined) and
 * one resting human brain (28 regions). Homologues on the left and right of the body are connected and correlated, so
 * they should share a community far more often than chance: the number of pairs that do, over all components, against
 * the same partitions with the neurons shuffled (10,000 permutations). Reversals of the worms are drawn beside the time
 * courses of the components: one of them should follow them in every worm (the smallest correlation over the worms is
 * at least 0.2; single neurons of the reversal circuit reach 0.06 to 0.36 in this data). */
#include <math.h>
#include <string.h>

#include <linnet/connectome.h>
#include <linnet/estimator.h>

#include "core/file.h"
#include "core/json.h"
#include "core/result.h"
#include "core/rng.h"
#include "io/table.h"
#include "model/similarity.h"
#include "recipe.h"

enum { WORMS = 5, FLAG = 5 }; /* column of the behaviour */
static const char *const worms[WORMS] = { "2022-07-26-31", "2022-07-26-38", "2022-07-27-31", "2022-07-27-38",
                                          "2022-07-27-45" };

typedef struct pairing {
    int32_t left, right;
} pairing;

/* ---- homologues ---- */

/* ASEL and ASER: the side is the last letter. LThal and RThal: the first. */
static bool homologues(const char *a, const char *b, bool last)
{
    const size_t n = strlen(a);
    if (strlen(b) != n || n < 2)
        return false;
    return last ? a[n - 1] == 'L' && b[n - 1] == 'R' && memcmp(a, b, n - 1) == 0
                : a[0] == 'L' && b[0] == 'R' && strcmp(a + 1, b + 1) == 0;
}

static int64_t find_pairs(pairing *out, int64_t most, const json_t *names, bool last)
{
    int64_t n = 0;
    for (size_t i = 0; i < json_array_size(names); i++)
        for (size_t j = 0; j < json_array_size(names); j++)
            if (n < most && homologues(json_string_value(json_array_get(names, i)),
                                       json_string_value(json_array_get(names, j)), last))
                out[n++] = (pairing){ (int32_t)i, (int32_t)j };
    return n;
}

/* Pairs in one community, over all components; `at` says where each neuron went. */
static int64_t together(const json_t *rows, const pairing *p, int64_t n, const int64_t *at)
{
    int64_t sum = 0;
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *of = json_object_get(json_array_get(rows, r), "group_of");
        for (int64_t i = 0; of && i < n; i++)
            sum += json_integer_value(json_array_get(of, (size_t)at[p[i].left])) ==
                   json_integer_value(json_array_get(of, (size_t)at[p[i].right]));
    }
    return sum;
}

static ln_status check_homologues(cli_ctx *ctx, ln_result *result, const ln_result *found, const char *name, bool last,
                                  int64_t permutations)
{
    enum { MOST = 512 };
    ln_status st = LN_OK;
    json_t *all = NULL;
    pairing pairs[MOST];
    int64_t *at = NULL, as_many = 0;
    double mean = 0;
    char claim[160];
    LN_TRY(ln__result_envelope(&all, found));
    const json_t *results = json_object_get(all, "results"), *rows = json_object_get(results, "by_component");
    const json_t *names = json_object_get(results, "neuron_names");
    const int64_t n = find_pairs(pairs, MOST, names, last), neurons = (int64_t)json_array_size(names);
    LN_TRY(LN_NEW(&at, neurons));
    for (int64_t i = 0; i < neurons; i++)
        at[i] = i;
    const int64_t seen = together(rows, pairs, n, at);
    ln__rng rng = ln__rng_make((uint64_t)ctx->common.seed, 0x9a125);
    for (int64_t k = 0; k < permutations; k++) {
        ln__rng_shuffle_i64(&rng, at, neurons);
        const int64_t by_chance = together(rows, pairs, n, at);
        as_many += by_chance >= seen;
        mean += (double)by_chance / (double)permutations;
    }
    const double p = (double)(1 + as_many) / (double)(1 + permutations);
    const ln_measure m[] = { { "neurons", (double)neurons },
                             { "homologous_pairs", (double)n },
                             { "together", (double)seen },
                             { "by_chance", mean },
                             { "p", p } };
    ln__progress_end(&ctx->progress);
    cli_say(ctx, "%-10s %3lld neurons, %2lld left-right pairs: %lld times in one community, %.1f by chance, p = %.4f\n",
            name, (long long)neurons, (long long)n, (long long)seen, mean, p);
    snprintf(claim, sizeof claim, "%s: left-right homologues share a community more often than chance", name);
    LN_TRY(ln_result_check(result, name, claim, "permutation p < 0.01", m, LN_COUNT(m), n > 0 && p < 0.01));
done:
    ln__free(at);
    json_decref(all);
    return st;
}

/* ---- the parts of one run that the recipe's report shows ---- */

/* Copies a curve of `found` into the recipe's result; with a behaviour, appends its correlation with the flag. */
static ln_status copy_curve(ln_result *result, const json_t *s, const char *prefix, const ln__table *behaviour,
                            double rate, json_t *rows)
{
    ln_status st = LN_OK;
    double *x = NULL, *y = NULL, *flag = NULL;
    char *group = NULL;
    const json_t *xs = json_object_get(s, "x"), *ys = json_object_get(s, "y");
    const char *name = json_string_value(json_object_get(s, "name"));
    const char *of = json_string_value(json_object_get(s, "group"));
    const int64_t n = (int64_t)json_array_size(xs);
    LN_TRY(LN_NEW(&x, n));
    LN_TRY(LN_NEW(&y, n));
    LN_TRY(LN_NEW(&flag, n));
    LN_TRY(ln__sprintf(&group, "%s: %s", prefix, of));
    double top = 0;
    for (int64_t i = 0; i < n; i++) {
        x[i] = json_number_value(json_array_get(xs, (size_t)i));
        y[i] = json_number_value(json_array_get(ys, (size_t)i));
        top = LN_MAX(top, y[i]);
        if (behaviour)
            flag[i] =
                behaviour->data[LN_MIN((int64_t)lrint(x[i] * rate), behaviour->rows - 1) * behaviour->cols + FLAG];
    }
    LN_TRY(ln_result_series(result, group, name, json_string_value(json_object_get(s, "x_label")),
                            json_string_value(json_object_get(s, "y_label")), x, y, n));
    if (behaviour) {
        json_t *row = json_pack("{s:s,s:s,s:f}", "name", name, "where", of, "with_reversals", ln__pearson(y, flag, n));
        LN_TRY(ln__json_append(rows, row));
        if (strcmp(name, "component 1") == 0) {
            for (int64_t i = 0; i < n; i++)
                flag[i] *= top;
            LN_TRY(ln_result_series(result, group, "reversal", "seconds", "strength", x, flag, n));
        }
    }
done:
    ln__free(x);
    ln__free(y);
    ln__free(flag);
    ln__free(group);
    return st;
}

/* Does one component go with the reversals of every worm? */
static ln_status check_reversals(cli_ctx *ctx, ln_result *result, const json_t *rows)
{
    ln_status st = LN_OK;
    const char *best = "";
    double most = -1, top = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(rows, i), "name"));
        double least = 1, greatest = -1;
        for (size_t j = 0; j < json_array_size(rows); j++) {
            const json_t *row = json_array_get(rows, j);
            const double c = json_number_value(json_object_get(row, "with_reversals"));
            if (strcmp(name, json_string_value(json_object_get(row, "name"))) != 0)
                continue;
            least = LN_MIN(least, c);
            greatest = LN_MAX(greatest, c);
        }
        if (least > most) {
            most = least;
            top = greatest;
            best = name;
        }
    }
    const ln_measure m[] = { { "least_correlation", most }, { "greatest_correlation", top } };
    cli_say(ctx, "%-10s %s follows the reversals: correlation %.2f to %.2f over the worms\n", "worms", best, most, top);
    LN_TRY(ln_result_text(result, "reversal_component", best));
    LN_TRY(ln_result_check(result, "reversals", "worms: one component follows the reversals of every animal",
                           "least correlation over the worms >= 0.2", m, LN_COUNT(m), most >= 0.2));
done:
    return st;
}

static ln_status show(cli_ctx *ctx, ln_result *result, const ln_result *found, const char *name,
                      const ln__table *behaviour, double rate)
{
    ln_status st = LN_OK;
    json_t *all = NULL, *rows = json_array(), *s;
    size_t i;
    LN_TRY(ln__result_envelope(&all, found));
    LN_TRY(ln__json_set(ln__result_object(result), name, json_incref(json_object_get(all, "results"))));
    json_array_foreach(json_object_get(all, "series"), i, s)
    {
        int animal = 0;
        const char *group = json_string_value(json_object_get(s, "group"));
        const bool timed =
            group && sscanf(group, "time course, animal %d", &animal) == 1 && animal >= 1 && animal <= WORMS;
        LN_TRY(copy_curve(result, s, name, behaviour && timed ? &behaviour[animal - 1] : NULL, rate, rows));
    }
    if (behaviour) {
        LN_TRY(ln__json_set(ln__result_object(result), "reversals", json_incref(rows)));
        LN_TRY(check_reversals(ctx, result, rows));
    }
done:
    json_decref(rows);
    json_decref(all);
    return st;
}

/* ---- the recordings ---- */

static ln_status estimate(ln_result **found, cli_ctx *ctx, ln_job *job, const ln_connectome_opts *o)
{
    ln_status st = LN_OK;
    const ln_system *s = ln_system_find("connectome", "dynamic");
    job->seed = ctx->common.seed;
    job->progress = ln__progress_show;
    job->payload = &ctx->progress;
    LN_TRY(ln_result_new(found, "connectome", "dynamic"));
    LN_TRY(ln_estimate(s, job, o, *found));
done:
    return st;
}

static ln_connectome_opts defaults(const recipe_opts *opts)
{
    ln_connectome_opts o;
    ln_params_defaults(ln_connectome_params(), &o);
    o.struct_size = sizeof o;
    if (opts->quick) {
        o.samples = 150;
        o.restarts = 1;
        o.sbm_restarts = 2;
    }
    return o;
}

static ln_status run_worms(cli_ctx *ctx, const recipe_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln_result *found = NULL;
    ln_job job = { 0 };
    ln__buf names = { 0 };
    char *dir = NULL, *path[WORMS] = { NULL }, *behaviour = NULL;
    ln__table moves[WORMS] = { 0 };
    ln_connectome_opts o = defaults(opts);
    LN_TRY(recipe_data(&dir, opts, "celegans-calcium"));
    for (int w = 0; w < WORMS; w++) {
        LN_TRY(ln__sprintf(&path[w], "%s/%s_trace_f32.npy", dir, worms[w]));
        LN_TRY(ln__buf_printf(&names, "%s%s/%s_neurons.csv", w ? "," : "", dir, worms[w]));
        LN_TRY(ln__sprintf(&behaviour, "%s/%s_behaviour_f32.npy", dir, worms[w]));
        LN_TRY(ln__table_read(&moves[w], behaviour, NULL));
        if (moves[w].cols <= FLAG)
            LN_FAIL(LN_ERR_SHAPE, "%s: %lld columns, the reversal flag is the 6th", behaviour,
                    (long long)moves[w].cols);
        ln__free(behaviour);
        behaviour = NULL;
        job.input[job.inputs++] = path[w];
    }
    o.names = names.data;
    o.rate = 1.67;
    o.joined = 1;
    LN_TRY(estimate(&found, ctx, &job, &o));
    LN_TRY(check_homologues(ctx, result, found, "worms", true, opts->quick ? 999 : 9999));
    LN_TRY(show(ctx, result, found, "worms", moves, o.rate));
done:
    for (int w = 0; w < WORMS; w++) {
        ln__free(path[w]);
        ln__table_free(&moves[w]);
    }
    ln__free(behaviour);
    ln__free(dir);
    ln__buf_free(&names);
    ln_result_free(found);
    return st;
}

static ln_status run_brain(cli_ctx *ctx, const recipe_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    ln_result *found = NULL;
    ln_job job = { .inputs = 1 };
    char *dir = NULL, *path = NULL;
    ln_connectome_opts o = defaults(opts);
    LN_TRY(recipe_data(&dir, opts, "fmri-rest"));
    LN_TRY(ln__path_join(&path, dir, "fmri_timeseries.csv"));
    job.input[0] = path;
    o.skip = "WM,Vent,Brain";
    o.rate = 1 / 1.89;
    o.smooth = 3;
    o.smooth_affinity = 6;
    LN_TRY(estimate(&found, ctx, &job, &o));
    LN_TRY(check_homologues(ctx, result, found, "brain", false, opts->quick ? 999 : 9999));
    LN_TRY(show(ctx, result, found, "brain", NULL, o.rate));
done:
    ln__free(path);
    ln__free(dir);
    ln_result_free(found);
    return st;
}

static ln_status run(cli_ctx *ctx, const recipe_opts *opts, ln_result *result)
{
    ln_status st = LN_OK;
    LN_TRY(run_worms(ctx, opts, result));
    LN_TRY(run_brain(ctx, opts, result));
done:
    return st;
}

const cli_recipe recipe_connectome = {
    .name = "connectome",
    .summary = "communities of neurons in five worms and of regions in a resting brain: homologues together, reversals "
               "followed",
    .paper = "Dyballa et al., Learning dynamic representations of the functional connectome (ICLR 2024)",
    .run = run,
};
