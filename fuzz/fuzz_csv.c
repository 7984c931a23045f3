/* room: io */
/* fuzz_csv.c - tables as text. */
#include "fuzz.h"

#include "io/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    ln__csv *c = NULL;
    ln__csv_field *fields = NULL;
    int64_t n = 0, width = -1, line = 0;
    ln_status st = ln__csv_from_memory(&c, data, size, "fuzz.csv", ',');
    while (st == LN_OK && (st = ln__csv_next(c, &fields, &n)) == LN_OK && fields) {
        FUZZ_CHECK(n > 0 && (width < 0 || n == width) && ln__csv_line(c) > line);
        width = n;
        line = ln__csv_line(c);
        for (int64_t i = 0; i < n; i++)
            FUZZ_CHECK(strlen(fields[i].text) == fields[i].len);
    }
    if (st != LN_OK)
        fuzz_check_message(st);
    ln__csv_free(c);
    fuzz_end();
    return 0;
}
