/* room: core
 * The block formats against gguf-py's reading and writing of them (golden/quants.safetensors, made by quants.py), at
 * every CPU level that runs here: bytes must be equal, values must be equal. */
#include "core/core.h"
#include "core/kernels.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 2, COLS = 512, COUNT = ROWS * COLS };

/* The golden file: 8 bytes of header length, the header, the data. This room lies below the safetensors reader. */
typedef struct golden {
    char *bytes;
    size_t size, data;
    json_t *header;
} golden;

static golden file;

static int open_golden(void **state)
{
    (void)state;
    FILE *f = fopen(LN_GOLDEN "/quants.safetensors", "rb");
    if (!f || fseek(f, 0, SEEK_END))
        return -1;
    file.size = (size_t)ftell(f);
    rewind(f);
    file.bytes = malloc(file.size);
    const bool whole = file.bytes && file.size > 8 && fread(file.bytes, 1, file.size, f) == file.size;
    fclose(f);
    if (!whole)
        return -1;
    uint64_t length;
    memcpy(&length, file.bytes, sizeof length);
    if (length > file.size - 8)
        return -1;
    file.data = 8 + (size_t)length;
    file.header = json_loadb(file.bytes + 8, (size_t)length, 0, NULL);
    return file.header ? 0 : -1;
}

static int close_golden(void **state)
{
    (void)state;
    json_decref(file.header);
    free(file.bytes);
    return 0;
}

/* A copy of a tensor's bytes, at an odd address so that the kernels may assume nothing. */
static const uint8_t *golden_bytes(uint8_t *room, size_t room_size, const char *type, const char *what, size_t *size)
{
    char name[64];
    snprintf(name, sizeof name, what ? "%s.%s" : "%s", type, what);
    json_t *offsets = json_object_get(json_object_get(file.header, name), "data_offsets");
    const size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
    const size_t end = (size_t)json_integer_value(json_array_get(offsets, 1));
    assert_true(offsets && begin < end && file.data + end <= file.size && end - begin < room_size);
    memcpy(room + 1, file.bytes + file.data + begin, end - begin);
    *size = end - begin;
    return room + 1;
}

static const struct {
    const char *name;
    ln_dtype dtype;
    bool written;
} types[] = { { "F16", LN_F16, true },    { "BF16", LN_BF16, true },  { "Q8_0", LN_Q8_0, true },
              { "Q4_0", LN_Q4_0, true },  { "Q4_1", LN_Q4_1, true },  { "Q5_0", LN_Q5_0, false },
              { "Q5_1", LN_Q5_1, false }, { "Q2_K", LN_Q2_K, false }, { "Q3_K", LN_Q3_K, false },
              { "Q4_K", LN_Q4_K, false }, { "Q5_K", LN_Q5_K, false }, { "Q6_K", LN_Q6_K, false } };

static void blocks_read_as_gguf_py_reads_them(void **state)
{
    (void)state;
    static uint8_t raw_room[8192], value_room[8192];
    ln__kernels k;
    for (int level = 0; ln__kernels_for(&k, (ln__cpu_level)level) == LN_OK; level++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            size_t size, value_size;
            const uint8_t *raw = golden_bytes(raw_room, sizeof raw_room, types[i].name, "raw", &size);
            const uint8_t *want = golden_bytes(value_room, sizeof value_room, types[i].name, "values", &value_size);
            float got[COUNT];
            assert_int_equal(value_size, sizeof got);
            k.to_f32[types[i].dtype](got, raw, COUNT);
            for (int e = 0; e < COUNT; e++) {
                float w;
                memcpy(&w, want + 4 * e, sizeof w);
                if (!(got[e] == w))
                    fail_msg("%s at level %s: element %d is %.9g, expected %.9g", types[i].name, ln__cpu_name(&k), e,
                             (double)got[e], (double)w);
            }
        }
}

static void weights_are_written_as_gguf_py_writes_them(void **state)
{
    (void)state;
    static uint8_t raw_room[8192], weight_room[8192];
    ln__kernels k;
    for (int level = 0; ln__kernels_for(&k, (ln__cpu_level)level) == LN_OK; level++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            if (!types[i].written)
                continue;
            size_t size, weight_size;
            float weights[COUNT];
            uint8_t got[4096];
            const uint8_t *want = golden_bytes(raw_room, sizeof raw_room, types[i].name, "raw", &size);
            memcpy(weights, golden_bytes(weight_room, sizeof weight_room, "weights", NULL, &weight_size),
                   sizeof weights);
            memset(got, 0xa5, sizeof got);
            k.from_f32[types[i].dtype](got + 1, weights, COUNT);
            for (size_t b = 0; b < size; b++)
                if (got[b + 1] != want[b])
                    fail_msg("%s at level %s: byte %zu is %d, expected %d", types[i].name, ln__cpu_name(&k), b,
                             got[b + 1], want[b]);
            assert_int_equal(got[size + 1], 0xa5);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_read_as_gguf_py_reads_them),
        cmocka_unit_test(weights_are_written_as_gguf_py_writes_them),
    };
    return cmocka_run_group_tests_name("quants", tests, open_golden, close_golden);
}
