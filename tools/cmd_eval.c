/* cmd_eval.c - `linnet eval MODEL`: perplexity, multiple choice, minimal pairs, sentence similarity. One evaluation
 * puts its numbers at the top of "results"; several in one call are nested by their option's name. */
#include <string.h>

#include "cli.h"
#include "core/file.h"

typedef struct eval_opts {
    const char *text, *choices, *pairs, *similarity;
    int64_t context, max_tokens, stride, limit;
    int32_t convention, clean;
} eval_opts;

static const ln_param params[] = {
    LN_P_TEXT(eval_opts, text, NULL, "FILE", "perplexity of this text"),
    LN_P_TEXT(eval_opts, choices, NULL, "FILE",
              "multiple choice: JSON lines {\"q\",\"choices\",\"answer\"}, also gzip"),
    LN_P_TEXT(eval_opts, pairs, NULL, "FILE",
              "minimal pairs: JSON lines {\"sentence_good\",\"sentence_bad\"}, also gzip"),
    LN_P_TEXT(eval_opts, similarity, NULL, "CSV", "sentence similarity (encoders): lines sentence1,sentence2,score"),
    LN_P_INT64(eval_opts, context, 1024, 2, 1 << 24,
               "tokens per window of --text; at most what the model was made for"),
    LN_P_INT64(eval_opts, max_tokens, 0, 0, 9007199254740991.0, "tokens of --text to use, 0 for all"),
    LN_P_CHOICE(eval_opts, convention, LN_CONVENTION_FIXED, "fixed|stride|rolling|llamacpp|window-mean",
                "which tokens of a window are scored, and how windows are averaged"),
    LN_P_INT64(eval_opts, stride, 0, 0, 1 << 24, "step of the stride convention, 0 for half the context"),
    LN_P_CHOICE(eval_opts, clean, LN_CLEAN_NONE, "none|wikitext", "undo the WikiText form (\" @-@ \") of --text first"),
    LN_P_INT64(eval_opts, limit, 0, 0, 9007199254740991.0, "items of --choices, --pairs and --similarity, 0 for all"),
    LN_P_END,
};

static const char *const conventions[] = { "fixed", "stride", "rolling", "llamacpp", "window-mean" };

/* Key below the evaluation's own object when there are several, else at the top. */
static const char *key_of(char *buf, size_t n, const char *nest, const char *key)
{
    snprintf(buf, n, "%s%s%s", nest, *nest ? "." : "", key);
    return buf;
}

static ln_status number(cli_ctx *ctx, const char *nest, const char *key, const char *label, const char *fmt, double v)
{
    char full[64];
    key_of(full, sizeof full, nest, key);
    return label ? cli_number(ctx, full, label, fmt, v) : ln_result_number(ctx->result, full, v);
}

static ln_status integer(cli_ctx *ctx, const char *nest, const char *key, const char *label, int64_t v)
{
    char full[64];
    key_of(full, sizeof full, nest, key);
    return label ? cli_integer(ctx, full, label, v) : ln_result_integer(ctx->result, full, v);
}

static ln_status begin(cli_ctx *ctx, const char *path)
{
    ln__progress_end(&ctx->progress);
    char *safe = cli_safe(path, strlen(path));
    cli_say(ctx, "%s\n", safe ? safe : "");
    ln__free(safe);
    return cli_input(ctx, path);
}

static ln_status eval_text(cli_ctx *ctx, const ln_model *m, const eval_opts *o, const char *nest)
{
    ln_status st = LN_OK;
    char *text = NULL, key[64];
    size_t bytes = 0;
    ln_perplexity_opts p = LN_PERPLEXITY_OPTS_INIT;
    ln_perplexity r = { .struct_size = sizeof r };
    p.convention = o->convention;
    /* The default bends to a smaller model; a number that was asked for does not. */
    p.context = cli_given(ctx, "context") ? o->context : LN_MIN(o->context, ln_model_max_context(m));
    p.stride = o->stride;
    p.max_tokens = o->max_tokens;
    p.progress = ln__progress_show;
    p.payload = &ctx->progress;
    LN_TRY(ln_text_read(&text, &bytes, o->text, (ln_clean)o->clean));
    st = ln_eval_perplexity(&r, m, text, bytes, &p);
    if (st == LN_ERR_SHAPE) /* too short: the one failure that is the text's */
        LN_TRY(ln__fail_in(st, "%s", o->text));
    LN_TRY(st);
    LN_TRY(begin(ctx, o->text));
    LN_TRY(number(ctx, nest, "perplexity", "perplexity", "%.4f", r.perplexity));
    LN_TRY(number(ctx, nest, "bits_per_byte", "bits per byte", "%.5f", r.bits_per_byte));
    LN_TRY(number(ctx, nest, "word_perplexity", "perplexity per word", "%.4f", r.word_perplexity));
    LN_TRY(number(ctx, nest, "nll", NULL, "", r.nll));
    LN_TRY(number(ctx, nest, "standard_error", "standard error (nats)", "%.5f", r.standard_error));
    LN_TRY(integer(ctx, nest, "tokens_scored", "tokens scored", r.tokens_scored));
    LN_TRY(integer(ctx, nest, "tokens", NULL, r.tokens));
    LN_TRY(integer(ctx, nest, "windows", "windows", r.windows));
    LN_TRY(integer(ctx, nest, "bytes", NULL, r.bytes));
    LN_TRY(integer(ctx, nest, "words", NULL, r.words));
    LN_TRY(integer(ctx, nest, "context", "context", p.context));
    LN_TRY(ln_result_text(ctx->result, key_of(key, sizeof key, nest, "convention"), conventions[o->convention]));
    cli_row(ctx, "convention", "%s", conventions[o->convention]);
    if (r.seconds > 0)
        LN_TRY(number(ctx, nest, "tokens_per_second", "tokens per second", "%.0f", (double)r.tokens / r.seconds));
done:
    ln_free(text);
    return st;
}

static ln_status eval_items(cli_ctx *ctx, const ln_model *m, const char *path, int64_t limit, const char *nest,
                            bool pairs)
{
    ln_status st = LN_OK;
    ln_choices_result r = { .struct_size = sizeof r };
    LN_TRY((pairs ? ln_eval_pairs : ln_eval_choices)(&r, NULL, m, path, limit, ln__progress_show, &ctx->progress));
    LN_TRY(begin(ctx, path));
    LN_TRY(integer(ctx, nest, "n", "items", r.n));
    LN_TRY(number(ctx, nest, "accuracy", "accuracy", "%.4f", r.accuracy));
    LN_TRY(number(ctx, nest, "accuracy_ci95", "± (95 %)", "%.4f", r.ci95));
    LN_TRY(number(ctx, nest, "accuracy_norm", "accuracy, per letter", "%.4f", r.accuracy_norm));
    LN_TRY(number(ctx, nest, "accuracy_tok", "accuracy, per token", "%.4f", r.accuracy_tok));
    if (r.seconds > 0)
        LN_TRY(number(ctx, nest, "items_per_second", "items per second", "%.1f", (double)r.n / r.seconds));
done:
    return st;
}

static ln_status eval_similarity(cli_ctx *ctx, const ln_model *m, const eval_opts *o, const char *nest)
{
    ln_status st = LN_OK;
    ln_similarity_result r = { .struct_size = sizeof r };
    LN_TRY(ln_eval_similarity(&r, m, o->similarity, o->limit, ln__progress_show, &ctx->progress));
    LN_TRY(begin(ctx, o->similarity));
    LN_TRY(integer(ctx, nest, "n", "sentence pairs", r.n));
    LN_TRY(number(ctx, nest, "spearman", "Spearman correlation", "%.4f", r.spearman));
    LN_TRY(number(ctx, nest, "pearson", "Pearson correlation", "%.4f", r.pearson));
    if (r.seconds > 0)
        LN_TRY(number(ctx, nest, "pairs_per_second", "pairs per second", "%.1f", (double)r.n / r.seconds));
done:
    return st;
}

/* What is missing is said before the first of several evaluations takes its time. */
static ln_status check_files(const eval_opts *o)
{
    ln_status st = LN_OK;
    const char *const files[] = { o->text, o->choices, o->pairs, o->similarity };
    for (int i = 0; i < LN_COUNT(files); i++) {
        int64_t bytes;
        if (files[i])
            LN_TRY(ln__file_size(&bytes, files[i]));
    }
done:
    return st;
}

static ln_status check_options(const cli_ctx *ctx, const eval_opts *o)
{
    if (!o->text && !o->choices && !o->pairs && !o->similarity)
        return ln__fail(LN_ERR_ARG, "eval wants something to evaluate on: --text, --choices, --pairs or --similarity");
    if (!o->text && (cli_given(ctx, "context") || cli_given(ctx, "max_tokens") || cli_given(ctx, "convention")))
        return ln__fail(LN_ERR_ARG, "--context, --max-tokens and --convention are for --text");
    if (cli_given(ctx, "stride") && o->convention != LN_CONVENTION_STRIDE)
        return ln__fail(LN_ERR_ARG, "--stride is for --convention stride, not %s", conventions[o->convention]);
    return LN_OK;
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    ln_model *m = NULL;
    const eval_opts *o = ctx->opts;
    const bool nested = !!o->text + !!o->choices + !!o->pairs + !!o->similarity > 1;
    LN_TRY(check_options(ctx, o));
    LN_TRY(ln_model_open(&m, ctx->operand[0]));
    LN_TRY(check_files(o));
    LN_TRY(cli_input(ctx, ctx->operand[0]));
    if (o->text)
        LN_TRY(eval_text(ctx, m, o, nested ? "text" : ""));
    if (o->choices)
        LN_TRY(eval_items(ctx, m, o->choices, o->limit, nested ? "choices" : "", false));
    if (o->pairs)
        LN_TRY(eval_items(ctx, m, o->pairs, o->limit, nested ? "pairs" : "", true));
    if (o->similarity)
        LN_TRY(eval_similarity(ctx, m, o, nested ? "similarity" : ""));
done:
    ln_model_release(m);
    return st;
}

const cli_verb cmd_eval = {
    .name = "eval",
    .group = "Using a model",
    .summary = "perplexity, multiple choice, minimal pairs, sentence similarity",
    .operands = "MODEL",
    .example = "linnet eval smollm2.gguf --text test.txt --context 512 --max-tokens 32768 --json -\n"
               "linnet eval smollm2.gguf --choices arc-easy.jsonl.gz --limit 200\n"
               "linnet eval minilm/ --similarity stsb.csv",
    .details =
        "Conventions of perplexity: fixed scores disjoint windows, all tokens but the first, weighted by tokens; "
        "stride slides the window and scores the new tokens; rolling scores every token once, with one token of "
        "context between windows; llamacpp scores the second half of each window; window-mean is fixed with the "
        "unweighted mean of window means. Bits per byte compare across tokenizers.",
    .params = params,
    .opts_size = sizeof(eval_opts),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
