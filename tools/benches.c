/* benches.c - the benches of `linnet bench`, one line each. */
#include "bench.h"

extern const cli_bench bench_decode, bench_prefill, bench_gemm, bench_linop, bench_tokenizer, bench_rocket, bench_train;
extern const cli_bench bench_forecast, bench_sbm, bench_factor;

const cli_bench *const cli_benches[] = {
    &bench_decode,   &bench_prefill, &bench_gemm,   &bench_linop, &bench_tokenizer, &bench_rocket, &bench_train,
    &bench_forecast, &bench_sbm,     &bench_factor, NULL,
};
