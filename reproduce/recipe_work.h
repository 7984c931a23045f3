/* recipe_work.h - the work directory of a recipe: its journal, and the models it makes there. */
#ifndef LINNET_REPRODUCE_WORK_H
#define LINNET_REPRODUCE_WORK_H

#include <linnet/compress.h>

#include "core/journal.h"
#include "recipe.h"

/* opts->work, made when it is not there, or a new temporary directory, which _end removes. */
typedef struct work_dir {
    char *path;
    bool temporary;
} work_dir;
ln_status work_dir_begin(work_dir *w, const recipe_opts *opts);
void work_dir_end(work_dir *w);

/* The journal in `work`, for rows that depend on the contents of `files` (a NULL is skipped; directories are hashed
 * whole) and on `scale`, a text of every number the rows were made with. The files go into the envelope's inputs.
 * "resumed" of the result says whether there are rows already. */
ln_status recipe_journal(ln__journal **out, cli_ctx *ctx, ln_result *result, const char *work, const char *scale,
                         const char *const *files, int64_t n);

/* Numbers that took long, kept in the journal under the name of their step. */
bool recipe_known(double *values, int n, const ln__journal *journal, const char *step);
ln_status recipe_keep(ln__journal *journal, const char *step, const double *values, int n);

/* Options that all compressions of a recipe share. */
ln_compress_opts recipe_compress_opts(cli_ctx *ctx, const char *calib, const char *cache);
/* `settings`: "name", "value", … over the system's defaults, NULL-terminated; may be NULL. */
ln_status recipe_compress(const char *system, const char *model, const char *dir, const ln_compress_opts *o,
                          const char *const *settings, ln_result *result);
/* The f16 copy of `source`, which the results of compressions compare with. */
ln_status recipe_dense(cli_ctx *ctx, const char *source, const char *dir);

#endif
