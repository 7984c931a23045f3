/* pieces.h - walking a tensor of any strides in short contiguous pieces, on all threads. */
#ifndef LINNET_CORE_PIECES_H
#define LINNET_CORE_PIECES_H

#include "core/tensor.h"

/* Elements of a piece: whole blocks of every type; buffers of this length fit any stack. */
enum { LN_PIECE = 1024 };

/* Looks at n consecutive elements (row-major index `flat` onwards), gathered to be contiguous. Returns the index of the
 * first bad one within the piece, or -1. */
typedef int64_t (*ln__piece_fn)(void *ctx, const void *src, int64_t flat, int64_t n);

/* Smallest row-major index that fn called bad, or -1. The same for any number of threads. */
int64_t ln__for_pieces(const ln_tensor *t, ln__piece_fn fn, void *ctx);

/* One element for a message: "1.5", "-7", "NaN", "-Inf". Writes into buf and returns it. */
char *ln__element_text(char buf[48], const ln_tensor *t, int64_t flat);

#endif
