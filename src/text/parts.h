/* parts.h - the four lists of steps of a tokenizer.json. Internal. */
#ifndef LINNET_TEXT_PARTS_H
#define LINNET_TEXT_PARTS_H

#include "core/json.h"
#include "text/impl.h"

/* Reads normalizer, pre_tokenizer and decoder of `root` into t. Sets t->bpe.byte_level. */
ln_status ln__parts_parse(ln_tokenizer *t, const json_t *root);
/* Reads post_processor; needs t->vocab. */
ln_status ln__parts_wrap(ln_tokenizer *t, const json_t *root);

#endif
