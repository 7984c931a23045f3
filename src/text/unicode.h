/* unicode.h - character classes, lower case, normal forms and the repair of broken UTF-8. Internal. */
#ifndef LINNET_TEXT_UNICODE_H
#define LINNET_TEXT_UNICODE_H

#include "core/core.h"

/* Bits of a code point's class; scripts/unicode_table.py puts them in this order. */
enum {
    LN_CH_LETTER = 1u << 0,  /* \p{L}                                                        */
    LN_CH_NUMBER = 1u << 1,  /* \p{N}                                                        */
    LN_CH_SPACE = 1u << 2,   /* \s: White_Space                                              */
    LN_CH_DIGIT = 1u << 3,   /* what the Digits pre-tokenizer isolates (a newer \p{N})       */
    LN_CH_CTRL = 1u << 4,    /* what BERT's cleaning drops                                   */
    LN_CH_PUNCT = 1u << 5,   /* what BERT's pre-tokenizer isolates                           */
    LN_CH_MARK = 1u << 6,    /* nonspacing marks, what BERT drops to strip accents           */
    LN_CH_WORD = 1u << 7,    /* \w                                                           */
    LN_CH_NFC = 1u << 8,     /* unchanged by NFC, and combines with nothing before or after  */
    LN_CH_CJK = 1u << 9,     /* ideographs that BERT surrounds with spaces                   */
    LN_CH_COMBINE = 1u << 10 /* all marks, what the StripAccents normaliser drops            */
};

/* Generated: runs of equal class, runs of equal case distance. */
typedef struct ln__case_run {
    uint32_t first, last;
    int32_t step, distance;
} ln__case_run;
extern const uint32_t ln__unicode_runs[];
extern const int ln__unicode_run_count;
extern const ln__case_run ln__case_runs[];
extern const int ln__case_run_count;

/* The runs spread over pages of 256 code points, built once. Every user calls ln__unicode() first. */
enum { LN_UNICODE_PAGES = 0x1100 };
typedef struct ln__unicode_table {
    uint16_t page[LN_UNICODE_PAGES]; /* index of the page in `bits` */
    uint16_t (*bits)[256];
} ln__unicode_table;
const ln__unicode_table *ln__unicode(void);

static inline unsigned ln__char_class(const ln__unicode_table *u, uint32_t cp)
{
    return u->bits[u->page[cp >> 8]][cp & 255];
}

/* One code point of valid UTF-8; returns its bytes. */
static inline size_t ln__utf8_get(const unsigned char *p, uint32_t *cp)
{
    if (p[0] < 0x80)
        return *cp = p[0], 1;
    if (p[0] < 0xE0)
        return *cp = (p[0] & 31u) << 6 | (p[1] & 63u), 2;
    if (p[0] < 0xF0)
        return *cp = (p[0] & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u), 3;
    return *cp = (p[0] & 7u) << 18 | (p[1] & 63u) << 12 | (p[2] & 63u) << 6 | (p[3] & 63u), 4;
}

/* Bytes of the character that starts with `lead` (valid UTF-8). */
static inline size_t ln__utf8_len(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t ln__utf8_put(char out[4], uint32_t cp);         /* returns the bytes written              */
size_t ln__utf8_valid(const char *text, size_t bytes); /* length of the longest valid beginning  */
uint32_t ln__lower(uint32_t cp);                       /* one to one; U+0130 is the only exception */

typedef enum ln__norm_form { LN_NFC = 0, LN_NFD = 1, LN_NFKC = 2, LN_NFKD = 3 } ln__norm_form;
/* Appends the normal form of valid UTF-8 to `out`. */
ln_status ln__normal_form(ln__buf *out, const char *text, size_t bytes, ln__norm_form form);

#endif
