/* room: core */
/* test_outdir.c - an output directory: complete or not there, what was there before, want of memory. */
#include "core_test.h"

#include "core/file.h"
#include "core/outdir.h"

static ln_status fill(const char *path, bool force, const char *name, bool commit)
{
    ln_status st = LN_OK;
    ln__outdir *o = NULL;
    char *file = NULL;
    LN_TRY(ln__outdir_open(&o, path, force));
    LN_TRY(ln__path_join(&file, ln__outdir_path(o), name));
    LN_TRY(ln__file_write(file, "x", 1));
    if (commit)
        LN_TRY(ln__outdir_commit(o));
done:
    ln__outdir_free(o);
    ln__free(file);
    return st;
}

static void test_appears(void **state)
{
    (void)state;
    char dir[128];
    snprintf(dir, sizeof dir, "%s", scratch("a/b/out/"));
    const int before = files_in(scratch_dir);
    assert_ok(ln__outdir_check(dir, false));
    assert_ok(fill(dir, false, "one", false));
    assert_int_equal(files_in(scratch_dir), before + 1); /* the parents, not the directory */
    assert_false(ln__file_exists(dir));
    assert_ok(fill(dir, false, "one", true));
    assert_int_equal(files_in(scratch("a/b")), 1);
    assert_fails(ln__outdir_check(dir, false), LN_ERR_EXISTS, "not empty");
    assert_fails(fill(dir, false, "two", true), LN_ERR_EXISTS, "--force");
    assert_ok(fill(dir, true, "two", false));
    assert_true(ln__file_exists(scratch("a/b/out/one")));
    assert_ok(fill(dir, true, "two", true));
    assert_true(ln__file_exists(scratch("a/b/out/two")));
    assert_false(ln__file_exists(scratch("a/b/out/one")));
    assert_int_equal(files_in(scratch("a/b")), 1);
    write_bytes(scratch("file"), "x", 1);
    assert_fails(fill(scratch("file"), true, "two", true), LN_ERR_EXISTS, "is a file");
}

static ln_status once(void *ctx)
{
    const ln_status st = fill(ctx, true, "two", true);
    assert_int_equal(files_in(scratch("t")), st == LN_OK); /* never the temporary one */
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    char dir[128];
    assert_int_equal(mkdir(scratch("t"), 0777), 0);
    snprintf(dir, sizeof dir, "%s", scratch("t/out"));
    torture(once, dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_appears), cmocka_unit_test(test_memory) };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
