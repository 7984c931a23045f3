/* gguf_tokenizer.h - a tokenizer as the keys of a GGUF file. */
#ifndef LINNET_COMPRESS_GGUF_TOKENIZER_H
#define LINNET_COMPRESS_GGUF_TOKENIZER_H

#include <linnet/tokenizer.h>

#include "io/gguf.h"

/* tokenizer.ggml.* keys and the chat template. Byte-level BPE with a pre-tokenizer that GGUF has a name for, and
 * SentencePiece-style BPE; anything else is LN_ERR_UNSUPPORTED by name. */
ln_status ln__gguf_put_tokenizer(ln__gguf_writer *w, const ln_tokenizer *t);

#endif
