/* words.h - words and numbers as people type them. Nothing here follows the locale or allocates. */
#ifndef LINNET_CORE_WORDS_H
#define LINNET_CORE_WORDS_H

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits with a sign; false on anything else or overflow. Leaves *text at the first character after them. */
bool ln__read_int64(int64_t *out, const char **text);
/* "300M", "1.5G", "2 GB" without the blank: a number and a suffix for powers of 1024. The whole text must be read. */
bool ln__read_bytes(int64_t *out, const char *text);
/* true, yes, on, 1 and false, no, off, 0. */
bool ln__read_bool(int32_t *out, const char *text);
/* Index of text among "coarse|full", or -1; and how many words there are. */
int32_t ln__word_index(const char *words, const char *text);
int32_t ln__word_count(const char *words);

bool ln__ends_with(const char *text, const char *end);
/* Does the whole text match the pattern, in which '*' stands for any run of characters? */
bool ln__glob(const char *pattern, const char *text);

/* The name nearest to `word` among name(list, 0 ... n-1), or NULL when none is near. For "did you mean". */
const char *ln__nearest(const char *word, const char *(*name)(const void *list, int64_t i), const void *list,
                        int64_t n);

/* The shortest of 15, 16 or 17 digits that reads back as the same double. Writes into text and returns it. */
char *ln__real_text(char text[32], double x);

#endif
