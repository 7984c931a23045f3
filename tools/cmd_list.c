/* cmd_list.c - `linnet list`: verbs, systems, benches and recipes; with --json also every option, its range and
 * default, which is what bindings and documentation are generated from. */
#include <string.h>

#include "bench.h"
#include "cli.h"
#include "core/json.h"
#include "recipe.h"

static ln_status option_json(json_t *array, const ln_param *p)
{
    static const char *const types[] = { "", "int", "real", "switch", "int", "bytes", "text", "choice" };
    ln_status st = LN_OK;
    json_t *o = json_object();
    LN_TRY(ln__json_set(o, "name", json_string(p->name)));
    LN_TRY(ln__json_set(o, "type", json_string(types[p->type])));
    LN_TRY(ln__json_set(o, "help", json_string(p->help)));
    LN_TRY(ln__json_set(o, "required", json_boolean(p->flags & LN_PARAM_REQUIRED)));
    if (p->type == LN_PARAM_STRING) {
        LN_TRY(ln__json_set(o, "value", json_string(cli_placeholder(p))));
        LN_TRY(ln__json_set(o, "default", p->text ? json_string(p->text) : json_null()));
    } else if (p->type == LN_PARAM_BOOL) {
        LN_TRY(ln__json_set(o, "default", json_boolean(p->def != 0)));
    } else if (p->type == LN_PARAM_CHOICE) {
        json_t *words = json_array();
        LN_TRY(ln__json_set(o, "choices", words));
        const char *def = "";
        int i = 0;
        for (const char *w = p->words; w; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL, i++) {
            LN_TRY(ln__json_append(words, json_stringn(w, strcspn(w, "|"))));
            if (i == (int)p->def)
                def = json_string_value(json_array_get(words, (size_t)i));
        }
        LN_TRY(ln__json_set(o, "default", json_string(def)));
    } else {
        const bool real = p->type == LN_PARAM_FLOAT64;
        LN_TRY(ln__json_set(o, "default", real ? json_real(p->def) : json_integer((json_int_t)p->def)));
        LN_TRY(ln__json_set(o, "min", real ? json_real(p->lo) : json_integer((json_int_t)p->lo)));
        LN_TRY(ln__json_set(o, "max", real ? json_real(p->hi) : json_integer((json_int_t)p->hi)));
    }
    st = ln__json_append(array, o);
    o = NULL;
done:
    json_decref(o);
    return st;
}

static ln_status options_json(json_t *owner, const ln_param *const *tables, int n)
{
    ln_status st = LN_OK;
    json_t *array = json_array();
    LN_TRY(ln__json_set(owner, "options", array));
    for (int i = 0; i < n; i++)
        for (const ln_param *p = tables[i]; p && p->type != LN_PARAM_END; p++)
            LN_TRY(option_json(array, p));
done:
    return st;
}

/* {"name", "summary"} appended to `array`; the object stays there. */
static ln_status entry(json_t **out, json_t *array, const char *name, const char *summary)
{
    ln_status st = LN_OK;
    json_t *o = json_object();
    LN_TRY(ln__json_append(array, o));
    LN_TRY(ln__json_set(o, "name", json_string(name)));
    LN_TRY(ln__json_set(o, "summary", json_string(summary)));
    *out = o;
done:
    return st;
}

static ln_status verbs_json(json_t *array)
{
    ln_status st = LN_OK;
    json_t *o;
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        LN_TRY(entry(&o, array, (*v)->name, (*v)->summary));
        LN_TRY(ln__json_set(o, "group", json_string((*v)->group)));
        LN_TRY(ln__json_set(o, "operands", json_string((*v)->operands)));
        LN_TRY(ln__json_set(o, "systems", json_boolean((*v)->systems)));
        const ln_param *tables[2] = { (*v)->params, (*v)->shared ? (*v)->shared() : NULL };
        LN_TRY(options_json(o, tables, 2));
    }
done:
    return st;
}

static ln_status systems_json(json_t *array)
{
    ln_status st = LN_OK;
    json_t *o;
    for (const ln_system *const *s = ln_systems(); *s; s++) {
        LN_TRY(entry(&o, array, (*s)->name, (*s)->summary));
        LN_TRY(ln__json_set(o, "verb", json_string((*s)->verb)));
        LN_TRY(ln__json_set(o, "paper", (*s)->paper ? json_string((*s)->paper) : json_null()));
        LN_TRY(ln__json_set(o, "example", (*s)->example ? json_string((*s)->example) : json_null()));
        LN_TRY(options_json(o, &(*s)->params, 1));
    }
done:
    return st;
}

static ln_status more_json(json_t *benches, json_t *recipes, json_t *common)
{
    ln_status st = LN_OK;
    json_t *o;
    for (const cli_bench *const *b = cli_benches; *b; b++)
        LN_TRY(entry(&o, benches, (*b)->name, (*b)->summary));
    for (const cli_recipe *const *r = cli_recipes; *r; r++)
        LN_TRY(entry(&o, recipes, (*r)->name, (*r)->summary));
    for (const ln_param *p = cli_common_params; p->type != LN_PARAM_END; p++)
        LN_TRY(option_json(common, p));
done:
    return st;
}

static void say_all(const cli_ctx *ctx)
{
    cli_say(ctx, "Verbs\n");
    for (const cli_verb *const *v = cli_verbs; *v; v++) {
        cli_row(ctx, (*v)->name, "%s", (*v)->summary);
        for (const ln_system *const *s = ln_systems(); (*v)->systems && *s; s++)
            if (strcmp((*s)->verb, (*v)->name) == 0)
                cli_say(ctx, "    %-20s %s%s%s%s\n", (*s)->name, (*s)->summary, (*s)->paper ? " (" : "",
                        (*s)->paper ? (*s)->paper : "", (*s)->paper ? ")" : "");
    }
    if (*cli_benches)
        cli_say(ctx, "\nBenches (linnet bench NAME)\n");
    for (const cli_bench *const *b = cli_benches; *b; b++)
        cli_row(ctx, (*b)->name, "%s", (*b)->summary);
    if (*cli_recipes)
        cli_say(ctx, "\nRecipes (linnet reproduce NAME)\n");
    for (const cli_recipe *const *r = cli_recipes; *r; r++)
        cli_row(ctx, (*r)->name, "%s", (*r)->summary);
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    json_t *verbs = json_array(), *systems = json_array(), *benches = json_array(), *recipes = json_array(),
           *common = json_array();
    if (!verbs || !systems || !benches || !recipes || !common)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(verbs_json(verbs));
    LN_TRY(systems_json(systems));
    LN_TRY(more_json(benches, recipes, common));
    LN_TRY(cli_json(ctx, "verbs", verbs));
    LN_TRY(cli_json(ctx, "systems", systems));
    LN_TRY(cli_json(ctx, "benches", benches));
    LN_TRY(cli_json(ctx, "recipes", recipes));
    LN_TRY(cli_json(ctx, "common_options", common));
    say_all(ctx);
done:
    json_decref(verbs);
    json_decref(systems);
    json_decref(benches);
    json_decref(recipes);
    json_decref(common);
    return st;
}

const cli_verb cmd_list = {
    .name = "list",
    .group = "Looking around",
    .summary = "verbs, systems, benches and recipes; with --json also their options",
    .operands = "",
    .example = "linnet list\nlinnet list --json -",
    .run = run,
};
