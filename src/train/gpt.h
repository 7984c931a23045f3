/* gpt.h - vocabularies that `linnet train gpt` makes from nothing but a text. */
#ifndef LINNET_TRAIN_GPT_H
#define LINNET_TRAIN_GPT_H

#include <linnet/gpt.h>
#include <linnet/tokenizer.h>

/* A tokenizer of the characters that occur in a (valid UTF-8) text, <unk> first, or of the 256 bytes. */
ln_status ln__vocab_of_characters(ln_tokenizer **out, const char *text, size_t bytes);
ln_status ln__vocab_of_bytes(ln_tokenizer **out);

#endif
