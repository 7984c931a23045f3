/* tokenizer.c - a tokenizer's life, its small questions, and the way of a text through it.
 *
 * encode: repair UTF-8 -> cut at added tokens -> normalise -> cut at normalised added tokens -> pre-tokenize -> model.
 * A tokenizer never changes after it was made (but for a table of remembered facts, atomic), so any number of threads
 * may use one. All scratch belongs to the call. */
#include "text/impl.h"

#include "text/text.h"

enum { CACHE_MIN_TEXT = 512, CACHE_MIN = 64, CACHE_MAX = 1 << 13 };

ln_status ln__tokenizer_alloc(ln_tokenizer **out, const char *name)
{
    ln_tokenizer *t = NULL;
    ln_status st = LN_NEW0(&t, 1);
    if (st != LN_OK)
        return st;
    atomic_init(&t->refs, 1);
    t->bos = t->eos = t->pad = t->unk = t->bpe.unk = -1;
    t->max_chars = 100;
    st = ln__strdup(&t->name, name);
    if (st != LN_OK) {
        ln__free(t);
        return st;
    }
    *out = t;
    return LN_OK;
}

ln_tokenizer *ln_tokenizer_retain(const ln_tokenizer *t)
{
    ln_tokenizer *mine = (ln_tokenizer *)t;
    if (mine)
        atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

void ln__step_free(ln__step *s)
{
    ln__free(s->pattern);
    ln__free(s->text);
    ln__regex_free(s->regex);
    memset(s, 0, sizeof *s);
}

void ln_tokenizer_release(ln_tokenizer *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    ln__steps *all[] = { &t->norm, &t->pre, &t->decode };
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < all[k]->n; i++)
            ln__step_free(&all[k]->step[i]);
    ln__added_free(&t->plain);
    ln__added_free(&t->normalized);
    ln__vocab_free(&t->vocab);
    ln__vocab_free(&t->raw);
    ln__free(t->bpe.slot);
    ln__free(t->bpe.merge);
    ln__free((void *)t->bpe.whole);
    void *owned[] = { t->name,  t->parts,       t->kind,         t->note,   t->chat_template,
                      t->flags, t->added_order, t->piece_prefix, t->before, t->after };
    for (int i = 0; i < LN_COUNT(owned); i++)
        ln__free(owned[i]);
    ln__free(t);
}

static const char *scanner_name(const ln_tokenizer *t)
{
    for (int i = 0; i < t->pre.n; i++)
        switch (t->pre.step[i].kind) {
        case LN_PRE_GPT2:
            return "gpt-2";
        case LN_PRE_SMOLLM:
            return "smollm";
        case LN_PRE_LLAMA3:
            return "llama-3";
        case LN_PRE_QWEN2:
            return "qwen2";
        default:
            break;
        }
    return t->pre.n ? "custom" : "none";
}

/* The only id in front is BOS; otherwise a well-known name, if the vocabulary has it. */
static void guess_ends(ln_tokenizer *t)
{
    static const char *const bos[] = { "<s>", "<|begin_of_text|>", "<|startoftext|>" };
    static const char *const eos[] = { "</s>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>" };
    static const char *const pad[] = { "[PAD]", "<pad>", "<|pad|>" };
    if (t->model == LN_MODEL_BPE && t->bos < 0 && t->n_before == 1)
        t->bos = t->before[0];
    for (int i = 0; t->model == LN_MODEL_BPE && t->bos < 0 && i < LN_COUNT(bos); i++)
        t->bos = ln_tokenizer_id(t, bos[i]);
    for (int i = 0; t->model == LN_MODEL_BPE && t->eos < 0 && i < LN_COUNT(eos); i++)
        t->eos = ln_tokenizer_id(t, eos[i]);
    for (int i = 0; t->pad < 0 && i < LN_COUNT(pad); i++)
        t->pad = ln_tokenizer_id(t, pad[i]);
}

ln_status ln__tokenizer_finish(ln_tokenizer *t)
{
    guess_ends(t);
    const ln_status st = ln__added_build(t);
    if (st != LN_OK)
        return st;
    if (t->model == LN_MODEL_WORDPIECE)
        return ln__strdup(&t->kind, "WordPiece");
    if (t->bpe.byte_level)
        return ln__sprintf(&t->kind, "byte-level BPE (%s)", scanner_name(t));
    return ln__strdup(&t->kind, t->bpe.fallback ? "BPE with byte fallback (SentencePiece style)" : "BPE");
}

/* ---- encoding ---- */

static ln_status cut_part(ln__enc *e, ln__text part, bool at_start, bool special)
{
    (void)special;
    e->origin = at_start ? part.data : NULL;
    return ln__pretokenize(e, 0, part.data, part.len);
}

static ln_status normalize_part(ln__enc *e, ln__text part, bool at_start, bool special)
{
    const char *limit = e->limit;
    ln__text text = part;
    ln_status st = ln__normalize(e, &e->t->norm, &text, part);
    if (st != LN_OK)
        return st;
    if (text.data != part.data)
        e->limit = text.data + text.len;
    st = ln__added_cut(e, &e->t->normalized, text, special, at_start, cut_part);
    e->limit = limit;
    return st;
}

/* Small texts do without: clearing the table would cost more than it saves. */
static ln_status make_cache(ln__enc *e, size_t bytes)
{
    if (e->t->model != LN_MODEL_BPE || bytes < CACHE_MIN_TEXT)
        return LN_OK;
    uint32_t n = CACHE_MIN;
    while (n < CACHE_MAX && n < bytes / 16)
        n *= 2;
    e->cache_mask = n - 1;
    return LN_NEW0(&e->cache, n);
}

static void free_scratch(ln__enc *e)
{
    ln__free(e->cache);
    ln__free(e->spans);
    ln__free(e->sym);
    ln__free(e->link);
    ln__free(e->rank);
    ln__free(e->heap);
    ln__buf_free(&e->norm[0]);
    ln__buf_free(&e->norm[1]);
    ln__buf_free(&e->space);
    for (int i = 0; i < LN_MAX_STEPS; i++)
        ln__buf_free(&e->meta[i]);
    ln__regex_match_free(e->match_data);
}

ln_status ln_tokenizer_encode(int32_t **ids, int64_t *n, const ln_tokenizer *t, const char *text, size_t bytes,
                              unsigned flags)
{
    ln_status st = LN_OK;
    char *repaired = NULL;
    ln__enc e = { .t = t, .u = ln__unicode() };
    if (!ids || !n || !t || (!text && bytes))
        LN_FAIL(LN_ERR_ARG, "ln_tokenizer_encode: ids, n, the tokenizer and the text must not be NULL");
    if (bytes && ln__utf8_valid(text, bytes) < bytes) {
        LN_TRY(ln_text_repair(&repaired, &bytes, text, bytes));
        text = repaired;
    }
    e.limit = text + bytes;
    LN_TRY(ln__ids_reserve(&e, (size_t)(t->n_before + t->n_after) + bytes / 4 + 16));
    LN_TRY(make_cache(&e, bytes));
    for (int64_t i = 0; flags & LN_TOKENIZE_WRAP && i < t->n_before; i++)
        LN_TRY(ln__ids_add(&e, t->before[i]));
    LN_TRY(ln__added_cut(&e, &t->plain, (ln__text){ text, bytes }, flags & LN_TOKENIZE_SPECIAL, true, normalize_part));
    for (int64_t i = 0; flags & LN_TOKENIZE_WRAP && i < t->n_after; i++)
        LN_TRY(ln__ids_add(&e, t->after[i]));
    *ids = e.ids;
    *n = e.n;
    e.ids = NULL;
done:
    free_scratch(&e);
    ln__free(e.ids);
    ln__free(repaired);
    return st;
}

ln_status ln_tokenizer_decode(char **text, size_t *bytes, const ln_tokenizer *t, const int32_t *ids, int64_t n,
                              bool skip_special)
{
    ln_status st = LN_OK;
    ln__buf out = { 0 };
    if (!text || !bytes || !t || n < 0 || (!ids && n))
        LN_FAIL(LN_ERR_ARG, "ln_tokenizer_decode: text, bytes, the tokenizer and the ids must not be NULL");
    LN_TRY(ln__decode(&out, t, ids, n, skip_special));
    *text = out.data;
    *bytes = out.len;
    out.data = NULL;
done:
    ln__buf_free(&out);
    return st;
}

/* ---- small questions ---- */

int64_t ln_tokenizer_vocab(const ln_tokenizer *t)
{
    return t->vocab.n;
}

int32_t ln_tokenizer_bos(const ln_tokenizer *t)
{
    return t->bos;
}

int32_t ln_tokenizer_eos(const ln_tokenizer *t)
{
    return t->eos;
}

int32_t ln_tokenizer_pad(const ln_tokenizer *t)
{
    return t->pad;
}

int32_t ln_tokenizer_id(const ln_tokenizer *t, const char *token)
{
    return token ? ln__vocab_find(&t->vocab, token, strlen(token)) : -1;
}

const char *ln_tokenizer_token(const ln_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.n ? ln__vocab_get(&t->vocab, id).data : NULL;
}

bool ln_tokenizer_is_special(const ln_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.n && t->flags[id] & LN_TOK_SPECIAL;
}

const char *ln_tokenizer_kind(const ln_tokenizer *t)
{
    return t->kind;
}

bool ln_tokenizer_adds_bos(const ln_tokenizer *t)
{
    return t->bos >= 0 && t->n_before > 0 && t->before[0] == t->bos;
}

const char *ln_tokenizer_chat_template(const ln_tokenizer *t)
{
    return t->chat_template;
}

const char *ln__tokenizer_note(const ln_tokenizer *t)
{
    return t->note;
}
