/* room: core */
/* Counted memory: alignment, overflow, the limit, the growing byte string, the arena, failing allocations. */
#include "core_test.h"

#include <pthread.h>
#include <stdatomic.h>

static int clear_limit(void **state)
{
    (void)state;
    ln_memory_limit(0);
    ln__test_fail_alloc(-1);
    return 0;
}

static void blocks_are_aligned_counted_and_zeroed(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 300000, 5000000 };
    const int64_t held = ln_memory_held(), live = ln__test_live();
    for (int64_t i = 0; i < LN_COUNT(sizes); i++) {
        unsigned char *a = NULL, *z = NULL;
        assert_ok(ln__alloc((void **)&a, sizes[i], 1));
        assert_ok(ln__calloc((void **)&z, 1, sizes[i]));
        assert_non_null(a);
        assert_int_equal((uintptr_t)a % 64, 0);
        assert_int_equal((uintptr_t)z % 64, 0);
        memset(a, 0xA5, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(z[k], 0);
        memset(z, 0xA5, sizes[i]);
        assert_true(ln_memory_held() >= held + 2 * (int64_t)sizes[i]);
        assert_int_equal(ln__test_live(), live + 2);
        ln__free(a);
        ln_free(z);
    }
    ln__free(NULL);
    assert_int_equal(ln_memory_held(), held);
    assert_int_equal(ln__test_live(), live);
}

static void overflow_is_refused(void **state)
{
    (void)state;
    void *p = &p;
    assert_fails(ln__alloc(&p, SIZE_MAX / 2, 3), LN_ERR_NOMEM, "more than memory can address");
    assert_fails(ln__calloc(&p, SIZE_MAX, 1), LN_ERR_NOMEM, "more than memory can address");
    assert_fails(ln__alloc(&p, SIZE_MAX - 60, 1), LN_ERR_NOMEM, "more than memory can address");
    assert_ptr_equal(p, &p);
}

static void limit_says_what_is_missing(void **state)
{
    (void)state;
    void *p = NULL, *q = &q;
    const int64_t before = ln_memory_held();
    ln_memory_limit((int64_t)2 << 20);
    assert_ok(ln__alloc(&p, (1 << 20) + (1 << 19), 1));
    assert_fails(ln__alloc(&q, 1 << 20, 1), LN_ERR_NOMEM,
                 "needs 1 MiB, but only 512 KiB of the 2 MiB limit (--max-memory) are free");
    assert_ptr_equal(q, &q);
    ln_memory_limit(1); /* below what is held: still a clear line */
    assert_fails(ln__alloc(&q, 100, 1), LN_ERR_NOMEM, "but only 0 B of the 1 B limit");
    assert_int_equal(ln__memory_free(), 0);
    ln__free(p);
    ln_memory_limit(-5); /* none */
    assert_int_equal(ln__memory_free(), INT64_MAX);
    assert_int_equal(ln_memory_held(), before);
}

static void peak_is_the_most_held(void **state)
{
    (void)state;
    void *p = NULL;
    ln_memory_peak_reset();
    const int64_t base = ln_memory_peak();
    assert_ok(ln__alloc(&p, 1 << 20, 1));
    ln__free(p);
    assert_in_range(ln_memory_peak() - base, 1 << 20, (1 << 20) + 4096);
    ln_memory_peak_reset();
    assert_int_equal(ln_memory_peak(), ln_memory_held());
}

static void realloc_keeps_contents(void **state)
{
    (void)state;
    int32_t *x = NULL;
    assert_ok(ln__realloc((void **)&x, 4, sizeof *x));
    for (int i = 0; i < 4; i++)
        x[i] = i + 1;
    assert_ok(ln__realloc((void **)&x, 100000, sizeof *x));
    assert_int_equal((uintptr_t)x % 64, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(x[i], i + 1);
    assert_ok(ln__realloc((void **)&x, 2, sizeof *x));
    assert_int_equal(x[1], 2);
    int32_t *same = x;
    ln__test_fail_alloc(0);
    assert_fails(ln__realloc((void **)&x, 50, sizeof *x), LN_ERR_NOMEM, "out of memory");
    assert_ptr_equal(x, same);
    assert_int_equal(x[1], 2);
    ln__free(x);
}

static void nth_allocation_fails_once(void **state)
{
    (void)state;
    void *p[4] = { 0 };
    ln__test_fail_alloc(2);
    assert_ok(ln__alloc(&p[0], 1, 1));
    assert_ok(ln__alloc(&p[1], 1, 1));
    assert_int_equal(ln__alloc(&p[2], 1, 1), LN_ERR_NOMEM);
    assert_ok(ln__alloc(&p[3], 1, 1));
    assert_null(p[2]);
    for (int i = 0; i < 4; i++)
        ln__free(p[i]);
}

static _Atomic int64_t granted;

static void *squeeze(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < 2000; i++) {
        void *p = NULL;
        if (ln__alloc(&p, 60000, 1) == LN_OK) {
            const int64_t now = atomic_fetch_add(&granted, 60000) + 60000;
            assert_true(now <= 100000);
            atomic_fetch_sub(&granted, 60000);
            ln__free(p);
        }
    }
    return NULL;
}

/* Two blocks of 60000 bytes never fit below 100000, whoever comes first. */
static void limit_holds_between_threads(void **state)
{
    (void)state;
    pthread_t t[2];
    ln_memory_limit(ln_memory_held() + 100000);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, squeeze, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

static void strings_are_copied(void **state)
{
    (void)state;
    char *s = NULL;
    assert_ok(ln__strdup(&s, "abc"));
    assert_string_equal(s, "abc");
    ln__free(s);
    assert_ok(ln__strndup(&s, "abcdef", 4));
    assert_string_equal(s, "abcd");
    ln__free(s);
    assert_ok(ln__sprintf(&s, "%s-%05d-%g", "x", 42, 1.5));
    assert_string_equal(s, "x-00042-1.5");
    ln__free(s);
    char *untouched = s;
    assert_int_equal(ln__strndup(&s, "", SIZE_MAX), LN_ERR_NOMEM);
    assert_ptr_equal(s, untouched);
}

static void buffer_grows_and_stays_terminated(void **state)
{
    (void)state;
    ln__buf b = { 0 };
    assert_ok(ln__buf_add(&b, NULL, 0));
    assert_string_equal(b.data, "");
    for (int i = 0; i < 5000; i++)
        assert_ok(ln__buf_printf(&b, "%d,", i % 10));
    assert_ok(ln__buf_puts(&b, "end"));
    assert_int_equal(b.len, 10003);
    assert_int_equal(strlen(b.data), 10003);
    assert_string_equal(b.data + 9998, "9,end");
    assert_ok(ln__buf_add(&b, "\0x", 2));
    assert_int_equal(b.len, 10005);
    ln__buf_free(&b);
    assert_null(b.data);
    ln__buf_free(&b);
}

static ln_status use_buffer(void *ctx)
{
    (void)ctx;
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    char *s = NULL;
    LN_TRY(ln__buf_puts(&b, "hello"));
    for (int i = 0; i < 300; i++)
        LN_TRY(ln__buf_printf(&b, " %d", i));
    LN_TRY(ln__sprintf(&s, "%s", b.data));
    LN_TRY(ln__realloc((void **)&s, 5000, 1));
done:
    assert_true(st == LN_OK || b.len == 0 || strlen(b.data) == b.len);
    ln__free(s);
    ln__buf_free(&b);
    return st;
}

static void arena_hands_out_disjoint_aligned_pieces(void **state)
{
    (void)state;
    ln__arena *a = NULL;
    unsigned char *p[200];
    assert_ok(ln__arena_new(&a, 1000));
    for (int round = 0; round < 3; round++) {
        size_t used = 0;
        const int64_t live = ln__test_live();
        for (int i = 0; i < 200; i++) {
            const size_t n = (size_t)(i * 37 % 500) + (i == 150 ? 100000 : 0);
            assert_ok(ln__arena_alloc((void **)&p[i], a, n, 1));
            assert_int_equal((uintptr_t)p[i] % 64, 0);
            memset(p[i], i, n);
            used += (LN_MAX(n, 1) + 63) / 64 * 64;
        }
        for (int i = 0; i < 200; i++)
            for (size_t k = 0; k < (size_t)(i * 37 % 500); k++)
                assert_int_equal(p[i][k], i);
        assert_int_equal(ln__arena_used(a), used);
        if (round > 0)
            assert_int_equal(ln__test_live(), live); /* nothing new after the first round */
        ln__arena_reset(a);
        assert_int_equal(ln__arena_used(a), 0);
    }
    void *q = &q;
    assert_fails(ln__arena_alloc(&q, a, SIZE_MAX / 2, 4), LN_ERR_NOMEM, "more than memory can address");
    assert_fails(ln__arena_alloc(&q, a, SIZE_MAX - 10, 1), LN_ERR_NOMEM, "more than memory can address");
    assert_ptr_equal(q, &q);
    ln__arena_free(a);
    ln__arena_free(NULL);
}

static ln_status use_arena(void *ctx)
{
    (void)ctx;
    ln_status st = LN_OK;
    ln__arena *a = NULL;
    void *p;
    LN_TRY(ln__arena_new(&a, 0));
    for (size_t n = 10; n < 100000; n *= 3)
        LN_TRY(ln__arena_alloc(&p, a, n, 1));
done:
    ln__arena_free(a);
    return st;
}

static void failing_allocations(void **state)
{
    (void)state;
    torture(use_buffer, NULL);
    torture(use_arena, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_counted_and_zeroed),
        cmocka_unit_test(overflow_is_refused),
        cmocka_unit_test_teardown(limit_says_what_is_missing, clear_limit),
        cmocka_unit_test(peak_is_the_most_held),
        cmocka_unit_test_teardown(realloc_keeps_contents, clear_limit),
        cmocka_unit_test_teardown(nth_allocation_fails_once, clear_limit),
        cmocka_unit_test_teardown(limit_holds_between_threads, clear_limit),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(buffer_grows_and_stays_terminated),
        cmocka_unit_test(arena_hands_out_disjoint_aligned_pieces),
        cmocka_unit_test_teardown(failing_allocations, clear_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
