/* parts_wrap.c - post_processor of a tokenizer.json: the ids it puts before and after one text.
 *
 * TemplateProcessing lists them, BertProcessing and RobertaProcessing are "cls A sep", ByteLevel only moves offsets; in
 * a Sequence each wraps what the one before it made. */
#include <string.h>

#include "text/parts.h"

typedef struct wrap {
    int32_t *ids;
    int64_t n;
} wrap;

static ln_status add_id(ln_tokenizer *t, wrap *w, int64_t id, const char *what)
{
    if (id < 0 || id >= t->vocab.n || !ln__vocab_get(&t->vocab, id).data)
        return ln__fail(LN_ERR_FORMAT, "%s: post_processor adds token %lld (%s), which does not exist", t->name,
                        (long long)id, what);
    const ln_status st = ln__realloc((void **)&w->ids, (size_t)w->n + 1, sizeof *w->ids);
    if (st == LN_OK)
        w->ids[w->n++] = (int32_t)id;
    return st;
}

/* Ids of "special_tokens"[name]. */
static ln_status add_special(ln_tokenizer *t, wrap *w, const json_t *specials, const char *name)
{
    const json_t *ids = json_object_get(json_object_get(specials, name), "ids");
    if (!json_is_array(ids))
        return ln__fail(LN_ERR_FORMAT, "%s: post_processor uses '%s', which is not among its special_tokens", t->name,
                        name);
    ln_status st = LN_OK;
    for (size_t i = 0; i < json_array_size(ids) && st == LN_OK; i++) {
        const json_t *id = json_array_get(ids, i);
        st = json_is_integer(id) ? add_id(t, w, json_integer_value(id), name)
                                 : ln__fail(LN_ERR_FORMAT, "%s: an id of '%s' is not a whole number", t->name, name);
    }
    return st;
}

static ln_status template(ln_tokenizer *t, wrap *before, wrap *after, const json_t *o)
{
    const json_t *single = json_object_get(o, "single"), *specials = json_object_get(o, "special_tokens");
    if (!json_is_array(single))
        return ln__fail(LN_ERR_FORMAT, "%s: TemplateProcessing without 'single'", t->name);
    ln_status st = LN_OK;
    int texts = 0;
    for (size_t i = 0; i < json_array_size(single) && st == LN_OK; i++) {
        const json_t *item = json_array_get(single, i);
        const char *special = json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
        const char *sequence = json_string_value(json_object_get(json_object_get(item, "Sequence"), "id"));
        if (special)
            st = add_special(t, texts ? after : before, specials, special);
        else if (sequence && strcmp(sequence, "A") == 0)
            texts++;
        else
            st =
                ln__fail(LN_ERR_FORMAT, "%s: entry %zu of TemplateProcessing's 'single' is not understood", t->name, i);
    }
    if (st == LN_OK && texts != 1)
        st = ln__fail(LN_ERR_UNSUPPORTED, "%s: TemplateProcessing uses the text %d times, expected once", t->name,
                      texts);
    return st;
}

/* "cls" and "sep" are [token, id]. */
static ln_status cls_sep(ln_tokenizer *t, wrap *before, wrap *after, const json_t *o)
{
    const json_t *cls = json_array_get(json_object_get(o, "cls"), 1),
                 *sep = json_array_get(json_object_get(o, "sep"), 1);
    if (!json_is_integer(cls) || !json_is_integer(sep))
        return ln__fail(LN_ERR_FORMAT, "%s: post_processor without 'cls' and 'sep'", t->name);
    const ln_status st = add_id(t, before, json_integer_value(cls), "cls");
    return st == LN_OK ? add_id(t, after, json_integer_value(sep), "sep") : st;
}

static ln_status join(int32_t **ids, int64_t *n, const wrap *first, const int32_t *second, int64_t n_second)
{
    int32_t *all = NULL;
    const ln_status st = LN_NEW(&all, first->n + n_second);
    if (st != LN_OK)
        return st;
    if (first->n)
        memcpy(all, first->ids, (size_t)first->n * sizeof *all);
    if (n_second)
        memcpy(all + first->n, second, (size_t)n_second * sizeof *all);
    ln__free(*ids);
    *ids = all;
    *n = first->n + n_second;
    return LN_OK;
}

static ln_status processor(ln_tokenizer *t, const json_t *o, int depth)
{
    ln_status st = LN_OK;
    wrap before = { 0 }, after = { 0 };
    if (!o || json_is_null(o))
        return LN_OK;
    const char *type = json_string_value(json_object_get(o, "type"));
    if (!type)
        LN_FAIL(LN_ERR_FORMAT, "%s: post_processor has no 'type'", t->name);
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(o, "processors");
        if (depth > 4)
            LN_FAIL(LN_ERR_UNSUPPORTED, "%s: 'processors' nested too deep", t->name);
        for (size_t i = 0; i < json_array_size(list); i++)
            LN_TRY(processor(t, json_array_get(list, i), depth + 1));
        goto done;
    }
    if (strcmp(type, "TemplateProcessing") == 0)
        LN_TRY(template(t, &before, &after, o));
    else if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
        LN_TRY(cls_sep(t, &before, &after, o));
    else if (strcmp(type, "ByteLevel") != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: post_processor '%s' is not supported", t->name, type);
    LN_TRY(join(&t->before, &t->n_before, &before, t->before, t->n_before));
    const wrap old = { t->after, t->n_after };
    LN_TRY(join(&t->after, &t->n_after, &old, after.ids, after.n));
done:
    ln__free(before.ids);
    ln__free(after.ids);
    return st;
}

ln_status ln__parts_wrap(ln_tokenizer *t, const json_t *root)
{
    return processor(t, json_object_get(root, "post_processor"), 0);
}
