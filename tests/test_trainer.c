/* room: grad */
/* test_trainer.c - the training loop: stopping and resuming with the same bytes (also killed, with rematerialisation,
 * with 1 and 2 threads, in new processes), what is refused, NaN, early stopping, accumulation, plans, shuffling.
 *
 * The program runs itself: `test_trainer train DIR STOP THREADS REMAT SLOW FORGET` is one (resumed) training run. */
#include "core_test.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include <linnet/io.h>

#include "core/file.h"
#include "core/json.h"
#include "core/threads.h"
#include "grad/trainer.h"

enum { SAMPLES = 90, IN = 6, HIDDEN = 24, CLASSES = 3, STEPS = 40 };

/* ---- the problem: classes of points, an MLP with dropout ---- */

typedef struct problem {
    float x[SAMPLES][IN];
    int32_t y[SAMPLES];
    ln_weights *w;
    bool remat;
    double drop;
    int64_t stop;   /* cancel after this step; 0: never */
    int slow;       /* microseconds per step */
    int64_t poison; /* a sample whose input is NaN, -1: none */
    int64_t events, evaluations;
    double metric[64]; /* evaluations report these when `scripted` */
    bool scripted;
    ln_train_event last;
} problem;

static ln_var *hidden(ln_tape *t, void *user, ln_var *const *in, int n)
{
    const problem *p = user;
    (void)n;
    ln_var *h =
        ln_linear_act(t, in[0], ln_weights_var(p->w, "fc1.weight"), ln_weights_var(p->w, "fc1.bias"), LN_ACT_RELU);
    return ln_dropout(t, h, p->drop);
}

static ln_var *loss(void *ctx, ln_tape *t, const int64_t *index, int64_t n)
{
    problem *p = ctx;
    float x[SAMPLES][IN];
    int32_t y[SAMPLES];
    for (int64_t i = 0; i < n; i++) {
        memcpy(x[i], p->x[index[i]], sizeof x[i]);
        y[i] = p->y[index[i]];
        if (index[i] == p->poison)
            x[i][2] = NAN;
    }
    ln_var *in = ln_input(t, LN_F32, LN_DIMS(n, IN), x), *target = ln_input(t, LN_I32, LN_DIMS(n), y);
    ln_var *h = p->remat ? ln_remat(t, hidden, p, &in, 1) : hidden(t, p, &in, 1);
    ln_var *o = ln_linear(t, h, ln_weights_var(p->w, "fc2.weight"), ln_weights_var(p->w, "fc2.bias"));
    return ln_cross_entropy(t, o, target, NULL);
}

static ln_status judge(void *ctx, ln_tape *t, double *metric)
{
    problem *p = ctx;
    int64_t all[SAMPLES];
    for (int64_t i = 0; i < SAMPLES; i++)
        all[i] = i;
    *metric = ln_var_value(loss(ctx, t, all, SAMPLES));
    if (p->scripted)
        *metric = p->metric[p->evaluations];
    p->evaluations++;
    return ln_tape_status(t);
}

static ln_status event(void *ctx, const ln_train_event *e)
{
    problem *p = ctx;
    p->events++;
    p->last = *e;
    return LN_OK;
}

static int watch(void *payload, const char *stage, int64_t done, int64_t total)
{
    const problem *p = payload;
    (void)stage;
    (void)total;
    if (p->slow > 0)
        usleep((useconds_t)p->slow);
    if (p->stop < 0 && done >= -p->stop)
        (void)raise(SIGKILL);
    return p->stop > 0 && done >= p->stop;
}

static void make_problem(problem *p, bool extra)
{
    uint64_t s = 12345;
    *p = (problem){ .drop = 0.3, .poison = -1 };
    for (int i = 0; i < SAMPLES; i++) {
        p->y[i] = i % CLASSES;
        for (int k = 0; k < IN; k++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            p->x[i][k] = (float)((double)(s >> 33) / 2147483648.0 - 0.5) + (k == p->y[i] ? 0.7f : 0.0f);
        }
    }
    assert_ok(ln_weights_new(&p->w, LN_F32, 5));
    assert_ok(ln_weights_add(p->w, "fc1.weight", LN_DIMS(HIDDEN, IN), LN_INIT_KAIMING_UNIFORM, 1.4));
    assert_ok(ln_weights_add(p->w, "fc1.bias", LN_DIMS(HIDDEN), LN_INIT_ZEROS, 0));
    assert_ok(ln_weights_add(p->w, "fc2.weight", LN_DIMS(CLASSES, HIDDEN), LN_INIT_KAIMING_UNIFORM, 1));
    assert_ok(ln_weights_add(p->w, "fc2.bias", LN_DIMS(CLASSES), LN_INIT_ZEROS, 0));
    if (extra)
        assert_ok(ln_weights_add(p->w, "extra", LN_DIMS(4), LN_INIT_ZEROS, 0));
    assert_ok(ln_weights_seal(p->w));
}

static ln_training training(problem *p)
{
    return (ln_training){ .weights = p->w,
                          .samples = SAMPLES,
                          .loss = loss,
                          .evaluate = judge,
                          .event = event,
                          .ctx = p,
                          .fingerprint = 77 };
}

static ln_train_opts options(problem *p, const char *dir)
{
    ln_train_opts o = LN_TRAIN_OPTS_INIT;
    o.steps = STEPS;
    o.batch = 16;
    o.accumulate = 2;
    o.seed = 9;
    o.log_every = 1;
    o.eval_every = 10;
    o.dir = dir;
    o.config = "mlp";
    o.progress = watch;
    o.payload = p;
    return o;
}

static ln_schedule cosine(void)
{
    ln_schedule s = LN_SCHEDULE_INIT;
    s.kind = LN_SCHEDULE_COSINE;
    s.lr = 0.01;
    s.warmup = 4;
    return s;
}

static ln_optimizer_opts adamw(void)
{
    ln_optimizer_opts o = LN_OPTIMIZER_OPTS_INIT;
    o.clip_norm = 1;
    o.ema = 0.9;
    o.no_decay = "*bias";
    return o;
}

static ln_status go(problem *p, const ln_train_opts *o, ln_train_report *r)
{
    const ln_training what = training(p);
    const ln_optimizer_opts a = adamw();
    const ln_schedule s = cosine();
    return ln_train(&what, &a, &s, o, r);
}

/* ---- a run in a process of its own ---- */

static int child_main(char **argv)
{
    problem p;
    make_problem(&p, false);
    p.stop = atol(argv[3]);
    ln_threads_set(atoi(argv[4]));
    p.remat = atoi(argv[5]) != 0;
    p.slow = atoi(argv[6]);
    ln__test_forget_random(atoi(argv[7]) != 0);
    ln_train_opts o = options(&p, argv[2]);
    o.resume = 1;
    o.save_every = p.slow > 0 ? 1 : 0;
    const ln_status st = go(&p, &o, NULL);
    if (st != LN_OK && st != LN_ERR_CANCELLED)
        fprintf(stderr, "%s\n", ln_last_error());
    ln_weights_free(p.w);
    return st == LN_OK ? 0 : st == LN_ERR_CANCELLED ? 130 : 1;
}

static pid_t spawn(const char *dir, int stop, int threads, int remat, int slow, int forget)
{
    char text[5][16];
    const int values[5] = { stop, threads, remat, slow, forget };
    for (int i = 0; i < 5; i++)
        snprintf(text[i], sizeof text[i], "%d", values[i]);
    char *const argv[] = { (char *)"test_trainer",
                           (char *)"train",
                           (char *)(uintptr_t)dir,
                           text[0],
                           text[1],
                           text[2],
                           text[3],
                           text[4],
                           NULL };
    const pid_t pid = fork();
    if (pid == 0) {
        execv("/proc/self/exe", argv);
        _exit(99);
    }
    assert_true(pid > 0);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool same_files(const char *a, const char *b, const char *name)
{
    char path[2][1200];
    char *data[2] = { NULL, NULL };
    size_t bytes[2] = { 0, 0 };
    snprintf(path[0], sizeof path[0], "%s/%s", a, name);
    snprintf(path[1], sizeof path[1], "%s/%s", b, name);
    for (int k = 0; k < 2; k++)
        assert_ok(ln__file_read(&data[k], &bytes[k], path[k]));
    const bool same = bytes[0] == bytes[1] && memcmp(data[0], data[1], bytes[0]) == 0;
    ln__free(data[0]);
    ln__free(data[1]);
    return same;
}

#define LAST "checkpoints/0000000040/"

static bool same_runs(const char *a, const char *b)
{
    return same_files(a, b, LAST "model.safetensors") && same_files(a, b, LAST "state.safetensors") &&
           same_files(a, b, "best.safetensors");
}

static void test_resume(void **state)
{
    (void)state;
    const char *whole = scratch("whole");
    assert_int_equal(wait_for(spawn(whole, 0, 1, 0, 0, 0)), 0);
    for (int remat = 0; remat < 2; remat++)
        for (int threads = 1; threads <= 2; threads++) {
            char name[32];
            snprintf(name, sizeof name, "halves-%d-%d", remat, threads);
            const char *dir = scratch(name);
            assert_int_equal(wait_for(spawn(dir, STEPS / 2 - 3, threads, remat, 0, 0)), 130); /* inside an epoch */
            assert_int_equal(wait_for(spawn(dir, 0, threads, remat, 0, 0)), 0);
            assert_true(same_runs(whole, dir)); /* remat and threads change no byte */
        }
    /* the control: a run that forgets where its random numbers were must differ, or the above proves nothing */
    const char *dir = scratch("forgetful");
    assert_int_equal(wait_for(spawn(dir, STEPS / 2 - 3, 1, 0, 0, 0)), 130);
    assert_int_equal(wait_for(spawn(dir, 0, 1, 0, 0, 1)), 0);
    assert_false(same_files(whole, dir, LAST "model.safetensors"));
}

static void test_kill(void **state)
{
    (void)state;
    const char *whole = scratch("whole"), *dir = scratch("killed");
    uint64_t s = (uint64_t)getpid();
    int killed = 0;
    assert_int_equal(wait_for(spawn(whole, 0, 1, 1, 0, 0)), 0);
    assert_int_equal(wait_for(spawn(dir, -17, 1, 1, 1, 0)), -SIGKILL); /* after step 17, whatever the machine does */
    assert_true(files_in(scratch("killed/checkpoints")) > 0);
    for (int status = -1; status != 0;) { /* then at any moment */
        const pid_t pid = spawn(dir, 0, 1, 1, 3000, 0);
        s = s * 6364136223846793005u + 1442695040888963407u;
        usleep((useconds_t)(20000 + (s >> 33) % 200000));
        if (killed < 12)
            kill(pid, SIGKILL);
        status = wait_for(pid);
        assert_true(status == 0 || status == -SIGKILL);
        killed += status != 0;
    }
    /* save_every does not change the numbers, but the older run kept other steps: compare the last one */
    assert_true(same_runs(whole, dir));
    char path[1200];
    const char *folder = scratch("killed/checkpoints");
    assert_int_equal(files_in(folder), 2);
    snprintf(path, sizeof path, "%s/log.jsonl", dir);
    const char *text = read_back(path); /* each step once, in order */
    for (int step = 1; step <= STEPS; step++) {
        char want[32];
        snprintf(want, sizeof want, "{\"step\":%d,", step);
        assert_true(strncmp(text, want, strlen(want)) == 0);
        text = strchr(text, '\n') + 1;
    }
    assert_true(*text == '\0');
}

/* ---- what is refused ---- */

static void flip(const char *path, long from_end)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
    const int c = fgetc(f);
    assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
    fputc(c ^ 4, f);
    fclose(f);
}

static void test_refusals(void **state)
{
    (void)state;
    problem p;
    make_problem(&p, false);
    const char *dir = scratch("refused");
    char model[1200], rest[1200];
    ln_train_opts o = options(&p, dir);
    p.stop = 8;
    assert_fails(go(&p, &o, NULL), LN_ERR_CANCELLED, "cancelled after step 8; --resume goes on from ");
    snprintf(model, sizeof model, "%s/checkpoints/0000000008/model.safetensors", dir);
    snprintf(rest, sizeof rest, "%s/checkpoints/0000000008/state.safetensors", dir);
    assert_fails(go(&p, &o, NULL), LN_ERR_EXISTS, "--resume goes on");
    o.resume = 1;
    o.batch = 8;
    assert_fails(go(&p, &o, NULL), LN_ERR_FORMAT, "batch is 16 there and 8 here");
    o.batch = 16;
    o.config = "another";
    assert_fails(go(&p, &o, NULL), LN_ERR_FORMAT, "options is \"mlp\" there and \"another\" here");
    o.config = "mlp";
    ln_training what = training(&p);
    const ln_optimizer_opts a = adamw();
    const ln_schedule s = cosine();
    what.fingerprint = 78;
    assert_fails(ln_train(&what, &a, &s, &o, NULL), LN_ERR_FORMAT, "data is ");
    void *before = NULL;
    const size_t bytes = (size_t)p.w->block * 4;
    assert_ok(ln__alloc(&before, bytes, 1));
    memcpy(before, p.w->data, bytes);
    flip(model, 5);
    assert_fails(go(&p, &o, NULL), LN_ERR_FORMAT, "is damaged: its checksum is");
    flip(model, 5);
    flip(rest, 5);
    assert_fails(go(&p, &o, NULL), LN_ERR_FORMAT, "is damaged: its checksum is");
    flip(rest, 5);
    char *data = NULL;
    size_t n = 0;
    assert_ok(ln__file_read(&data, &n, rest));
    char *at = memmem(data, n, "\\\"step\\\":", 9);
    assert_non_null(at);
    flip(rest, (long)(n - (size_t)(at - data)) - 10); /* a digit of the step */
    assert_fails(go(&p, &o, NULL), LN_ERR_FORMAT, "damaged");
    flip(rest, (long)(n - (size_t)(at - data)) - 10);
    assert_int_equal(truncate(model, 300), 0);
    assert_int_equal(go(&p, &o, NULL), LN_ERR_FORMAT);
    assert_memory_equal(before, p.w->data, bytes); /* a failed load changes nothing */
    ln__free(before);
    ln__free(data);
    ln_weights_free(p.w);
    make_problem(&p, true);                            /* other weights */
    assert_int_equal(go(&p, &o, NULL), LN_ERR_FORMAT); /* cut short above */
    snprintf(model, sizeof model, "rm -r '%s'", dir);
    assert_int_equal(system(model), 0);
    ln_weights_free(p.w);
    make_problem(&p, false);
    p.stop = 8;
    assert_int_equal(go(&p, &o, NULL), LN_ERR_CANCELLED);
    ln_weights_free(p.w);
    make_problem(&p, true);
    assert_fails(go(&p, &o, NULL), LN_ERR_FORMAT, "tensor extra is missing: a checkpoint of another configuration");
    o.resume = 0;
    o.force = 1;
    p.stop = 0;
    assert_ok(go(&p, &o, NULL)); /* begins again */
    ln_weights_free(p.w);
}

static void test_nan(void **state)
{
    (void)state;
    problem p;
    make_problem(&p, false);
    ln_train_opts o = options(&p, NULL);
    p.poison = ln_shuffle(9, 0, SAMPLES, 20); /* second step */
    assert_fails(go(&p, &o, NULL), LN_ERR_NUMERIC, "step 2: linear_act: the result is NaN");
    assert_non_null(strstr(ln_last_error(), "no checkpoint was written yet"));
    ln_weights_free(p.w);
    make_problem(&p, false);
    o.dir = scratch("nan");
    o.save_every = 1;
    p.poison = ln_shuffle(9, 0, SAMPLES, 40);
    assert_fails(go(&p, &o, NULL), LN_ERR_NUMERIC, "step 3: ");
    assert_non_null(strstr(ln_last_error(), "nan/checkpoints/0000000002"));
    p.poison = -1;
    o.resume = 1; /* the checkpoint is good */
    assert_ok(go(&p, &o, NULL));
    ln_weights_free(p.w);
}

/* Activations of 4 MB a sample. */
static ln_var *large_loss(void *ctx, ln_tape *t, const int64_t *index, int64_t n)
{
    ln_var *x = ln_mul(t, ln_leaf(t, LN_F32, LN_DIMS(n, 1 << 20), NULL), ln_scalar(t, LN_F32, 2));
    return ln_add(t, loss(ctx, t, index, n), ln_mean(t, x, LN_ALL, 0));
}

static void test_memory(void **state)
{
    (void)state;
    problem p;
    make_problem(&p, false);
    ln_training what = training(&p);
    const ln_optimizer_opts a = adamw();
    ln_train_opts o = options(&p, NULL);
    ln_train_plan plan = { .struct_size = sizeof plan };
    assert_ok(ln_train_plan_of(&plan, &what, &a, &o));
    assert_true(plan.fits && plan.tape > 8 * HIDDEN * 4 && plan.nodes >= 4);
    assert_int_equal(plan.total, plan.tape + plan.optimizer + plan.weights);
    assert_int_equal(plan.weights, 8 * p.w->block);
    what.loss = large_loss;
    ln_memory_limit(ln_memory_held() + (8 << 20));
    assert_fails(ln_train(&what, &a, NULL, &o, NULL), LN_ERR_NOMEM, "train: a step needs ");
    assert_ok(ln_train_plan_of(&plan, &what, &a, &o));
    assert_true(!plan.fits && plan.tape > 2 * 8 * 4 << 20);
    ln_memory_limit(0);
    assert_int_equal(p.events, 0);
    ln_weights_free(p.w);
}

/* ---- how it learns ---- */

static void test_learns(void **state)
{
    (void)state;
    problem p;
    make_problem(&p, false);
    ln_train_opts o = options(&p, NULL);
    ln_train_report r = { .struct_size = sizeof r };
    o.steps = 0;
    o.epochs = 40;
    o.average = 1;
    assert_ok(go(&p, &o, &r));
    assert_int_equal(r.end, LN_TRAIN_DONE);
    assert_int_equal(r.step, 40 * 6); /* 90 samples, 16 a step: 6 steps an epoch */
    assert_true(r.metric < 0.5 && r.best <= r.metric && r.smooth < 0.7);
    assert_int_equal(p.last.step, r.step);
    assert_true(p.last.norm > 0 && fabs(p.last.epoch - 40) < 1e-9 && p.last.rate > 0);
    ln_weights_free(p.w);
}

/* A step of 16 in one part and in three parts: the same gradient to rounding. */
static void test_accumulation(void **state)
{
    (void)state;
    problem p[2];
    for (int k = 0; k < 2; k++) {
        make_problem(&p[k], false);
        p[k].drop = 0;
        ln_train_opts o = options(&p[k], NULL);
        o.accumulate = k ? 3 : 1;
        o.steps = 5;
        assert_ok(go(&p[k], &o, NULL));
    }
    for (int64_t i = 0; i < p[0].w->block; i++)
        assert_true(fabsf(((float *)p[0].w->data)[i] - ((float *)p[1].w->data)[i]) < 2e-4f);
    ln_weights_free(p[0].w);
    ln_weights_free(p[1].w);
}

static void test_early_stopping(void **state)
{
    (void)state;
    for (int with_dir = 0; with_dir < 2; with_dir++) {
        problem p;
        make_problem(&p, false);
        const double metric[] = { 3, 2, 2.5, 2.25 };
        memcpy(p.metric, metric, sizeof metric);
        p.scripted = true;
        ln_train_opts o = options(&p, with_dir ? scratch("early") : NULL);
        ln_train_report r = { .struct_size = sizeof r };
        o.eval_every = 5;
        o.patience = 2;
        o.restore = 1;
        assert_ok(go(&p, &o, &r));
        assert_int_equal(r.end, LN_TRAIN_EARLY);
        assert_int_equal(r.step, 20);
        assert_int_equal(r.best_step, 10);
        assert_true(r.best == 2);
        problem q; /* the weights of step 10 are back */
        make_problem(&q, false);
        ln_train_opts ten = options(&q, NULL);
        q.stop = 10;
        ten.eval_every = 0;
        assert_int_equal(go(&q, &ten, NULL), LN_ERR_CANCELLED);
        assert_memory_equal(p.w->data, q.w->data, (size_t)p.w->block * 4);
        ln_weights_free(p.w);
        ln_weights_free(q.w);
    }
}

static void test_minutes(void **state)
{
    (void)state;
    problem p;
    make_problem(&p, false);
    ln_train_opts o = options(&p, NULL);
    ln_train_report r = { .struct_size = sizeof r };
    p.slow = 2000;
    o.minutes = 0.01 / 60;
    assert_ok(go(&p, &o, &r));
    assert_int_equal(r.end, LN_TRAIN_TIME);
    assert_true(r.step > 0 && r.step < STEPS);
    ln_weights_free(p.w);
}

static void test_shuffle(void **state)
{
    (void)state;
    const int64_t sizes[] = { 1, 2, 3, 17, 64, 1000, 4097 };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        static bool seen[4097];
        int64_t fixed = 0, same = 0;
        memset(seen, 0, sizeof seen);
        for (int64_t i = 0; i < sizes[k]; i++) {
            const int64_t j = ln_shuffle(3, 1, sizes[k], i);
            assert_true(j >= 0 && j < sizes[k] && !seen[j]);
            seen[j] = true;
            fixed += j == i;
            same += j == ln_shuffle(3, 2, sizes[k], i);
        }
        assert_true(sizes[k] < 1000 || (fixed < 12 && same < 12)); /* about one each in a random permutation */
    }
    const int64_t big = (int64_t)1 << 40;
    assert_true(ln_shuffle(1, 0, big, big - 1) < big && ln_shuffle(1, 0, big, 5) >= 0);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    problem p;
    make_problem(&p, false);
    ln_training what = training(&p);
    ln_train_opts o = options(&p, NULL);
    assert_fails(ln_train(NULL, NULL, NULL, &o, NULL), LN_ERR_ARG, "weights and a loss");
    what.samples = 0;
    assert_fails(ln_train(&what, NULL, NULL, &o, NULL), LN_ERR_ARG, "no samples");
    o.batch = 0;
    assert_fails(go(&p, &o, NULL), LN_ERR_RANGE, "batch");
    assert_fails(ln_train_plan_of(NULL, &what, NULL, &o), LN_ERR_ARG, "plan");
    ln_weights_free(p.w);
}

static ln_status once(void *ctx)
{
    problem *p = ctx;
    ln_train_opts o = options(p, scratch("torture"));
    o.steps = 3;
    o.force = 1;
    o.eval_every = 2;
    return go(p, &o, NULL);
}

static void test_torture(void **state)
{
    (void)state;
    problem p;
    make_problem(&p, false);
    ln_threads_set(1);
    torture(once, &p);
    ln_threads_set(0);
    ln_weights_free(p.w);
}

int main(int argc, char **argv)
{
    if (argc == 8 && strcmp(argv[1], "train") == 0)
        return child_main(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resume, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(test_kill, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(test_refusals, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(test_nan, make_scratch, remove_scratch),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_accumulation),
        cmocka_unit_test_setup_teardown(test_early_stopping, make_scratch, remove_scratch),
        cmocka_unit_test(test_minutes),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test_setup_teardown(test_torture, make_scratch, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
