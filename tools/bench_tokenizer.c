/* bench_tokenizer.c - `linnet bench tokenizer`: bytes of text per second into ids, on one thread and the opening time.
 */
#include <string.h>

#include "bench.h"
#include "core/file.h"
#include "core/rng.h"

/* Words of one to ten letters with a Zipf-like reuse, so that caches meet what they meet in prose. */
ln_status bench_text(char **text, size_t bytes, uint64_t seed)
{
    static const char *const rare[] = { "naïve ", "Größe ", "東京都 ",      "😀 ",  "1984 ",
                                        "3.14 ",  "don't ", "foo_bar(x); ", "\n\n" };
    enum { WORDS = 4096, LONGEST = 12 };
    ln_status st = LN_OK;
    char(*word)[LONGEST] = NULL;
    ln__buf out = { 0 };
    ln__rng rng = ln__rng_make(seed, 2);
    LN_TRY(ln__calloc((void **)&word, WORDS, sizeof *word));
    for (int w = 0; w < WORDS; w++) {
        const int64_t letters = 1 + ln__rng_below(&rng, 4) + ln__rng_below(&rng, 6);
        for (int64_t i = 0; i < letters; i++) /* vowels every other letter, as names have */
            word[w][i] = i % 2 ? "aeiou"[ln__rng_below(&rng, 5)] : "bcdfghklmnprstvw"[ln__rng_below(&rng, 16)];
    }
    while (out.len < bytes) {
        const double u = ln__rng_uniform(&rng);
        if (ln__rng_below(&rng, 40) == 0)
            LN_TRY(ln__buf_puts(&out, rare[ln__rng_below(&rng, LN_COUNT(rare))]));
        LN_TRY(ln__buf_puts(&out, word[(int)(u * u * u * WORDS)]));
        LN_TRY(ln__buf_puts(&out, ln__rng_below(&rng, 12) == 0 ? ". " : " "));
    }
    *text = out.data;
    out.data = NULL;
done:
    ln__free(word);
    ln__buf_free(&out);
    return st;
}

typedef struct work {
    const char *path;
    ln_tokenizer *tokenizer;
    const char *text;
    size_t bytes;
    int64_t tokens;
} work;

static ln_status open_once(void *arg)
{
    ln_tokenizer *t = NULL;
    const ln_status st = ln_tokenizer_open(&t, ((const work *)arg)->path);
    ln_tokenizer_release(t);
    return st;
}

static ln_status encode_once(void *arg)
{
    work *w = arg;
    int32_t *ids = NULL;
    const ln_status st = ln_tokenizer_encode(&ids, &w->tokens, w->tokenizer, w->text, w->bytes, LN_TOKENIZE_SPECIAL);
    ln_free(ids);
    return st;
}

/* The peer reads tokenizer.json and the text from files of a directory that goes away with the run. */
static ln_status run_peer(cli_ctx *ctx, const work *w, const bench_opts *o, double ours)
{
    ln_status st = LN_OK;
    char repeat[16];
    char *dir = NULL, *json = NULL, *tokenizer = NULL, *text = NULL;
    size_t bytes = 0;
    LN_TRY(bench_temp_dir(&dir));
    LN_TRY(ln__path_join(&tokenizer, dir, "tokenizer.json"));
    LN_TRY(ln__path_join(&text, dir, "text.txt"));
    LN_TRY(ln_tokenizer_to_json(&json, &bytes, w->tokenizer));
    LN_TRY(ln__file_write(tokenizer, json, bytes));
    LN_TRY(ln__file_write(text, w->text, w->bytes));
    snprintf(repeat, sizeof repeat, "%d", o->repeat);
    const char *const args[] = { tokenizer, text, repeat };
    LN_TRY(bench_peers(ctx, "tokenizer", args, LN_COUNT(args), ours, "MB/s"));
done:
    bench_temp_remove(dir);
    ln_free(json);
    ln__free(tokenizer);
    ln__free(text);
    return st;
}

static ln_status run(cli_ctx *ctx, const bench_opts *o, ln_result *result)
{
    enum { DEFAULT_BYTES = 4 << 20 };
    ln_status st = LN_OK;
    char *text = NULL;
    work w = { .path = ctx->operand[1] };
    bench_times t = { 0 };
    LN_TRY(ln_tokenizer_open(&w.tokenizer, w.path));
    LN_TRY(cli_input(ctx, w.path));
    if (o->text) {
        LN_TRY(ln_text_read(&text, &w.bytes, o->text, LN_CLEAN_NONE));
        LN_TRY(cli_input(ctx, o->text));
    } else {
        LN_TRY(bench_text(&text, DEFAULT_BYTES, (uint64_t)ctx->common.seed));
        w.bytes = strlen(text);
    }
    if (w.bytes == 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: an empty text", o->text);
    w.text = text;
    cli_row(ctx, "kind", "%s", ln_tokenizer_kind(w.tokenizer));
    LN_TRY(ln_result_text(result, "kind", ln_tokenizer_kind(w.tokenizer)));
    LN_TRY(bench_time(&t, o->repeat, open_once, &w));
    LN_TRY(cli_number(ctx, "open_milliseconds", "opening", "%.1f ms", t.best * 1e3));
    ln_threads_set(1); /* the figure is per core */
    LN_TRY(bench_time(&t, o->repeat, encode_once, &w));
    ln_threads_set(ctx->common.threads);
    LN_TRY(bench_rate(ctx, "encode", "one thread", &t, (double)w.bytes * 1e-6, "MB/s"));
    if (ln_threads() > 1) {
        bench_times all = { 0 };
        LN_TRY(bench_time(&all, o->repeat, encode_once, &w));
        LN_TRY(bench_rate(ctx, "encode_threads", "all threads", &all, (double)w.bytes * 1e-6, "MB/s"));
    }
    LN_TRY(cli_integer(ctx, "tokens", "tokens", w.tokens));
    LN_TRY(
        cli_number(ctx, "bytes_per_token", "bytes per token", "%.2f", (double)w.bytes / (double)LN_MAX(w.tokens, 1)));
    if (o->peer)
        LN_TRY(run_peer(ctx, &w, o, (double)w.bytes * 1e-6 / t.best));
done:
    ln_tokenizer_release(w.tokenizer);
    ln_free(text);
    return st;
}

const cli_bench bench_tokenizer = {
    .name = "tokenizer", .summary = "megabytes of text per second into token ids", .operands = "TOKENIZER", .run = run
};
