/* cmd_info.c - `linnet info FILE`: what is in a tensor file, a model directory or a tokenizer. Reads headers only,
 * unless --check asks for every weight. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "core/file.h"
#include "core/json.h"
#include "info.h"

typedef struct info_opts {
    int32_t check;
    int32_t tensors;
} info_opts;

static const ln_param params[] = {
    LN_P_BOOL(info_opts, check, 0, "read everything: hash the input, open the model, find NaN and Inf in the weights"),
    LN_P_BOOL(info_opts, tensors, 1, "list the tensors one by one"),
    LN_P_END,
};

static ln_status say_tokenizer(cli_ctx *ctx, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    const struct {
        const char *name, *key;
        int32_t id;
    } special[] = { { "BOS", "tokenizer.bos", ln_tokenizer_bos(t) },
                    { "EOS", "tokenizer.eos", ln_tokenizer_eos(t) },
                    { "PAD", "tokenizer.pad", ln_tokenizer_pad(t) } };
    const char *chat = ln_tokenizer_chat_template(t);
    LN_TRY(ln_result_text(ctx->result, "tokenizer.kind", ln_tokenizer_kind(t)));
    cli_say(ctx, "tokenizer\n");
    cli_row(ctx, "kind", "%s", ln_tokenizer_kind(t));
    LN_TRY(cli_integer(ctx, "tokenizer.vocab", "tokens", ln_tokenizer_vocab(t)));
    for (int i = 0; i < LN_COUNT(special); i++) {
        if (special[i].id < 0)
            continue;
        const char *text = ln_tokenizer_token(t, special[i].id);
        char *safe = cli_safe(text ? text : "", text ? strlen(text) : 0);
        LN_TRY(ln_result_integer(ctx->result, special[i].key, special[i].id));
        cli_row(ctx, special[i].name, "%d %s", special[i].id, safe ? safe : "");
        ln__free(safe);
    }
    LN_TRY(ln_result_bool(ctx->result, "tokenizer.adds_bos", ln_tokenizer_adds_bos(t)));
    LN_TRY(ln_result_bool(ctx->result, "tokenizer.chat_template", chat != NULL));
    cli_row(ctx, "puts BOS first", "%s", ln_tokenizer_adds_bos(t) ? "yes" : "no");
    cli_row(ctx, "chat template", "%s", chat ? "yes" : "no");
done:
    return st;
}

static ln_status say_model(cli_ctx *ctx, const ln_model *m)
{
    ln_status st = LN_OK;
    char size[32];
    cli_say(ctx, "model\n");
    LN_TRY(ln_result_text(ctx->result, "model.architecture", ln_model_architecture(m)));
    cli_row(ctx, "architecture", "%s", ln_model_architecture(m));
    LN_TRY(cli_integer(ctx, "model.parameters", "parameters", ln_model_params(m)));
    LN_TRY(ln_result_integer(ctx->result, "model.bytes", ln_model_bytes(m)));
    cli_row(ctx, "bytes", "%s", ln__human_bytes(size, sizeof size, (double)ln_model_bytes(m)));
    LN_TRY(cli_integer(ctx, "model.layers", "layers", ln_model_layers(m)));
    LN_TRY(cli_integer(ctx, "model.hidden", "hidden", ln_model_hidden(m)));
    LN_TRY(cli_integer(ctx, "model.vocab", "vocabulary", ln_model_vocab(m)));
    LN_TRY(cli_integer(ctx, "model.max_context", "context", ln_model_max_context(m)));
    LN_TRY(info_linops(ctx, m));
    for (int64_t i = 0; i < ln_model_warning_count(m); i++)
        cli_row(ctx, "note", "%s", ln_model_warning(m, i));
    if (ln_model_tokenizer(m))
        LN_TRY(say_tokenizer(ctx, ln_model_tokenizer(m)));
done:
    return st;
}

/* A file can be listed although it is no model that can be run; with --check that is an error. */
static ln_status try_model(cli_ctx *ctx, const char *path, bool check)
{
    ln_status st = LN_OK;
    ln_model *m = NULL;
    st = ln_model_open(&m, path);
    if (st == LN_OK) {
        LN_TRY(say_model(ctx, m));
    } else if (!check && st != LN_ERR_NOMEM && st != LN_ERR_CANCELLED) {
        char *why = cli_safe(ln_last_error(), strlen(ln_last_error()));
        st = why ? ln_result_text(ctx->result, "model.error", why) : LN_ERR_NOMEM;
        cli_say(ctx, "model\n");
        cli_row(ctx, "cannot be opened", "%s", why ? why : "");
        ln__free(why);
    }
done:
    ln_model_release(m);
    return st;
}

static ln_status check_weights(cli_ctx *ctx, const ln_archive *a)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    const int64_t n = ln_archive_count(a);
    for (int64_t i = 0; i < n; i++) {
        LN_TRY(ln_archive_get(&t, a, ln_archive_name(a, i)));
        st = ln_tensor_check_finite(t, ln_archive_name(a, i));
        if (st != LN_OK)
            LN_TRY(ln__fail_in(st, "%s", ctx->operand[0]));
        ln_tensor_release(t);
        t = NULL;
        if (ln__progress_show(&ctx->progress, "checking weights", i + 1, n))
            LN_FAIL(LN_ERR_CANCELLED, "interrupted");
    }
    LN_TRY(ln_result_integer(ctx->result, "checked.tensors", n));
    LN_TRY(ln_result_bool(ctx->result, "checked.finite", true));
    ln__progress_end(&ctx->progress);
    cli_say(ctx, "check\n");
    cli_row(ctx, "weights", "%lld tensor%s, no NaN, no Inf", (long long)n, n == 1 ? "" : "s");
done:
    ln_tensor_release(t);
    return st;
}

static bool is_model(const ln_archive *a, const char *path)
{
    char *config = NULL;
    bool yes = ln_archive_format(a) == LN_FORMAT_LLAMA2C ||
               (ln_archive_format(a) == LN_FORMAT_GGUF && ln_archive_meta(a, "general.architecture"));
    if (!yes && ln__file_is_dir(path) && ln__path_join(&config, path, "config.json") == LN_OK)
        yes = ln__file_exists(config);
    ln__free(config);
    return yes;
}

static ln_status show_archive(cli_ctx *ctx, const ln_archive *a)
{
    ln_status st = LN_OK;
    const info_opts *o = ctx->opts;
    const char *path = ctx->operand[0];
    const bool model = is_model(a, path);
    LN_TRY(info_header(ctx, a));
    if (model)
        LN_TRY(try_model(ctx, path, o->check));
    LN_TRY(info_metadata(ctx, a));
    LN_TRY(info_tensors(ctx, a, o->tensors));
    if (o->check)
        LN_TRY(check_weights(ctx, a));
done:
    return st;
}

static ln_status show_tokenizer(cli_ctx *ctx, const ln_tokenizer *t)
{
    ln_status st = LN_OK;
    LN_TRY(ln_result_text(ctx->result, "format", "tokenizer"));
    LN_TRY(say_tokenizer(ctx, t));
done:
    return st;
}

/* JSON that is no index of shards can only be meant as a tokenizer. */
static bool is_json(const char *path)
{
    const size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".json") == 0 && !strstr(path, "index.json");
}

/* A directory with weights, even such as do not open, is no tokenizer. */
static bool has_weights(const char *path)
{
    static const char *const names[] = { "model.safetensors", "model.safetensors.index.json" };
    bool found = false;
    for (int i = 0; i < LN_COUNT(names); i++) {
        char *file = NULL;
        found = found || (ln__path_join(&file, path, names[i]) == LN_OK && ln__file_exists(file));
        ln__free(file);
    }
    return found;
}

/* Not tensors: a tokenizer, perhaps. `opened` and the message are what the tensor reader said. */
static ln_status open_tokenizer(ln_tokenizer **t, const char *path, ln_status opened)
{
    ln_status st = LN_OK;
    char *first = NULL;
    if ((opened != LN_ERR_FORMAT && opened != LN_ERR_NOTFOUND && opened != LN_ERR_UNSUPPORTED) ||
        !ln__file_exists(path) || (ln__file_is_dir(path) && has_weights(path)))
        return opened;
    LN_TRY(ln__strdup(&first, ln_last_error()));
    st = ln_tokenizer_open(t, path);
    if (st != LN_OK && !is_json(path))
        LN_FAIL(opened, "%s", first);
done:
    ln__free(first);
    return st;
}

static ln_status run(cli_ctx *ctx)
{
    ln_status st = LN_OK;
    ln_archive *a = NULL;
    ln_tokenizer *t = NULL;
    const char *path = ctx->operand[0];
    const info_opts *o = ctx->opts;
    LN_TRY(ln_result_text(ctx->result, "path", path));
    const ln_status opened = ln_archive_open(&a, path);
    if (opened == LN_OK) {
        LN_TRY(show_archive(ctx, a));
    } else {
        LN_TRY(open_tokenizer(&t, path, opened));
        LN_TRY(show_tokenizer(ctx, t));
    }
    if (o->check)
        LN_TRY(cli_input(ctx, path));
done:
    ln_archive_release(a);
    ln_tokenizer_release(t);
    return st;
}

const cli_verb cmd_info = {
    .name = "info",
    .group = "Looking around",
    .summary = "what is in a model, tensor file or tokenizer",
    .operands = "FILE",
    .example = "linnet info smollm2.gguf\nlinnet info small/ --check --json -",
    .details = "FILE is a safetensors file or its index, a GGUF, npy or npz file, a llama2.c checkpoint, a directory "
               "with a model (also one written by linnet compress), or a tokenizer.",
    .params = params,
    .opts_size = sizeof(info_opts),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
