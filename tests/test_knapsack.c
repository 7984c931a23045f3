/* room: compress */
/* test_knapsack.c - the budget over layers against brute force, its laws, and its refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "compress/knapsack.h"
#include "core/rng.h"

enum { MAX_LAYERS = 40, MAX_OPTIONS = 8 };

typedef struct instance {
    ln__option items[MAX_LAYERS][MAX_OPTIONS];
    ln__option_list lists[MAX_LAYERS];
    int64_t layers;
} instance;

/* Errors grow with the removed amount, with noise; params are multiples of 100 so that units can be exact. */
static void make(instance *in, int64_t layers, int64_t options, uint64_t seed)
{
    ln__rng r = ln__rng_make(seed, 1);
    in->layers = layers;
    for (int64_t l = 0; l < layers; l++) {
        const int64_t params = 100 * (1 + ln__rng_below(&r, 9));
        in->lists[l] = (ln__option_list){ in->items[l], options, params };
        in->items[l][0] = (ln__option){ 0 };
        for (int64_t i = 1; i < options; i++) {
            const double cr = 0.1 * (double)i;
            in->items[l][i] = (ln__option){
                .cr = cr, .ks = 1, .removed = (int64_t)(cr * (double)params), .error = cr * (0.5 + ln__rng_uniform(&r))
            };
        }
    }
}

static double brute(const instance *in, int64_t l, int64_t removed, int64_t target, double cap)
{
    if (l == in->layers)
        return removed >= target ? 0 : INFINITY;
    double best = INFINITY;
    for (int64_t i = 0; i < in->lists[l].n; i++) {
        const ln__option *o = &in->items[l][i];
        if (i && o->error > cap)
            continue;
        const double rest = brute(in, l + 1, removed + o->removed, target, cap);
        if (rest + o->error < best)
            best = rest + o->error;
    }
    return best;
}

static double chosen_error(const instance *in, const int32_t *choice, int64_t *removed)
{
    double e = 0;
    *removed = 0;
    for (int64_t l = 0; l < in->layers; l++) {
        e += in->items[l][choice[l]].error;
        *removed += in->items[l][choice[l]].removed;
    }
    return e;
}

static int64_t all_params(const instance *in)
{
    int64_t p = 0;
    for (int64_t l = 0; l < in->layers; l++)
        p += in->lists[l].params;
    return p;
}

/* precision = params: one unit is one value, so nothing is rounded and the optimum must be met exactly. */
static void equals_brute_force(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        instance in;
        int32_t choice[MAX_LAYERS];
        int64_t removed, reachable;
        make(&in, 6, 4, seed);
        const int64_t params = all_params(&in), target = params / 6;
        const double cap = seed % 2 ? 0.35 : INFINITY, want = brute(&in, 0, 0, target, cap);
        const ln_status st = ln__knapsack(choice, in.lists, in.layers, target, params, cap, &reachable);
        if (isinf(want)) {
            assert_int_equal(st, LN_ERR_RANGE);
            assert_true(reachable < target);
            continue;
        }
        assert_int_equal(st, LN_OK);
        assert_true(fabs(chosen_error(&in, choice, &removed) - want) < 1e-12);
        assert_true(removed >= target && reachable >= target);
    }
}

/* Coarse units round removed amounts down: the target is still met in values. */
static void target_holds_with_coarse_units(void **state)
{
    (void)state;
    instance in;
    int32_t choice[MAX_LAYERS];
    int64_t removed;
    make(&in, 30, 8, 3);
    const int64_t params = all_params(&in);
    for (int64_t precision = 100; precision < 5000; precision = precision * 3 + 1) {
        const int64_t target = (int64_t)ceil(0.3 * (double)params);
        assert_int_equal(ln__knapsack(choice, in.lists, in.layers, target, precision, INFINITY, NULL), LN_OK);
        (void)chosen_error(&in, choice, &removed);
        assert_true(removed >= target);
    }
}

static void error_grows_with_the_target(void **state)
{
    (void)state;
    instance in;
    int32_t choice[MAX_LAYERS];
    double last = -1;
    int64_t removed;
    make(&in, 30, 8, 11);
    for (int step = 0; step <= 6; step++) {
        const int64_t target = step * all_params(&in) / 10;
        assert_int_equal(ln__knapsack(choice, in.lists, in.layers, target, all_params(&in), INFINITY, NULL), LN_OK);
        const double e = chosen_error(&in, choice, &removed);
        assert_true(e >= last - 1e-12);
        last = e;
    }
    assert_true(last > 0);
}

static void nothing_asked_keeps_everything_dense(void **state)
{
    (void)state;
    instance in;
    int32_t choice[MAX_LAYERS];
    make(&in, 10, 5, 1);
    assert_int_equal(ln__knapsack(choice, in.lists, in.layers, 0, 1000, INFINITY, NULL), LN_OK);
    for (int64_t l = 0; l < in.layers; l++)
        assert_int_equal(choice[l], 0);
}

/* The published code counted a layer that had only the dense option as removed entirely. */
static void a_dense_only_layer_removes_nothing(void **state)
{
    (void)state;
    ln__option dense = { 0 }, both[2] = { { 0 }, { .cr = 0.5, .ks = 1, .removed = 50, .error = 0.3 } };
    ln__option_list lists[2] = { { &dense, 1, 100 }, { both, 2, 100 } };
    int32_t choice[2];
    int64_t reachable;
    assert_int_equal(ln__knapsack(choice, lists, 2, 60, 200, INFINITY, &reachable), LN_ERR_RANGE);
    assert_int_equal(reachable, 50);
    assert_int_equal(ln__knapsack(choice, lists, 2, 50, 200, INFINITY, &reachable), LN_OK);
    assert_int_equal(choice[0], 0);
    assert_int_equal(choice[1], 1);
}

static void alpha_is_the_smallest_that_reaches(void **state)
{
    (void)state;
    instance in;
    int32_t choice[MAX_LAYERS];
    make(&in, 30, 8, 5);
    double alpha = 0;
    assert_int_equal(ln__knapsack_capped(choice, in.lists, in.layers, 0.3, all_params(&in), &alpha), LN_OK);
    assert_true(alpha >= 1.0 && alpha <= 2.0);
    if (alpha > 1.05) {
        double less = alpha - 0.1;
        assert_int_equal(ln__knapsack_capped(choice, in.lists, in.layers, 0.3, all_params(&in), &less), LN_ERR_RANGE);
    }
    double never = 0;
    assert_int_equal(ln__knapsack_capped(choice, in.lists, in.layers, 0.99, all_params(&in), &never), LN_ERR_RANGE);
    assert_non_null(strstr(ln_last_error(), "at most"));
    assert_non_null(strstr(ln_last_error(), "alpha"));
}

static void refuses_nan_and_empty(void **state)
{
    (void)state;
    ln__option items[2] = { { 0 }, { .cr = 0.5, .ks = 1, .removed = 5, .error = NAN } };
    ln__option_list list = { items, 2, 10 }, none = { items, 0, 10 };
    int32_t choice[1];
    assert_int_equal(ln__knapsack(choice, &list, 1, 5, 10, INFINITY, NULL), LN_ERR_NUMERIC);
    assert_int_equal(ln__knapsack(choice, &none, 1, 5, 10, INFINITY, NULL), LN_ERR_ARG);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    instance in;
    int32_t choice[MAX_LAYERS];
    make(&in, 6, 4, 2);
    const int64_t before = ln__test_live();
    for (int64_t nth = 0;; nth++) {
        ln__test_fail_alloc(nth);
        const ln_status st = ln__knapsack(choice, in.lists, in.layers, 10, 1000, INFINITY, NULL);
        ln__test_fail_alloc(-1);
        assert_int_equal(ln__test_live(), before);
        if (st == LN_OK) {
            assert_true(nth >= 2);
            break;
        }
        assert_int_equal(st, LN_ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_brute_force),
        cmocka_unit_test(target_holds_with_coarse_units),
        cmocka_unit_test(error_grows_with_the_target),
        cmocka_unit_test(nothing_asked_keeps_everything_dense),
        cmocka_unit_test(a_dense_only_layer_removes_nothing),
        cmocka_unit_test(alpha_is_the_smallest_that_reaches),
        cmocka_unit_test(refuses_nan_and_empty),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
