/* cmd_generate.c - `linnet generate MODEL`: continue a prompt, or answer one message in the model's chat form. Text
 * streams to standard output as it comes, unless `--json -` owns it. */
#include <string.h>

#include "cli.h"

typedef struct generate_opts {
    const char *prompt, *prompt_file, *system;
    int32_t chat, special, ignore_eos, force_ctx;
    int64_t tokens, top_k, repeat_window;
    double temperature, top_p, min_p, repeat_penalty;
} generate_opts;

static const ln_param params[] = {
    LN_P_TEXT(generate_opts, prompt, NULL, "TEXT", "text to continue; with --chat, the user's message"),
    LN_P_TEXT(generate_opts, prompt_file, NULL, "FILE", "read the prompt from a file"),
    LN_P_BOOL(generate_opts, chat, 0, "wrap the prompt in the model's chat template"),
    LN_P_TEXT(generate_opts, system, NULL, "TEXT", "system message before the user's, with --chat"),
    LN_P_INT64(generate_opts, tokens, 64, 1, 1 << 24, "new tokens at most"),
    LN_P_REAL(generate_opts, temperature, 0.8, 0, 100, "0 takes the most probable token, larger is more varied"),
    LN_P_INT64(generate_opts, top_k, 0, 0, 1 << 24, "keep the k most probable tokens, 0 for all"),
    LN_P_REAL(generate_opts, top_p, 1, 0, 1, "keep the most probable tokens that add up to p"),
    LN_P_REAL(generate_opts, min_p, 0, 0, 1, "keep tokens at least p times as probable as the best"),
    LN_P_REAL(generate_opts, repeat_penalty, 1, 0.1, 10, "divide the logits of recent tokens by this, 1 for off"),
    LN_P_INT64(generate_opts, repeat_window, 64, 0, 1 << 24, "how many tokens count as recent"),
    LN_P_BOOL(generate_opts, ignore_eos, 0, "go on after the end token"),
    LN_P_BOOL(generate_opts, special, 1, "text such as <|im_start|> in the prompt becomes the special token"),
    LN_P_BOOL(generate_opts, force_ctx, 0, "allow positions beyond the model's maximum"),
    LN_P_END,
};

static int stream(void *payload, const char *text, size_t bytes)
{
    const cli_ctx *ctx = payload;
    if (cli_talks(ctx)) {
        cli_write_text(stdout, text, bytes);
        fflush(stdout);
    }
    return cli_cancel;
}

/* Ids of the prompt, in the form the model expects. */
static ln_status prompt_ids(int32_t **ids, int64_t *n, cli_ctx *ctx, const ln_tokenizer *t, const generate_opts *o)
{
    ln_status st = LN_OK;
    char *file = NULL, *chat = NULL;
    const char *text = o->prompt;
    size_t bytes = text ? strlen(text) : 0;
    unsigned flags = LN_TOKENIZE_WRAP | (o->special ? LN_TOKENIZE_SPECIAL : 0u);
    if (!o->prompt == !o->prompt_file)
        LN_FAIL(LN_ERR_ARG, "generate wants one of --prompt TEXT and --prompt-file FILE");
    if (o->system && !o->chat)
        LN_FAIL(LN_ERR_ARG, "--system is for --chat");
    if (o->prompt_file) {
        LN_TRY(ln_text_read(&file, &bytes, o->prompt_file, LN_CLEAN_NONE));
        LN_TRY(cli_input(ctx, o->prompt_file));
        text = file;
    }
    if (o->chat) {
        if (strlen(text) != bytes)
            LN_FAIL(LN_ERR_FORMAT, "%s: a chat message holds no NUL bytes", o->prompt_file);
        const ln_message messages[2] = { { "system", o->system }, { "user", text } };
        const int skip = o->system ? 0 : 1;
        LN_TRY(ln_tokenizer_chat(&chat, t, messages + skip, 2 - skip, true));
        text = chat;
        bytes = strlen(chat);
        flags = LN_TOKENIZE_SPECIAL; /* the template brings its own BOS */
    }
    LN_TRY(ln_tokenizer_encode(ids, n, t, text, bytes, flags));
    if (*n == 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: the prompt has no tokens", o->prompt_file ? o->prompt_file : "--prompt");
done:
    ln_free(file);
    ln_free(chat);
    return st;
}

static ln_status report(cli_ctx *ctx, const ln_tokenizer *t, const ln_generation *g)
{
    ln_status st = LN_OK;
    char *text = NULL, *valid = NULL;
    size_t bytes = 0, valid_bytes = 0;
    LN_TRY(ln_tokenizer_decode(&text, &bytes, t, g->ids, g->n, true));
    LN_TRY(ln_text_repair(&valid, &valid_bytes, text, bytes));
    LN_TRY(ln_result_integers(ctx->result, "ids", g->ids, g->n));
    LN_TRY(ln_result_text(ctx->result, "text", valid));
    LN_TRY(ln_result_integer(ctx->result, "prompt_tokens", g->prompt_tokens));
    LN_TRY(ln_result_integer(ctx->result, "new_tokens", g->n));
    LN_TRY(ln_result_bool(ctx->result, "stopped_at_eos", g->stopped_at_eos));
    const double prefill = g->prefill_seconds > 0 ? (double)g->prompt_tokens / g->prefill_seconds : 0;
    const double decode = g->decode_seconds > 0 ? (double)g->n / g->decode_seconds : 0;
    LN_TRY(ln_result_number(ctx->result, "prefill_tokens_per_second", prefill));
    LN_TRY(ln_result_number(ctx->result, "decode_tokens_per_second", decode));
    if (!ctx->common.quiet)
        fprintf(stderr, "%lld + %lld tokens; prefill %.1f, decode %.1f tokens per second\n",
                (long long)g->prompt_tokens, (long long)g->n, prefill, decode);
done:
    ln_free(text);
    ln_free(valid);
    return st;
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    const generate_opts *o = ctx->opts;
    ln_model *m = NULL;
    int32_t *ids = NULL;
    int64_t n = 0;
    ln_generation g = { .struct_size = sizeof g };
    ln_generate_opts s = LN_GENERATE_OPTS_INIT;
    s.tokens = o->tokens;
    s.temperature = o->temperature;
    s.top_k = o->top_k;
    s.top_p = o->top_p;
    s.min_p = o->min_p;
    s.repeat_penalty = o->repeat_penalty;
    s.repeat_window = o->repeat_window;
    s.seed = ctx->common.seed;
    s.ignore_eos = o->ignore_eos;
    s.force_ctx = o->force_ctx;
    s.on_text = stream;
    s.payload = ctx;
    LN_TRY(ln_model_open(&m, ctx->operand[0]));
    const ln_tokenizer *t = ln_model_tokenizer(m);
    if (!t)
        LN_FAIL(LN_ERR_NOTFOUND, "%s: no tokenizer in this checkpoint, so no text", ctx->operand[0]);
    LN_TRY(cli_input(ctx, ctx->operand[0]));
    LN_TRY(prompt_ids(&ids, &n, ctx, t, o));
    st = ln_generate(&g, m, ids, n, &s);
    if (st == LN_OK || cli_cancel)
        cli_say(ctx, "\n");
    LN_TRY(st);
    if (cli_cancel)
        LN_FAIL(LN_ERR_CANCELLED, "interrupted");
    fflush(stdout);
    LN_TRY(report(ctx, t, &g));
done:
    ln_free(g.ids);
    ln_free(ids);
    ln_model_release(m);
    return st;
}

const cli_verb cmd_generate = {
    .name = "generate",
    .group = "Using a model",
    .summary = "continue a text, or answer a message",
    .operands = "MODEL",
    .example = "linnet generate smollm2.gguf --prompt 'Once upon a time' --tokens 64 --temperature 0\n"
               "linnet generate smollm2.gguf --chat --prompt 'What is a matrix?' --top-p 0.9 --seed 7",
    .details = "The same seed and options give the same text, whatever the number of threads.",
    .params = params,
    .opts_size = sizeof(generate_opts),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
