/* room: io */
/* fuzz_lines.c - text files, plain or gzip, line by line. */
#include "fuzz.h"

#include "io/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    ln__lines *l = NULL;
    const char *line = "";
    size_t len = 0;
    int64_t number = 0;
    ln_status st = ln__lines_from_memory(&l, data, size, "fuzz.txt");
    while (st == LN_OK && line) {
        st = ln__lines_next(l, &line, &len);
        if (st != LN_OK || !line)
            break;
        FUZZ_CHECK(ln__lines_number(l) == ++number && line[len] == '\0' && !memchr(line, '\n', len));
    }
    if (st != LN_OK)
        fuzz_check_message(st);
    ln__lines_free(l);
    fuzz_end();
    return 0;
}
