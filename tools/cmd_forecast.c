/* cmd_forecast.c - `linnet forecast SYSTEM FILE.csv [-o DIR] [--model DIR]`. */
#include <linnet/forecast.h>

#include "estimator.h"

const cli_verb cmd_forecast = {
    .name = "forecast",
    .group = "Numbers",
    .summary = "the next rows of a table over time, and how far off such forecasts are",
    .operands = "FILE.csv",
    .example = "linnet forecast dlinear ETTh1.csv --horizon 96 -o model/ --report etth1.html\n"
               "linnet forecast dlinear today.csv --model model/ -o tomorrow/",
    .details =
        "FILE is CSV, plain or gzip: one row per time, one column per channel, and perhaps a column of dates, which is "
        "found and must be evenly spaced. A fit learns on the first part of the rows, chooses on the second and is "
        "tested on all windows of the last; the output directory holds the model and forecast.csv, the rows after the "
        "end. With --model nothing is fitted: the rows after the end of FILE are forecast.",
    .params = cli_estimator_params,
    .opts_size = sizeof(cli_estimator),
    .shared = ln_forecast_params,
    .shared_size = sizeof(ln_forecast_opts),
    .systems = true,
    .min_operands = 1,
    .max_operands = 1,
    .run = cli_estimate,
};
