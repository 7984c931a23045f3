/* core_test.h - what the tests of the ground floor share: a scratch directory, messages, failing allocations. */
#ifndef LINNET_TESTS_CORE_TEST_H
#define LINNET_TESTS_CORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/core.h"

#define UNUSED __attribute__((unused))

/* The call fails with this status, and its message holds this text. */
#define assert_fails(call, code, text)                                                                                 \
    do {                                                                                                               \
        const ln_status got_ = (call);                                                                                 \
        if (got_ != (code) || !strstr(ln_last_error(), (text)))                                                        \
            fail_msg("expected %s '%s', got %s '%s'", ln_status_name(code), (text), ln_status_name(got_),              \
                     ln_last_error());                                                                                 \
    } while (0)

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        const ln_status got_ = (call);                                                                                 \
        if (got_ != LN_OK)                                                                                             \
            fail_msg("%s: %s", ln_status_name(got_), ln_last_error());                                                 \
    } while (0)

/* Fails the 1st, 2nd, ... allocation until `once` succeeds. It frees what it made and asserts that its outputs are
 * untouched when it fails. At least one allocation must have been there to fail. */
UNUSED static void torture(ln_status (*once)(void *ctx), void *ctx)
{
    const int64_t live = ln__test_live();
    for (int64_t n = 0; n < 100000; n++) {
        ln__test_fail_alloc(n);
        const ln_status st = once(ctx);
        ln__test_fail_alloc(-1);
        if (ln__test_live() != live)
            fail_msg("%lld blocks leak when allocation %lld fails", (long long)(ln__test_live() - live), (long long)n);
        if (st == LN_OK) {
            assert_true(n > 0);
            return;
        }
        if (st != LN_ERR_NOMEM)
            fail_msg("allocation %lld failed, but the status is %s: %s", (long long)n, ln_status_name(st),
                     ln_last_error());
    }
    fail_msg("does not succeed however late an allocation fails");
}

static char scratch_dir[64];

UNUSED static int make_scratch(void **state)
{
    (void)state;
    snprintf(scratch_dir, sizeof scratch_dir, "scratch-XXXXXX");
    return mkdtemp(scratch_dir) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *s, int type, struct FTW *walk)
{
    (void)s;
    (void)type;
    (void)walk;
    return remove(path);
}

UNUSED static int remove_scratch(void **state)
{
    (void)state;
    return nftw(scratch_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in the scratch directory; eight may be in use at a time. */
UNUSED static const char *scratch(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_dir, name);
    return path;
}

UNUSED static void write_bytes(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Contents of a small file as a string in a static buffer. */
UNUSED static const char *read_back(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing", path);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

UNUSED static int files_in(const char *dir)
{
    int n = 0;
    char command[600];
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

#endif
