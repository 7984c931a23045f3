/* benches.c - the benches of `linnet bench`, one line each. */
#include "bench.h"

const cli_bench *const cli_benches[] = {
    NULL,
};
