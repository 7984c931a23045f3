/* room: io */
/* fuzz_safetensors.c - headers of safetensors files. */
#include "fuzz_archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    ln_archive *a = fuzz_open(data, size, "fuzz.safetensors");
    if (a)
        fuzz_read_archive(a);
    ln_archive_release(a);
    fuzz_end();
    return 0;
}
