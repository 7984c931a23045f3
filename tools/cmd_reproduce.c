/* cmd_reproduce.c - `linnet reproduce NAME`: a paper's headline comparison at our scale, with a verdict per claim. */
#include <string.h>

#include "cli.h"
#include "core/json.h"
#include "recipe.h"

static const ln_param params[] = {
    LN_P_TEXT(recipe_opts, model, NULL, "MODEL", "the model to use, instead of the recipe's own below $LINNET_MODELS"),
    LN_P_TEXT(recipe_opts, data, NULL, "DIR", "where the data sets are, instead of $LINNET_DATA"),
    LN_P_TEXT(recipe_opts, work, NULL, "DIR", "keep what the recipe writes here, instead of a temporary directory"),
    LN_P_BOOL(recipe_opts, quick, 0, "one point on a subset: a few minutes"),
    LN_P_END,
};

static const cli_recipe *find(const char *name)
{
    for (const cli_recipe *const *r = cli_recipes; *r; r++)
        if (strcmp((*r)->name, name) == 0)
            return *r;
    return NULL;
}

static ln_status no_recipe(const char *name)
{
    const char *names[64] = { NULL };
    char list[512] = "";
    int64_t n = 0;
    for (const cli_recipe *const *r = cli_recipes; *r && n < LN_COUNT(names); r++) {
        const size_t len = strlen(list);
        snprintf(list + len, sizeof list - len, "%s%s", n ? ", " : "", (*r)->name);
        names[n++] = (*r)->name;
    }
    const char *near = cli_nearest(name, names, n);
    if (near)
        return ln__fail(LN_ERR_ARG, "no recipe '%s'; did you mean %s?", name, near);
    return ln__fail(LN_ERR_ARG, "no recipe '%s': this build has %s", name, n ? list : "none");
}

/* The checks of the envelope, one line each. */
static ln_status say_checks(const cli_ctx *ctx)
{
    ln_status st = LN_OK;
    char *text = NULL;
    json_t *all = NULL, *check;
    size_t i;
    LN_TRY(ln_result_write_text(&text, ctx->result, 0));
    LN_TRY(ln__json_parse(&all, text, strlen(text), "result"));
    json_array_foreach(json_object_get(all, "checks"), i, check)
    {
        if (i == 0)
            cli_say(ctx, "checks\n");
        const char *claim = json_string_value(json_object_get(check, "claim"));
        cli_say(ctx, "  %-6s %s\n", json_is_true(json_object_get(check, "holds")) ? "holds" : "FAILS",
                claim ? claim : "");
    }
done:
    ln_free(text);
    json_decref(all);
    return st;
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    const cli_recipe *recipe = find(ctx->operand[0]);
    if (!recipe)
        return no_recipe(ctx->operand[0]);
    LN_TRY(ln_result_text(ctx->result, "recipe", recipe->name));
    if (recipe->paper)
        LN_TRY(ln_result_text(ctx->result, "paper", recipe->paper));
    LN_TRY(recipe->run(ctx, ctx->opts, ctx->result));
    ln__progress_end(&ctx->progress);
    LN_TRY(say_checks(ctx));
done:
    return st;
}

const cli_verb cmd_reproduce = {
    .name = "reproduce",
    .group = "Measuring",
    .summary = "re-run a paper's comparison: claim, measured, verdict",
    .operands = "NAME",
    .example = "linnet reproduce rocket --quick\nlinnet reproduce rocket --json rocket.json --report rocket.html",
    .details = "linnet list names the recipes. The exit code is 1 when a claimed relation does not hold.",
    .params = params,
    .opts_size = sizeof(recipe_opts),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
