/* room: grad */
/* test_ranks.c - one training run on several ranks: the numbers of one rank to rounding (ragged and tiny batches,
 * accumulation, every optimiser), equal bytes on all ranks and from run to run, resumption, one end for all: NaN,
 * failures, other data, other options, out of memory, cancelled, failing allocations. Ranks are threads (ranks.h). */
#include "core_test.h"

#include <math.h>

#include <linnet/io.h>

#include "core/file.h"
#include "grad/trainer.h"
#include "ranks.h"

enum { SAMPLES = 90, IN = 6, HIDDEN = 24, CLASSES = 3, STEPS = 15 };

/* One rank's data, model, options and what it ends with. */
typedef struct member {
    float x[SAMPLES][IN];
    int32_t y[SAMPLES];
    ln_weights *w;
    int64_t samples; /* of SAMPLES */
    double drop;
    int64_t poison;         /* a sample whose input is NaN, -1: none                */
    int64_t stop;           /* cancel after this step, 0: never                     */
    int64_t fail_event;     /* its event fails at this step                         */
    int64_t events, judged; /* calls */
    bool singular;          /* a loss whose gradient is NaN although it is finite   */
    bool large;             /* a step that needs 8 MiB per sample                  */
    ln_train_opts o;
    ln_optimizer_opts how;
    ln_train_report report;
    double loss[STEPS + 1]; /* by step, from events */
} member;

static ln_var *loss(void *ctx, ln_tape *t, const int64_t *index, int64_t n)
{
    const member *m = ctx;
    float x[SAMPLES][IN];
    double wide[SAMPLES][IN];
    int32_t y[SAMPLES];
    const ln_dtype dt = ln_var_dtype(ln_weights_at(m->w, 0));
    for (int64_t i = 0; i < n; i++) {
        y[i] = m->y[index[i]];
        for (int k = 0; k < IN; k++) {
            x[i][k] = index[i] == m->poison && k == 2 ? NAN : m->x[index[i]][k];
            wide[i][k] = (double)x[i][k];
        }
    }
    ln_var *in = ln_input(t, dt, LN_DIMS(n, IN), dt == LN_F64 ? (const void *)wide : x);
    ln_var *h = ln_linear_act(t, in, ln_weights_var(m->w, "fc1.weight"), ln_weights_var(m->w, "fc1.bias"), LN_ACT_GELU);
    h = ln_dropout(t, h, m->drop);
    ln_var *o = ln_linear(t, h, ln_weights_var(m->w, "fc2.weight"), ln_weights_var(m->w, "fc2.bias"));
    ln_var *l = ln_cross_entropy(t, o, ln_input(t, LN_I32, LN_DIMS(n), y), NULL);
    if (m->singular) /* |b| as sqrt(b^2), at 0 */
        l = ln_add(t, l, ln_sum(t, ln_sqrt(t, ln_square(t, ln_weights_var(m->w, "fc2.bias"))), 0, 0));
    if (m->large) {
        ln_var *big =
            ln_mul(t, ln_leaf(t, dt, LN_DIMS(n, 1 << 20), NULL), ln_scalar(t, dt, 2)); /* planned, never made */
        l = ln_add(t, l, ln_mean(t, big, LN_ALL, 0));
    }
    return l;
}

static ln_status judge(void *ctx, ln_tape *t, double *metric)
{
    member *m = ctx;
    int64_t all[SAMPLES];
    for (int64_t i = 0; i < SAMPLES; i++)
        all[i] = i;
    *metric = ln_var_value(loss(m, t, all, SAMPLES));
    m->judged++;
    return ln_tape_status(t);
}

static ln_status event(void *ctx, const ln_train_event *e)
{
    member *m = ctx;
    m->events++;
    if (e->step <= STEPS)
        m->loss[e->step] = e->loss;
    return m->fail_event == e->step ? ln__fail(LN_ERR_IO, "the event fails") : LN_OK;
}

static int watch(void *payload, const char *stage, int64_t done, int64_t total)
{
    const member *m = payload;
    (void)stage;
    (void)total;
    return m->stop > 0 && done >= m->stop;
}

static void make_member(member *m, ln_dtype dt)
{
    uint64_t s = 12345;
    *m = (member){ .samples = SAMPLES,
                   .poison = -1,
                   .o = LN_TRAIN_OPTS_INIT,
                   .how = LN_OPTIMIZER_OPTS_INIT,
                   .report = { .struct_size = sizeof m->report } };
    for (int i = 0; i < SAMPLES; i++) {
        m->y[i] = i % CLASSES;
        for (int k = 0; k < IN; k++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            m->x[i][k] = (float)((double)(s >> 33) / 2147483648.0 - 0.5) + (k == m->y[i] ? 0.7f : 0.0f);
        }
    }
    assert_ok(ln_weights_new(&m->w, dt, 5));
    assert_ok(ln_weights_add(m->w, "fc1.weight", LN_DIMS(HIDDEN, IN), LN_INIT_KAIMING_UNIFORM, 1.4));
    assert_ok(ln_weights_add(m->w, "fc1.bias", LN_DIMS(HIDDEN), LN_INIT_ZEROS, 0));
    assert_ok(ln_weights_add(m->w, "fc2.weight", LN_DIMS(CLASSES, HIDDEN), LN_INIT_KAIMING_UNIFORM, 1));
    assert_ok(ln_weights_add(m->w, "fc2.bias", LN_DIMS(CLASSES), LN_INIT_ZEROS, 0));
    assert_ok(ln_weights_seal(m->w));
    m->o.steps = STEPS;
    m->o.batch = 16;
    m->o.seed = 9;
    m->o.log_every = 1;
    m->o.eval_every = 5;
    m->o.config = "mlp";
    m->o.progress = watch;
    m->how.clip_norm = 0.5;
    m->how.no_decay = "*bias";
}

static ln_status train(void *ctx, ln_comm *c)
{
    member *m = ctx;
    const ln_training what = { .weights = m->w,
                               .samples = m->samples,
                               .loss = loss,
                               .evaluate = judge,
                               .event = event,
                               .ctx = m,
                               .fingerprint = 77 };
    ln_schedule s = LN_SCHEDULE_INIT;
    s.kind = LN_SCHEDULE_COSINE;
    s.lr = 0.02;
    s.warmup = 4;
    m->o.comm = c;
    m->o.payload = m;
    return ln_train(&what, &m->how, &s, &m->o, &m->report);
}

/* A group of `size` members, each as `shape` makes it (rank for rank). */
typedef struct group {
    network *net;
    member *m;
    void *ctx[MOST_RANKS];
} group;

static group group_new(int size, ln_dtype dt)
{
    group g = { .net = network_new(size), .m = calloc((size_t)size, sizeof *g.m) };
    for (int r = 0; r < size; r++) {
        make_member(&g.m[r], dt);
        g.ctx[r] = &g.m[r];
    }
    return g;
}

static void group_free(group *g)
{
    for (int r = 0; r < g->net->size; r++)
        ln_weights_free(g->m[r].w);
    free(g->m);
    network_free(g->net);
}

static void group_run(group *g)
{
    network_run(g->net, train, g->ctx);
}

/* All ended with this status, and messages that hold this text. */
static void ended(const group *g, ln_status st, const char *text)
{
    for (int r = 0; r < g->net->size; r++)
        if (g->net->seat[r].st != st || !strstr(g->net->seat[r].message, text))
            fail_msg("rank %d of %d: expected %s '%s', got %s '%s'", r, g->net->size, ln_status_name(st), text,
                     ln_status_name(g->net->seat[r].st), g->net->seat[r].message);
}

static size_t bytes_of(const member *m)
{
    return ln_dtype_bytes(ln_var_dtype(ln_weights_at(m->w, 0)), ln_weights_block(m->w));
}

static void same_weights(const member *a, const member *b)
{
    assert_memory_equal(ln_weights_data(a->w), ln_weights_data(b->w), bytes_of(a));
}

static double distance(const member *a, const member *b)
{
    const bool wide = ln_var_dtype(ln_weights_at(a->w, 0)) == LN_F64;
    const void *x = ln_weights_data(a->w), *y = ln_weights_data(b->w);
    double most = 0;
    for (int64_t i = 0; i < ln_weights_block(a->w); i++) {
        const double d = wide ? ((const double *)x)[i] - ((const double *)y)[i]
                              : (double)((const float *)x)[i] - (double)((const float *)y)[i];
        most = isnan(d) ? INFINITY : LN_MAX(most, fabs(d));
    }
    return most;
}

/* ---- the same numbers ---- */

typedef struct shape {
    int64_t batch;
    int32_t accumulate, kind;
} shape;

static void apply(group *g, const shape *s)
{
    for (int r = 0; r < g->net->size; r++) {
        g->m[r].o.batch = s->batch;
        g->m[r].o.accumulate = s->accumulate;
        g->m[r].how.kind = s->kind;
    }
}

static void test_as_one_rank(UNUSED void **state)
{
    static const shape shapes[] = { { 16, 1, LN_ADAMW }, /* the last batch of an epoch has 10: shares of 3 and 4 */
                                    { 16, 3, LN_SGD },   { 7, 2, LN_ADAMW },
                                    { 1, 1, LN_ADAMW }, /* ranks without a sample */
                                    { 90, 1, LN_MUON },  { 16, 1, LN_ADAFACTOR },
                                    { 2, 1, LN_LION },   { 1000, 1, LN_ADAM } };
    for (int wide = 0; wide < 2; wide++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            group one = group_new(1, wide ? LN_F64 : LN_F32);
            apply(&one, &shapes[k]);
            group_run(&one);
            ended(&one, LN_OK, "");
            for (int size = 2; size <= 5; size++) {
                group g = group_new(size, wide ? LN_F64 : LN_F32);
                apply(&g, &shapes[k]);
                for (int r = 1; r < size; r++) /* weights begin as rank 0's */
                    memset(ln_weights_data(g.m[r].w), 0x11, bytes_of(&g.m[r]));
                group_run(&g);
                ended(&g, LN_OK, "");
                /* Lion moves by the sign of a sum: one that is nearly zero may go either way */
                const double near = wide ? 1e-9 : shapes[k].kind == LN_LION ? 0.05 : 2e-4;
                if (!(distance(&one.m[0], &g.m[0]) <= near))
                    fail_msg("shape %zu, %d ranks: weights differ by %g", k, size, distance(&one.m[0], &g.m[0]));
                for (int step = 1; step <= STEPS; step++)
                    assert_true(fabs(g.m[0].loss[step] - one.m[0].loss[step]) <= near);
                for (int r = 0; r < size; r++) {
                    same_weights(&g.m[0], &g.m[r]);
                    assert_true(g.m[r].report.loss == g.m[0].report.loss);
                    assert_true(g.m[r].report.metric == g.m[0].report.metric);
                    assert_true(g.m[r].report.best == g.m[0].report.best);
                    assert_int_equal(g.m[r].report.step, STEPS);
                    assert_int_equal(g.m[r].judged, r == 0 ? 3 : 0);
                    assert_int_equal(g.m[r].events, r == 0 ? STEPS : 0);
                }
                group_free(&g);
            }
            group_free(&one);
        }
}

/* With dropout each rank draws its own numbers: other ones than a single rank, but the same ones each time. */
static void test_same_bytes_each_time(UNUSED void **state)
{
    group g[2], one = group_new(1, LN_F32);
    for (int k = 0; k < 2; k++) {
        g[k] = group_new(3, LN_F32);
        for (int r = 0; r < 3; r++) {
            g[k].m[r].drop = 0.3;
            g[k].m[r].how.ema = 0.9;
            g[k].m[r].o.average = g[k].m[r].o.restore = 1;
        }
        group_run(&g[k]);
        ended(&g[k], LN_OK, "");
    }
    one.m[0].drop = 0.3;
    one.m[0].how.ema = 0.9;
    one.m[0].o.average = one.m[0].o.restore = 1;
    group_run(&one);
    ended(&one, LN_OK, "");
    assert_true(distance(&one.m[0], &g[0].m[0]) > 0);
    for (int r = 0; r < 3; r++) {
        same_weights(&g[0].m[r], &g[1].m[0]);
        assert_true(isfinite(g[0].m[r].report.best));
    }
    assert_true(ln__ranks_seed(g[0].net->seat[0].comm, 9) == 9); /* rank 0: as if alone */
    assert_true(ln__ranks_seed(g[0].net->seat[1].comm, 9) != ln__ranks_seed(g[0].net->seat[2].comm, 9));
    group_free(&g[0]);
    group_free(&g[1]);
    group_free(&one);
}

static bool same_file(const char *a, const char *b, const char *name)
{
    char path[2][1200];
    char *data[2] = { NULL, NULL };
    size_t bytes[2] = { 0, 0 };
    const char *const dir[2] = { a, b };
    for (int k = 0; k < 2; k++) {
        snprintf(path[k], sizeof path[k], "%s/%s", dir[k], name);
        assert_ok(ln__file_read(&data[k], &bytes[k], path[k]));
    }
    const bool same = bytes[0] == bytes[1] && memcmp(data[0], data[1], bytes[0]) == 0;
    ln__free(data[0]);
    ln__free(data[1]);
    return same;
}

static void test_resume(UNUSED void **state)
{
    char whole[1024], parts[1024];
    snprintf(whole, sizeof whole, "%s", scratch("whole"));
    snprintf(parts, sizeof parts, "%s", scratch("parts"));
    for (int part = 0; part < 3; part++) {
        group g = group_new(2, LN_F32);
        for (int r = 0; r < 2; r++) {
            member *m = &g.m[r];
            m->drop = 0.3;
            m->how.ema = 0.9;
            m->o.batch = 15; /* shares of 7 and 8: streams advance by different amounts */
            m->o.dir = part == 0 ? whole : parts;
            m->o.resume = part == 2;
            m->stop = part == 1 && r == 1 ? 8 : 0; /* a wish of rank 1 stops both */
        }
        group_run(&g);
        ended(&g, part == 1 ? LN_ERR_CANCELLED : LN_OK, part == 1 ? "cancelled after step 8" : "");
        assert_int_equal(g.m[0].report.step, part == 1 ? 8 : STEPS);
        assert_int_equal(g.m[1].report.step, part == 1 ? 8 : STEPS);
        assert_int_equal(g.m[1].report.first, part == 2 ? 8 : 0);
        same_weights(&g.m[0], &g.m[1]);
        group_free(&g);
    }
    assert_true(same_file(whole, parts, "checkpoints/0000000015/model.safetensors"));
    assert_true(same_file(whole, parts, "checkpoints/0000000015/state.safetensors"));
    assert_true(same_file(whole, parts, "best.safetensors"));
    /* another number of ranks: not the same bytes, so not without --force */
    for (int size = 1; size <= 3; size += 2) {
        group g = group_new(size, LN_F32);
        for (int r = 0; r < size; r++) {
            g.m[r].how.ema = 0.9;
            g.m[r].o.batch = 15;
            g.m[r].o.dir = parts;
            g.m[r].o.resume = 1;
        }
        group_run(&g);
        ended(&g, LN_ERR_FORMAT, size == 1 ? "ranks is 2 there and 1 here" : "ranks is 2 there and 3 here");
        for (int r = 0; r < size; r++)
            g.m[r].o.force = 1;
        group_run(&g);
        ended(&g, LN_OK, "");
        group_free(&g);
    }
}

static void test_time_is_up(UNUSED void **state)
{
    group g = group_new(2, LN_F32);
    g.m[0].o.minutes = g.m[1].o.minutes = 1e-9;
    group_run(&g);
    ended(&g, LN_OK, "");
    for (int r = 0; r < 2; r++) {
        assert_int_equal(g.m[r].report.step, 1);
        assert_int_equal(g.m[r].report.end, LN_TRAIN_TIME);
    }
    group_free(&g);
}

static void test_early_stop(UNUSED void **state)
{
    group g = group_new(2, LN_F32);
    for (int r = 0; r < 2; r++) {
        g.m[r].o.eval_every = 1;
        g.m[r].o.patience = 2;
        g.m[r].o.steps = 400;
        g.m[r].how.clip_norm = 0;
        g.m[r].o.restore = 1;
    }
    group_run(&g);
    ended(&g, LN_OK, "");
    assert_int_equal(g.m[0].report.end, LN_TRAIN_EARLY);
    assert_int_equal(g.m[1].report.end, LN_TRAIN_EARLY);
    assert_int_equal(g.m[0].report.step, g.m[1].report.step);
    same_weights(&g.m[0], &g.m[1]); /* the best ones, on both */
    group_free(&g);
}

/* A norm that is not finite is one on every rank. */
static void test_skipped_steps(UNUSED void **state)
{
    group g = group_new(2, LN_F32);
    for (int r = 0; r < 2; r++) {
        g.m[r].singular = r == 1;
        g.m[r].how.skip_limit = 4;
        g.m[r].o.eval_every = 0;
    }
    group_run(&g);
    ended(&g, LN_ERR_NUMERIC, "step 4: optimizer: the gradient is not finite in 4 steps in a row");
    same_weights(&g.m[0], &g.m[1]);
    group_free(&g);
}

/* ---- one end for all ---- */

static void test_nan_on_one_rank(UNUSED void **state)
{
    const char *dir = scratch("nan");
    group g = group_new(3, LN_F32);
    for (int r = 0; r < 3; r++)
        g.m[r].o.dir = dir;
    int64_t from, to;
    ln__ranks_share(g.net->seat[2].comm, 16, &from, &to);
    g.m[2].poison = ln_shuffle(9, 0, SAMPLES, 2 * 16 + from); /* in rank 2's share of the third step */
    group_run(&g);
    ended(&g, LN_ERR_NUMERIC, "step 3: rank 2: ");
    ended(&g, LN_ERR_NUMERIC, "linear"); /* the operation */
    same_weights(&g.m[0], &g.m[2]);
    group_free(&g);
}

static void test_failures_of_one_rank(UNUSED void **state)
{
    char file[1024];
    snprintf(file, sizeof file, "%s", scratch("file"));
    assert_ok(ln__file_write(file, "x", 1));
    for (int k = 0; k < 6; k++) {
        group g = group_new(3, LN_F32);
        const char *text = "", *dir = scratch("failures");
        ln_status st = LN_ERR_ARG;
        if (k != 4) /* which fails on the way */
            g.m[0].o.dir = dir;
        switch (k) {
        case 0: /* other data */
            g.m[1].samples = SAMPLES - 1;
            text = "rank 1: train: another run than rank 0's: samples is 90 there and 89 here";
            break;
        case 1:
            g.m[2].o.config = "another";
            text = "rank 2: train: another run than rank 0's: options is \"mlp\" there and \"another\" here";
            break;
        case 2:
            g.m[1].o.batch = -1;
            st = LN_ERR_RANGE;
            text = "rank 1: train: --batch = -1 is outside";
            break;
        case 3: /* rank 0 cannot write */
            g.m[0].o.dir = file;
            st = LN_ERR_EXISTS;
            text = "rank 0: ";
            break;
        case 4:
            g.m[0].fail_event = 4;
            st = LN_ERR_IO;
            text = "rank 0: the event fails";
            break;
        default:
            g.m[1].o.config = "{\"broken\":";
            st = LN_ERR_FORMAT;
            text = "rank 1: ";
            break;
        }
        group_run(&g);
        ended(&g, st, text);
        if (k != 4)                             /* that rank fails on the way */
            assert_false(ln__file_exists(dir)); /* nothing was begun */
        group_free(&g);
    }
}

static ln_status compare(void *ctx, ln_comm *c)
{
    const member *m = ctx;
    return ln__ranks_compare(c, m->w);
}

/* Weights that went apart are noticed by all, whichever rank's they are. */
static void test_comparing(UNUSED void **state)
{
    for (int wrong = -1; wrong < 3; wrong++) {
        group g = group_new(3, LN_F32);
        group_run(&g);
        ended(&g, LN_OK, "");
        if (wrong >= 0)
            ((unsigned char *)ln_weights_data(g.m[wrong].w))[1] ^= 1;
        network_run(g.net, compare, g.ctx);
        ended(&g, wrong < 0 ? LN_OK : LN_ERR_NUMERIC, wrong < 0 ? "" : "no longer equal");
        group_free(&g);
    }
}

static void test_memory(UNUSED void **state)
{
    group g = group_new(2, LN_F32);
    g.m[1].large = true; /* rank 1's data alone: both are told */
    ln_memory_limit(ln_memory_held() + (8 << 20));
    group_run(&g);
    ln_memory_limit(0);
    ended(&g, LN_ERR_NOMEM, "rank 1: train: a step needs ");
    group_free(&g);
    /* a rank holds its share: a plan says so */
    ln_train_plan plan[2] = { { .struct_size = sizeof *plan }, { .struct_size = sizeof *plan } };
    g = group_new(2, LN_F32);
    const ln_training what = { .weights = g.m[0].w, .samples = SAMPLES, .loss = loss, .ctx = &g.m[0] };
    assert_ok(ln_train_plan_of(&plan[0], &what, &g.m[0].how, &g.m[0].o));
    g.m[0].o.comm = g.net->seat[0].comm;
    assert_ok(ln_train_plan_of(&plan[1], &what, &g.m[0].how, &g.m[0].o));
    assert_true(plan[1].tape < plan[0].tape && plan[1].optimizer == plan[0].optimizer);
    group_free(&g);
}

/* Whichever rank's allocation fails: all are told, and nobody waits. */
static void test_torture(UNUSED void **state)
{
    const char *dir = scratch("torture");
    group g = group_new(2, LN_F32);
    for (int r = 0; r < 2; r++) {
        g.m[r].o.dir = dir;
        g.m[r].o.force = 1;
        g.m[r].o.steps = 3;
        g.m[r].o.eval_every = 2;
        g.m[r].o.restore = 1;
    }
    const int64_t live = ln__test_live();
    bool done = false;
    int64_t n = 0;
    for (; !done; n += 1 + n / 64) {
        ln__test_fail_alloc(n);
        group_run(&g);
        ln__test_fail_alloc(-1);
        assert_int_equal(ln__test_live(), live);
        assert_int_equal(g.net->seat[0].st, g.net->seat[1].st);
        done = g.net->seat[0].st == LN_OK;
        if (!done)
            ended(&g, LN_ERR_NOMEM, "");
        assert_true(n < 100000);
    }
    assert_true(n > 100);
    group_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_one_rank),     cmocka_unit_test(test_same_bytes_each_time),
        cmocka_unit_test(test_resume),          cmocka_unit_test(test_time_is_up),
        cmocka_unit_test(test_early_stop),      cmocka_unit_test(test_skipped_steps),
        cmocka_unit_test(test_nan_on_one_rank), cmocka_unit_test(test_failures_of_one_rank),
        cmocka_unit_test(test_comparing),       cmocka_unit_test(test_memory),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
