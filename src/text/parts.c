/* parts.c - normalizer, pre_tokenizer and decoder of a tokenizer.json, flattened into lists of steps.
 *
 * Each has a "type"; a "Sequence" holds others. A type this library does not know is refused by name: guessing would
 * give other ids without a word. Patterns that a scanner knows by their text do not go to the regex engine. */
#include "text/parts.h"

#include <string.h>

enum { MAX_DEPTH = 8 };

static const char GPT2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
#define LLAMA3(digits)                                                                                                 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits                                         \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef ln_status (*part_fn)(ln_tokenizer *t, ln__steps *steps, const json_t *o, const char *type);

static ln_status add_step(ln_tokenizer *t, ln__steps *steps, ln__step *step)
{
    if (steps->n == LN_MAX_STEPS) {
        ln__step_free(step);
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: more than %d steps in one part", t->name, LN_MAX_STEPS);
    }
    steps->step[steps->n++] = *step;
    return LN_OK;
}

static ln_status add_kind(ln_tokenizer *t, ln__steps *steps, ln__step_kind kind, int mode)
{
    return add_step(t, steps, &(ln__step){ .kind = kind, .mode = mode });
}

static ln_status copy_text(char **to, size_t *len, const json_t *o, const char *key, const char *fallback,
                           const ln_tokenizer *t)
{
    const char *s = NULL;
    ln_status st = ln__json_str(&s, o, key, fallback, t->name);
    if (st != LN_OK)
        return st;
    if (!s)
        return ln__fail(LN_ERR_FORMAT, "%s: '%s' is missing", t->name, key);
    *len = strlen(s);
    return ln__strndup(to, s, *len);
}

/* {"String": …} or {"Regex": …} */
static ln_status copy_pattern(ln__step *step, const json_t *o, const ln_tokenizer *t)
{
    const json_t *p = json_object_get(o, "pattern");
    const char *regex = json_string_value(json_object_get(p, "Regex"));
    if (regex)
        return ln__regex_new(&step->regex, regex, json_string_length(json_object_get(p, "Regex")), t->name);
    if (!json_is_string(json_object_get(p, "String")))
        return ln__fail(LN_ERR_FORMAT, "%s: 'pattern' must be {\"String\": …} or {\"Regex\": …}", t->name);
    return copy_text(&step->pattern, &step->pattern_len, p, "String", NULL, t);
}

/* ---- normalisers ---- */

static ln_status add_replace(ln_tokenizer *t, ln__steps *steps, const json_t *o, ln__step_kind kind)
{
    ln__step step = { .kind = kind };
    ln_status st = copy_pattern(&step, o, t);
    if (st == LN_OK)
        st = copy_text(&step.text, &step.text_len, o, "content", NULL, t);
    if (st == LN_OK)
        return add_step(t, steps, &step);
    ln__step_free(&step);
    return st;
}

static ln_status add_bert(ln_tokenizer *t, ln__steps *steps, const json_t *o)
{
    ln_status st = LN_OK;
    bool clean, cjk, lower, accents;
    LN_TRY(ln__json_bool(&clean, o, "clean_text", true, t->name));
    LN_TRY(ln__json_bool(&cjk, o, "handle_chinese_chars", true, t->name));
    LN_TRY(ln__json_bool(&lower, o, "lowercase", true, t->name));
    LN_TRY(ln__json_bool(&accents, o, "strip_accents", lower, t->name)); /* null: as lowercase */
    LN_TRY(add_kind(t, steps, LN_NORM_BERT,
                    (clean ? LN_BERT_CLEAN : 0) | (cjk ? LN_BERT_CJK : 0) | (accents ? LN_BERT_ACCENTS : 0) |
                        (lower ? LN_BERT_LOWER : 0)));
done:
    return st;
}

static ln_status add_normalizer(ln_tokenizer *t, ln__steps *steps, const json_t *o, const char *type)
{
    static const char *const forms[] = { [LN_NFC] = "NFC", [LN_NFD] = "NFD", [LN_NFKC] = "NFKC", [LN_NFKD] = "NFKD" };
    for (int i = 0; i < LN_COUNT(forms); i++)
        if (strcmp(type, forms[i]) == 0)
            return add_kind(t, steps, LN_NORM_FORM, i);
    if (strcmp(type, "Lowercase") == 0)
        return add_kind(t, steps, LN_NORM_LOWER, 0);
    if (strcmp(type, "StripAccents") == 0)
        return add_kind(t, steps, LN_NORM_ACCENTS, 0);
    if (strcmp(type, "BertNormalizer") == 0)
        return add_bert(t, steps, o);
    if (strcmp(type, "Replace") == 0)
        return add_replace(t, steps, o, LN_NORM_REPLACE);
    if (strcmp(type, "Strip") == 0) {
        bool left = true, right = true;
        ln_status st = ln__json_bool(&left, o, "strip_left", true, t->name);
        if (st == LN_OK)
            st = ln__json_bool(&right, o, "strip_right", true, t->name);
        const int mode = (left ? LN_STRIP_LEFT : 0) | (right ? LN_STRIP_RIGHT : 0);
        return st == LN_OK ? add_kind(t, steps, LN_NORM_STRIP, mode) : st;
    }
    if (strcmp(type, "Prepend") == 0) {
        ln__step step = { .kind = LN_NORM_PREPEND };
        const ln_status st = copy_text(&step.text, &step.text_len, o, "prepend", NULL, t);
        return st == LN_OK ? add_step(t, steps, &step) : st;
    }
    return ln__fail(LN_ERR_UNSUPPORTED, "%s: normalizer '%s' is not supported", t->name, type);
}

/* ---- pre-tokenizers ---- */

static ln_status behavior_of(int *out, const json_t *o, const char *fallback, const ln_tokenizer *t)
{
    static const char *const names[] = { [LN_SPLIT_REMOVED] = "Removed",
                                         [LN_SPLIT_ISOLATED] = "Isolated",
                                         [LN_SPLIT_PREVIOUS] = "MergedWithPrevious",
                                         [LN_SPLIT_NEXT] = "MergedWithNext",
                                         [LN_SPLIT_CONTIGUOUS] = "Contiguous" };
    const char *name = NULL;
    const ln_status st = ln__json_str(&name, o, "behavior", fallback, t->name);
    if (st != LN_OK)
        return st;
    for (int i = 0; name && i < LN_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *out = i;
            return LN_OK;
        }
    return ln__fail(LN_ERR_FORMAT, "%s: unknown 'behavior' '%s'", t->name, name ? name : "");
}

static ln_status add_split(ln_tokenizer *t, ln__steps *steps, const json_t *o)
{
    static const struct {
        const char *pattern;
        ln__step_kind kind;
    } known[] = { { GPT2, LN_PRE_GPT2 }, { LLAMA3("{1,3}"), LN_PRE_LLAMA3 }, { LLAMA3(""), LN_PRE_QWEN2 } };
    ln__step step = { .kind = LN_PRE_SPLIT };
    ln_status st = behavior_of(&step.mode, o, NULL, t);
    if (st == LN_OK)
        st = ln__json_bool(&step.invert, o, "invert", false, t->name);
    const char *regex = json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    /* These cover every text, so gaps do not exist; isolating matches is all that can be asked of them. */
    const bool plain = regex && step.mode == LN_SPLIT_ISOLATED && !step.invert;
    for (int i = 0; st == LN_OK && plain && i < LN_COUNT(known); i++)
        if (strcmp(regex, known[i].pattern) == 0)
            return add_kind(t, steps, known[i].kind, 0);
    if (st == LN_OK)
        st = copy_pattern(&step, o, t);
    if (st == LN_OK)
        return add_step(t, steps, &step);
    ln__step_free(&step);
    return st;
}

static ln_status add_class(ln_tokenizer *t, ln__steps *steps, unsigned bits, ln__behavior behavior)
{
    return add_step(t, steps, &(ln__step){ .kind = LN_PRE_CLASS, .bits = bits, .mode = behavior });
}

static ln_status add_byte_level(ln_tokenizer *t, ln__steps *steps, const json_t *o)
{
    ln_status st = LN_OK;
    bool prefix, regex;
    LN_TRY(ln__json_bool(&prefix, o, "add_prefix_space", true, t->name));
    LN_TRY(ln__json_bool(&regex, o, "use_regex", true, t->name));
    const ln__step *before = steps->n ? &steps->step[steps->n - 1] : NULL;
    const bool digits =
        before && before->kind == LN_PRE_CLASS && before->bits == LN_CH_DIGIT && before->mode == LN_SPLIT_ISOLATED;
    if (prefix)
        LN_TRY(add_kind(t, steps, LN_PRE_PREFIX_SPACE, 0));
    if (regex && digits && !prefix)
        steps->step[steps->n - 1] = (ln__step){ .kind = LN_PRE_SMOLLM };
    else if (regex)
        LN_TRY(add_kind(t, steps, LN_PRE_GPT2, 0));
    t->bpe.byte_level = true;
done:
    return st;
}

static ln_status meta_scheme(int *mode, const json_t *o, const ln_tokenizer *t)
{
    static const char *const names[] = {
        [LN_META_NEVER] = "never", [LN_META_FIRST] = "first", [LN_META_ALWAYS] = "always"
    };
    const char *scheme = NULL;
    bool prefix = true;
    ln_status st = ln__json_bool(&prefix, o, "add_prefix_space", true, t->name); /* older files */
    if (st == LN_OK)
        st = ln__json_str(&scheme, o, "prepend_scheme", prefix ? "always" : "never", t->name);
    if (st != LN_OK)
        return st;
    for (int i = 0; i < LN_COUNT(names); i++)
        if (strcmp(scheme, names[i]) == 0) {
            *mode = i;
            return LN_OK;
        }
    return ln__fail(LN_ERR_FORMAT, "%s: unknown 'prepend_scheme' '%s'", t->name, scheme);
}

static ln_status add_meta(ln_tokenizer *t, ln__steps *steps, const json_t *o, ln__step_kind kind)
{
    ln__step step = { .kind = kind };
    ln_status st = meta_scheme(&step.mode, o, t);
    if (st == LN_OK)
        st = ln__json_bool(&step.flag, o, "split", true, t->name);
    if (st == LN_OK)
        st = copy_text(&step.text, &step.text_len, o, "replacement", "\xE2\x96\x81", t);
    if (st == LN_OK && (step.text_len == 0 || step.text_len != ln__utf8_len((unsigned char)step.text[0])))
        st = ln__fail(LN_ERR_FORMAT, "%s: 'replacement' must be one character", t->name);
    if (st == LN_OK)
        return add_step(t, steps, &step);
    ln__step_free(&step);
    return st;
}

static ln_status add_pre_tokenizer(ln_tokenizer *t, ln__steps *steps, const json_t *o, const char *type)
{
    ln_status st = LN_OK;
    if (t->bpe.byte_level)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: pre-tokenizer '%s' after ByteLevel is not supported", t->name, type);
    if (strcmp(type, "ByteLevel") == 0)
        return add_byte_level(t, steps, o);
    if (strcmp(type, "Split") == 0)
        return add_split(t, steps, o);
    if (strcmp(type, "Metaspace") == 0)
        return add_meta(t, steps, o, LN_PRE_META);
    if (strcmp(type, "Digits") == 0) {
        bool each = false;
        st = ln__json_bool(&each, o, "individual_digits", false, t->name);
        return st == LN_OK ? add_class(t, steps, LN_CH_DIGIT, each ? LN_SPLIT_ISOLATED : LN_SPLIT_CONTIGUOUS) : st;
    }
    if (strcmp(type, "Punctuation") == 0) {
        int behavior = LN_SPLIT_ISOLATED;
        st = behavior_of(&behavior, o, "Isolated", t);
        return st == LN_OK ? add_class(t, steps, LN_CH_PUNCT, (ln__behavior)behavior) : st;
    }
    if (strcmp(type, "CharDelimiterSplit") == 0) {
        ln__step step = { .kind = LN_PRE_SPLIT, .mode = LN_SPLIT_REMOVED };
        st = copy_text(&step.pattern, &step.pattern_len, o, "delimiter", NULL, t);
        return st == LN_OK ? add_step(t, steps, &step) : st;
    }
    const bool bert = strcmp(type, "BertPreTokenizer") == 0, words = strcmp(type, "Whitespace") == 0;
    if (!bert && !words && strcmp(type, "WhitespaceSplit") != 0)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: pre-tokenizer '%s' is not supported", t->name, type);
    st = add_class(t, steps, LN_CH_SPACE, LN_SPLIT_REMOVED);
    if (st == LN_OK && bert)
        st = add_class(t, steps, LN_CH_PUNCT, LN_SPLIT_ISOLATED);
    if (st == LN_OK && words) /* \w+|[^\w\s]+ */
        st = add_class(t, steps, LN_CH_WORD, LN_SPLIT_CONTIGUOUS);
    return st;
}

/* ---- decoders ---- */

static ln_status add_decoder(ln_tokenizer *t, ln__steps *steps, const json_t *o, const char *type)
{
    ln_status st = LN_OK;
    if (strcmp(type, "ByteLevel") == 0)
        return add_kind(t, steps, LN_DEC_BYTES, 0);
    if (strcmp(type, "ByteFallback") == 0)
        return add_kind(t, steps, LN_DEC_FALLBACK, 0);
    if (strcmp(type, "Fuse") == 0)
        return add_kind(t, steps, LN_DEC_FUSE, 0);
    if (strcmp(type, "Replace") == 0)
        return add_replace(t, steps, o, LN_DEC_REPLACE);
    if (strcmp(type, "Metaspace") == 0)
        return add_meta(t, steps, o, LN_DEC_META);
    ln__step step = { .kind = LN_DEC_STRIP };
    if (strcmp(type, "WordPiece") == 0) {
        step.kind = LN_DEC_WORDPIECE;
        st = copy_text(&step.text, &step.text_len, o, "prefix", "##", t);
        if (st == LN_OK)
            st = ln__json_bool(&step.flag, o, "cleanup", true, t->name);
    } else if (strcmp(type, "Strip") == 0) {
        st = copy_text(&step.text, &step.text_len, o, "content", " ", t);
        if (st == LN_OK)
            st = ln__json_int(&step.start, o, "start", 0, t->name);
        if (st == LN_OK)
            st = ln__json_int(&step.stop, o, "stop", 0, t->name);
        if (st == LN_OK && step.text_len == 0)
            st = ln__fail(LN_ERR_FORMAT, "%s: 'content' of a Strip decoder must be one character", t->name);
    } else {
        st = ln__fail(LN_ERR_UNSUPPORTED, "%s: decoder '%s' is not supported", t->name, type);
    }
    if (st == LN_OK)
        return add_step(t, steps, &step);
    ln__step_free(&step);
    return st;
}

/* ---- one part: nothing, one step, or a Sequence of them ---- */

static ln_status walk(ln_tokenizer *t, ln__steps *steps, const json_t *o, const char *list, part_fn add, int depth)
{
    if (!o || json_is_null(o))
        return LN_OK;
    const char *type = json_string_value(json_object_get(o, "type"));
    if (!type)
        return ln__fail(LN_ERR_FORMAT, "%s: an entry of '%s' has no 'type'", t->name, list);
    if (strcmp(type, "Sequence") != 0)
        return add(t, steps, o, type);
    const json_t *items = json_object_get(o, list);
    if (!json_is_array(items))
        return ln__fail(LN_ERR_FORMAT, "%s: a Sequence without '%s'", t->name, list);
    if (depth == MAX_DEPTH)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: '%s' nested more than %d deep", t->name, list, MAX_DEPTH);
    ln_status st = LN_OK;
    for (size_t i = 0; i < json_array_size(items) && st == LN_OK; i++)
        st = walk(t, steps, json_array_get(items, i), list, add, depth + 1);
    return st;
}

ln_status ln__parts_parse(ln_tokenizer *t, const json_t *root)
{
    ln_status st = LN_OK;
    const json_t *decoder = json_object_get(root, "decoder");
    LN_TRY(walk(t, &t->norm, json_object_get(root, "normalizer"), "normalizers", add_normalizer, 0));
    LN_TRY(walk(t, &t->pre, json_object_get(root, "pre_tokenizer"), "pretokenizers", add_pre_tokenizer, 0));
    LN_TRY(walk(t, &t->decode, decoder, "decoders", add_decoder, 0));
    t->decode_none = !decoder || json_is_null(decoder);
done:
    return st;
}
