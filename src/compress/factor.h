/* factor.h - the last stages of a run: factored layers, the report, the plan. */
#ifndef LINNET_COMPRESS_FACTOR_H
#define LINNET_COMPRESS_FACTOR_H

#include "compress/run.h"

/* An ln__linear_source over the blobs of the factor stage; ctx is the ln__run. */
ln_status ln__run_factored(ln_linop **out, void *ctx, int64_t i);
/* "results" and "series" of a finished run whose files are in `dir`. result may be NULL. */
ln_status ln__run_report(const ln__run *run, ln_result *result, const char *dir);
/* Memory, time and disk of the run, from its shapes and a short measurement of this machine. */
ln_status ln__run_plan(const ln__run *run, ln_result *result);
/* Every option of the run that the two tables name, as JSON. */
ln_status ln__run_options_json(json_t **out, const ln__run *run, const ln_param *common);

#endif
