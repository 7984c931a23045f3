/* room: grad */
/* test_optimizer.c - optimisers against PyTorch's numbers (golden/optimizers.py), clipping, skipped steps, groups,
 * averages, both types, levels and threads; and the schedules. */
#include "core_test.h"

#include <math.h>

#include "core/json.h"
#include "core/threads.h"
#include "grad/optimizer.h"

enum { STEPS = 10 };

static ln_weights *problem(ln_dtype dt)
{
    ln_weights *w = NULL;
    assert_ok(ln_weights_new(&w, dt, 0));
    assert_ok(ln_weights_add(w, "a", LN_DIMS(4, 3), LN_INIT_ZEROS, 0));
    assert_ok(ln_weights_add(w, "b", LN_DIMS(5), LN_INIT_ZEROS, 0));
    assert_ok(ln_weights_seal(w));
    for (int k = 0; k < 2; k++) {
        ln_var *v = ln_weights_at(w, k);
        for (int i = 0; i < ln_var_count(v); i++) {
            const double x = k ? cos(i) : sin(i);
            if (dt == LN_F64)
                ((double *)v->data)[i] = x;
            else
                ((float *)v->data)[i] = (float)x;
        }
    }
    return w;
}

static double at(const ln_var *v, int64_t i)
{
    return v->dtype == LN_F64 ? ((const double *)v->data)[i] : (double)((const float *)v->data)[i];
}

static void gradients(ln_weights *w, int t)
{
    for (int k = 0; k < ln_weights_count(w); k++) {
        ln_var *v = ln_weights_at(w, k);
        for (int i = 0; i < ln_var_count(v) && v->grad; i++) {
            const double g = sin(0.7 * t + i) + 0.3 * at(v, i);
            if (v->dtype == LN_F64)
                ((double *)v->grad)[i] = g;
            else
                ((float *)v->grad)[i] = (float)g;
        }
    }
}

static void run(ln_weights *w, const ln_optimizer_opts *o)
{
    ln_optimizer *opt = NULL;
    assert_ok(ln_optimizer_new(&opt, w, o));
    for (int t = 0; t < STEPS; t++) {
        gradients(w, t);
        assert_ok(ln_optimizer_step(opt, o->lr));
    }
    assert_int_equal(ln_optimizer_steps(opt), STEPS);
    ln_optimizer_free(opt);
}

static void compare(const char *name, ln_optimizer_opts o)
{
    json_t *golden = NULL;
    assert_ok(ln__json_read(&golden, LN_GOLDEN "/optimizers.json"));
    const json_t *both = json_object_get(golden, name);
    assert_non_null(both);
    for (int type = 0; type < 2; type++) {
        ln_weights *w = problem(type ? LN_F64 : LN_F32);
        run(w, &o);
        for (size_t k = 0; k < 2; k++) {
            const json_t *list = json_array_get(both, k);
            for (int i = 0; i < ln_var_count(ln_weights_at(w, (int64_t)k)); i++) {
                const double want = json_number_value(json_array_get(list, (size_t)i));
                const double got = at(ln_weights_at(w, (int64_t)k), i);
                if (!(fabs(got - want) <= (type ? 1e-12 : 2e-5)))
                    fail_msg("%s %s: weight %zu[%d] is %.15g, expected %.15g", name, type ? "f64" : "f32", k, i, got,
                             want);
            }
        }
        ln_weights_free(w);
    }
    json_decref(golden);
}

#define O(...) ((ln_optimizer_opts){ .struct_size = sizeof(ln_optimizer_opts), .skip_limit = 10, __VA_ARGS__ })

static void test_golden(void **state)
{
    (void)state;
    compare("sgd", O(.kind = LN_SGD, .lr = 0.1, .decay = 0.01));
    compare("momentum", O(.kind = LN_SGD, .lr = 0.1, .decay = 0.01, .momentum = 0.9));
    compare("nesterov", O(.kind = LN_SGD, .lr = 0.1, .momentum = 0.9, .nesterov = 1));
    compare("adam", O(.kind = LN_ADAM, .lr = 0.01, .decay = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8));
    compare("adamw", O(.kind = LN_ADAMW, .lr = 0.01, .decay = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8));
    compare("clip_norm",
            O(.kind = LN_ADAMW, .lr = 0.01, .decay = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 0.1, .clip_norm = 0.5));
    compare("clip_value",
            O(.kind = LN_ADAMW, .lr = 0.01, .decay = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 0.1, .clip_value = 0.3));
    compare("lion", O(.kind = LN_LION, .lr = 0.01, .decay = 0.1, .beta1 = 0.9, .beta2 = 0.99));
    compare("muon", O(.kind = LN_MUON, .lr = 0.02, .decay = 0.1, .momentum = 0.95, .nesterov = 1, .beta1 = 0.9,
                      .beta2 = 0.999, .eps = 1e-8, .rest_lr = 0.015));
    compare("adafactor", O(.kind = LN_ADAFACTOR, .lr = 0.01, .decay = 0.1));
}

/* ---- the pass over a block of many chunks ---- */

static ln_weights *large(void)
{
    ln_weights *w = NULL;
    assert_ok(ln_weights_new(&w, LN_F32, 3));
    assert_ok(ln_weights_add(w, "emb", LN_DIMS(123, 301), LN_INIT_NORMAL, 1));
    assert_ok(ln_weights_add(w, "bias", LN_DIMS(7), LN_INIT_NORMAL, 1));
    assert_ok(ln_weights_add(w, "frozen", LN_DIMS(99), LN_INIT_NORMAL, 1));
    assert_ok(ln_weights_add(w, "empty", LN_DIMS(0, 3), LN_INIT_NORMAL, 1));
    assert_ok(ln_weights_add(w, "deep", LN_DIMS(40, 10, 11), LN_INIT_NORMAL, 1));
    assert_ok(ln_weights_seal(w));
    return w;
}

static void test_threads_and_frozen(void **state)
{
    (void)state;
    for (int kind = LN_SGD; kind <= LN_ADAFACTOR; kind++) {
        ln_weights *w[2];
        for (int k = 0; k < 2; k++) {
            w[k] = large();
            ln_threads_set(k + 1);
            assert_int_equal(ln_weights_freeze(w[k], "frozen", 1), 1);
            ln_optimizer_opts o = LN_OPTIMIZER_OPTS_INIT;
            o.kind = kind;
            o.clip_norm = 1;
            o.ema = 0.9;
            run(w[k], &o);
        }
        ln_threads_set(0);
        assert_memory_equal(w[0]->data, w[1]->data, (size_t)w[0]->block * 4);
        ln_weights *fresh = large();
        assert_memory_equal(ln_var_data(ln_weights_var(fresh, "frozen")), ln_var_data(ln_weights_var(w[0], "frozen")),
                            99 * 4);
        assert_memory_not_equal(ln_var_data(ln_weights_var(fresh, "deep")), ln_var_data(ln_weights_var(w[0], "deep")),
                                4400 * 4);
        for (int64_t i = 0; i < w[0]->block; i++) /* gradients are zeroed */
            assert_true(((const float *)w[0]->grad)[i] == 0);
        ln_weights_free(fresh);
        ln_weights_free(w[0]);
        ln_weights_free(w[1]);
    }
}

static void test_skipped_steps(void **state)
{
    (void)state;
    ln_optimizer_opts o = LN_OPTIMIZER_OPTS_INIT;
    ln_weights *w = problem(LN_F32), *before = problem(LN_F32);
    ln_optimizer *opt = NULL;
    o.skip_limit = 3;
    o.clip_value = 1; /* must not hide the infinity */
    assert_ok(ln_optimizer_new(&opt, w, &o));
    const float bad[2] = { INFINITY, NAN };
    for (int k = 0; k < 2; k++) {
        gradients(w, 0);
        ((float *)w->grad)[13] = bad[k];
        assert_ok(ln_optimizer_step(opt, 0.1));
        assert_int_equal(ln_optimizer_skipped(opt), k + 1);
        assert_int_equal(ln_optimizer_steps(opt), 0);
        assert_memory_equal(w->data, before->data, (size_t)w->block * 4);
        assert_true(((const float *)w->grad)[0] == 0);
    }
    gradients(w, 0);
    assert_ok(ln_optimizer_step(opt, 0.1)); /* a good one: the count starts again */
    for (int k = 0; k < 2; k++) {
        ((float *)w->grad)[1] = NAN;
        assert_ok(ln_optimizer_step(opt, 0.1));
    }
    ((float *)w->grad)[1] = NAN;
    assert_fails(ln_optimizer_step(opt, 0.1), LN_ERR_NUMERIC, "not finite in 3 steps in a row");
    assert_fails(ln_optimizer_step(opt, NAN), LN_ERR_RANGE, "learning rate");
    ln_optimizer_free(opt);
    ln_weights_free(w);
    ln_weights_free(before);
}

static void test_groups_and_average(void **state)
{
    (void)state;
    ln_optimizer_opts o = O(.kind = LN_SGD, .lr = 0.5, .decay = 0.1, .ema = 0.75, .no_decay = "x*|b");
    ln_weights *w = problem(LN_F64);
    ln_optimizer *opt = NULL;
    assert_ok(ln_optimizer_new(&opt, w, &o));
    assert_ok(ln_optimizer_step(opt, 0.5)); /* no gradient: only decay moves */
    for (int i = 0; i < 5; i++) {
        assert_true(at(ln_weights_at(w, 1), i) == cos(i));
        assert_true(fabs(at(ln_weights_at(w, 0), i) - 0.95 * sin(i)) < 1e-15);
    }
    ln_optimizer_swap_average(opt);
    assert_true(fabs(at(ln_weights_at(w, 0), 2) - (0.75 + 0.25 * 0.95) * sin(2)) < 1e-15);
    ln_optimizer_swap_average(opt);
    assert_true(fabs(at(ln_weights_at(w, 0), 2) - 0.95 * sin(2)) < 1e-15);
    assert_int_equal(ln_optimizer_group(opt, "a", 0, 1), 1);
    assert_int_equal(ln_optimizer_group(opt, "nothing", 0, 1), 0);
    gradients(w, 1);
    assert_ok(ln_optimizer_step(opt, 0.5));
    assert_true(fabs(at(ln_weights_at(w, 0), 2) - 0.95 * sin(2)) < 1e-15);
    assert_true(at(ln_weights_at(w, 1), 2) != cos(2));
    assert_true(ln_optimizer_bytes(w, &o) >= w->block * 8);
    ln_optimizer_free(opt);
    o.beta1 = 1;
    assert_fails(ln_optimizer_new(&opt, w, &o), LN_ERR_RANGE, "beta1");
    ln_weights_free(w);
}

static ln_status make(void *ctx)
{
    ln_optimizer_opts o = LN_OPTIMIZER_OPTS_INIT;
    ln_optimizer *opt = NULL;
    ln_weights *w = ctx;
    o.kind = LN_MUON;
    o.ema = 0.5;
    o.no_decay = "b";
    const ln_status st = ln_optimizer_new(&opt, w, &o);
    ln_optimizer_free(opt);
    return st;
}

static void test_torture(void **state)
{
    (void)state;
    ln_weights *w = problem(LN_F32);
    torture(make, w);
    ln_weights_free(w);
}

/* ---- schedules ---- */

static ln_schedule schedule(int kind, int64_t total, int64_t warmup, int64_t every, double power, double final_lr)
{
    static const int64_t milestones[2] = { 3, 6 };
    ln_schedule s = LN_SCHEDULE_INIT;
    s.kind = kind;
    s.lr = 2;
    s.total = total;
    s.warmup = warmup;
    s.every = every;
    s.power = power;
    s.final_lr = final_lr;
    s.hold = s.gamma = 0.5;
    s.milestones = milestones;
    s.n_milestones = 2;
    return s;
}

static void test_schedules(void **state)
{
    (void)state;
    const double root = 1.4142135623730951;
    const struct {
        ln_schedule s;
        double at[5]; /* of steps 0, 3, 6, 9, 30 */
    } cases[] = {
        { schedule(LN_SCHEDULE_CONSTANT, 12, 4, 1, 1, 0), { 0.5, 2, 2, 2, 2 } },
        { schedule(LN_SCHEDULE_LINEAR, 12, 0, 1, 1, 0.1), { 2, 1.55, 1.1, 0.65, 0.2 } },
        { schedule(LN_SCHEDULE_COSINE, 12, 0, 1, 1, 0), { 2, 1 + root / 2, 1, 1 - root / 2, 0 } },
        { schedule(LN_SCHEDULE_STEP, 12, 0, 3, 1, 0), { 2, 1, 0.5, 0.25, 2 * 0.0009765625 } },
        { schedule(LN_SCHEDULE_MULTI_STEP, 12, 0, 1, 1, 0), { 2, 1, 0.5, 0.5, 0.5 } },
        { schedule(LN_SCHEDULE_EXPONENTIAL, 12, 0, 6, 1, 0), { 2, root, 1, root / 2, 2. / 32 } },
        { schedule(LN_SCHEDULE_INV_SQRT, 12, 3, 1, 1, 0),
          { 2. / 3, 2, root, 1.1547005383792517, 0.63245553203367588 } },
        { schedule(LN_SCHEDULE_POLYNOMIAL, 12, 0, 1, 2, 0), { 2, 2 * 0.5625, 0.5, 2 * 0.0625, 0 } },
        { schedule(LN_SCHEDULE_WSD, 12, 0, 1, 1, 0), { 2, 2, 2, 2 - root, 0 } },
        { schedule(LN_SCHEDULE_ONE_CYCLE, 10, 0, 1, 1, 0.5),
          { 0.08, 2, 2 * (0.5 + 0.25 * (1 + 0.22252093395631434)), 2 * (0.5 + 0.25 * (1 - 0.90096886790241915)), 1 } },
    };
    const int64_t steps[5] = { 0, 3, 6, 9, 30 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(ln_schedule_check(&cases[i].s));
        for (int k = 0; k < 5; k++) {
            const double got = ln_schedule_lr(&cases[i].s, steps[k]);
            if (!(fabs(got - cases[i].at[k]) <= 1e-12))
                fail_msg("schedule %d at step %lld: %.12g, expected %.12g", cases[i].s.kind, (long long)steps[k], got,
                         cases[i].at[k]);
        }
    }
    ln_schedule p = schedule(LN_SCHEDULE_PLATEAU, 12, 0, 2, 1, 0);
    const double metric[6] = { 3, 2, 2.5, 2, 1.9, 5 }, lr[6] = { 2, 2, 2, 1, 1, 1 };
    for (int i = 0; i < 6; i++) {
        ln_schedule_metric(&p, metric[i]);
        assert_true(ln_schedule_lr(&p, i) == lr[i]);
    }
    p.hold = NAN;
    assert_fails(ln_schedule_check(&p), LN_ERR_RANGE, "hold");
    p.hold = 0;
    p.milestones = (const int64_t[]){ 4, 4 };
    assert_fails(ln_schedule_check(&p), LN_ERR_ARG, "milestone 4 comes after 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),        cmocka_unit_test(test_threads_and_frozen),
        cmocka_unit_test(test_skipped_steps), cmocka_unit_test(test_groups_and_average),
        cmocka_unit_test(test_torture),       cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
