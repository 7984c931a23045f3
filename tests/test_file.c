/* room: core */
/* Files: reading, hashing, mapping and a mapping that shrinks, atomic replacement, full disks, directories. */
#include "core_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/file.h"

static void whole_files_are_read(void **state)
{
    (void)state;
    char *data = NULL;
    size_t bytes = 0;
    write_bytes(scratch("a"), "x\0yz", 4);
    assert_ok(ln__file_read(&data, &bytes, scratch("a")));
    assert_int_equal(bytes, 4);
    assert_memory_equal(data, "x\0yz", 5); /* and a NUL */
    ln__free(data);
    char *large = malloc(3000000);
    for (int i = 0; i < 3000000; i++)
        large[i] = (char)(i * 7);
    write_bytes(scratch("large"), large, 3000000);
    assert_ok(ln__file_read(&data, NULL, scratch("large")));
    assert_memory_equal(data, large, 3000000);
    ln__free(data);
    free(large);
}

static void *feed(void *path)
{
    FILE *f = fopen(path, "wb");
    for (int i = 0; f && i < 100000; i++)
        fprintf(f, "%09d\n", i);
    if (f)
        fclose(f);
    return NULL;
}

static void pipes_are_read_to_their_end(void **state)
{
    (void)state;
    pthread_t t;
    char *data = NULL, path[600];
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s", scratch("fifo"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&t, NULL, feed, path), 0);
    assert_ok(ln__file_read(&data, &bytes, path));
    pthread_join(t, NULL);
    assert_int_equal(bytes, 1000000);
    assert_string_equal(data + 999990, "000099999\n");
    ln__free(data);
    ln__map *m = NULL;
    assert_fails(ln__map_open(&m, path), LN_ERR_FORMAT, "is a pipe or device");
    assert_null(m);
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    char *data = NULL;
    size_t bytes = 77;
    int64_t size = 77;
    uint64_t hash = 77;
    ln__map *m = NULL;
    write_bytes(scratch("empty"), "", 0);
    assert_fails(ln__file_read(&data, &bytes, scratch("none")), LN_ERR_NOTFOUND,
                 "/none: cannot open: No such file or directory");
    assert_fails(ln__file_read(&data, &bytes, scratch_dir), LN_ERR_FORMAT, ": is a directory, expected a file");
    assert_fails(ln__file_read(&data, &bytes, scratch("empty")), LN_ERR_FORMAT, "/empty: the file is empty");
    assert_fails(ln__file_read(&data, &bytes, scratch("empty/x")), LN_ERR_NOTFOUND, "Not a directory");
    assert_fails(ln__file_read(&data, &bytes, ""), LN_ERR_ARG, "must not be empty");
    assert_fails(ln__file_size(&size, scratch_dir), LN_ERR_FORMAT, "is a directory");
    assert_fails(ln__file_size(&size, scratch("none")), LN_ERR_NOTFOUND, "/none");
    assert_fails(ln__file_xxh64(&hash, &size, scratch("none")), LN_ERR_NOTFOUND, "/none");
    assert_fails(ln__map_open(&m, scratch("none")), LN_ERR_NOTFOUND, "/none: cannot open");
    assert_fails(ln__map_open(&m, scratch_dir), LN_ERR_FORMAT, "is a directory, expected a file");
    assert_fails(ln__map_open(&m, NULL), LN_ERR_ARG, "must not be empty");
    assert_null(data);
    assert_null(m);
    assert_true(bytes == 77 && size == 77 && hash == 77);
}

static void files_and_directories_are_told_apart(void **state)
{
    (void)state;
    int64_t size = 0;
    write_bytes(scratch("f"), "abc", 3);
    assert_true(ln__file_exists(scratch("f")) && ln__file_exists(scratch_dir) && !ln__file_exists(scratch("g")));
    assert_true(ln__file_is_dir(scratch_dir) && !ln__file_is_dir(scratch("f")) && !ln__file_is_dir(scratch("g")));
    assert_true(ln__file_is_regular(scratch("f")) && !ln__file_is_regular(scratch_dir));
    assert_ok(ln__file_size(&size, scratch("f")));
    assert_int_equal(size, 3);
    char *path = NULL;
    assert_ok(ln__path_join(&path, "a/", "b"));
    assert_string_equal(path, "a/b");
    ln__free(path);
    assert_ok(ln__path_join(&path, "a", "b"));
    assert_string_equal(path, "a/b");
    ln__free(path);
    assert_ok(ln__path_join(&path, "", "b"));
    assert_string_equal(path, "b");
    ln__free(path);
}

static void hashes_are_xxh64(void **state)
{
    (void)state;
    static char data[1000003];
    uint64_t hash = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * i % 251);
    write_bytes(scratch("h"), data, sizeof data);
    assert_ok(ln__file_xxh64(&hash, &bytes, scratch("h")));
    assert_int_equal(bytes, sizeof data);
    assert_true(hash == XXH64(data, sizeof data, 0));
    write_bytes(scratch("h0"), "", 0);
    assert_ok(ln__file_xxh64(&hash, &bytes, scratch("h0")));
    assert_true(hash == UINT64_C(0xEF46DB3751D8E999) && bytes == 0); /* the published value for no bytes */
}

static void a_directory_is_hashed_by_names_and_contents(void **state)
{
    (void)state;
    uint64_t a = 0, b = 0;
    int64_t bytes = 0;
    assert_ok(ln__dir_make(scratch("d/sub"), false));
    write_bytes(scratch("d/one"), "1", 1);
    write_bytes(scratch("d/two"), "22", 2);
    assert_ok(ln__file_xxh64(&a, &bytes, scratch("d")));
    assert_int_equal(bytes, 3);
    write_bytes(scratch("d/sub/three"), "333", 3); /* only the directory's own files count */
    assert_ok(ln__file_xxh64(&b, &bytes, scratch("d")));
    assert_true(a == b);
    assert_int_equal(rename(scratch("d/two"), scratch("d/tw0")), 0);
    assert_ok(ln__file_xxh64(&b, &bytes, scratch("d")));
    assert_true(a != b);
}

static void mappings_are_shared_and_read_only(void **state)
{
    (void)state;
    ln__map *m = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s", scratch("m"));
    write_bytes(path, "mapped", 6);
    assert_ok(ln__map_open(&m, path));
    assert_int_equal(ln__map_bytes(m), 6);
    assert_memory_equal(ln__map_data(m), "mapped", 6);
    assert_string_equal(ln__map_path(m), path);
    assert_ptr_equal(ln__map_retain(m), m);
    ln__map_release(m);
    assert_memory_equal(ln__map_data(m), "mapped", 6);
    assert_ok(ln__file_write(path, "other", 5)); /* replaced, not changed: the mapping keeps the old file */
    assert_memory_equal(ln__map_data(m), "mapped", 6);
    ln__map_release(m);
    ln__map_release(NULL);
    assert_null(ln__map_retain(NULL));
    write_bytes(scratch("m0"), "", 0);
    assert_ok(ln__map_open(&m, scratch("m0")));
    assert_int_equal(ln__map_bytes(m), 0);
    assert_non_null(ln__map_data(m));
    ln__map_release(m);
}

/* Runs `body` in a child whose standard error goes to a file; returns its wait status. */
static int in_child(void (*body)(void), char *text, size_t n)
{
    char path[600];
    snprintf(path, sizeof path, "%s", scratch("stderr"));
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDERR_FILENO);
        alarm(20);
        body();
        _exit(77);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    const char *said = read_back(path);
    const size_t len = LN_MIN(strlen(said), n - 1);
    memcpy(text, said, len);
    text[len] = '\0';
    return status;
}

static volatile unsigned char sink;

static void touch_a_file_that_shrank(void)
{
    static char zeros[65536];
    ln__map *m = NULL;
    ln__out *o = NULL;
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    ln__map_guard_install();
    write_bytes(scratch("shrinks"), zeros, sizeof zeros);
    if (ln__map_open(&m, scratch("shrinks")) != LN_OK || ln__out_open(&o, scratch("unfinished")) != LN_OK)
        _exit(78);
    sink = ln__map_data(m)[40000];
    if (truncate(scratch("shrinks"), 100) != 0)
        _exit(79);
    sink = ln__map_data(m)[40000];
}

static void send_bus_error(void)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    ln__map_guard_install();
    raise(SIGBUS);
}

static void a_file_that_shrinks_gives_one_line(void **state)
{
    (void)state;
    char text[1000];
    const int before = files_in(scratch_dir);
    int status = in_child(touch_a_file_that_shrank, text, sizeof text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_non_null(strstr(text, "linnet: "));
    assert_non_null(strstr(text, "/shrinks: the file shrank while it was mapped"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_int_equal(files_in(scratch_dir), before + 2); /* shrinks and stderr, nothing unfinished */
}

static void other_bus_errors_keep_their_effect(void **state)
{
    (void)state;
    char text[1000];
    const int status = in_child(send_bus_error, text, sizeof text);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 3); /* a sanitizer may have its own handler */
    assert_null(strstr(text, "shrank"));
}

static void files_appear_whole_or_not_at_all(void **state)
{
    (void)state;
    ln__out *o = NULL;
    struct stat s;
    char path[600];
    snprintf(path, sizeof path, "%s", scratch("out"));
    write_bytes(path, "old", 3);
    chmod(path, 0640);
    const int files = files_in(scratch_dir);
    assert_ok(ln__out_open(&o, path));
    assert_ok(ln__out_write(o, "new contents", 12));
    assert_string_equal(read_back(path), "old");
    ln__out_free(o); /* given up */
    assert_string_equal(read_back(path), "old");
    assert_int_equal(files_in(scratch_dir), files);
    assert_ok(ln__out_open(&o, path));
    assert_ok(ln__out_write(o, "new contents", 12));
    assert_int_equal(ln__out_bytes(o), 12);
    assert_ok(ln__out_commit(o));
    assert_string_equal(read_back(path), "new contents");
    assert_fails(ln__out_write(o, "x", 1), LN_ERR_ARG, "after it was finished");
    assert_fails(ln__out_commit(o), LN_ERR_ARG, "after it was finished");
    ln__out_free(o);
    ln__out_free(NULL);
    assert_string_equal(read_back(path), "new contents");
    assert_int_equal(files_in(scratch_dir), files);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0640);
}

/* Pieces of many sizes, some of them out of order, against the same bytes in memory. */
static void pieces_land_where_they_belong(void **state)
{
    (void)state;
    enum { N = 400000 };
    static char want[N];
    ln__out *o = NULL;
    char path[600];
    int64_t at = 0;
    snprintf(path, sizeof path, "%s", scratch("pieces"));
    for (int i = 0; i < N; i++)
        want[i] = (char)(i * 31 + i / 256);
    assert_ok(ln__out_open(&o, path));
    assert_ok(ln__out_write_at(o, 100, want + 100, 50)); /* a hole first, filled below */
    at = 150;
    assert_int_equal(ln__out_bytes(o), 150);
    for (int64_t n = 1; at < N; n = n * 3 % 90001) {
        const int64_t now = LN_MIN(n, N - at);
        assert_ok(ln__out_write(o, want + at, (size_t)now));
        at += now;
    }
    assert_ok(ln__out_write(o, NULL, 0));
    assert_ok(ln__out_write_at(o, 0, want, 100));
    assert_int_equal(ln__out_bytes(o), N);
    assert_fails(ln__out_write_at(o, -1, want, 1), LN_ERR_ARG, "outside any file");
    assert_ok(ln__out_commit(o));
    ln__out_free(o);
    char *data = NULL;
    size_t bytes = 0;
    assert_ok(ln__file_read(&data, &bytes, path));
    assert_int_equal(bytes, N);
    assert_memory_equal(data, want, N);
    ln__free(data);
}

static void links_and_devices_are_written_through(void **state)
{
    (void)state;
    ln__out *o = NULL;
    struct stat s;
    write_bytes(scratch("behind"), "old", 3);
    assert_int_equal(symlink("behind", scratch("link")), 0);
    assert_ok(ln__file_write(scratch("link"), "new", 3));
    assert_string_equal(read_back(scratch("behind")), "new");
    assert_int_equal(lstat(scratch("link"), &s), 0);
    assert_true(S_ISLNK(s.st_mode));
    assert_ok(ln__file_write("/dev/null", "gone", 4));
    assert_int_equal(stat("/dev/null", &s), 0);
    assert_true(S_ISCHR(s.st_mode));
    assert_ok(ln__out_open(&o, "/dev/null"));
    assert_fails(ln__out_write_at(o, 5, "x", 1), LN_ERR_IO, "out of order");
    ln__out_free(o);
}

static void what_cannot_be_written_is_said(void **state)
{
    (void)state;
    static char block[100000];
    ln__out *o = NULL;
    assert_fails(ln__out_open(&o, scratch_dir), LN_ERR_EXISTS, ": is a directory, expected a file to write");
    assert_fails(ln__out_open(&o, scratch("no/such/dir")), LN_ERR_IO, "cannot create the file: No such file");
    assert_fails(ln__out_open(&o, ""), LN_ERR_ARG, "must not be empty");
    assert_null(o);
    assert_ok(ln__out_open(&o, "/dev/full"));
    assert_fails(ln__out_write(o, block, sizeof block), LN_ERR_IO,
                 "/dev/full: No space left on device after 0 B (97.7 KiB more were to be written)");
    ln__out_free(o);
    assert_fails(ln__file_write("/dev/full", "x", 1), LN_ERR_IO, "/dev/full: No space left on device");
}

static void a_file_size_limit_is_said_and_nothing_stays(void **state)
{
    (void)state;
    static char block[50000];
    struct rlimit old;
    const int files = files_in(scratch_dir);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = { 20000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const ln_status st = ln__file_write(scratch("toolarge"), block, sizeof block);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_fails(st, LN_ERR_IO, "/toolarge: File too large after");
    assert_int_equal(files_in(scratch_dir), files);
}

static ln__out *left_open, *left_open_inside;
static void stop_with_a_signal(void)
{
    if (ln__out_open(&left_open, scratch("interrupted")) != LN_OK)
        _exit(78);
    if (ln__dir_make(scratch("half"), false) != LN_OK || ln__out_list(scratch("half")) < 0 ||
        ln__out_open(&left_open_inside, scratch("half/weights")) != LN_OK)
        _exit(77);
    const pid_t grandchild = fork();
    if (grandchild == 0) { /* a forked process must not remove what its parent writes */
        ln__out_remove_all();
        _exit(0);
    }
    waitpid(grandchild, NULL, 0);
    char pattern[600];
    snprintf(pattern, sizeof pattern, "ls '%s' | grep -c interrupted.tmp- >&2", scratch_dir);
    if (system(pattern) != 0)
        _exit(79);
    ln__out_remove_all();
    _exit(0);
}

static void signal_handlers_can_remove_temporaries(void **state)
{
    (void)state;
    char text[100];
    const int files = files_in(scratch_dir);
    const int status = in_child(stop_with_a_signal, text, sizeof text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_string_equal(text, "1\n");
    assert_int_equal(files_in(scratch_dir), files);
    assert_false(ln__file_exists(scratch("half")));
}

static void directories_are_made_and_guarded(void **state)
{
    (void)state;
    char **names = (char **)&names;
    int64_t n = -1;
    assert_ok(ln__dir_make(scratch("new/a/b"), false));
    assert_true(ln__file_is_dir(scratch("new/a/b")));
    assert_ok(ln__dir_make(scratch("new/a/b/"), false)); /* empty: still new */
    assert_fails(ln__dir_make(scratch("new"), false), LN_ERR_EXISTS, "/new: exists and is not empty (--force");
    assert_ok(ln__dir_make(scratch("new"), true));
    assert_true(ln__file_is_dir(scratch("new/a/b")));
    write_bytes(scratch("file"), "x", 1);
    assert_fails(ln__dir_make(scratch("file"), true), LN_ERR_EXISTS, "/file: is a file, expected a directory");
    assert_fails(ln__dir_make(scratch("file/sub"), true), LN_ERR_NOTFOUND, "/file");
    if (ln__file_is_dir("/sys/kernel")) /* nobody may write there: the system's reason, not that it is missing */
        assert_fails(ln__dir_make("/sys/kernel/linnet", true), LN_ERR_IO, "/sys/kernel/linnet: cannot make");
    assert_fails(ln__dir_make("", true), LN_ERR_ARG, "must not be empty");
    assert_fails(ln__dir_list(&names, &n, scratch("none")), LN_ERR_NOTFOUND, "/none");
    assert_ptr_equal(names, &names);
    write_bytes(scratch("new/z"), "", 0);
    write_bytes(scratch("new/.hidden"), "", 0);
    assert_ok(ln__dir_list(&names, &n, scratch("new")));
    assert_int_equal(n, 3);
    assert_string_equal(names[0], ".hidden");
    assert_string_equal(names[1], "a");
    assert_string_equal(names[2], "z");
    for (int i = 0; i < 3; i++)
        ln__free(names[i]);
    ln__free(names);
}

static ln_status do_everything(void *ctx)
{
    (void)ctx;
    ln_status st = LN_OK;
    char *data = NULL, **names = NULL;
    size_t bytes = 0;
    int64_t n = 0, size;
    uint64_t hash;
    ln__map *m = NULL;
    LN_TRY(ln__dir_make(scratch("t/deep"), true));
    LN_TRY(ln__file_write(scratch("t/file"), "torture", 7));
    LN_TRY(ln__file_read(&data, &bytes, scratch("t/file")));
    LN_TRY(ln__map_open(&m, scratch("t/file")));
    LN_TRY(ln__file_xxh64(&hash, &size, scratch("t")));
    LN_TRY(ln__dir_list(&names, &n, scratch("t")));
done:
    assert_true(!data || bytes == 7);
    ln__map_release(m);
    ln__free(data);
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    return st;
}

static void failing_allocations_leave_no_files(void **state)
{
    (void)state;
    torture(do_everything, NULL);
    assert_int_equal(files_in(scratch("t")), 2); /* deep and file: no temporary is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_are_read),
        cmocka_unit_test(pipes_are_read_to_their_end),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(files_and_directories_are_told_apart),
        cmocka_unit_test(hashes_are_xxh64),
        cmocka_unit_test(a_directory_is_hashed_by_names_and_contents),
        cmocka_unit_test(mappings_are_shared_and_read_only),
        cmocka_unit_test(a_file_that_shrinks_gives_one_line),
        cmocka_unit_test(other_bus_errors_keep_their_effect),
        cmocka_unit_test(files_appear_whole_or_not_at_all),
        cmocka_unit_test(pieces_land_where_they_belong),
        cmocka_unit_test(links_and_devices_are_written_through),
        cmocka_unit_test(what_cannot_be_written_is_said),
        cmocka_unit_test(a_file_size_limit_is_said_and_nothing_stays),
        cmocka_unit_test(signal_handlers_can_remove_temporaries),
        cmocka_unit_test(directories_are_made_and_guarded),
        cmocka_unit_test(failing_allocations_leave_no_files),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
