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

/* Replacing never takes along what a run reads, nor a tree that no run of ours wrote. */
static void test_spares(void **state)
{
    (void)state;
    char out[128], input[160], inner[160];
    snprintf(out, sizeof out, "%s", scratch("spare"));
    snprintf(input, sizeof input, "%s/table.csv", out);
    snprintf(inner, sizeof inner, "%s/papers", out);
    assert_int_equal(mkdir(out, 0777), 0);
    write_bytes(input, "x", 1);
    assert_fails(ln__outdir_spares(out, input, "the input", false), LN_ERR_EXISTS, "the input is in it");
    assert_fails(ln__outdir_spares(out, out, "the model", false), LN_ERR_EXISTS, "the model is in it");
    assert_ok(ln__outdir_spares(out, out, "the model", true));
    assert_ok(ln__outdir_spares(scratch("elsewhere"), input, "the input", false));
    assert_ok(ln__outdir_check(out, true));
    assert_int_equal(mkdir(inner, 0777), 0);
    assert_fails(fill(out, true, "two", true), LN_ERR_EXISTS, "even by --force");
    assert_true(ln__file_exists(input));
    snprintf(input, sizeof input, "%s/linnet.json", out);
    write_bytes(input, "{}", 2);
    assert_ok(fill(out, true, "two", true)); /* ours: all of it goes */
    assert_int_equal(files_in(out), 1);
    assert_ok(ln__remove_tree(out));
    assert_ok(ln__remove_tree(out)); /* not there: fine */
    assert_false(ln__file_exists(out));
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_appears), cmocka_unit_test(test_spares),
                                        cmocka_unit_test(test_memory) };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
