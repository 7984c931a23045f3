/* room: model */
/* test_sample.c - what each filter keeps, against a full sort; frequencies against probabilities; determinism. */
#include "io_files.h"
#include "numbers.h"

#include <linnet/generate.h>

#include "core/core.h"

static ln_generate_opts options(double temperature)
{
    ln_generate_opts o = LN_GENERATE_OPTS_INIT;
    o.temperature = temperature;
    return o;
}

static int32_t draw(const float *logits, int64_t n, const ln_generate_opts *o, uint64_t state[2])
{
    int32_t token = -1;
    assert_int_equal(ln_sample(&token, logits, n, NULL, 0, o, state), LN_OK);
    assert_in_range(token, 0, n - 1);
    return token;
}

static void greedy_takes_the_first_largest(void **state)
{
    (void)state;
    const float logits[] = { 1, 7, -3, 7, 6 };
    const ln_generate_opts o = options(0);
    uint64_t s[2] = { 5, 0 };
    assert_int_equal(draw(logits, 5, &o, s), 1);
    assert_int_equal(s[1], 0); /* nothing was drawn */
}

/* The reference: all candidates sorted, filters applied one after another. Returns how many ids survive. */
static int compare_desc(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return x[0] != y[0] ? (x[0] < y[0]) - (x[0] > y[0]) : (x[1] > y[1]) - (x[1] < y[1]);
}

static int64_t survivors(bool *keep, double *prob, const float *logits, int64_t n, const ln_generate_opts *o)
{
    double(*order)[2] = num_alloc((size_t)n, sizeof *order);
    double top = -INFINITY, mass = 0, seen = 0;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, logits[i]);
    for (int64_t i = 0; i < n; i++) {
        order[i][0] = exp((logits[i] - top) / o->temperature);
        order[i][1] = (double)i;
        keep[i] = false;
        prob[i] = 0;
    }
    qsort(order, (size_t)n, sizeof *order, compare_desc);
    int64_t kept = o->top_k > 0 && o->top_k < n ? o->top_k : n, within = 0;
    for (int64_t i = 0; i < kept; i++)
        mass += order[i][0];
    while (within < kept && (o->top_p >= 1 || seen < o->top_p * mass))
        seen += order[within++][0];
    kept = within;
    while (kept > 1 && order[kept - 1][0] < o->min_p)
        kept--;
    mass = 0;
    for (int64_t i = 0; i < kept; i++)
        mass += order[i][0];
    for (int64_t i = 0; i < kept; i++) {
        keep[(int64_t)order[i][1]] = true;
        prob[(int64_t)order[i][1]] = order[i][0] / mass;
    }
    free(order);
    return kept;
}

/* Pearson's statistic of 20000 draws; the bound is far beyond its 1e-6 quantile for up to 40 cells. */
static void check_frequencies(const float *logits, int64_t n, const ln_generate_opts *o, const char *what)
{
    enum { DRAWS = 20000 };
    bool keep[64];
    double prob[64], chi = 0;
    int64_t seen[64] = { 0 };
    uint64_t s[2] = { 99, 0 };
    survivors(keep, prob, logits, n, o);
    for (int i = 0; i < DRAWS; i++)
        seen[draw(logits, n, o, s)]++;
    assert_int_equal(s[1], DRAWS);
    for (int64_t i = 0; i < n; i++) {
        if (!keep[i] && seen[i])
            fail_msg("%s: token %lld was filtered but drawn %lld times", what, (long long)i, (long long)seen[i]);
        if (keep[i])
            chi += pow((double)seen[i] - DRAWS * prob[i], 2) / (DRAWS * prob[i]);
    }
    if (!(chi < 110))
        fail_msg("%s: the draws do not follow the probabilities (chi2 %.1f)", what, chi);
}

static void filters_keep_what_a_sort_keeps(void **state)
{
    (void)state;
    float logits[40];
    uint64_t seed = 3;
    for (int i = 0; i < 40; i++)
        logits[i] = (float)(3 * num_next(&seed));
    logits[7] = logits[8]; /* a tie */
    ln_generate_opts o = options(1);
    check_frequencies(logits, 40, &o, "plain");
    o.temperature = 0.4;
    check_frequencies(logits, 40, &o, "temperature");
    o.temperature = 1;
    o.top_k = 5;
    check_frequencies(logits, 40, &o, "top_k");
    o.top_p = 0.6;
    check_frequencies(logits, 40, &o, "top_k and top_p");
    o.top_k = 0;
    check_frequencies(logits, 40, &o, "top_p");
    o.min_p = 0.3;
    check_frequencies(logits, 40, &o, "top_p and min_p");
    o.top_p = 1;
    check_frequencies(logits, 40, &o, "min_p");
    o.top_k = 7;
    o.top_p = 0.9;
    check_frequencies(logits, 40, &o, "all");
    o.top_k = 1000;
    check_frequencies(logits, 40, &o, "top_k beyond the vocabulary");
}

static void same_state_same_token(void **state)
{
    (void)state;
    float *logits = num_f32(5000, 4);
    ln_generate_opts o = options(0.9);
    o.top_p = 0.9;
    int differ = 0;
    for (uint64_t i = 0; i < 50; i++) {
        uint64_t a[2] = { 11, i }, b[2] = { 11, i }, c[2] = { 12, i };
        const int32_t token = draw(logits, 5000, &o, a);
        assert_int_equal(token, draw(logits, 5000, &o, b));
        differ += token != draw(logits, 5000, &o, c);
    }
    assert_true(differ > 40);
    free(logits);
}

static void penalty_counts_each_token_once(void **state)
{
    (void)state;
    const float logits[] = { 4.0f, 3.0f, -1.0f, 2.9f };
    const int32_t history[] = { 1, 0, 0, 0 };
    ln_generate_opts o = options(0);
    int32_t token;
    uint64_t s[2] = { 0, 0 };
    o.repeat_penalty = 1.3; /* 4 / 1.3 = 3.08: still ahead, unless it were punished three times */
    o.repeat_window = 3;
    assert_int_equal(ln_sample(&token, logits, 4, history, 4, &o, s), LN_OK);
    assert_int_equal(token, 0);
    o.repeat_penalty = 1.35; /* 2.96 is behind token 1, which lies outside the window */
    assert_int_equal(ln_sample(&token, logits, 4, history, 4, &o, s), LN_OK);
    assert_int_equal(token, 1);
    o.repeat_window = 4;
    assert_int_equal(ln_sample(&token, logits, 4, history, 4, &o, s), LN_OK);
    assert_int_equal(token, 0);
    const float negative[] = { -1.0f, -1.2f }; /* times, not divided by */
    o.repeat_window = 1;
    assert_int_equal(ln_sample(&token, negative, 2, history + 3, 1, &o, s), LN_OK);
    assert_int_equal(token, 1);
}

static void minus_infinity_is_never_drawn(void **state)
{
    (void)state;
    const float logits[] = { -INFINITY, 0, -INFINITY, 0.5f };
    const ln_generate_opts o = options(5);
    uint64_t s[2] = { 1, 0 };
    for (int i = 0; i < 200; i++)
        assert_int_equal(draw(logits, 4, &o, s) % 2, 1);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    float logits[] = { 0, NAN, 1 };
    ln_generate_opts o = options(1);
    int32_t token = 77;
    uint64_t s[2] = { 0, 0 };
    check_failure(ln_sample(&token, logits, 3, NULL, 0, &o, s), LN_ERR_NUMERIC, "logit 1|NaN", "NaN");
    logits[1] = INFINITY;
    check_failure(ln_sample(&token, logits, 3, NULL, 0, &o, s), LN_ERR_NUMERIC, "logit 1|infinite", "Inf");
    logits[0] = logits[1] = logits[2] = -INFINITY;
    check_failure(ln_sample(&token, logits, 3, NULL, 0, &o, s), LN_ERR_NUMERIC, "every logit", "all -Inf");
    logits[1] = 0;
    o.top_p = 1.5;
    check_failure(ln_sample(&token, logits, 3, NULL, 0, &o, s), LN_ERR_RANGE, "top-p|1.5", "top_p");
    o.top_p = 1;
    o.temperature = -1;
    check_failure(ln_sample(&token, logits, 3, NULL, 0, &o, s), LN_ERR_RANGE, "temperature|-1", "temperature");
    check_failure(ln_sample(&token, logits, 0, NULL, 0, NULL, s), LN_ERR_ARG, "logits", "empty");
    assert_int_equal(token, 77);
}

static ln_status sample_once(void *arg)
{
    const float logits[] = { 0, 1, 2 };
    uint64_t s[2] = { 0, 0 };
    return ln_sample(arg, logits, 3, NULL, 0, NULL, s);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    int32_t token;
    torture(sample_once, &token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_largest),
        cmocka_unit_test(filters_keep_what_a_sort_keeps),
        cmocka_unit_test(same_state_same_token),
        cmocka_unit_test(penalty_counts_each_token_once),
        cmocka_unit_test(minus_infinity_is_never_drawn),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
