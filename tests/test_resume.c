/* room: compress */
/* test_resume.c - compressions that are interrupted, killed, run twice at once, refused, or out of memory. */
#include "compress_fixture.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* ---- interruption and kills ---- */

typedef struct stop {
    int64_t at, calls;
    bool kill; /* SIGKILL to itself, else cancel */
} stop;

static int stop_at(void *payload, const char *stage, int64_t done, int64_t total)
{
    (void)stage;
    (void)done;
    (void)total;
    stop *s = payload;
    if (s->calls++ < s->at)
        return 0;
    if (s->kill)
        kill(getpid(), SIGKILL);
    return 1;
}

/* How often an uninterrupted run reports progress. */
static int64_t calls_of_run(const ln_system *system, const char *model, const char *out, ln_compress_opts o)
{
    stop s = { .at = INT64_MAX };
    o.progress = stop_at;
    o.payload = &s;
    OK(compress(system, model, out, &o));
    return s.calls;
}

static void test_cancelled(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    const int64_t calls = calls_of_run(&ln__system_rocket, model, in_work("whole"), o);
    assert_true(calls > 40);
    /* cancelled again and again, each time a little further on */
    stop s = { 0 };
    o.progress = stop_at;
    o.payload = &s;
    int cancelled = 0;
    for (ln_status st = LN_ERR_CANCELLED; st == LN_ERR_CANCELLED; s.calls = 0, s.at += 7) {
        st = compress(&ln__system_rocket, model, in_work("part"), &o);
        if (st == LN_ERR_CANCELLED) {
            cancelled++;
            assert_false(exists_in_work("part"));
        } else {
            OK(st);
        }
    }
    assert_true(cancelled > 3);
    assert_int_equal(digest(in_work("part")), digest(in_work("whole")));
    assert_int_equal(count_beside("part"), 0);
}

/* In a child, since SIGKILL cannot be survived: does it end by itself? */
static bool child_finishes(const ln_system *system, const char *model, const char *out, ln_compress_opts o,
                           int64_t kill_at, double kill_after)
{
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        stop s = { .at = kill_at, .kill = true };
        o.progress = stop_at;
        o.payload = &s;
        _exit(compress(system, model, out, &o) == LN_OK ? 0 : 1);
    }
    if (kill_after > 0) {
        const struct timespec pause = { .tv_sec = (time_t)kill_after, .tv_nsec = (long)(fmod(kill_after, 1) * 1e9) };
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFEXITED(status);
}

static void test_killed_at_every_stage(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    const ln_compress_opts o = small_run();
    const int64_t calls = calls_of_run(&ln__system_rocket, model, in_work("whole"), o);
    const uint64_t want = digest(in_work("whole"));
    for (int64_t at = 0; at < calls; at += LN_MAX(calls / 16, 1)) {
        assert_false(child_finishes(&ln__system_rocket, model, in_work("killed"), o, at, 0));
        assert_false(exists_in_work("killed"));
        OK(compress(&ln__system_rocket, model, in_work("killed"), &o));
        assert_int_equal(digest(in_work("killed")), want);
        assert_int_equal(count_beside("killed"), 0);
        OK(ln__remove_tree(in_work("killed")));
    }
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/*
 * At any moment, also between the steps that report progress; several kills may hit the same run. How long a run takes
 * is learnt as the test goes on (the first one also fills the Gram cache, and other programs run beside it).
 */
static void test_killed_at_random(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    const ln_compress_opts o = small_run();
    const double started = seconds_now();
    OK(compress(&ln__system_rocket, model, in_work("whole"), &o));
    double length = seconds_now() - started;
    const uint64_t want = digest(in_work("whole"));
    ln__rng r = ln__rng_make((uint64_t)getpid(), (uint64_t)time(NULL));
    int kills = 0;
    for (int round = 0; round < 12; round++) {
        while (!exists_in_work("killed")) {
            const bool done = child_finishes(&ln__system_rocket, model, in_work("killed"), o, INT64_MAX,
                                             length * (0.02 + 1.1 * ln__rng_uniform(&r)));
            kills += !done;
            length *= done ? 0.7 : 1.1;
        }
        assert_int_equal(digest(in_work("killed")), want); /* complete, whenever it is there at all */
        const ln_status st = compress(&ln__system_rocket, model, in_work("killed"), &o);
        assert_int_equal(st, LN_ERR_EXISTS); /* and whatever the kill left beside it goes now */
        assert_int_equal(count_beside("killed"), 0);
        OK(ln__remove_tree(in_work("killed")));
    }
    assert_true(kills > 0);
}

/* A killed run of other options is not mixed up with this one. */
static void test_other_options_start_afresh(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    OK(compress(&ln__system_rocket, model, in_work("whole"), &o));
    o.remove = 0.4;
    const int64_t calls = calls_of_run(&ln__system_rocket, model, in_work("other"), o);
    assert_false(child_finishes(&ln__system_rocket, model, in_work("out"), o, calls - 3, 0));
    assert_true(exists_in_work("out.partial"));
    o.remove = 0.2;
    OK(compress(&ln__system_rocket, model, in_work("out"), &o));
    assert_int_equal(digest(in_work("out")), digest(in_work("whole")));
    assert_int_equal(count_beside("out"), 0);
}

/* ---- two at once ---- */

static int wait_for_parent(void *payload, const char *stage, int64_t done, int64_t total)
{
    (void)stage;
    (void)total;
    const int *pipes = payload;
    char byte = 0;
    if (done == 1 && strcmp(stage, "calibrate") == 0)
        return write(pipes[1], "x", 1) != 1 || read(pipes[2], &byte, 1) != 1;
    return 0;
}

static void test_two_at_once(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    int up[2], down[2], status = 0;
    char byte = 0;
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    const pid_t child = fork();
    if (child == 0) {
        int pipes[] = { up[0], up[1], down[0], down[1] };
        o.progress = wait_for_parent;
        o.payload = pipes;
        _exit(compress(&ln__system_rocket, model, in_work("out"), &o) == LN_OK ? 0 : 1);
    }
    close(up[1]); /* a child that dies must not leave us waiting */
    assert_int_equal(read(up[0], &byte, 1), 1);
    FAILS(compress(&ln__system_rocket, model, in_work("out"), &o), LN_ERR_IO, "in use by another run");
    assert_int_equal(write(down[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(compress(&ln__system_rocket, model, in_work("out-alone"), &o));
    assert_int_equal(digest(in_work("out")), digest(in_work("out-alone")));
    close(up[0]);
    close(down[0]);
    close(down[1]);
}

/* ---- refusals ---- */

static void refused(const ln_system *system, const char *model, const ln_compress_opts *o, ln_status want,
                    const char *words)
{
    FAILS(compress(system, model, in_work("no"), o), want, words);
    assert_false(exists_in_work("no"));
    assert_int_equal(count_beside("no"), 0);
}

static void test_refused_inputs(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    char path[256];
    o.calib = NULL;
    refused(&ln__system_whitened, model, &o, LN_ERR_ARG, "--calib");
    snprintf(path, sizeof path, "%s", in_work("missing.txt"));
    o.calib = path;
    refused(&ln__system_rocket, model, &o, LN_ERR_NOTFOUND, "missing.txt");
    OK(ln__file_write(path, "Too short for a sequence.", 25));
    refused(&ln__system_rocket, model, &o, LN_ERR_SHAPE, "missing.txt");
    o.calib = work_dir;
    refused(&ln__system_rocket, model, &o, LN_ERR_FORMAT, work_dir);
    o = small_run();
    refused(&ln__system_rocket, in_work("no-model"), &o, LN_ERR_NOTFOUND, "no-model");
    refused(&ln__system_whitened, LN_GOLDEN "/models/bert", &o, LN_ERR_UNSUPPORTED, "causal");
    refused(&ln__system_whitened, LN_GOLDEN "/models/llama", &o, LN_ERR_NOTFOUND, "tokenizer");
    o.remove = 1.5;
    refused(&ln__system_svd, model, &o, LN_ERR_RANGE, "remove");
    o.remove = NAN;
    refused(&ln__system_svd, model, &o, LN_ERR_RANGE, "remove");
    o = small_run();
    const shape broken = {
        .hidden = 48, .layers = 2, .heads = 4, .kv_heads = 2, .ffn = 80, .nan_in = "model.layers.1.mlp.up_proj.weight"
    };
    refused(&ln__system_svd, make_model("nan", &broken), &o, LN_ERR_NUMERIC, "model.layers.1.mlp.up_proj.weight");
    refused(&ln__system_rocket, in_work("nan"), &o, LN_ERR_NUMERIC, "model.layers.1.mlp.up_proj.weight");
}

static void test_refused_targets(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    o.remove = 0.2;
    o.alpha = 0.05; /* no option is that good */
    refused(&ln__system_rocket, model, &o, LN_ERR_RANGE, "at most 0.0000");
    o.alpha = 0;
    o.remove = 0.99;
    refused(&ln__system_rocket, model, &o, LN_ERR_RANGE, "at most");
    o.budget = LN_BUDGET_UNIFORM;
    refused(&ln__system_svd, model, &o, LN_ERR_RANGE, "model.layers.0.self_attn");
}

static void test_refused_outputs(void **state)
{
    (void)state;
    const char *model = make_model("model", &small_shape);
    ln_compress_opts o = small_run();
    OK(compress(&ln__system_svd, model, in_work("small"), &o));
    const uint64_t before = digest(in_work("small"));
    FAILS(compress(&ln__system_svd, model, in_work("small"), &o), LN_ERR_EXISTS, "--force");
    FAILS(compress(&ln__system_svd, in_work("small"), in_work("smaller"), &o), LN_ERR_UNSUPPORTED,
          "compressed already");
    OK(ln__file_write(in_work("file"), "x", 1));
    FAILS(compress(&ln__system_svd, model, in_work("file"), &o), LN_ERR_EXISTS, "this is a file");
    OK(ln__dir_make(in_work("letters"), false));
    OK(ln__file_write(in_work("letters/dear.txt"), "x", 1));
    o.force = 1;
    FAILS(compress(&ln__system_svd, model, in_work("file"), &o), LN_ERR_EXISTS, "this is a file");
    FAILS(compress(&ln__system_svd, model, in_work("letters"), &o), LN_ERR_EXISTS, "no model directory");
    assert_true(exists_in_work("letters/dear.txt"));
    FAILS(compress(&ln__system_svd, model, "", &o), LN_ERR_ARG, "-o");
    FAILS(compress(&ln__system_svd, model, in_work("file/below"), &o), LN_ERR_IO, "file/below");
    /* a failed replacement leaves the old output as it was */
    o.remove = 0.99;
    FAILS(compress(&ln__system_svd, model, in_work("small"), &o), LN_ERR_RANGE, "at most");
    assert_int_equal(digest(in_work("small")), before);
    o.remove = 0.3;
    char slash[256];
    snprintf(slash, sizeof slash, "%s/", in_work("small"));
    OK(compress(&ln__system_svd, model, slash, &o));
    assert_true(digest(in_work("small")) != before);
    assert_int_equal(count_beside("small"), 0);
    if (geteuid() != 0) {
        OK(ln__dir_make(in_work("locked"), false));
        assert_int_equal(chmod(in_work("locked"), 0555), 0);
        FAILS(compress(&ln__system_svd, model, in_work("locked/out"), &o), LN_ERR_IO, "locked/out");
        assert_int_equal(chmod(in_work("locked"), 0755), 0);
    }
}

/* ---- allocation failures ---- */

static void test_torture(void **state)
{
    (void)state;
    const shape tiny = { .hidden = 16, .layers = 1, .heads = 2, .kv_heads = 1, .ffn = 20 };
    const char *model = make_model("model", &tiny);
    ln_compress_opts o = small_run();
    o.calib_tokens = 64;
    ln_threads_set(1);
    OK(compress(&ln__system_rocket, model, in_work("whole"), &o));
    ln__scratch_trim();
    const int64_t live = ln__test_live();
    int64_t failures = 0;
    int in_a_row = 0;
    for (int64_t n = 0;; n += 1 + n / 40) {
        ln__test_fail_alloc(n);
        const ln_status st = compress(&ln__system_rocket, model, in_work("out"), &o);
        ln__test_fail_alloc(-1);
        ln__scratch_trim();
        assert_int_equal(ln__test_live(), live);
        if (st == LN_OK) { /* a failure may have been lived with (no cache entry, say): a dozen in a row are the end */
            assert_int_equal(digest(in_work("out")), digest(in_work("whole")));
            if (++in_a_row == 12)
                break;
            OK(ln__remove_tree(in_work("out")));
            continue;
        }
        in_a_row = 0;
        assert_int_equal(st, LN_ERR_NOMEM);
        assert_false(exists_in_work("out"));
        failures++;
        if (failures % 4 == 0) { /* most of the time from the start, sometimes going on from what is there */
            OK(compress(&ln__system_rocket, model, in_work("out"), &o));
            assert_int_equal(digest(in_work("out")), digest(in_work("whole")));
            OK(ln__remove_tree(in_work("out")));
        } else {
            OK(ln__remove_tree(in_work("out.partial")));
            OK(ln__remove_tree(in_work("out.partial-new")));
            OK(ln__remove_tree(in_work("out.partial-grams")));
        }
    }
    assert_true(failures > 50);
    assert_int_equal(digest(in_work("out")), digest(in_work("whole")));
    assert_int_equal(count_beside("out"), 0);
    ln_threads_set(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cancelled, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_killed_at_every_stage, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_killed_at_random, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_other_options_start_afresh, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_two_at_once, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_refused_inputs, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_refused_targets, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_refused_outputs, work_setup, work_teardown),
        cmocka_unit_test_setup_teardown(test_torture, work_setup, work_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
