/* corpus.h - calibration and evaluation text: files, the WikiText form undone, windows of tokens. Internal. */
#ifndef LINNET_TEXT_CORPUS_H
#define LINNET_TEXT_CORPUS_H

#include <linnet/tokenizer.h>

#include "core/core.h"

/* `text` as it was before WikiText's authors split it into words; line by line, "= Heading =" lines kept. */
ln_status ln__corpus_unwiki(char **out, size_t *out_bytes, const char *text, size_t bytes);

typedef enum ln__chunk_order {
    LN_CHUNKS_SEQUENTIAL = 0, /* contiguous from the start                                                 */
    LN_CHUNKS_RANDOM = 1      /* distinct windows of the contiguous partition, shuffled with `seed`        */
} ln__chunk_order;

/* Where windows of `length` tokens start in a text of `tokens` tokens; they never overlap. At most `limit` of them
 * (0: as many as fit). A text too short for one window is LN_ERR_SHAPE naming `what`. starts: ln__free. */
ln_status ln__corpus_chunks(int64_t **starts, int64_t *n, int64_t tokens, int64_t length, int64_t limit,
                            ln__chunk_order order, uint64_t seed, const char *what);

/* A file read, cleaned and tokenised at once, cut after `max_tokens` (0: all). ids: ln__free. */
ln_status ln__corpus_tokens(int32_t **ids, int64_t *n, const ln_tokenizer *t, const char *path, ln_clean clean,
                            int64_t max_tokens);

#endif
