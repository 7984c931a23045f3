/* random_text.h - texts of characters that tokenizers stumble over, the same in every run. */
#ifndef LINNET_TESTS_RANDOM_TEXT_H
#define LINNET_TESTS_RANDOM_TEXT_H

#include "core/core.h"
#include "text/unicode.h"

static uint64_t rng = 88172645463325252u;

static inline uint64_t draw(uint64_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % below;
}

/* Characters that tokenizers stumble over, and any others. */
static inline size_t random_text(char *out, int chars)
{
    static const uint32_t odd[] = { ' ',    ' ',    ' ',     '\n',   '\n',   '\r',   '\t',  '\'', 's',   't',   'r',
                                    'e',    'v',    'l',     'S',    'L',    'a',    'b',   '.',  ',',   '-',   '1',
                                    '2',    '9',    0xA0,    0x85,   0x2028, 0x3000, 0x17F, 0xE9, 0x301, 0x661, 0xBD,
                                    0x2160, 0x4E2D, 0x1F600, 0x200D, 0xFFFD, 0xB,    0xC,   0x1C, 0xDF };
    size_t n = 0;
    for (int i = 0; i < chars; i++) {
        uint32_t cp = odd[draw(LN_COUNT(odd))];
        if (draw(4) == 0)
            cp = (uint32_t)(draw(3) ? draw(0x3000) : draw(0x110000));
        if ((cp >= 0xD800 && cp < 0xE000) || cp == 0)
            cp = 'x';
        n += ln__utf8_put(out + n, cp);
    }
    return n;
}

#endif
