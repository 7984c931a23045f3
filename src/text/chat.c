/* chat.c - a conversation through the model's own chat template. */
#include "text/impl.h"
#include "text/jinja.h"

/* Names that templates use for tokens, when the tokenizer has them. */
static ln_status set_token(json_t *context, const ln_tokenizer *t, const char *key, int32_t id)
{
    const char *s = ln_tokenizer_token(t, id);
    return s ? ln__json_set(context, key, json_string(s)) : LN_OK;
}

static ln_status fill(json_t *context, const ln_tokenizer *t, const ln_message *messages, int n, bool prompt)
{
    ln_status st = LN_OK;
    json_t *list = json_array();
    LN_TRY(ln__json_set(context, "messages", list));
    for (int i = 0; i < n; i++) {
        if (!messages[i].role || !messages[i].content)
            LN_FAIL(LN_ERR_ARG, "message %d has no role or no content", i);
        json_t *one = json_object(), *role = NULL, *content = NULL;
        LN_TRY(ln__json_append(list, one));
        LN_TRY(ln__json_new_str(&role, messages[i].role, strlen(messages[i].role)));
        LN_TRY(ln__json_set(one, "role", role));
        LN_TRY(ln__json_new_str(&content, messages[i].content, strlen(messages[i].content)));
        LN_TRY(ln__json_set(one, "content", content));
    }
    LN_TRY(ln__json_set(context, "add_generation_prompt", json_boolean(prompt)));
    LN_TRY(set_token(context, t, "bos_token", t->bos));
    LN_TRY(set_token(context, t, "eos_token", t->eos));
    LN_TRY(set_token(context, t, "pad_token", t->pad));
    LN_TRY(set_token(context, t, "unk_token", t->model == LN_MODEL_BPE ? t->bpe.unk : t->unk));
done:
    return st;
}

ln_status ln_tokenizer_chat(char **text, const ln_tokenizer *t, const ln_message *messages, int n,
                            bool add_generation_prompt)
{
    ln_status st = LN_OK;
    ln__buf what = { 0 };
    json_t *context = NULL;
    char *out = NULL;
    size_t bytes = 0;
    if (!text || !t || n < 0 || (!messages && n))
        LN_FAIL(LN_ERR_ARG, "ln_tokenizer_chat: text, the tokenizer and the messages must not be NULL");
    if (!t->chat_template)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: carries no chat template", t->name);
    context = json_object();
    if (!context)
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory for a conversation", t->name);
    LN_TRY(fill(context, t, messages, n, add_generation_prompt));
    LN_TRY(ln__buf_printf(&what, "%s: chat template", t->name));
    LN_TRY(ln__jinja_render(&out, &bytes, t->chat_template, strlen(t->chat_template), context, what.data));
    *text = out;
done:
    json_decref(context);
    ln__buf_free(&what);
    return st;
}
