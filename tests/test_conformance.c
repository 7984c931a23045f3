/* room: all */
/* test_conformance.c - every registered estimator, whatever it computes: bad input is refused by name, the same seed
 * gives the same bytes on 1 and 2 threads, what was saved applies as it was, a stopped run leaves nothing, a second fit
 * starts afresh, options left out are the defaults. A new verb adds a fixture below; a system adds nothing. */
#include "conformance.h"

#include <jansson.h>

#include <linnet/forecast.h>
#include <linnet/regress.h>

#include "core/file.h"

/* ---- the verbs ---- */

static const char *make_regress(ln_job *job, defect d)
{
    static ln_regress_opts shared;
    static char path[128];
    snprintf(path, sizeof path, "%s", scratch("regress.csv"));
    write_numbers(path, "speed,mass,heat,cost,rain,y", 40, 6, 3, d);
    shared = (ln_regress_opts)LN_REGRESS_OPTS_INIT;
    shared.target = "heat";
    job->input[job->inputs++] = path;
    job->shared = &shared;
    return d == NOT_FINITE ? "'mass'" : d == WRONG_SHAPE ? "line 8" : "regress.csv";
}

/* Hours of two channels, without dates. */
static const char *make_forecast(ln_job *job, defect d)
{
    static ln_forecast_opts o;
    static const char *const words[] = { "", "", "load", "no rows", "line 8" };
    ln_params_defaults(ln_forecast_params(), &o);
    o.struct_size = sizeof o;
    o.look_back = 12;
    o.horizon = 6;
    o.period = 4;
    job->input[job->inputs++] = scratch("hours.csv");
    job->shared = &o;
    write_numbers(job->input[0], "wind,load", 160, 2, 3, d);
    return words[d];
}

/* Non-negative, as half of the systems of this verb need it. */
static const char *make_factor(ln_job *job, defect d)
{
    static char path[128];
    snprintf(path, sizeof path, "%s", scratch("factor.csv"));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "speed,mass,heat,cost,rain,wind,a,b,c,d,e,f\n");
    for (int i = 0; i < 24 && d != EMPTY; i++)
        for (int j = 0; j < 12; j++) {
            const int v = (i * 37 + j * 101 + i * j * 13) % 97;
            if (d == WRONG_SHAPE && i == 6 && j == 1)
                continue;
            if (d == NOT_FINITE && i == 6 && j == 1)
                fprintf(f, "nan");
            else
                fprintf(f, "%d", d == OTHER ? 97 - v : v);
            fputc(j < 11 ? ',' : '\n', f);
        }
    assert_int_equal(fclose(f), 0);
    job->input[job->inputs++] = path;
    return d == NOT_FINITE ? "'mass'" : d == WRONG_SHAPE ? "line 8" : "factor.csv";
}

/* Two animals with the same neurons. */
static const char *make_connectome(ln_job *job, defect d)
{
    static const char *const words[] = { "", "", "RIBL", "worm.csv", "line 8" };
    job->input[job->inputs++] = scratch("worm.csv");
    job->input[job->inputs++] = scratch("worm2.csv");
    write_numbers(job->input[0], "AVAL,RIBL,AVAR,RIBR,ASEL", 60, 5, 3, d);
    write_numbers(job->input[1], "AVAL,RIBL,AVAR,RIBR,ASEL", 60, 5, 4, d == OTHER ? OTHER : GOOD);
    return words[d];
}

static const fixture fixtures[] = {
    { "connectome", make_connectome },
    { "factor", make_factor },
    { "forecast", make_forecast },
    { "regress", make_regress },
    { NULL, NULL },
};

static const setting settings[] = {
    { "factor", "nmf", "rank", "3" },
    { "factor", "seminmf", "rank", "3" },
    { NULL, NULL, NULL, NULL },
};

/* Verbs whose systems work on checkpoints and texts: they have suites of their own. */
static const char *const others[] = { "compress", "train", "tune", "explain", NULL };

/* ---- the systems ---- */

static const fixture *fixture_of(const ln_system *s)
{
    for (const fixture *f = fixtures; f->verb; f++)
        if (strcmp(f->verb, s->verb) == 0)
            return f;
    return NULL;
}

static bool is_other(const ln_system *s)
{
    for (const char *const *verb = others; *verb; verb++)
        if (strcmp(*verb, s->verb) == 0)
            return true;
    return false;
}

/* Calls `test` for each system that has a fixture, and says which. */
static void each(const char *what, void (*test)(const ln_system *s, const fixture *f))
{
    int n = 0;
    printf("# %s:", what);
    for (const ln_system *const *s = ln_systems(); *s; s++) {
        const fixture *f = fixture_of(*s);
        if (!f)
            continue;
        printf(" %s %s,", (*s)->verb, (*s)->name);
        fflush(stdout);
        test(*s, f);
        n++;
    }
    printf(" %d systems\n", n);
}

/* The system's options with the settings of this suite; free() it. */
static void *options(const ln_system *s)
{
    void *opts = calloc(1, s->opts_size);
    assert_non_null(opts);
    ln_params_defaults(s->params, opts);
    memcpy(opts, &s->opts_size, sizeof s->opts_size);
    for (const setting *q = settings; q->verb; q++)
        if (strcmp(q->verb, s->verb) == 0 && strcmp(q->system, s->name) == 0)
            assert_ok(ln_params_set(s->params, opts, q->option, q->value, s->name));
    return opts;
}

static ln_status run(ln_result **result, const ln_system *s, const ln_job *job, const void *opts)
{
    *result = NULL;
    assert_ok(ln_result_new(result, s->verb, s->name));
    return ln_estimate(s, job, opts, *result);
}

/* What the clock says is not compared. */
static bool of_the_clock(const char *key)
{
    const size_t n = strlen(key);
    static const char *const ends[] = { "seconds", "per_second", "peak_bytes" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n >= strlen(ends[i]) && strcmp(key + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static void forget_the_clock(json_t *value)
{
    const char *key;
    void *next;
    json_t *member;
    size_t i;
    json_array_foreach(value, i, member) forget_the_clock(member);
    json_object_foreach_safe(value, next, key, member)
    {
        if (of_the_clock(key))
            json_object_del(value, key);
        else
            forget_the_clock(member);
    }
}

/* "results" and "series" of an envelope; json_decref it. Frees the result. */
static json_t *numbers_of(ln_result *r)
{
    char *text = NULL;
    assert_ok(ln_result_write_text(&text, r, 0));
    json_t *all = json_loads(text, 0, NULL), *some = json_object();
    assert_non_null(all);
    assert_non_null(some);
    const char *const parts[] = { "results", "series" };
    for (int i = 0; i < 2; i++)
        if (json_object_get(all, parts[i]))
            assert_int_equal(json_object_set(some, parts[i], json_object_get(all, parts[i])), 0);
    forget_the_clock(some);
    json_decref(all);
    ln_free(text);
    ln_result_free(r);
    return some;
}

static void assert_same_numbers(const ln_system *s, const char *what, json_t *a, json_t *b)
{
    if (!json_equal(a, b)) {
        char *x = json_dumps(a, JSON_SORT_KEYS), *y = json_dumps(b, JSON_SORT_KEYS);
        fail_msg("%s %s: %s: the results differ:\n%.3000s\n%.3000s", s->verb, s->name, what, x, y);
    }
}

/* A run that must succeed: its numbers, and the hash of what it wrote. */
static json_t *good_run(uint64_t *hash, const ln_system *s, const ln_job *job, const void *opts)
{
    ln_result *r = NULL;
    int64_t bytes = 0;
    const ln_status st = run(&r, s, job, opts);
    if (st != LN_OK)
        fail_msg("%s %s: %s: %s", s->verb, s->name, ln_status_name(st), ln_last_error());
    *hash = 0;
    if (job->out) {
        assert_ok(ln__file_xxh64(hash, &bytes, job->out));
        assert_true(bytes > 0);
    }
    return numbers_of(r);
}

static const char *make(ln_job *job, const fixture *f, defect d)
{
    *job = (ln_job){ .seed = 7 };
    return f->make(job, d);
}

/* ---- tests ---- */

static void test_every_verb_is_covered(void **state)
{
    (void)state;
    int estimators = 0, rest = 0;
    for (const ln_system *const *s = ln_systems(); *s; s++) {
        if (fixture_of(*s))
            estimators++;
        else if (is_other(*s))
            rest++;
        else
            fail_msg("%s %s: the verb has no fixture in test_conformance.c", (*s)->verb, (*s)->name);
        assert_non_null((*s)->summary);
        assert_non_null((*s)->example);
        assert_non_null((*s)->params);
        if (fixture_of(*s)) {
            assert_non_null((*s)->impl);
            assert_true((*s)->opts_size >= sizeof(uint32_t));
            assert_non_null(strstr((*s)->example, (*s)->name));
        }
    }
    printf("# %d estimators, %d systems of other kinds\n", estimators, rest);
}

static void refuse(const ln_system *s, const fixture *f, defect d, const char *what)
{
    ln_job job;
    ln_result *r = NULL;
    void *opts = options(s);
    const char *word = make(&job, f, d);
    if (word) {
        job.out = scratch("refused");
        const int before = files_in(scratch_dir);
        const int64_t live = ln__test_live();
        const ln_status st = run(&r, s, &job, opts);
        ln_result_free(r);
        if (st == LN_OK)
            fail_msg("%s %s: %s was accepted", s->verb, s->name, what);
        if (!strstr(ln_last_error(), word) || strchr(ln_last_error(), '\n'))
            fail_msg("%s %s: %s: one line that names '%s' is wanted, not: %s", s->verb, s->name, what, word,
                     ln_last_error());
        assert_int_equal(files_in(scratch_dir), before);
        assert_int_equal(ln__test_live(), live);
    }
    free(opts);
}

static void refuses(const ln_system *s, const fixture *f)
{
    ln_job job;
    ln_result *r = NULL;
    void *opts = options(s);
    refuse(s, f, NOT_FINITE, "a NaN");
    refuse(s, f, EMPTY, "a file without numbers");
    refuse(s, f, WRONG_SHAPE, "a wrong shape");
    make(&job, f, GOOD);
    job.input[0] = "no-such-file.csv";
    const ln_status missing = run(&r, s, &job, opts);
    ln_result_free(r);
    if (missing != LN_ERR_NOTFOUND || !strstr(ln_last_error(), "no-such-file.csv"))
        fail_msg("%s %s: a missing file gave %s: %s", s->verb, s->name, ln_status_name(missing), ln_last_error());
    job.inputs = 0;
    assert_int_not_equal(run(&r, s, &job, opts), LN_OK);
    ln_result_free(r);
    free(opts);
}

static void test_refuses(void **state)
{
    (void)state;
    each("refuse NaN, nothing, wrong shapes, missing files", refuses);
}

static void repeats(const ln_system *s, const fixture *f)
{
    ln_job job;
    void *opts = options(s);
    uint64_t one = 0, two = 0;
    const int before = ln_threads();
    make(&job, f, GOOD);
    job.out = scratch("one");
    ln_threads_set(1);
    json_t *a = good_run(&one, s, &job, opts);
    job.out = scratch("two");
    ln_threads_set(2);
    json_t *b = good_run(&two, s, &job, opts);
    ln_threads_set(before);
    assert_same_numbers(s, "1 and 2 threads", a, b);
    if (one != two)
        fail_msg("%s %s: 1 and 2 threads wrote different bytes", s->verb, s->name);
    /* a directory that is there is only replaced when asked to */
    ln_result *r = NULL;
    uint64_t again = 0;
    if (run(&r, s, &job, opts) == LN_OK || !strstr(ln_last_error(), job.out))
        fail_msg("%s %s: replaced an output directory without force", s->verb, s->name);
    ln_result_free(r);
    job.force = 1;
    json_t *c = good_run(&again, s, &job, opts);
    assert_same_numbers(s, "written over", a, c);
    assert_true(again == one);
    json_decref(a);
    json_decref(b);
    json_decref(c);
    free(opts);
    remove_tree("one");
    remove_tree("two");
}

static void test_repeats(void **state)
{
    (void)state;
    each("same seed, same bytes on 1 and 2 threads", repeats);
}

/* Every number that both runs state must agree: a fit and the application of what it saved to the same input. */
static int common_numbers(const ln_system *s, const json_t *fit, const json_t *applied)
{
    int n = 0;
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)applied, key, value)
    {
        const json_t *other = json_object_get(fit, key);
        if (!other)
            continue;
        if (!json_equal((json_t *)value, (json_t *)other)) {
            char *x = json_dumps(other, JSON_ENCODE_ANY), *y = json_dumps(value, JSON_ENCODE_ANY);
            fail_msg("%s %s: %s was %.500s when fitted, %.500s when applied", s->verb, s->name, key, x, y);
        }
        n += json_is_number(value) || json_is_array(value);
    }
    return n;
}

static void applies(const ln_system *s, const fixture *f)
{
    const ln_estimator *e = s->impl;
    ln_job job;
    ln_result *r = NULL;
    void *opts = options(s);
    uint64_t hash = 0, first = 0, second = 0;
    make(&job, f, GOOD);
    job.out = scratch("model");
    json_t *fit = good_run(&hash, s, &job, opts);
    job.model = job.out;
    if (e->applies) {
        job.out = scratch("applied");
        json_t *a = good_run(&first, s, &job, opts);
        job.out = scratch("again");
        json_t *b = good_run(&second, s, &job, opts);
        assert_same_numbers(s, "applied twice", a, b);
        assert_true(first == second);
        if (common_numbers(s, json_object_get(fit, "results"), json_object_get(a, "results")) == 0)
            fail_msg("%s %s: applying states no number that fitting states", s->verb, s->name);
        json_decref(a);
        json_decref(b);
        job.model = "no-such-model";
        job.out = NULL;
        assert_int_not_equal(run(&r, s, &job, opts), LN_OK);
        assert_non_null(strstr(ln_last_error(), "no-such-model"));
    } else {
        job.out = NULL;
        assert_int_equal(run(&r, s, &job, opts), LN_ERR_UNSUPPORTED);
    }
    ln_result_free(r);
    json_decref(fit);
    free(opts);
    remove_tree("model");
    remove_tree("applied");
    remove_tree("again");
}

static void test_applies(void **state)
{
    (void)state;
    each("saved, loaded: the same output", applies);
}

typedef struct stopper {
    int64_t calls, stop_at; /* 0: never */
} stopper;

static int stop(void *payload, const char *stage, int64_t done, int64_t total)
{
    stopper *p = payload;
    (void)stage;
    (void)done;
    (void)total;
    return ++p->calls == p->stop_at;
}

static void cancels(const ln_system *s, const fixture *f)
{
    ln_job job;
    ln_result *r = NULL;
    stopper p = { 0 };
    void *opts = options(s);
    make(&job, f, GOOD);
    job.progress = stop;
    job.payload = &p;
    assert_ok(run(&r, s, &job, opts));
    ln_result_free(r);
    const int64_t calls = p.calls;
    if (calls < 1)
        fail_msg("%s %s: the progress function is never called: such a run cannot be stopped", s->verb, s->name);
    job.out = scratch("stopped");
    const int before = files_in(scratch_dir);
    for (int64_t at = 1; at <= calls; at = at < calls && 3 * at > calls ? calls : 3 * at) {
        const int64_t live = ln__test_live();
        p = (stopper){ .stop_at = at };
        const ln_status st = run(&r, s, &job, opts);
        ln_result_free(r);
        if (st != LN_ERR_CANCELLED)
            fail_msg("%s %s: stopped at call %lld of %lld, but the status is %s", s->verb, s->name, (long long)at,
                     (long long)calls, ln_status_name(st));
        if (p.calls != at)
            fail_msg("%s %s: went on after it was stopped", s->verb, s->name);
        if (files_in(scratch_dir) != before || ln__file_exists(job.out))
            fail_msg("%s %s: a stopped run left files", s->verb, s->name);
        assert_int_equal(ln__test_live(), live);
    }
    free(opts);
}

static void test_cancels(void **state)
{
    (void)state;
    each("a stopped run leaves nothing", cancels);
}

static void starts_afresh(const ln_system *s, const fixture *f)
{
    ln_job job;
    uint64_t hash = 0;
    void *opts = options(s);
    make(&job, f, GOOD);
    json_t *first = good_run(&hash, s, &job, opts);
    make(&job, f, OTHER);
    json_t *other = good_run(&hash, s, &job, opts);
    make(&job, f, GOOD);
    json_t *second = good_run(&hash, s, &job, opts);
    assert_same_numbers(s, "fitted again", first, second);
    if (json_equal(first, other))
        fail_msg("%s %s: other numbers gave the same results", s->verb, s->name);
    json_decref(first);
    json_decref(other);
    json_decref(second);
    free(opts);
}

static void test_starts_afresh(void **state)
{
    (void)state;
    each("a second fit starts afresh", starts_afresh);
}

static bool has_settings(const ln_system *s)
{
    for (const setting *q = settings; q->verb; q++)
        if (strcmp(q->verb, s->verb) == 0 && strcmp(q->system, s->name) == 0)
            return true;
    return false;
}

static void takes_defaults(const ln_system *s, const fixture *f)
{
    ln_job job;
    uint64_t hash = 0;
    if (has_settings(s))
        return;
    void *opts = options(s);
    make(&job, f, GOOD);
    json_t *given = good_run(&hash, s, &job, opts);
    json_t *none = good_run(&hash, s, &job, NULL);
    assert_same_numbers(s, "options left out", given, none);
    json_decref(given);
    json_decref(none);
    free(opts);
}

static void test_takes_defaults(void **state)
{
    (void)state;
    each("options left out are the defaults", takes_defaults);
}

/* The torture of single calls is in their own suites; here a run meets some failing allocations from first to last. */
static void survives(const ln_system *s, const fixture *f)
{
    ln_job job;
    ln_result *r = NULL;
    void *opts = options(s);
    make(&job, f, GOOD);
    job.out = scratch("starved");
    const int before = files_in(scratch_dir);
    ln_status st = LN_ERR_NOMEM;
    for (int64_t n = 0; st == LN_ERR_NOMEM; n += 1 + n / 3) {
        assert_ok(ln_result_new(&r, s->verb, s->name));
        const int64_t live = ln__test_live();
        ln__test_fail_alloc(n);
        st = ln_estimate(s, &job, opts, r);
        ln__test_fail_alloc(-1);
        ln_result_free(r);
        if (st != LN_OK && st != LN_ERR_NOMEM)
            fail_msg("%s %s: allocation %lld failed, but the status is %s: %s", s->verb, s->name, (long long)n,
                     ln_status_name(st), ln_last_error());
        if (ln__test_live() > live)
            fail_msg("%s %s: blocks leak when allocation %lld fails", s->verb, s->name, (long long)n);
        if (st != LN_OK && files_in(scratch_dir) != before)
            fail_msg("%s %s: files are left when allocation %lld fails", s->verb, s->name, (long long)n);
    }
    free(opts);
    remove_tree("starved");
}

static void test_survives(void **state)
{
    (void)state;
    each("want of memory is an error and leaves nothing", survives);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_verb_is_covered),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_applies),
        cmocka_unit_test(test_cancels),
        cmocka_unit_test(test_starts_afresh),
        cmocka_unit_test(test_takes_defaults),
        cmocka_unit_test(test_survives),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
