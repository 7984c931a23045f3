/* recipes.c - the recipes of `linnet reproduce`, one line each, and where their models and data are. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "recipe.h"

extern const cli_recipe recipe_fwsvd; /* reproduce/ */
extern const cli_recipe recipe_rocket;
extern const cli_recipe recipe_mixlinear;
extern const cli_recipe recipe_connectome;
extern const cli_recipe recipe_heal;

/* clang-format off */
const cli_recipe *const cli_recipes[] = {
    &recipe_rocket,
    &recipe_fwsvd,
    &recipe_heal,
    &recipe_mixlinear,
    &recipe_connectome,
    NULL,
};
/* clang-format on */

static ln_status locate(char **path, const char *given, const char *option, const char *variable, const char *name)
{
    ln_status st = LN_OK;
    char *joined = NULL;
    const char *base = given ? given : getenv(variable);
    if (!base || !*base)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: set %s to the directory that holds it, or give --%s", name, variable, option);
    LN_TRY(ln__path_join(&joined, base, name));
    if (!ln__file_exists(joined))
        LN_FAIL(LN_ERR_NOTFOUND, "%s is missing (looked below %s)", joined, given ? option : variable);
    *path = joined;
    joined = NULL;
done:
    ln__free(joined);
    return st;
}

ln_status recipe_data(char **path, const recipe_opts *opts, const char *name)
{
    return locate(path, opts->data, "data", "LINNET_DATA", name);
}

ln_status recipe_model(char **path, const recipe_opts *opts, const char *name)
{
    return opts->model ? ln__strdup(path, opts->model) : locate(path, NULL, "model", "LINNET_MODELS", name);
}
