/* room: text */
/* fuzz_jinja.c - a chat template, a zero byte, then the JSON of its variables (without: a small conversation). What
 * renders is valid UTF-8 and the same when rendered again; what does not says why and leaves its outputs alone. */
#include <string.h>

#include "core/json.h"
#include "fuzz.h"
#include "text/jinja.h"
#include "text/unicode.h"

static const char usual[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\" "
    "caf\xC3\xA9?\\n\"},"
    "{\"role\":\"assistant\",\"content\":\"\"}],\"add_generation_prompt\":true,\"bos_token\":\"<s>\",\"eos_token\":"
    "\"</s>\",\"n\":3,\"x\":-2.5,\"none\":null,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
    "\"parameters\":{\"a\":[1,true,\"\xF0\x9F\x98\x80\"]}}}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    const char *source = (const char *)data;
    const size_t bytes = end ? (size_t)(end - data) : size;
    json_t *context = NULL;
    char *out[2] = { NULL, NULL };
    size_t n[2] = { 0, 0 };
    fuzz_begin();
    if (!end || ln__json_parse(&context, (const char *)end + 1, size - bytes - 1, "fuzz") != LN_OK ||
        !json_is_object(context)) {
        json_decref(context);
        context = NULL;
        FUZZ_CHECK(ln__json_parse(&context, usual, sizeof usual - 1, "usual") == LN_OK);
    }
    for (int i = 0; i < 2; i++) {
        const ln_status st = ln__jinja_render(&out[i], &n[i], source, bytes, context, "fuzz");
        if (st != LN_OK) {
            FUZZ_CHECK(i == 0 && !out[0] && n[0] == 0);
            fuzz_check_message(st);
            break;
        }
        FUZZ_CHECK(out[i] && out[i][n[i]] == '\0');
        FUZZ_CHECK(ln__utf8_valid(out[i], n[i]) == n[i]);
    }
    FUZZ_CHECK(!out[1] || (n[0] == n[1] && memcmp(out[0], out[1], n[0]) == 0));
    ln_free(out[0]);
    ln_free(out[1]);
    json_decref(context);
    fuzz_end();
    return 0;
}
