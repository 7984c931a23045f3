/* text.h - what the rooms above get from the text room beyond linnet/tokenizer.h. Internal. */
#ifndef LINNET_TEXT_TEXT_H
#define LINNET_TEXT_TEXT_H

#include <linnet/io.h>
#include <linnet/tokenizer.h>

#include "core/core.h"

/* From the tokenizer.ggml.* keys of a GGUF file: models "gpt2", "llama" (SentencePiece with scores), "bert". Nothing of
 * the archive is kept. LN_ERR_NOTFOUND when the file carries no tokenizer. */
ln_status ln__tokenizer_from_gguf(ln_tokenizer **out, const ln_archive *a);

/* llama2.c's file: int32 longest token, then per token float32 score, int32 length, bytes. */
ln_status ln__tokenizer_from_llama2c(ln_tokenizer **out, const char *path);

/* What was not as the file promised but could be lived with (an unknown pre-tokenizer name): one line, or NULL. */
const char *ln__tokenizer_note(const ln_tokenizer *t);

#endif
