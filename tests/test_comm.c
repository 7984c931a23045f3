/* room: core */
/* test_comm.c - sums, broadcasts and meetings of 1 … 7 ranks: right, equal on all, along a tree of the stated shape;
 * failures heard by all; a rank that leaves is noticed. The network is ranks.h; tests/mpi runs the command over MPI. */
#include "core_test.h"

#include <math.h>

#include "ranks.h"

enum { MOST = (1 << 20) + 3 }; /* more than a piece of f32 */

typedef struct job {
    ln_dtype dt;
    int64_t n;
    void *x;
    int32_t from;
    ln_status bring;
    const char *say;
    double sum[2], most[4];
} job;

/* Number i of rank r: no two sums of it in another order need agree. */
static double value(int r, int64_t i)
{
    return sin((double)(i * 7 + r * 1000003)) * pow(10, r % 3);
}

static void fill(job *j, int r)
{
    for (int64_t i = 0; i < j->n; i++)
        if (j->dt == LN_F64)
            ((double *)j->x)[i] = value(r, i);
        else
            ((float *)j->x)[i] = (float)value(r, i);
}

static ln_status add_up(void *ctx, ln_comm *c)
{
    const job *j = ctx;
    return ln_comm_sum(c, j->dt, j->x, j->n);
}

/* What the tree makes of it: ranks beyond a power of two first, then the halves with the highest bit first. */
static float f32_tree(int size, int64_t i)
{
    float x[MOST_RANKS];
    int power = 1;
    while (power * 2 <= size)
        power *= 2;
    for (int r = 0; r < power; r++)
        x[r] = (float)value(r, i);
    for (int r = power; r < size; r++)
        x[r - power] += (float)value(r, i);
    for (int half = power / 2; half > 0; half /= 2)
        for (int r = 0; r < half; r++)
            x[r] += x[r + half];
    return x[0];
}

static void check_sum(network *net, ln_dtype dt, int64_t n)
{
    job jobs[MOST_RANKS] = { 0 };
    void *ctx[MOST_RANKS] = { NULL };
    const size_t bytes = ln_dtype_bytes(dt, n);
    for (int r = 0; r < net->size; r++) {
        jobs[r] = (job){ .dt = dt, .n = n, .x = malloc(bytes + 1) };
        fill(&jobs[r], r);
        ctx[r] = &jobs[r];
    }
    network_run(net, add_up, ctx);
    for (int r = 0; r < net->size; r++) {
        assert_int_equal(net->seat[r].st, LN_OK);
        assert_memory_equal(jobs[r].x, jobs[0].x, bytes);
    }
    for (int64_t i = 0; i < n; i++) {
        double want = 0, size = 0;
        for (int r = 0; r < net->size; r++) {
            want += value(r, i);
            size += fabs(value(r, i));
        }
        const double got = dt == LN_F64 ? ((double *)jobs[0].x)[i] : (double)((float *)jobs[0].x)[i];
        assert_true(fabs(got - want) <= size * (dt == LN_F64 ? 1e-15 : 1e-6));
        if (dt == LN_F32)
            assert_true(((float *)jobs[0].x)[i] == f32_tree(net->size, i));
    }
    for (int r = 0; r < net->size; r++)
        free(jobs[r].x);
}

static void test_sums(UNUSED void **s)
{
    static const int64_t lengths[] = { 0, 1, 2, 3, 5, 8, 1000, 4099 };
    for (int size = 1; size <= 7; size++) {
        network *net = network_new(size);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            check_sum(net, LN_F32, lengths[i]);
            check_sum(net, LN_F64, lengths[i]);
        }
        network_free(net);
    }
    network *net = network_new(3); /* several pieces, with a helper */
    check_sum(net, LN_F32, MOST);
    check_sum(net, LN_F64, MOST);
    network_free(net);
}

static ln_status spread(void *ctx, ln_comm *c)
{
    const job *j = ctx;
    return j->from == 0 ? ln_comm_broadcast(c, j->x, (size_t)j->n) : ln__comm_spread(c, j->from, j->x, (size_t)j->n);
}

static void test_broadcast(UNUSED void **s)
{
    static const int64_t lengths[] = { 0, 1, 77, 5 * (1 << 20) + 1 };
    for (int size = 1; size <= 7; size++) {
        network *net = network_new(size);
        for (int k = 0; k < 4 * size; k++) {
            job jobs[MOST_RANKS];
            void *ctx[MOST_RANKS] = { NULL };
            const int64_t n = lengths[k % (size == 3 ? 4 : 3)];
            const int32_t from = k % size;
            for (int r = 0; r < size; r++) {
                jobs[r] = (job){ .n = n, .x = malloc((size_t)n + 1), .from = from };
                memset(jobs[r].x, r + 1, (size_t)n + 1);
                ctx[r] = &jobs[r];
            }
            network_run(net, spread, ctx);
            for (int r = 0; r < size; r++) {
                const unsigned char *x = jobs[r].x;
                assert_int_equal(net->seat[r].st, LN_OK);
                for (int64_t i = 0; i < n; i++)
                    assert_int_equal(x[i], from + 1);
                assert_int_equal(x[n], r + 1);
                free(jobs[r].x);
            }
        }
        network_free(net);
    }
}

static ln_status meet(void *ctx, ln_comm *c)
{
    job *j = ctx;
    const ln_status mine = j->bring == LN_OK ? LN_OK : ln__fail(j->bring, "%s", j->say);
    return ln__comm_join(c, mine, j->sum, 2, j->most, 4);
}

static void test_meetings(UNUSED void **s)
{
    for (int size = 2; size <= 5; size++) {
        network *net = network_new(size);
        job jobs[MOST_RANKS];
        void *ctx[MOST_RANKS] = { NULL };
        for (int fails = 0; fails < 4; fails++) {
            for (int r = 0; r < size; r++) {
                jobs[r] = (job){ .sum = { r + 0.5, NAN }, .most = { -r, r, 0x1p52 + r, -1 } };
                jobs[r].sum[1] = 1;
                if ((fails == 1 && r == size - 1) || (fails == 2 && r > 0 && size > 2) || fails == 3) {
                    jobs[r].bring = fails == 2 && r > 1 ? LN_ERR_IO : LN_ERR_FORMAT;
                    jobs[r].say = r == 0 ? "zero" : r == 1 ? "one" : "more";
                }
                ctx[r] = &jobs[r];
            }
            network_run(net, meet, ctx);
            const bool well = fails == 0 || (fails == 2 && size == 2);
            char want[32];
            snprintf(want, sizeof want, "rank %d: %s", fails == 1 ? size - 1 : 1,
                     fails == 1 && size > 2 ? "more" : "one");
            for (int r = 0; r < size; r++) {
                assert_int_equal(net->seat[r].st, well ? LN_OK : LN_ERR_FORMAT);
                assert_string_equal(net->seat[r].message, well ? "" : fails == 3 ? "zero" : want);
                assert_true(jobs[r].sum[0] == (well ? size * size / 2.0 : r + 0.5)); /* untouched by failure */
                assert_true(jobs[r].sum[1] == (well ? size : 1));
                assert_true(jobs[r].most[0] == (well ? 0 : -r) && jobs[r].most[1] == (well ? size - 1 : r));
                assert_true(jobs[r].most[2] == 0x1p52 + (well ? size - 1 : r) && jobs[r].most[3] == -1);
            }
        }
        network_free(net);
    }
}

static ln_status one_leaves(UNUSED void *ctx, ln_comm *c)
{
    ln_status st = LN_OK;
    float x[9] = { 1 };
    LN_TRY(ln_comm_agree(c, LN_OK));
    if (ln_comm_rank(c) == 1)
        return LN_OK;
    st = ln_comm_sum(c, LN_F32, x, 9);
    if (st != LN_ERR_IO || !ln_comm_broken(c))
        return LN_ERR_RELATION;
    if (ln_comm_broadcast(c, x, sizeof x) != LN_ERR_IO || ln_comm_agree(c, LN_OK) != LN_ERR_IO)
        return LN_ERR_RELATION;
    st = ln_comm_agree(c, ln__fail(LN_ERR_FORMAT, "mine")); /* its own reason comes first */
    return st == LN_ERR_FORMAT ? LN_OK : LN_ERR_RELATION;
done:
    return st;
}

static void test_a_rank_that_leaves(UNUSED void **s)
{
    network *net = network_new(2);
    void *ctx[2] = { NULL, NULL };
    network_run(net, one_leaves, ctx);
    assert_int_equal(net->seat[0].st, LN_OK);
    assert_int_equal(net->seat[1].st, LN_OK);
    network_free(net);
}

static void test_alone(UNUSED void **s)
{
    double x[2] = { 1, 2 }, sum = 3, most = 4;
    ln_comm *c = NULL;
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("PMI_SIZE");
    assert_int_equal(ln_comm_launched(), 1);
    assert_ok(ln_comm_world(&c));
    for (int k = 0; k < 2; k++) {
        ln_comm *const g = k == 0 ? c : NULL;
        assert_int_equal(ln_comm_rank(g), 0);
        assert_int_equal(ln_comm_size(g), 1);
        assert_ok(ln_comm_sum(g, LN_F64, x, 2));
        assert_ok(ln_comm_broadcast(g, x, sizeof x));
        assert_ok(ln__comm_join(g, LN_OK, &sum, 1, &most, 1));
        assert_true(x[0] == 1 && x[1] == 2 && sum == 3 && most == 4);
        assert_fails(ln_comm_agree(g, ln__fail(LN_ERR_SHAPE, "why")), LN_ERR_SHAPE, "why");
        assert_false(ln_comm_broken(g));
    }
    ln_comm_free(c);
    c = NULL;
    if (!ln_comm_has_mpi()) {
        setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
        assert_int_equal(ln_comm_launched(), 2);
        assert_fails(ln_comm_world(&c), LN_ERR_UNSUPPORTED,
                     "one of 2 processes, but this linnet was built without MPI");
        assert_null(c);
        unsetenv("OMPI_COMM_WORLD_SIZE");
    }
}

static void test_bad_arguments(UNUSED void **s)
{
    ln_comm *c = NULL;
    int32_t whole[2] = { 0, 0 };
    assert_fails(ln_comm_new(NULL, 0, 1, NULL, NULL), LN_ERR_ARG, "NULL");
    assert_fails(ln_comm_new(&c, 0, 2, NULL, NULL), LN_ERR_ARG, "NULL");
    assert_fails(ln_comm_new(&c, 2, 2, mail, NULL), LN_ERR_RANGE, "rank 2 of 2");
    assert_fails(ln_comm_new(&c, -1, 2, mail, NULL), LN_ERR_RANGE, "rank -1");
    assert_fails(ln_comm_world(NULL), LN_ERR_ARG, "NULL");
    assert_fails(ln_comm_sum(NULL, LN_I32, whole, 2), LN_ERR_DTYPE, "f32 or f64");
    assert_fails(ln_comm_sum(NULL, LN_F32, NULL, 2), LN_ERR_ARG, "2 numbers");
    assert_fails(ln_comm_sum(NULL, LN_F32, whole, -1), LN_ERR_ARG, "-1 numbers");
    assert_fails(ln_comm_broadcast(NULL, NULL, 1), LN_ERR_ARG, "NULL");
    assert_null(c);
}

static ln_status make(UNUSED void *ctx)
{
    ln_comm *c = NULL;
    const ln_status st = ln_comm_new(&c, 1, 3, mail, NULL);
    if (st != LN_OK)
        assert_null(c);
    ln_comm_free(c);
    return st;
}

static void test_torture(UNUSED void **s)
{
    torture(make, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),     cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_meetings), cmocka_unit_test(test_a_rank_that_leaves),
        cmocka_unit_test(test_alone),    cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
