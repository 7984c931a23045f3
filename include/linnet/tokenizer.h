/* linnet/tokenizer.h - text to token ids and back: byte-level BPE, SentencePiece-style BPE, WordPiece. */
#ifndef LINNET_TOKENIZER_H
#define LINNET_TOKENIZER_H

#include <linnet/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ln_tokenizer ln_tokenizer;

/**
 * From a Hugging Face `tokenizer.json` or the directory that holds it (a tokenizer_config.json beside it supplies chat
 * template and BOS/EOS), a GGUF file, or a llama2.c tokenizer file (tok512.bin). Told apart by content.
 */
LN_API LN_MUST_CHECK ln_status ln_tokenizer_open(ln_tokenizer **out, const char *path);
/** From the bytes of a tokenizer.json. `name` is used in messages. */
LN_API LN_MUST_CHECK ln_status ln_tokenizer_parse(ln_tokenizer **out, const char *json, size_t bytes, const char *name);
LN_API ln_tokenizer *ln_tokenizer_retain(const ln_tokenizer *t);
LN_API void ln_tokenizer_release(ln_tokenizer *t);

enum {
    LN_TOKENIZE_SPECIAL = 1u << 0, /* text such as <|im_start|> becomes the special token */
    LN_TOKENIZE_WRAP = 1u << 1     /* add what the file's post-processor adds (BOS, [CLS] … [SEP]) */
};

/**
 * Ids of `text` (any bytes; broken UTF-8 is treated as U+FFFD, as the Python bindings' decoding does).
 * @param[out] ids   free with ln_free; untouched on failure.
 */
LN_API LN_MUST_CHECK ln_status ln_tokenizer_encode(int32_t **ids, int64_t *n, const ln_tokenizer *t, const char *text,
                                                   size_t bytes, unsigned flags);
/**
 * Bytes of a token sequence, NUL-terminated; `bytes` excludes the NUL. Free with ln_free. skip_special drops specials.
 * The bytes are what the tokens say: a sequence that ends inside a character ends in broken UTF-8 (ln_text_repair).
 */
LN_API LN_MUST_CHECK ln_status ln_tokenizer_decode(char **text, size_t *bytes, const ln_tokenizer *t,
                                                   const int32_t *ids, int64_t n, bool skip_special);

LN_API int64_t ln_tokenizer_vocab(const ln_tokenizer *t);
/** Ids, or -1 when the tokenizer has none. */
LN_API int32_t ln_tokenizer_bos(const ln_tokenizer *t);
LN_API int32_t ln_tokenizer_eos(const ln_tokenizer *t);
LN_API int32_t ln_tokenizer_pad(const ln_tokenizer *t);
LN_API int32_t ln_tokenizer_id(const ln_tokenizer *t, const char *token); /* -1: not in the vocabulary */
LN_API const char *ln_tokenizer_token(const ln_tokenizer *t, int32_t id); /* NULL: out of range; as in the file */
LN_API bool ln_tokenizer_is_special(const ln_tokenizer *t, int32_t id);
LN_API const char *ln_tokenizer_kind(const ln_tokenizer *t); /* "byte-level BPE (smollm)", "WordPiece", … */
LN_API bool ln_tokenizer_adds_bos(const ln_tokenizer *t);
/** The model's chat template source (Jinja), or NULL. */
LN_API const char *ln_tokenizer_chat_template(const ln_tokenizer *t);

/** A conversation as the model was trained to see it (supported templates: docs/tokenizers.md). Free with ln_free. */
typedef struct ln_message {
    const char *role, *content;
} ln_message;
LN_API LN_MUST_CHECK ln_status ln_tokenizer_chat(char **text, const ln_tokenizer *t, const ln_message *messages, int n,
                                                 bool add_generation_prompt);

/** The whole tokenizer as a tokenizer.json (also for one read from GGUF). Free with ln_free. */
LN_API LN_MUST_CHECK ln_status ln_tokenizer_to_json(char **json, size_t *bytes, const ln_tokenizer *t);
/** The tokenizer_config.json that belongs beside it: chat template, BOS, EOS, PAD. Free with ln_free. */
LN_API LN_MUST_CHECK ln_status ln_tokenizer_config_to_json(char **json, size_t *bytes, const ln_tokenizer *t);

typedef enum ln_clean {
    LN_CLEAN_NONE = 0,    /* bytes as they are                                                     */
    LN_CLEAN_WIKITEXT = 1 /* undo the WikiText form: " @-@ " -> "-", spaces before punctuation, …  */
} ln_clean;
/** A text file, whole, NUL-terminated; `bytes` excludes the NUL. Free with ln_free. */
LN_API LN_MUST_CHECK ln_status ln_text_read(char **text, size_t *bytes, const char *path, ln_clean clean);
/** Valid UTF-8: every maximal part of a broken sequence becomes U+FFFD, as Python's errors='replace' does. ln_free. */
LN_API LN_MUST_CHECK ln_status ln_text_repair(char **text, size_t *out_bytes, const char *bytes, size_t n);
/** Bytes of `text` before a character that is cut off at the end (all of them when none is): for streaming. */
LN_API size_t ln_text_complete(const char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
