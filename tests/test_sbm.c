/* room: factor */
/* test_sbm.c - the weighted nested block model: lengths against graph-tool's and against differences of whole counts,
 * what must not matter (unit of the weights, threads), planted groups, and the network that the method's makers use. */
#include "numbers.h"

#include "core_test.h"
#include "core/rng.h"
#include "factor/sbm.h"

/* ---- graphs ---- */

typedef struct graph {
    ln_sbm_graph g;
    int32_t *from, *to;
    double *weight;
} graph;

static graph graph_new(int32_t nodes, int64_t room)
{
    graph x = { .from = num_alloc((size_t)room, 4),
                .to = num_alloc((size_t)room, 4),
                .weight = num_alloc((size_t)room, 8) };
    x.g = (ln_sbm_graph){ nodes, 0, x.from, x.to, x.weight };
    return x;
}

static void graph_free(graph *x)
{
    free(x->from);
    free(x->to);
    free(x->weight);
}

static void add(graph *x, int32_t a, int32_t b, double w)
{
    x->from[x->g.edges] = a;
    x->to[x->g.edges] = b;
    x->weight[x->g.edges++] = w;
}

static graph golden_graph(const char *name)
{
    char path[512];
    int nodes = 0, a = 0, b = 0;
    long long edges = 0;
    double w = 0;
    snprintf(path, sizeof path, "%s/sbm/%s.txt", LN_GOLDEN, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is missing", path);
    assert_int_equal(fscanf(f, "%d %lld", &nodes, &edges), 2);
    graph x = graph_new(nodes, edges);
    while (fscanf(f, "%d %d %lf", &a, &b, &w) == 3)
        add(&x, a, b, w);
    fclose(f);
    assert_int_equal(x.g.edges, edges);
    return x;
}

/* Nodes v belong to group v % groups; pairs are joined with probability p; weights are exponential. */
static graph planted(int32_t nodes, int32_t groups, double p, double inside, double outside, uint64_t seed)
{
    graph x = graph_new(nodes, (int64_t)nodes * nodes);
    ln__rng rng = ln__rng_make(seed, 99);
    for (int32_t i = 0; i < nodes; i++)
        for (int32_t j = i + 1; j < nodes; j++)
            if (ln__rng_uniform(&rng) < p)
                add(&x, i, j, -log1p(-ln__rng_uniform(&rng)) * (i % groups == j % groups ? inside : outside) + 1e-9);
    return x;
}

static double nmi_with_planted(const ln_sbm *s, int32_t nodes, int32_t groups)
{
    double best = 0;
    int32_t *truth = num_alloc((size_t)nodes, 4);
    for (int32_t v = 0; v < nodes; v++)
        truth[v] = v % groups;
    for (int32_t l = 0; l < ln_sbm_levels(s); l++) {
        double nmi = 0;
        OK(ln_nmi(&nmi, truth, ln_sbm_partition(s, l), nodes));
        best = fmax(best, nmi);
    }
    free(truth);
    return best;
}

/* ---- numbers ---- */

static void factorials_and_partitions_are_counted(void **state)
{
    (void)state;
    ln__sbm_tables t = { 0 }, compat = { 0 };
    OK(ln__sbm_tables_make(&t, 40, 200, true, false));
    OK(ln__sbm_tables_make(&compat, 40, 200, true, true));
    for (int64_t k = 0; k < 3000; k++)
        assert_true(fabs(ln__sbm_ln_fact(&t, k) - lgamma((double)k + 1)) <= 1e-13 * (1 + lgamma((double)k + 1)));
    assert_true(fabs(ln__sbm_ln_q(&t, 40, 12) - log(23334)) < 1e-12);
    assert_true(fabs(ln__sbm_ln_q(&compat, 40, 12) - log(15990)) < 1e-12);
    assert_true(fabs(ln__sbm_ln_q(&t, 30, 40) - log(5604)) < 1e-12); /* more parts than m: all partitions of it */
    assert_true(fabs(ln__sbm_ln_q(&t, 5, 40) - log(7)) < 1e-12);     /* 5 = 5, 41, 32, 311, 221, 2111, 11111 */
    assert_true(ln__sbm_ln_q(&t, 0, 3) == 0 && ln__sbm_ln_q(&t, 9, 1) == 0);
    assert_true(fabs(ln__sbm_ln_multiset(&t, 3, 2) - log(6)) < 1e-12);
    /* the asymptotic form against exact counts */
    double worst = 0;
    for (int64_t m = 200; m <= 400; m += 25)
        for (int64_t n = 2; n <= 40; n++)
            worst = worse(worst, fabs(ln__sbm_ln_q_asymptotic(m, n) - ln__sbm_ln_q(&t, m, n)));
    print_message("asymptotic count of partitions: off by at most %.3g nats\n", worst);
    assert_true(worst < 0.05);
    ln__sbm_tables_free(&t);
    ln__sbm_tables_free(&compat);
}

static void nmi_is_what_it_should_be(void **state)
{
    (void)state;
    const int32_t a[] = { 0, 0, 1, 1 }, b[] = { 5, 5, 2, 2 }, c[] = { 0, 1, 0, 1 }, one[] = { 3, 3, 3, 3 },
                  d[] = { 0, 1, 2, 2 };
    double x = 0;
    OK(ln_nmi(&x, a, b, 4));
    assert_true(fabs(x - 1) < 1e-15);
    OK(ln_nmi(&x, a, c, 4));
    assert_true(fabs(x) < 1e-15);
    OK(ln_nmi(&x, one, one, 4));
    assert_true(x == 1);
    OK(ln_nmi(&x, a, d, 4)); /* I = ln 2, H = ln 2 and 1.5 ln 2 */
    assert_true(fabs(x - 0.8) < 1e-14);
}

/* ---- lengths ---- */

static void lengths_are_those_of_graph_tool(void **state)
{
    (void)state;
    char name[32];
    int corrected = 0, levels = 0, cases = 0;
    double want = 0;
    FILE *f = fopen(LN_GOLDEN "/sbm/lengths.txt", "r");
    assert_non_null(f);
    while (fscanf(f, "%31s %d %d %lf", name, &corrected, &levels, &want) == 4) {
        graph x = golden_graph(name);
        int32_t *of[LN_SBM_LEVELS] = { NULL };
        int32_t below = x.g.nodes;
        for (int l = 0; l < levels; l++) {
            int32_t label[512], groups = 0;
            for (int32_t i = 0; i < below; i++) {
                assert_int_equal(fscanf(f, "%d", &label[i]), 1);
                groups = label[i] >= groups ? label[i] + 1 : groups;
            }
            of[l] = num_alloc((size_t)x.g.nodes, 4);
            for (int32_t v = 0; v < x.g.nodes; v++)
                of[l][v] = label[l == 0 ? v : of[l - 1][v]];
            below = groups;
        }
        ln_sbm_opts o = LN_SBM_OPTS_INIT;
        o.correction = corrected ? LN_SBM_CORRECTED : LN_SBM_PLAIN;
        o.compat = o.compat_q = 1;
        double got = 0;
        OK(ln_sbm_describe(&got, &x.g, (const int32_t *const *)of, levels, &o));
        if (!(fabs(got - want) < 1e-8))
            fail_msg("%s, %s, %d levels: %.12g, graph-tool %.12g", name, corrected ? "corrected" : "plain", levels, got,
                     want);
        for (int l = 0; l < levels; l++)
            free(of[l]);
        graph_free(&x);
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 32);
}

/* Random moves of nodes and groups: every difference is that of two whole counts, tried or done. */
static void check_moves(const graph *x, bool corrected, bool hyper0, int moves, uint64_t seed)
{
    ln__sbm_tables tables = { 0 };
    ln__sbm_tree t = { 0 };
    ln__sbm_net net = { 0 };
    ln__sbm_stack h = { 0 };
    ln__rng rng = ln__rng_make(seed, 5);
    const int32_t n = x->g.nodes, sizes[] = { n, n / 2, 5, 2, 1 };
    double total = 0, least = INFINITY, constant = 0, before = 0, after = 0, worst = 0;
    for (int64_t i = 0; i < x->g.edges; i++) {
        total += x->weight[i];
        least = fmin(least, x->weight[i] / 10);
    }
    OK(ln__sbm_tables_make(&tables, n, x->g.edges, corrected, false));
    const ln__sbm_model m = { &tables, corrected, true, hyper0, x->g.edges, total, least };
    OK(ln__sbm_constant(&constant, &x->g, &m));
    OK(ln__sbm_net_make(&net, n, x->g.edges, x->from, x->to, NULL, x->weight));
    OK(ln__sbm_tree_make(&t, n, 4));
    for (int l = 0; l < 4; l++) {
        t.size[l + 1] = sizes[l + 1];
        for (int32_t i = 0; i < sizes[l]; i++)
            t.b[l][i] = i < sizes[l + 1] ? i : (int32_t)ln__rng_below(&rng, sizes[l + 1]);
    }
    OK(ln__sbm_stack_make(&h, &m, &net, &t, 0));
    ln__sbm_stack_load(&h, &t, false);
    OK(ln__sbm_length(&before, &x->g, &m, &t));
    assert_true(fabs(h.sigma + constant - before) < 1e-9 * fabs(before));
    for (int i = 0; i < moves; i++) {
        const ln__sbm_level *L = &h.level[0];
        const bool whole = L->groups > n / 3 && ln__rng_below(&rng, 20) == 0;
        const int32_t v = whole ? -1 : (int32_t)ln__rng_below(&rng, n);
        const int32_t r = whole ? L->live[ln__rng_below(&rng, L->groups)] : L->b[v];
        const bool born = !whole && L->groups < L->cap && L->count[r] > 1 && ln__rng_below(&rng, 3) == 0;
        const int32_t s = born ? L->live[L->groups] : L->live[ln__rng_below(&rng, L->groups)];
        if (s == r)
            continue;
        if (whole)
            ln__sbm_take_group(&h, r);
        else
            ln__sbm_take_node(&h, v);
        const double tried = ln__sbm_try(&h, v, r, s), sigma = h.sigma;
        ln__sbm_move(&h, v, r, s);
        for (int32_t u = 0; whole && u < n; u++)
            L->b[u] = L->b[u] == r ? s : L->b[u];
        ln__sbm_stack_save(&h, &t);
        OK(ln__sbm_length(&after, &x->g, &m, &t));
        worst = worse(worst, fabs(tried - (after - before)));
        worst = worse(worst, fabs(h.sigma - sigma - tried));
        worst = worse(worst, fabs(h.sigma - ln__sbm_stack_sigma(&h)));
        before = after;
        if (i % 500 == 499) /* slots without gaps again, so that groups can be born */
            ln__sbm_stack_load(&h, &t, false);
    }
    if (!(worst < 1e-8))
        fail_msg("corrected %d, hyper0 %d: differences are off by %g", corrected, hyper0, worst);
    ln__sbm_stack_free(&h);
    ln__sbm_net_free(&net);
    ln__sbm_tree_free(&t);
    ln__sbm_tables_free(&tables);
}

static void moves_change_what_whole_counts_say(void **state)
{
    (void)state;
    graph multi = golden_graph("multi"), sparse = planted(30, 3, 0.15, 3, 1, 4);
    for (int corrected = 0; corrected < 2; corrected++)
        for (int hyper0 = 0; hyper0 < 2; hyper0++) {
            check_moves(&multi, corrected, hyper0, 2500, 1);
            check_moves(&sparse, corrected, hyper0, 2500, 2);
        }
    graph_free(&multi);
    graph_free(&sparse);
}

/* Merging all groups one after the other ends at the length of one group. */
static void merging_all_gives_one_group(void **state)
{
    (void)state;
    graph x = golden_graph("celegans");
    double want = 0;
    int32_t *one = num_alloc((size_t)x.g.nodes, 4);
    const int32_t *of[] = { one };
    ln_sbm_opts o = LN_SBM_OPTS_INIT;
    o.correction = LN_SBM_CORRECTED;
    OK(ln_sbm_describe(&want, &x.g, of, 1, &o));
    ln__sbm_tables tables = { 0 };
    ln__sbm_tree t = { 0 };
    ln__sbm_net net = { 0 };
    ln__sbm_stack h = { 0 };
    double constant = 0;
    OK(ln__sbm_tables_make(&tables, x.g.nodes, x.g.edges, true, false));
    const ln__sbm_model m = { &tables, true, true, false, x.g.edges, 8819, 0.1 };
    OK(ln__sbm_constant(&constant, &x.g, &m));
    OK(ln__sbm_net_make(&net, x.g.nodes, x.g.edges, x.from, x.to, NULL, x.weight));
    OK(ln__sbm_tree_make(&t, x.g.nodes, 1));
    OK(ln__sbm_stack_make(&h, &m, &net, &t, 0));
    ln__sbm_stack_load(&h, &t, true);
    for (int32_t r = 1; r < x.g.nodes; r++) {
        ln__sbm_take_group(&h, r);
        ln__sbm_move(&h, -1, r, 0);
    }
    assert_int_equal(h.level[0].groups, 1);
    assert_true(fabs(h.sigma + constant - want) < 1e-7);
    ln__sbm_stack_free(&h);
    ln__sbm_net_free(&net);
    ln__sbm_tree_free(&t);
    ln__sbm_tables_free(&tables);
    free(one);
    graph_free(&x);
}

/* ---- fits ---- */

static void the_worm_is_described_as_shortly_as_by_graph_tool(void **state)
{
    (void)state;
    graph x = golden_graph("celegans");
    ln_sbm *s = NULL;
    ln_sbm_opts o = LN_SBM_OPTS_INIT;
    double plain = INFINITY, corrected = INFINITY, length = 0;
    o.compat = o.compat_q = 1;
    OK(ln_sbm_fit(&s, &x.g, &o));
    for (int32_t i = 0; i < o.restarts; i++) {
        assert_true(ln_sbm_restart_length(&length, s, false, i));
        plain = fmin(plain, length);
        print_message("plain %.1f", length);
        assert_true(ln_sbm_restart_length(&length, s, true, i));
        corrected = fmin(corrected, length);
        print_message(", corrected %.1f\n", length);
    }
    assert_true(plain <= 12275);
    assert_true(corrected <= 12330);
    assert_false(ln_sbm_is_corrected(s));
    assert_true(fabs(ln_sbm_length(s) - plain) < 1e-6); /* counted afresh */
    assert_true(ln_sbm_levels(s) >= 2);
    ln_sbm_free(s);
    graph_free(&x);
}

static void weights_alone_can_tell_groups(void **state)
{
    (void)state;
    enum { N = 180 };
    graph x = planted(N, 4, 0.4, 3, 1, 11);
    ln_sbm *s = NULL;
    ln_sbm_opts o = LN_SBM_OPTS_INIT;
    int32_t truth[N], whole[N] = { 0 };
    const int32_t *of[] = { truth, whole };
    double planted_length = 0;
    for (int32_t v = 0; v < N; v++)
        truth[v] = v % 4;
    OK(ln_sbm_describe(&planted_length, &x.g, of, 2, NULL));
    OK(ln_sbm_fit(&s, &x.g, &o));
    const double with = nmi_with_planted(s, N, 4);
    print_message("length %.1f, of the planted groups %.1f\n", ln_sbm_length(s), planted_length);
    assert_true(ln_sbm_length(s) <= planted_length + 1e-6);
    ln_sbm_free(s);
    s = NULL;
    x.g.weight = NULL;
    OK(ln_sbm_fit(&s, &x.g, &o));
    const double without = nmi_with_planted(s, N, 4);
    print_message("NMI with weights %.3f, without %.3f\n", with, without);
    assert_true(with >= 0.95);
    assert_true(without <= 0.1);
    ln_sbm_free(s);
    graph_free(&x);
}

static void same_partitions(const ln_sbm *a, const ln_sbm *b, int32_t nodes)
{
    assert_int_equal(ln_sbm_levels(a), ln_sbm_levels(b));
    for (int32_t l = 0; l < ln_sbm_levels(a); l++)
        assert_memory_equal(ln_sbm_partition(a, l), ln_sbm_partition(b, l), (size_t)nodes * 4);
}

static void unit_of_weights_and_threads_do_not_matter(void **state)
{
    (void)state;
    graph x = planted(60, 3, 0.3, 2, 1, 21);
    ln_sbm *s = NULL, *t = NULL;
    ln_sbm_opts o = LN_SBM_OPTS_INIT;
    o.seed = 3;
    ln_threads_set(1);
    OK(ln_sbm_fit(&s, &x.g, &o));
    ln_threads_set(2);
    OK(ln_sbm_fit(&t, &x.g, &o));
    ln_threads_set(0);
    same_partitions(s, t, 60);
    assert_true(ln_sbm_length(s) == ln_sbm_length(t));
    ln_sbm_free(t);
    t = NULL;
    for (int64_t i = 0; i < x.g.edges; i++)
        x.weight[i] *= 1024; /* exact, so that rounding takes the same turns */
    OK(ln_sbm_fit(&t, &x.g, &o));
    same_partitions(s, t, 60);
    const double shift = ln_sbm_length(t) - ln_sbm_length(s);
    assert_true(fabs(shift - (double)(x.g.edges - 1) * log(1024)) < 1e-6);
    ln_sbm_free(s);
    ln_sbm_free(t);
    graph_free(&x);
}

static void odd_graphs_are_fitted(void **state)
{
    (void)state;
    static const int32_t from[] = { 0, 0, 1, 1 }, to[] = { 1, 1, 1, 0 };
    const double w[] = { 1, 2, 3, 4 };
    ln_sbm *s = NULL;
    ln_sbm_opts o = LN_SBM_OPTS_INIT;
    for (int32_t nodes = 2; nodes < 9; nodes += 3) /* parallel edges, a loop, nodes without edges */
        for (int nested = 0; nested < 2; nested++)
            for (int mirror = 0; mirror < 2; mirror++) {
                const ln_sbm_graph g = { nodes, 4, from, to, w };
                o.nested = nested;
                o.mirror = mirror;
                OK(ln_sbm_fit(&s, &g, &o));
                assert_true(isfinite(ln_sbm_length(s)) && ln_sbm_levels(s) >= 1);
                ln_sbm_free(s);
                s = NULL;
            }
    const ln_sbm_graph loop = { 1, 1, from, from, w };
    OK(ln_sbm_fit(&s, &loop, NULL));
    assert_int_equal(ln_sbm_groups(s, 0), 1);
    ln_sbm_free(s);
}

static int stop_at_once(void *payload, const char *stage, int64_t done, int64_t total)
{
    (void)payload, (void)stage, (void)done, (void)total;
    return 1;
}

static void refusals_name_the_culprit(void **state)
{
    (void)state;
    int32_t from[] = { 0, 1 }, to[] = { 1, 2 };
    double w[] = { 1, 2 };
    ln_sbm_graph g = { 3, 2, from, to, w };
    ln_sbm *s = NULL;
    ln_sbm_opts o = LN_SBM_OPTS_INIT;
    double x = 0;
    w[1] = 0;
    assert_fails(ln_sbm_fit(&s, &g, NULL), LN_ERR_NUMERIC, "edge 1 has weight 0");
    w[1] = NAN;
    assert_fails(ln_sbm_fit(&s, &g, NULL), LN_ERR_NUMERIC, "edge 1");
    w[1] = 2;
    to[1] = 3;
    assert_fails(ln_sbm_fit(&s, &g, NULL), LN_ERR_RANGE, "edge 1 joins 1 and 3");
    to[1] = 2;
    g.edges = 0;
    assert_fails(ln_sbm_fit(&s, &g, NULL), LN_ERR_SHAPE, "0 edges");
    g.edges = 2;
    g.nodes = 5000;
    assert_fails(ln_sbm_fit(&s, &g, NULL), LN_ERR_UNSUPPORTED, "5000 nodes");
    g.nodes = 3;
    o.restarts = 0;
    assert_fails(ln_sbm_fit(&s, &g, &o), LN_ERR_RANGE, "restarts");
    o.restarts = 1;
    o.progress = stop_at_once;
    assert_fails(ln_sbm_fit(&s, &g, &o), LN_ERR_CANCELLED, "cancelled");
    static const int32_t fine[] = { 0, 0, 1 }, torn[] = { 0, 1, 1 }, gap[] = { 0, 2, 2 };
    const int32_t *bad[] = { fine, torn }, *gaps[] = { gap };
    assert_fails(ln_sbm_describe(&x, &g, bad, 2, NULL), LN_ERR_ARG, "splits group 0");
    assert_fails(ln_sbm_describe(&x, &g, gaps, 1, NULL), LN_ERR_ARG, "group 1 of 3");
    assert_null(s);
}

static ln_status fit_once(void *ctx)
{
    ln_sbm *s = NULL;
    ln_sbm_opts o = LN_SBM_OPTS_INIT;
    o.restarts = 1;
    o.mirror = 1;
    const ln_status st = ln_sbm_fit(&s, &((const graph *)ctx)->g, &o);
    if (st != LN_OK)
        assert_null(s);
    ln_sbm_free(s);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    graph x = planted(8, 2, 0.6, 2, 1, 3);
    ln_threads_set(1);
    torture(fit_once, &x);
    ln_threads_set(0);
    graph_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factorials_and_partitions_are_counted),
        cmocka_unit_test(nmi_is_what_it_should_be),
        cmocka_unit_test(lengths_are_those_of_graph_tool),
        cmocka_unit_test(moves_change_what_whole_counts_say),
        cmocka_unit_test(merging_all_gives_one_group),
        cmocka_unit_test(the_worm_is_described_as_shortly_as_by_graph_tool),
        cmocka_unit_test(weights_alone_can_tell_groups),
        cmocka_unit_test(unit_of_weights_and_threads_do_not_matter),
        cmocka_unit_test(odd_graphs_are_fitted),
        cmocka_unit_test(refusals_name_the_culprit),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("sbm", tests, NULL, NULL);
}
