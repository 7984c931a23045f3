/* cmd_tokenize.c - `linnet tokenize TOKENIZER`: ids of a text, or the text of ids. Standard output is just the ids (or
 * just the text), so that it can be piped. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "core/file.h"

typedef struct tokenize_opts {
    const char *text;
    const char *decode;
    int32_t special;
    int32_t wrap;
    int32_t clean;
} tokenize_opts;

static const ln_param params[] = {
    LN_P_TEXT(tokenize_opts, text, NULL, "FILE", "text file to tokenise, its bytes as they are"),
    LN_P_TEXT(tokenize_opts, decode, NULL, "IDS", "the other way: ids, separated by commas or spaces, to text"),
    LN_P_BOOL(tokenize_opts, special, 1, "text such as <|im_start|> becomes the special token"),
    LN_P_BOOL(tokenize_opts, wrap, 0, "add what the tokenizer adds around a text (BOS, [CLS] and [SEP])"),
    LN_P_CHOICE(tokenize_opts, clean, LN_CLEAN_NONE, "none|wikitext", "undo the WikiText form of --text first"),
    LN_P_END,
};

/* "1, 2 3" -> {1, 2, 3}; every id is checked against the vocabulary. */
static ln_status parse_ids(int32_t **out, int64_t *n, const char *text, int64_t vocab)
{
    ln_status st = LN_OK;
    int32_t *ids = NULL;
    int64_t count = 0;
    LN_TRY(LN_NEW(&ids, strlen(text) / 2 + 1));
    for (const char *p = text + strspn(text, ", \n\t[]"); *p; p += strspn(p, ", \n\t[]")) {
        char *end;
        errno = 0;
        const long id = strtol(p, &end, 10);
        if (end == p || errno || (*end && !strchr(", \n\t[]", *end)))
            LN_FAIL(LN_ERR_ARG, "--decode: '%.*s' is no id", (int)strcspn(p, ", \n\t[]"), p);
        if (id < 0 || id >= vocab)
            LN_FAIL(LN_ERR_RANGE, "--decode: id %ld is outside the vocabulary, 0 to %lld", id, (long long)vocab - 1);
        ids[count++] = (int32_t)id;
        p = end;
    }
    *out = ids;
    *n = count;
    ids = NULL;
done:
    ln__free(ids);
    return st;
}

static ln_status decode(cli_ctx *ctx, const ln_tokenizer *t, const tokenize_opts *o)
{
    ln_status st = LN_OK;
    int32_t *ids = NULL;
    int64_t n = 0;
    char *text = NULL, *valid = NULL;
    size_t bytes = 0, valid_bytes = 0;
    LN_TRY(parse_ids(&ids, &n, o->decode, ln_tokenizer_vocab(t)));
    LN_TRY(ln_tokenizer_decode(&text, &bytes, t, ids, n, !o->special));
    LN_TRY(ln_text_repair(&valid, &valid_bytes, text, bytes));
    LN_TRY(ln_result_integer(ctx->result, "n", n));
    LN_TRY(ln_result_integers(ctx->result, "ids", ids, n));
    LN_TRY(ln_result_text(ctx->result, "text", valid));
    if (cli_talks(ctx)) {
        cli_write_text(stdout, text, bytes);
        putchar('\n');
    }
done:
    ln__free(ids);
    ln_free(text);
    ln_free(valid);
    return st;
}

static ln_status encode(cli_ctx *ctx, const ln_tokenizer *t, const tokenize_opts *o)
{
    ln_status st = LN_OK;
    int32_t *ids = NULL;
    int64_t n = 0;
    char *owned = NULL;
    const char *text = ctx->operands > 1 ? ctx->operand[1] : NULL;
    size_t bytes = text ? strlen(text) : 0;
    if (!text == !o->text)
        LN_FAIL(LN_ERR_ARG, "tokenize wants a text: one of --text FILE, a TEXT operand, or --decode IDS");
    if (o->text) {
        LN_TRY(ln_text_read(&owned, &bytes, o->text, (ln_clean)o->clean));
        LN_TRY(cli_input(ctx, o->text));
        text = owned;
    }
    const unsigned flags = (o->special ? LN_TOKENIZE_SPECIAL : 0u) | (o->wrap ? LN_TOKENIZE_WRAP : 0u);
    const double start = ln__now();
    LN_TRY(ln_tokenizer_encode(&ids, &n, t, text, bytes, flags));
    const double seconds = ln__now() - start;
    LN_TRY(ln_result_integer(ctx->result, "n", n));
    LN_TRY(ln_result_integer(ctx->result, "bytes", (int64_t)bytes));
    LN_TRY(ln_result_number(ctx->result, "encode_seconds", seconds));
    LN_TRY(ln_result_integers(ctx->result, "ids", ids, n));
    for (int64_t i = 0; i < n && cli_talks(ctx); i++)
        printf("%s%d", i ? " " : "", ids[i]);
    cli_say(ctx, "\n");
done:
    ln_free(ids);
    ln_free(owned);
    return st;
}

/* Of a model directory only the tokenizer was read. */
static ln_status note_input(cli_ctx *ctx, const char *path)
{
    ln_status st = LN_OK;
    char *file = NULL;
    LN_TRY(ln__path_join(&file, path, "tokenizer.json"));
    LN_TRY(cli_input(ctx, ln__file_exists(file) ? file : path));
done:
    ln__free(file);
    return st;
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    ln_tokenizer *t = NULL;
    const tokenize_opts *o = ctx->opts;
    if (o->decode && (o->text || ctx->operands > 1))
        LN_FAIL(LN_ERR_ARG, "--decode goes from ids to text: no other text with it");
    LN_TRY(ln_tokenizer_open(&t, ctx->operand[0]));
    LN_TRY(note_input(ctx, ctx->operand[0]));
    LN_TRY(ln_result_text(ctx->result, "kind", ln_tokenizer_kind(t)));
    LN_TRY(o->decode ? decode(ctx, t, o) : encode(ctx, t, o));
done:
    ln_tokenizer_release(t);
    return st;
}

const cli_verb cmd_tokenize = {
    .name = "tokenize",
    .group = "Using a model",
    .summary = "token ids of a text, and back",
    .operands = "TOKENIZER [TEXT]",
    .example = "linnet tokenize smollm2.gguf 'Once upon a time'\n"
               "linnet tokenize smollm2.gguf --text book.txt --json -\n"
               "linnet tokenize smollm2.gguf --decode '6403 1980 253 655'",
    .details = "TOKENIZER is a model (GGUF file or directory), a tokenizer.json or a llama2.c tokenizer file.",
    .params = params,
    .opts_size = sizeof(tokenize_opts),
    .min_operands = 1,
    .max_operands = 2,
    .run = run,
};
