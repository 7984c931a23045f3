/* lm_sample.c - text from the model as it is now. The tape has no cache of keys and values, so each token costs a pass
 * over the window; a few hundred tokens cost about as much as two steps of training. */
#include <errno.h>
#include <string.h>

#include <linnet/generate.h>

#include "core/file.h"
#include "model/lm.h"

static ln_status ready(ln__lm *g)
{
    ln_status st = LN_OK;
    ln_tape_opts o = LN_TAPE_OPTS_INIT;
    o.train = o.gradients = 0;
    if (!g->sampler)
        LN_TRY(ln_tape_new(&g->sampler, &o));
    if (!g->logits)
        LN_TRY(LN_NEW(&g->logits, g->model->c.vocab));
done:
    return st;
}

/* Logits after the last of n tokens. */
static ln_status next_logits(ln__lm *g, const int32_t *ids, int64_t n)
{
    ln_status st = LN_OK;
    ln_tape *t = g->sampler;
    const int64_t used = LN_MIN(n, g->o.context), dims[2] = { 1, used };
    ln_tape_reset(t);
    ln_var *h = ln__tape_llama(g->model, t, ln_input(t, LN_I32, 2, dims, ids + n - used));
    ln_var *l = ln__tape_logits(g->model, t, ln_contiguous(t, ln_narrow(t, h, 1, used - 1, 1)));
    LN_TRY(ln_tape_status(t));
    LN_TRY(ln_var_read(l, g->logits));
done:
    return st;
}

ln_status ln__lm_sample(char **text, size_t *bytes, ln__lm *g, int64_t seed)
{
    ln_status st = LN_OK;
    int32_t *prompt = NULL, *ids = NULL;
    int64_t n = 0;
    ln_generate_opts o = LN_GENERATE_OPTS_INIT;
    uint64_t state[2] = { (uint64_t)seed, 0 };
    const char *first = g->o.prompt ? g->o.prompt : "\n";
    o.seed = seed;
    LN_TRY(ready(g));
    LN_TRY(ln_tokenizer_encode(&prompt, &n, g->tokenizer, first, strlen(first), 0));
    LN_TRY(LN_NEW(&ids, n + g->o.sample + 1));
    if (n == 0)
        ids[n++] = g->ids[0]; /* a prompt of nothing the vocabulary knows: begin like the text */
    else
        memcpy(ids, prompt, (size_t)n * sizeof *ids);
    for (int64_t i = 0; i < g->o.sample; i++, n++) {
        LN_TRY(next_logits(g, ids, n));
        LN_TRY(ln_sample(&ids[n], g->logits, g->model->c.vocab, ids, n, &o, state));
    }
    LN_TRY(ln_tokenizer_decode(text, bytes, g->tokenizer, ids, n, false));
done:
    ln_free(prompt);
    ln__free(ids);
    return st;
}

/* A resumed run first drops the samples of steps that it will make again: those from `step` on. */
static ln_status keep_samples(const char *path, int64_t step)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0, at = 0;
    static const char mark[] = "---- step ";
    if (!ln__file_exists(path))
        return LN_OK;
    LN_TRY(ln__file_read(&text, &bytes, path)); /* with a NUL behind it */
    for (; at < bytes; at++)
        if ((at == 0 || text[at - 1] == '\n') && strncmp(text + at, mark, sizeof mark - 1) == 0 &&
            strtoll(text + at + sizeof mark - 1, NULL, 10) >= step)
            break;
    if (at < bytes)
        LN_TRY(ln__file_write(path, text, at));
done:
    ln__free(text);
    return st;
}

ln_status ln__lm_show_sample(ln__lm *g, int64_t step)
{
    ln_status st = LN_OK;
    char *text = NULL, *path = NULL;
    size_t bytes = 0;
    FILE *f = NULL;
    LN_TRY(ln__lm_sample(&text, &bytes, g, g->o.seed + step));
    LN_TRY(ln__path_join(&path, g->out, "samples.txt"));
    if (!g->sampled && g->o.resume)
        LN_TRY(keep_samples(path, step));
    f = fopen(path, g->sampled || g->o.resume ? "ae" : "we");
    if (!f) {
        st = ln__fail_os(path, "open", errno);
        goto done;
    }
    g->sampled = true;
    bool good = fprintf(f, "---- step %lld\n", (long long)step) > 0 && fwrite(text, 1, bytes, f) == bytes;
    good = fputs("\n", f) >= 0 && good;
    good = fclose(f) == 0 && good;
    if (!good)
        st = ln__fail_os(path, "write", errno);
    ln__lm_say(g, "%s", text);
done:
    ln_free(text);
    ln__free(path);
    return st;
}
