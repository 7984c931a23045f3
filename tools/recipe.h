/* recipe.h - how a paper's headline comparison plugs into `linnet reproduce NAME`.
 *
 * A recipe is one `const cli_recipe` in reproduce/recipe_<name>.c, listed in tools/recipes.c. It measures, prints its
 * table through cli_say, puts rows and series into ctx->result and every relation it claims into ln_result_check: the
 * command exits 1 when one does not hold. */
#ifndef LINNET_TOOLS_RECIPE_H
#define LINNET_TOOLS_RECIPE_H

#include "cli.h"

typedef struct recipe_opts {
    int32_t quick;        /* one point on a subset, a few minutes                                    */
    const char *model;    /* checkpoint; NULL: the recipe's own, found below $LINNET_MODELS          */
    const char *data;     /* directory of data sets; NULL: $LINNET_DATA                              */
    const char *work;     /* directory for what the recipe writes; NULL: a temporary one, removed    */
    const char *from;     /* an earlier result (JSON) to show again; NULL: measure                   */
    const char *markdown; /* file for the tables as Markdown; NULL: none                          */
} recipe_opts;

typedef struct cli_recipe {
    const char *name;
    const char *summary;
    const char *paper;
    ln_status (*run)(cli_ctx *ctx, const recipe_opts *opts, ln_result *result);
} cli_recipe;

/* NULL-terminated. */
extern const cli_recipe *const cli_recipes[];

/* DIR/name of a data set below --data or $LINNET_DATA, of a model below --model or $LINNET_MODELS. LN_ERR_NOTFOUND says
 * where it was looked for and which option or variable to set. Free with ln__free. */
ln_status recipe_data(char **path, const recipe_opts *opts, const char *name);
ln_status recipe_model(char **path, const recipe_opts *opts, const char *name);

#endif
