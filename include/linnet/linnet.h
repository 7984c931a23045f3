/* linnet/linnet.h - everything. Read in this order: base, tensor, linop, tokenizer, model, compress, result. */
#ifndef LINNET_LINNET_H
#define LINNET_LINNET_H

#include <linnet/base.h>
#include <linnet/comm.h>
#include <linnet/compress.h>
#include <linnet/connectome.h>
#include <linnet/estimator.h>
#include <linnet/eval.h>
#include <linnet/factor.h>
#include <linnet/forecast.h>
#include <linnet/generate.h>
#include <linnet/gpt.h>
#include <linnet/io.h>
#include <linnet/linop.h>
#include <linnet/model.h>
#include <linnet/params.h>
#include <linnet/regress.h>
#include <linnet/result.h>
#include <linnet/solve.h>
#include <linnet/system.h>
#include <linnet/tensor.h>
#include <linnet/tokenizer.h>
#include <linnet/train.h>
#include <linnet/tune.h>

#endif
