/* room: core */
/* The journal: what is found again, torn lines, other runs, full disks, and runs that are killed at any moment. */
#include "core_test.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "core/file.h"
#include "core/journal.h"
#include "core/json.h"
#include "core/rng.h"

static ln__journal *open_journal(const char *dir, const char *identity)
{
    ln__journal *j = NULL;
    assert_ok(ln__journal_open(&j, dir, identity));
    return j;
}

static void add(ln__journal *j, const char *step, int64_t value)
{
    json_t *payload = json_pack("{s:I}", "value", (json_int_t)value);
    assert_ok(ln__journal_add(j, step, payload));
    json_decref(payload);
}

static int64_t value_of(const ln__journal *j, const char *step)
{
    json_t *payload = ln__journal_find(j, step);
    return payload ? (int64_t)json_integer_value(json_object_get(payload, "value")) : -1;
}

static void steps_are_found_again(void **state)
{
    (void)state;
    ln__journal *j = open_journal(scratch("j"), "run 1");
    assert_int_equal(ln__journal_steps(j), 0);
    add(j, "layers.0", 10);
    add(j, "layers.1", 11);
    add(j, "layers.0", 20); /* the later one counts */
    assert_int_equal(ln__journal_steps(j), 2);
    assert_string_equal(strrchr(ln__journal_dir(j), '/'), "/j");
    ln__journal_free(j);
    j = open_journal(scratch("j"), "run 1");
    assert_int_equal(ln__journal_steps(j), 2);
    assert_int_equal(value_of(j, "layers.0"), 20);
    assert_int_equal(value_of(j, "layers.1"), 11);
    assert_null(ln__journal_find(j, "layers.2"));
    assert_ok(ln__file_write(scratch("j/blob"), "blob", 4));
    assert_ok(ln__journal_remove(j));
    ln__journal_free(j);
    ln__journal_free(NULL);
    assert_false(ln__file_exists(scratch("j")));
}

static void another_identity_starts_afresh(void **state)
{
    (void)state;
    ln__journal *j = open_journal(scratch("k"), "rank \"8\" \xC3\xA4");
    add(j, "a", 1);
    ln__journal_free(j);
    assert_ok(ln__file_write(scratch("k/blob"), "old", 3));
    j = open_journal(scratch("k"), "rank \"8\" \xC3\xA4");
    assert_int_equal(ln__journal_steps(j), 1);
    ln__journal_free(j);
    j = open_journal(scratch("k"), "rank 9");
    assert_int_equal(ln__journal_steps(j), 0);
    assert_false(ln__file_exists(scratch("k/blob"))); /* blobs of the other run go with it */
    add(j, "b", 2);
    ln__journal_free(j);
    j = open_journal(scratch("k"), "rank 9");
    assert_int_equal(value_of(j, "b"), 2);
    assert_null(ln__journal_find(j, "a"));
    ln__journal_free(j);
}

/* A run of three steps, its file cut off at every possible byte. */
static void a_torn_end_loses_only_the_last_step(void **state)
{
    (void)state;
    char *whole = NULL;
    size_t bytes = 0, line_ends[4], n_lines = 0;
    ln__journal *j = open_journal(scratch("torn"), "id");
    for (int i = 0; i < 3; i++) {
        char step[8];
        snprintf(step, sizeof step, "s%d", i);
        add(j, step, i);
    }
    ln__journal_free(j);
    assert_ok(ln__file_read(&whole, &bytes, scratch("torn/journal.jsonl")));
    for (size_t i = 0; i < bytes; i++)
        if (whole[i] == '\n')
            line_ends[n_lines++] = i + 1;
    assert_int_equal(n_lines, 4);
    for (size_t cut = line_ends[0]; cut <= bytes; cut++) {
        write_bytes(scratch("torn/journal.jsonl"), whole, cut);
        write_bytes(scratch("torn/blob.tmp-abc123"), "half", 4); /* left by the killed run */
        int64_t want = 0;
        for (size_t k = 1; k < 4; k++)
            want += cut >= line_ends[k];
        j = open_journal(scratch("torn"), "id");
        assert_int_equal(ln__journal_steps(j), want);
        assert_false(ln__file_exists(scratch("torn/blob.tmp-abc123")));
        add(j, "next", 7);
        ln__journal_free(j);
        j = open_journal(scratch("torn"), "id");
        assert_int_equal(ln__journal_steps(j), want + 1);
        assert_int_equal(value_of(j, "next"), 7);
        ln__journal_free(j);
    }
    ln__free(whole);
}

static void damage_is_said(void **state)
{
    (void)state;
    ln__journal *j = NULL;
    ln__dir_make(scratch("bad"), true);
    static const char middle[] = "{\"linnet_journal\":1,\"identity\":\"id\"}\n{\"step\":\"a\",\"pay\n{\"step\":\"b\","
                                 "\"payload\":1}\n";
    write_bytes(scratch("bad/journal.jsonl"), middle, strlen(middle));
    assert_fails(ln__journal_open(&j, scratch("bad"), "id"), LN_ERR_FORMAT, "journal.jsonl: line 2 is damaged");
    assert_string_equal(read_back(scratch("bad/journal.jsonl")), middle); /* nothing is thrown away */
    write_bytes(scratch("bad/journal.jsonl"), "my own notes\n", 13);
    assert_fails(ln__journal_open(&j, scratch("bad"), "id"), LN_ERR_FORMAT, "is not a journal");
    write_bytes(scratch("bad/journal.jsonl"), "", 0);
    assert_fails(ln__journal_open(&j, scratch("bad"), "id"), LN_ERR_FORMAT, "the file is empty");
    unlink(scratch("bad/journal.jsonl"));
    write_bytes(scratch("bad/thesis.tex"), "x", 1);
    assert_fails(ln__journal_open(&j, scratch("bad"), "id"), LN_ERR_EXISTS, "holds files, but no journal");
    assert_string_equal(read_back(scratch("bad/thesis.tex")), "x");
    assert_fails(ln__journal_open(&j, scratch("bad/thesis.tex"), "id"), LN_ERR_EXISTS, "is a file");
    assert_fails(ln__journal_open(&j, NULL, "id"), LN_ERR_ARG, "NULL");
    assert_null(j);
}

static void two_runs_do_not_share_a_journal(void **state)
{
    (void)state;
    ln__journal *j = open_journal(scratch("lock"), "id"), *second = NULL;
    assert_fails(ln__journal_open(&second, scratch("lock"), "id"), LN_ERR_IO, "in use by another run");
    assert_fails(ln__journal_open(&second, scratch("lock"), "other"), LN_ERR_IO, "in use by another run");
    add(j, "a", 1);
    ln__journal_free(j);
    j = open_journal(scratch("lock"), "id");
    assert_int_equal(ln__journal_steps(j), 1);
    ln__journal_free(j);
}

static void a_full_disk_leaves_a_good_journal(void **state)
{
    (void)state;
    struct rlimit old;
    char *before = NULL, *after = NULL;
    ln__journal *j = open_journal(scratch("full"), "id");
    json_t *large = json_pack("{s:s%}", "text", "0123456789012345678901234567890123456789", (size_t)40);
    add(j, "a", 1);
    assert_ok(ln__file_read(&before, NULL, scratch("full/journal.jsonl")));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = { strlen(before) + 10, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const ln_status st = ln__journal_add(j, "b", large);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_fails(st, LN_ERR_IO, "journal.jsonl: cannot write: File too large");
    assert_null(ln__journal_find(j, "b"));
    assert_ok(ln__file_read(&after, NULL, scratch("full/journal.jsonl")));
    assert_string_equal(after, before);
    assert_ok(ln__journal_add(j, "b", large)); /* room again */
    ln__journal_free(j);
    j = open_journal(scratch("full"), "id");
    assert_int_equal(ln__journal_steps(j), 2);
    ln__journal_free(j);
    json_decref(large);
    ln__free(before);
    ln__free(after);
}

/* ---- a long run: each step makes a blob from the step before, the end joins them ---- */

enum { STEPS = 40 };

static ln_status one_step(ln__journal *j, const char *dir, int i, uint64_t *hash)
{
    char name[700], step[16];
    snprintf(step, sizeof step, "step%d", i);
    json_t *done = ln__journal_find(j, step);
    if (done) {
        *hash = (uint64_t)json_integer_value(done);
        return LN_OK;
    }
    char block[5000];
    ln__rng r = ln__rng_make(*hash, (uint64_t)i);
    for (size_t k = 0; k < sizeof block; k++)
        block[k] = (char)ln__rng_u32(&r);
    snprintf(name, sizeof name, "%s/%s.bin", dir, step);
    ln_status st = ln__file_write(name, block, sizeof block);
    *hash = ln__rng_u64(&r);
    json_t *payload = json_integer((json_int_t)*hash);
    if (st == LN_OK)
        st = ln__journal_add(j, step, payload);
    json_decref(payload);
    return st;
}

static ln_status run_all(const char *dir, const char *output)
{
    ln_status st = LN_OK;
    ln__journal *j = NULL;
    ln__out *o = NULL;
    uint64_t hash = 1;
    LN_TRY(ln__journal_open(&j, dir, "long run"));
    for (int i = 0; i < STEPS; i++)
        LN_TRY(one_step(j, dir, i, &hash));
    LN_TRY(ln__out_open(&o, output));
    for (int i = 0; i < STEPS; i++) {
        char name[700], *data = NULL;
        size_t bytes;
        snprintf(name, sizeof name, "%s/step%d.bin", dir, i);
        LN_TRY(ln__file_read(&data, &bytes, name));
        st = ln__out_write(o, data, bytes);
        ln__free(data);
        LN_TRY(st);
    }
    LN_TRY(ln__out_commit(o));
    LN_TRY(ln__journal_remove(j));
done:
    ln__out_free(o);
    ln__journal_free(j);
    return st;
}

static void killed_runs_end_with_the_same_bytes(void **state)
{
    (void)state;
    char dir[600], output[600], *want = NULL, *got = NULL;
    size_t n_want = 0, n_got = 0;
    assert_ok(run_all(scratch("straight"), scratch("straight.out")));
    assert_ok(ln__file_read(&want, &n_want, scratch("straight.out")));
    assert_int_equal(n_want, STEPS * 5000);
    ln__rng r = ln__rng_make(12, 0);
    int kills = 0, runs = 0, resumed = 0;
    snprintf(dir, sizeof dir, "%s", scratch("killed"));
    snprintf(output, sizeof output, "%s", scratch("killed.out"));
    while (!ln__file_exists(output) && runs < 500) {
        runs++;
        fflush(NULL);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(run_all(dir, output) == LN_OK ? 0 : 1);
        struct timespec wait = { 0, 200000 + ln__rng_below(&r, 3000000) };
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status))
            assert_int_equal(WEXITSTATUS(status), 0);
        kills += WIFSIGNALED(status);
        resumed += ln__file_exists(dir);
        if (runs > 60) /* a slow machine: let it finish */
            assert_ok(run_all(dir, output));
    }
    assert_true(kills > 0 && resumed > 0);
    if (ln__file_exists(dir)) /* killed between the output and the end of the clean-up */
        assert_ok(run_all(dir, output));
    assert_ok(ln__file_read(&got, &n_got, output));
    assert_int_equal(n_got, n_want);
    assert_memory_equal(got, want, n_want);
    assert_false(ln__file_exists(dir));
    ln__free(want);
    ln__free(got);
}

static ln_status use_journal(void *ctx)
{
    (void)ctx;
    ln_status st = LN_OK;
    ln__journal *j = NULL;
    json_t *payload = json_integer(5);
    LN_TRY(ln__journal_open(&j, scratch("torture"), "id"));
    LN_TRY(ln__journal_add(j, "a", payload));
    ln__journal_free(j);
    j = NULL;
    LN_TRY(ln__journal_open(&j, scratch("torture"), "id"));
    LN_TRY(ln__journal_add(j, "b", payload));
    LN_TRY(ln__journal_remove(j));
done:
    ln__journal_free(j);
    json_decref(payload);
    return st;
}

static void failing_allocations(void **state)
{
    (void)state;
    torture(use_journal, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_found_again),
        cmocka_unit_test(another_identity_starts_afresh),
        cmocka_unit_test(a_torn_end_loses_only_the_last_step),
        cmocka_unit_test(damage_is_said),
        cmocka_unit_test(two_runs_do_not_share_a_journal),
        cmocka_unit_test(a_full_disk_leaves_a_good_journal),
        cmocka_unit_test(killed_runs_end_with_the_same_bytes),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
