/* io_files.h - what the tests of file formats share: a directory of their own, bytes to build files from, failures by
 * the words of their message, and the torture loop. */
#ifndef LINNET_TESTS_IO_FILES_H
#define LINNET_TESTS_IO_FILES_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/core.h"
#include "core/file.h"

/* ---- a directory that is empty again at the end ---- */

static char io_dir[32];

static inline int io_setup(void **state)
{
    (void)state;
    strcpy(io_dir, "io-test-XXXXXX");
    return mkdtemp(io_dir) ? 0 : -1;
}

static inline int io_teardown(void **state)
{
    (void)state;
    char **names = NULL, path[512];
    int64_t n = 0;
    if (ln__dir_list(&names, &n, io_dir) == LN_OK) {
        for (int64_t i = 0; i < n; i++) {
            snprintf(path, sizeof path, "%s/%s", io_dir, names[i]);
            unlink(path);
            ln__free(names[i]);
        }
        ln__free(names);
    }
    rmdir(io_dir);
    return ln__test_live() == 0 ? 0 : -1;
}

/* A path in that directory; valid until the fourth call from now. */
static inline const char *io_path(const char *name)
{
    static char paths[4][512];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", io_dir, name);
    return p;
}

static inline int64_t io_count_files(void)
{
    char **names = NULL;
    int64_t n = 0;
    assert_int_equal(ln__dir_list(&names, &n, io_dir), LN_OK);
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    return n;
}

static inline const char *io_write(const char *name, const void *data, size_t bytes)
{
    const char *path = io_path(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* ---- bytes ---- */

typedef struct io_bytes {
    unsigned char data[1 << 17];
    size_t len;
} io_bytes;

static inline void put_bytes(io_bytes *b, const void *data, size_t n)
{
    assert_true(b->len + n <= sizeof b->data);
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
}

static inline void put_u8(io_bytes *b, unsigned v)
{
    put_bytes(b, &(uint8_t){ (uint8_t)v }, 1);
}

static inline void put_u16(io_bytes *b, unsigned v)
{
    put_bytes(b, &(uint16_t){ (uint16_t)v }, 2);
}

static inline void put_u32(io_bytes *b, uint32_t v)
{
    put_bytes(b, &v, 4);
}

static inline void put_u64(io_bytes *b, uint64_t v)
{
    put_bytes(b, &v, 8);
}

static inline void put_zeros(io_bytes *b, size_t n)
{
    while (n--)
        put_u8(b, 0);
}

/* ---- failures ---- */

/* The last message must hold each of the words, which '|' separates, and be one line. */
static inline void check_message(const char *words, const char *what)
{
    const char *message = ln_last_error();
    char copy[512], *save = NULL;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, "|", &save); w; w = strtok_r(NULL, "|", &save))
        if (!strstr(message, w))
            fail_msg("%s: the message\n    %s\nlacks \"%s\"", what, message, w);
    if (strchr(message, '\n'))
        fail_msg("%s: the message has several lines:\n%s", what, message);
}

static inline void check_failure(ln_status st, ln_status want, const char *words, const char *what)
{
    if (st != want)
        fail_msg("%s: status %s, expected %s; message: %s", what, ln_status_name(st), ln_status_name(want),
                 st == LN_OK ? "-" : ln_last_error());
    check_message(words, what);
}

/* ---- a disk that is full ---- */

/* Files may not grow beyond `bytes` until it is called with -1; a process-wide stand-in for a small disk. */
static inline void io_disk(int64_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, bytes < 0 ? SIG_DFL : SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < 0 ? limit.rlim_max : (rlim_t)bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* ---- torture ---- */

/* `call` must give back all it took. Each of its allocations fails once; then it succeeds. */
static inline void torture(ln_status (*call)(void *), void *arg)
{
    for (int64_t n = 0; n < 100000; n++) {
        const int64_t live = ln__test_live();
        ln__test_fail_alloc(n);
        const ln_status st = call(arg);
        ln__test_fail_alloc(-1);
        if (ln__test_live() != live)
            fail_msg("allocation %lld failed: %lld left", (long long)n, (long long)(ln__test_live() - live));
        if (st == LN_OK) {
            assert_true(n > 0);
            return;
        }
        if (st != LN_ERR_NOMEM)
            fail_msg("allocation %lld failed: %s: %s", (long long)n, ln_status_name(st), ln_last_error());
    }
    fail_msg("still failing");
}

/* ---- real data ---- */

/* `name` under the directory that `variable` names; skips the test, or fails it where skipping is not allowed. */
static inline const char *io_real(const char *variable, const char *name)
{
    static char path[1024];
    const char *dir = getenv(variable);
    snprintf(path, sizeof path, "%s/%s", dir ? dir : "", name);
    if (dir && ln__file_exists(path))
        return path;
    if (getenv("LINNET_NO_SKIP"))
        fail_msg("%s: %s is not there and LINNET_NO_SKIP is set", variable, name);
    print_message("skipped: no %s below $%s\n", name, variable);
    skip();
    return NULL;
}

#endif
