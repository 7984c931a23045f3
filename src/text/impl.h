/* impl.h - inside a tokenizer: normalise -> cut -> model, each a list of small steps. Internal to this room.
 *
 * A text is first cut at added tokens, then every part runs through the normaliser's steps, the pre-tokenizer's steps
 * (which cut it into pieces) and the model (which turns a piece into ids). Piece and text are always valid UTF-8. */
#ifndef LINNET_TEXT_IMPL_H
#define LINNET_TEXT_IMPL_H

#include <stdatomic.h>

#include <linnet/tokenizer.h>

#include "core/core.h"
#include "text/unicode.h"
#include "text/vocab.h"

typedef struct ln__regex ln__regex;

typedef enum ln__step_kind {
    /* normalisers */
    LN_NORM_FORM,
    LN_NORM_LOWER,
    LN_NORM_STRIP,
    LN_NORM_ACCENTS,
    LN_NORM_PREPEND,
    LN_NORM_REPLACE,
    LN_NORM_BERT,
    /* pre-tokenizers; the first four are hand-written scanners (scan.h) that cover their text */
    LN_PRE_GPT2,
    LN_PRE_SMOLLM,
    LN_PRE_LLAMA3,
    LN_PRE_QWEN2,
    LN_PRE_SPLIT,
    LN_PRE_CLASS,
    LN_PRE_PREFIX_SPACE,
    LN_PRE_META,
    /* decoders */
    LN_DEC_BYTES,
    LN_DEC_WORDPIECE,
    LN_DEC_META,
    LN_DEC_REPLACE,
    LN_DEC_FALLBACK,
    LN_DEC_FUSE,
    LN_DEC_STRIP
} ln__step_kind;

/* What becomes of a match; names as in tokenizer.json. */
typedef enum ln__behavior {
    LN_SPLIT_REMOVED,
    LN_SPLIT_ISOLATED,
    LN_SPLIT_PREVIOUS,
    LN_SPLIT_NEXT,
    LN_SPLIT_CONTIGUOUS
} ln__behavior;

enum { LN_META_NEVER, LN_META_FIRST, LN_META_ALWAYS }; /* `mode` of LN_PRE_META, LN_DEC_META */
enum { LN_STRIP_LEFT = 1, LN_STRIP_RIGHT = 2 };        /* `mode` of LN_NORM_STRIP            */
enum { LN_BERT_CLEAN = 1, LN_BERT_CJK = 2, LN_BERT_ACCENTS = 4, LN_BERT_LOWER = 8 }; /* `mode` of LN_NORM_BERT      */

typedef struct ln__step {
    ln__step_kind kind;
    int mode;             /* normal form, behavior, prepend scheme, flags: see above           */
    unsigned bits;        /* LN_PRE_CLASS: LN_CH_*                                             */
    bool invert, flag;    /* Split's invert; Metaspace's split; WordPiece decoder's cleanup    */
    char *pattern, *text; /* what is looked for (no regex), what is put there; may be NULL     */
    size_t pattern_len, text_len;
    ln__regex *regex;
    int64_t start, stop; /* LN_DEC_STRIP                                                      */
} ln__step;

enum { LN_MAX_STEPS = 24 };
typedef struct ln__steps {
    ln__step step[LN_MAX_STEPS];
    int n;
} ln__steps;

/* Added tokens looked for in one kind of text, sorted bytewise; first[b] … first[b+1] begin with byte b. */
typedef struct ln__added {
    ln__text *pattern;
    int32_t *id;
    int n;
    int first[257];
    char *pool;
} ln__added;

enum { /* per id */
       LN_TOK_MODEL = 1,
       LN_TOK_ADDED = 2,
       LN_TOK_SPECIAL = 4,
       LN_TOK_LSTRIP = 8,
       LN_TOK_RSTRIP = 16,
       LN_TOK_WORD = 32,
       LN_TOK_NORMALIZED = 64
};

typedef struct ln__pair_slot {
    uint64_t key; /* left << 32 | right, plus 1; 0 is empty */
    uint32_t rank;
    int32_t id;
} ln__pair_slot;

typedef struct ln__merge {
    int32_t left, right, id;
    uint32_t rank;
} ln__merge;

typedef struct ln__bpe {
    ln__pair_slot *slot;
    int shift;        /* 64 - log2(slots) */
    ln__merge *merge; /* as they are written to a tokenizer.json */
    int64_t n_merges;
    int32_t byte_id[256];   /* byte-level: the byte's own token; with fallback: <0xNN>; -1: none           */
    int32_t ascii_id[128];  /* not byte-level: the character's token, or -1                                */
    _Atomic uint8_t *whole; /* per id, found when first asked: 1 the token's own text merges to it, 2 not  */
    int32_t unk;
    bool byte_level, fallback, fuse_unk, ignore_merges;
    bool cut_at_meta; /* no merge joins a non-'\u2581' to a '\u2581': a piece may be cut there            */
} ln__bpe;

/* Where the search for a pair's key begins. */
static inline uint64_t ln__pair_hash(uint64_t key, int shift)
{
    key *= 0x9E3779B97F4A7C15u;
    return ((key ^ key >> 29) * 0xD6E8FEB86659FD93u) >> shift;
}

typedef enum ln__model_kind { LN_MODEL_BPE, LN_MODEL_WORDPIECE } ln__model_kind;

struct ln_tokenizer {
    atomic_int refs;
    char *name;  /* file, for messages                                         */
    char *parts; /* the tokenizer.json without vocabulary, merges, added tokens */
    char *kind, *note, *chat_template;
    ln__model_kind model;
    ln__vocab vocab; /* all tokens as the file spells them */
    ln__vocab raw;   /* byte-level: the model's tokens as the bytes they stand for */
    uint8_t *flags;
    int32_t *added_order; /* ids of added tokens in the file's order */
    int64_t n_added;
    ln__bpe bpe;
    char *piece_prefix; /* WordPiece: "##" */
    size_t piece_prefix_len;
    int64_t max_chars;
    int32_t unk; /* WordPiece */
    ln__steps norm, pre, decode;
    bool decode_none; /* no decoder in the file: tokens joined by spaces */
    ln__added plain, normalized;
    int32_t *before, *after; /* ids that wrapping adds */
    int64_t n_before, n_after;
    int32_t bos, eos, pad;
};

/* ---- one encode call ---- */

enum { LN_CACHE_KEY = 24, LN_CACHE_IDS = 9 };
typedef struct ln__cache_entry { /* 64 bytes */
    uint64_t key[3];
    uint8_t len, n;
    int32_t ids[LN_CACHE_IDS];
} ln__cache_entry;

typedef struct ln__span {
    size_t begin, end;
    bool match;
} ln__span;

typedef struct ln__enc {
    const ln_tokenizer *t;
    const ln__unicode_table *u;
    int32_t *ids;
    int64_t n, cap;
    const char *limit;      /* bytes before this may be read                            */
    const char *origin;     /* the part now worked on, when the whole text begins there */
    ln__cache_entry *cache; /* NULL for short texts                                     */
    uint32_t cache_mask;
    ln__buf norm[2], space; /* scratch of normalisers, of a piece with a space in front */
    ln__buf meta[LN_MAX_STEPS];
    ln__span *spans; /* stack of pieces of the steps that cut by matches */
    size_t n_spans, cap_spans;
    void *match_data; /* PCRE2 */
    int32_t *sym;     /* BPE of one piece */
    uint32_t *link, *rank;
    uint64_t *heap;
    size_t cap_sym;
} ln__enc;

ln_status ln__ids_reserve(ln__enc *e, size_t more);
static inline ln_status ln__ids_add(ln__enc *e, int32_t id)
{
    if (e->n == e->cap) {
        const ln_status st = ln__ids_reserve(e, 1);
        if (st != LN_OK)
            return st;
    }
    e->ids[e->n++] = id;
    return LN_OK;
}

/* normalize.c: the text after all steps; `out` points into `text` or into scratch of `e`. */
ln_status ln__normalize(ln__enc *e, const ln__steps *steps, ln__text *out, ln__text text);
/* pretokenize.c: cuts from step `k` on, then hands every piece to the model. */
ln_status ln__pretokenize(ln__enc *e, int k, const char *s, size_t n);
/* bpe.c, wordpiece.c */
ln_status ln__bpe_piece(ln__enc *e, const char *s, size_t n);
ln_status ln__wordpiece_piece(ln__enc *e, const char *s, size_t n);
/* Slots, byte ids and so on from t->vocab, t->raw and `merges` (taken over, also on failure). Ranks are the caller's.
 */
ln_status ln__bpe_build(ln_tokenizer *t, ln__merge *merges, int64_t n);
/* left, right and id of the merge of a and b; `joined` is scratch. LN_ERR_FORMAT names merge i when one is missing. */
ln_status ln__merge_find(const ln_tokenizer *t, ln__merge *m, ln__text a, ln__text b, int64_t i, ln__buf *joined);
/* Reads the byte-symbol spelling of a token ("\u0120the"): false when a character is no byte symbol. */
bool ln__byte_symbols_decode(char *out, size_t *len, const char *token, size_t n);
size_t ln__byte_symbol(char out[4], unsigned char byte);
/* t->raw from t->vocab: what byte-level BPE compares. */
ln_status ln__raw_vocab_build(ln_tokenizer *t);
/* born.c: tokenizers that do not come from a tokenizer.json. Takes vocabulary and flags (LN_TOK_*) and the other parts
 * as JSON text; merges are still to be built, then ln__tokenizer_finish. Strings must be UTF-8 without NUL. */
ln_status ln__born_vocab(ln_tokenizer *t, const ln__text *strings, const uint8_t *flags, int64_t n, const char *parts);
/* Every way to cut a token that takes part (plain[id]) into two that do; ranks follow the scores, equal scores share
 * one, so that the leftmost wins as it does in SentencePiece. */
ln_status ln__merges_from_scores(ln__merge **out, int64_t *n, const ln_tokenizer *t, const float *scores,
                                 const uint8_t *plain);
/* post_processor text for ids before and after (-1: none): "null" or a TemplateProcessing. */
ln_status ln__born_wrap(ln__buf *out, const ln__text *strings, int64_t before, int64_t after);
/* Parts of a SentencePiece-style tokenizer: normalisers with and without the space in front; model and decoder. `unk`
 * is quoted or "null". */
extern const char ln__spm_prefixed[], ln__spm_plain[];
ln_status ln__spm_parts(ln__buf *model, ln__buf *decoder, const char *unk, bool prefixed);
ln_status ln__json_quote(ln__buf *out, const char *s, size_t n);

/* decode.c */
ln_status ln__decode(ln__buf *out, const ln_tokenizer *t, const int32_t *ids, int64_t n, bool skip_special);

/* added.c: both tables from t->flags and t->added_order; then the cutting. */
ln_status ln__added_build(ln_tokenizer *t);
void ln__added_free(ln__added *a);
/* Calls `part` for text between added tokens and puts the ids of those it finds. */
typedef ln_status (*ln__part_fn)(ln__enc *e, ln__text part, bool at_start, bool special);
ln_status ln__added_cut(ln__enc *e, const ln__added *a, ln__text text, bool special, bool at_start, ln__part_fn part);

/* split_regex.c */
ln_status ln__regex_new(ln__regex **out, const char *pattern, size_t len, const char *what);
void ln__regex_free(ln__regex *r);
/* First match at or after `from`; found->match is false when there is none. *match_data starts as NULL. */
ln_status ln__regex_next(void **match_data, const ln__regex *r, const char *s, size_t n, size_t from, ln__span *found);
void ln__regex_match_free(void *match_data);

/* tokenizer.c: steps of making one. */
ln_status ln__tokenizer_alloc(ln_tokenizer **out, const char *name);
void ln__step_free(ln__step *s);
/* Everything that follows from vocabulary, flags and parts: kind, bos. */
ln_status ln__tokenizer_finish(ln_tokenizer *t);

#endif
