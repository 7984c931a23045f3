/* cmd_reproduce.c - `linnet reproduce NAME`: a paper's headline comparison at our scale, with a verdict per claim. */
#include <string.h>

#include "cli.h"
#include "core/file.h"
#include "core/json.h"
#include "core/kernels.h"
#include "recipe.h"

static const ln_param params[] = {
    LN_P_TEXT(recipe_opts, model, NULL, "MODEL", "the model to use, instead of the recipe's own below $LINNET_MODELS"),
    LN_P_TEXT(recipe_opts, data, NULL, "DIR", "where the data sets are, instead of $LINNET_DATA"),
    LN_P_TEXT(recipe_opts, work, NULL, "DIR", "keep what the recipe writes here, instead of a temporary directory"),
    LN_P_TEXT(recipe_opts, from, NULL, "FILE.json",
              "show the result that an earlier --json wrote; nothing is measured"),
    LN_P_TEXT(recipe_opts, markdown, NULL, "FILE.md", "write claims and tables as Markdown"),
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

/* The checks of an envelope, one line each; LN_ERR_RELATION when one does not hold. */
static ln_status say_checks(const cli_ctx *ctx, const char *text)
{
    ln_status st = LN_OK;
    json_t *all = NULL, *check;
    size_t i;
    LN_TRY(ln__json_parse(&all, text, strlen(text), "result"));
    json_array_foreach(json_object_get(all, "checks"), i, check)
    {
        const bool holds = json_is_true(json_object_get(check, "holds"));
        if (i == 0)
            cli_say(ctx, "checks\n");
        const char *claim = json_string_value(json_object_get(check, "claim"));
        cli_say(ctx, "  %-6s %s\n", holds ? "holds" : "FAILS", claim ? claim : "");
        if (!holds)
            st = ln__fail(LN_ERR_RELATION, "%s", claim ? claim : "a checked relation does not hold");
    }
done:
    json_decref(all);
    return st;
}

/* The file of an earlier run: it must be one of this recipe. */
static ln_status read_earlier(char **text, const char *path, const char *recipe)
{
    ln_status st = LN_OK;
    json_t *all = NULL;
    LN_TRY(ln__json_read(&all, path));
    const char *name = json_string_value(json_object_get(json_object_get(all, "results"), "recipe"));
    if (!name || strcmp(name, recipe) != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: expected a result of reproduce %s, found %s", path, recipe,
                name ? name : "another");
    LN_TRY(ln__json_text(text, all, 0));
done:
    json_decref(all);
    return st;
}

static ln_status measure(char **text, cli_ctx *ctx, const cli_recipe *recipe)
{
    ln_status st = LN_OK;
    LN_TRY(ln_result_text(ctx->result, "recipe", recipe->name));
    if (recipe->paper)
        LN_TRY(ln_result_text(ctx->result, "paper", recipe->paper));
    LN_TRY(ln_result_text(ctx->result, "machine.kernels", ln__cpu_name(ln__k())));
    LN_TRY(recipe->run(ctx, ctx->opts, ctx->result));
    ln__progress_end(&ctx->progress);
    LN_TRY(ln_result_write_text(text, ctx->result, 0));
done:
    return st;
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    const recipe_opts *o = ctx->opts;
    const cli_recipe *recipe = find(ctx->operand[0]);
    char *text = NULL, *markdown = NULL;
    if (!recipe)
        return no_recipe(ctx->operand[0]);
    if (o->from && (ctx->common.json || ctx->common.report || o->model || o->data || o->work || o->quick))
        LN_FAIL(LN_ERR_ARG,
                "reproduce: --from shows an earlier result and takes --markdown only; the rest belongs to a run");
    if (o->from)
        LN_TRY(read_earlier(&text, o->from, recipe->name));
    else
        LN_TRY(measure(&text, ctx, recipe));
    if (o->markdown) {
        LN_TRY(ln_report_markdown(&markdown, text));
        LN_TRY(ln__file_write(o->markdown, markdown, strlen(markdown)));
    }
    st = say_checks(ctx, text);
    if (st == LN_ERR_RELATION && !o->from)
        st = LN_OK; /* the envelope says so, and is written first */
done:
    ln_free(text);
    ln_free(markdown);
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
