/* cmd_convert.c - `linnet convert MODEL -o OUT`: a checkpoint in another format or element type; factored layers
 * merged. */
#include <string.h>

#include "cli.h"

typedef struct convert_opts {
    const char *out;
    int32_t type;
    int32_t merge;
    int32_t force;
    const char *adapter;
} convert_opts;

static const ln_param params[] = {
    { "out", LN_PARAM_STRING, offsetof(convert_opts, out), 0, 0, 0,
      "where to write: a name ending in .gguf is one GGUF file, any other a directory", "OUT", NULL, LN_PARAM_REQUIRED,
      'o' },
    LN_P_CHOICE(convert_opts, type, 1, "f32|f16|bf16|q8_0|q4_0|q4_1",
                "element type of the matrices; the q types are for GGUF"),
    LN_P_BOOL(convert_opts, merge, 0, "make dense weights of factored layers, for other programs to load"),
    LN_P_TEXT(convert_opts, adapter, NULL, "DIR",
              "merge the LoRA adapter in it (of linnet tune lora, or peft) into the weights"),
    LN_P_BOOL(convert_opts, force, 0, "replace an output that is already there"),
    LN_P_END,
};

static ln_status run(cli_ctx *ctx)
{
    static const ln_dtype types[] = { LN_F32, LN_F16, LN_BF16, LN_Q8_0, LN_Q4_0, LN_Q4_1 };
    ln_status st = LN_OK;
    const convert_opts *o = ctx->opts;
    const size_t len = strlen(o->out);
    ln_convert_opts c = LN_CONVERT_OPTS_INIT;
    c.merge = o->merge;
    c.gguf = len > 5 && strcmp(o->out + len - 5, ".gguf") == 0;
    c.type = types[o->type];
    c.force = o->force;
    c.adapter = o->adapter;
    c.progress = ln__progress_show;
    c.payload = &ctx->progress;
    if (!c.gguf && ln_dtype_block(c.type) > 1)
        LN_FAIL(LN_ERR_ARG, "--type %s is for GGUF: let the output end in .gguf, not %s", ln_dtype_name(c.type),
                o->out);
    LN_TRY(ln_convert(ctx->operand[0], o->out, &c, ctx->result));
    LN_TRY(cli_input(ctx, ctx->operand[0]));
    if (o->adapter)
        LN_TRY(cli_input(ctx, o->adapter));
    ln__progress_end(&ctx->progress);
    cli_say(ctx, "%s\n", o->out);
    cli_say_results(ctx);
done:
    return st;
}

const cli_verb cmd_convert = {
    .name = "convert",
    .group = "Making models smaller",
    .summary = "write a model in another format or type; merge factored layers",
    .operands = "MODEL",
    .example = "linnet convert small/ --merge -o small-hf/\nlinnet convert small/ --merge --type q8_0 -o small.gguf",
    .details =
        "A directory is written as Hugging Face transformers reads it (safetensors, config.json, tokenizer.json), a "
        "GGUF file as llama.cpp reads it.",
    .params = params,
    .opts_size = sizeof(convert_opts),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
