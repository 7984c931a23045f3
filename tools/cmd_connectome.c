/* cmd_connectome.c - `linnet connectome SYSTEM TRACES…`. */
#include <string.h>

#include "cli.h"
#include "core/result.h"
#include "estimator.h"

/* One line per component. */
static ln_status run(cli_ctx *ctx)
{
    const ln_status st = cli_estimate(ctx);
    const json_t *rows = st == LN_OK ? json_object_get(ln__result_object(ctx->result), "by_component") : NULL;
    const json_t *row;
    size_t i;
    if (json_array_size(rows) > 0)
        cli_say(ctx, "\n%-14s %7s %7s %7s  %s\n", "", "share", "groups", "levels", "communities");
    json_array_foreach(rows, i, row)
    {
        const char *name = json_string_value(json_object_get(row, "name"));
        const char *groups = json_string_value(json_object_get(row, "communities"));
        if (!groups)
            groups = "no edges";
        char *safe = cli_safe(groups, strlen(groups));
        cli_say(ctx, "%-14s %6.1f%% %7lld %7lld  %s\n", name, 100 * json_number_value(json_object_get(row, "share")),
                (long long)json_integer_value(json_object_get(row, "groups")),
                (long long)json_integer_value(json_object_get(row, "levels")), safe ? safe : "");
        ln__free(safe);
    }
    return st;
}

const cli_verb cmd_connectome = {
    .name = "connectome",
    .group = "Numbers",
    .summary = "which neurons work together, when, in which animals",
    .operands = "TRACES…",
    .example =
        "linnet connectome dynamic worm1.npy worm2.npy --names worm1.csv,worm2.csv --rate 1.67 --joined -o out/\n"
        "linnet connectome dynamic fmri.csv --skip WM,Vent,Brain --rate 0.53 --rank 0 --report fmri.html",
    .details =
        "One file per animal: a CSV or TSV table (also .gz) or npy matrix, rows are time, columns neurons. The same "
        "name "
        "in two animals is the same neuron. Each component is a weighted graph of the neurons with a time course; its "
        "communities are found by a weighted nested stochastic block model.",
    .params = cli_estimator_params,
    .opts_size = sizeof(cli_estimator),
    .systems = true,
    .min_operands = 1,
    .max_operands = LN_JOB_INPUTS,
    .run = run,
};
