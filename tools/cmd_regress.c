/* cmd_regress.c - `linnet regress SYSTEM TABLE`. */
#include <string.h>

#include <linnet/regress.h>

#include "cli.h"
#include "core/result.h"
#include "estimator.h"

enum { SHOWN = 20 };

/* The largest coefficients, which the results hold sorted. */
static void say_coefficients(cli_ctx *ctx)
{
    const json_t *rows = json_object_get(ln__result_object(ctx->result), "coefficients");
    const size_t n = json_array_size(rows), shown = LN_MIN(n, SHOWN);
    if (n == 0)
        return;
    cli_say(ctx, "\n%-24s %14s %14s\n", "column", "coefficient", "scaled");
    for (size_t i = 0; i < shown; i++) {
        const json_t *row = json_array_get(rows, i);
        const char *name = json_string_value(json_object_get(row, "column"));
        char *safe = cli_safe(name, strlen(name));
        cli_say(ctx, "%-24s %14.6g %14.6g\n", safe ? safe : "?", json_number_value(json_object_get(row, "coefficient")),
                json_number_value(json_object_get(row, "scaled")));
        ln__free(safe);
    }
    if (n > shown)
        cli_say(ctx, "… and %lld more (--json, --report)\n", (long long)(n - shown));
}

static ln_status run(cli_ctx *ctx)
{
    const ln_status st = cli_estimate(ctx);
    if (st == LN_OK)
        say_coefficients(ctx);
    return st;
}

const cli_verb cmd_regress = {
    .name = "regress",
    .group = "Numbers",
    .summary = "predict a column from others with few coefficients",
    .operands = "TABLE",
    .example = "linnet regress lasso diabetes.csv --target progression --report lasso.html -o fit/\n"
               "linnet regress lasso new.csv --model fit/ -o predicted/",
    .details =
        "TABLE is a CSV or TSV file (also .gz), whose header names the columns, or a npy matrix, whose columns are "
        "called x0, x1, …. The strength of a penalty, or the number of coefficients, is chosen by cross-validation "
        "unless it is given. -o keeps the fit; --model applies one to the columns of the same names and, with -o, "
        "writes predictions.csv.",
    .params = cli_estimator_params,
    .opts_size = sizeof(cli_estimator),
    .shared = ln_regress_params,
    .shared_size = sizeof(ln_regress_opts),
    .systems = true,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
