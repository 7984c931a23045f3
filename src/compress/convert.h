/* convert.h - writing a model as a GGUF file. */
#ifndef LINNET_COMPRESS_CONVERT_H
#define LINNET_COMPRESS_CONVERT_H

#include "model/checkpoint.h"

/* One GGUF file: llama family and BERT, q and k rows permuted as the format wants them for llama. Always merged. */
ln_status ln__checkpoint_write_gguf(const char *path, const ln__checkpoint_plan *plan);

#endif
