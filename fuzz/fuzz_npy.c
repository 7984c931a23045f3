/* room: io */
/* fuzz_npy.c - npy arrays and npz archives, told apart by content. */
#include "fuzz_archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    ln_archive *a = fuzz_open(data, size, "fuzz.npy");
    if (a)
        fuzz_read_archive(a);
    ln_archive_release(a);
    fuzz_end();
    return 0;
}
