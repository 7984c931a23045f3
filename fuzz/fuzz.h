/* fuzz.h - what the fuzz targets share. Each defines LLVMFuzzerTestOneInput; fuzz/README.md says how they are run. */
#ifndef LINNET_FUZZ_FUZZ_H
#define LINNET_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A failed promise ends the run as a crash, which the fuzzer then keeps. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

/* A failure must come with one line of text. */
static inline void fuzz_check_message(ln_status st)
{
    const char *message = ln_last_error();
    FUZZ_CHECK(st < 0 && *message && !strchr(message, '\n'));
}

/* Before an input: no more memory than this (the input itself is not counted). After: nothing is left. */
enum { FUZZ_MEMORY = 64 << 20 };
static inline void fuzz_begin(void)
{
    ln_memory_limit(FUZZ_MEMORY);
}

static inline void fuzz_end(void)
{
    FUZZ_CHECK(ln__test_live() == 0);
}

/* Read every byte, so that a sanitizer sees each. */
static inline unsigned fuzz_touch(const void *data, size_t bytes)
{
    unsigned sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += ((const volatile unsigned char *)data)[i];
    return sum;
}

#endif
