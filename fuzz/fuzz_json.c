/* room: core */
/* fuzz_json.c - JSON text: parsed, its members read by type, written, and the same again when that is parsed. */
#include "fuzz.h"

#include "core/json.h"

static void read_members(const json_t *v)
{
    static const char *const keys[] = { "a", "b", "hidden_size", "rope_theta", "tie", "name" };
    for (int64_t i = 0; i < LN_COUNT(keys); i++) {
        int64_t n = 0;
        double x = 0;
        bool b = false;
        const char *s = NULL;
        ln_status st[4] = { ln__json_int(&n, v, keys[i], 1, "fuzz"), ln__json_real(&x, v, keys[i], 1, "fuzz"),
                            ln__json_bool(&b, v, keys[i], true, "fuzz"), ln__json_str(&s, v, keys[i], "", "fuzz") };
        for (int k = 0; k < 4; k++)
            if (st[k] != LN_OK)
                fuzz_check_message(st[k]);
        if (st[3] == LN_OK)
            fuzz_touch(s, strlen(s));
    }
}

static void write_and_compare(const json_t *v, int indent)
{
    char *text = NULL;
    json_t *again = NULL;
    const ln_status st = ln__json_text(&text, v, indent);
    if (st == LN_OK) {
        FUZZ_CHECK(ln__json_parse(&again, text, strlen(text), "written") == LN_OK);
        FUZZ_CHECK(json_equal(v, again));
    } else {
        fuzz_check_message(st);
    }
    json_decref(again);
    ln__free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    json_t *v = NULL, *s = NULL;
    const ln_status st = ln__json_parse(&v, (const char *)data, size, "fuzz.json");
    if (st == LN_OK) {
        read_members(v);
        write_and_compare(v, 0);
        write_and_compare(v, 2);
    } else {
        FUZZ_CHECK(v == NULL);
        fuzz_check_message(st);
    }
    FUZZ_CHECK(ln__json_new_str(&s, (const char *)data, size) == LN_OK); /* any bytes make a string */
    write_and_compare(s, 0);
    json_decref(s);
    json_decref(v);
    fuzz_end();
    return 0;
}
