/* room: core */
/* The pool: every item once, the same chunks for any number of threads, nested and forked regions, how many CPUs. */
#include "core_test.h"

#include <cblas.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "core/cpus.h"
#include "core/threads.h"

typedef struct tally {
    atomic_uchar *seen;
    int64_t n, chunk;
    atomic_int wrong, calls;
} tally;

static void count_items(void *ctx, int64_t begin, int64_t end)
{
    tally *t = ctx;
    const bool last = end == t->n;
    if (begin % t->chunk || begin >= end || (!last && end - begin != t->chunk) || end - begin > t->chunk)
        atomic_fetch_add(&t->wrong, 1);
    if (ln__thread_index() < 0 || ln__thread_index() >= ln_threads())
        atomic_fetch_add(&t->wrong, 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&t->seen[i], 1);
    atomic_fetch_add(&t->calls, 1);
}

static void every_item_once_in_fixed_chunks(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 0, 1, 2, 7, 64, 1000, 1001 }, chunks[] = { 1, 2, 3, 64, 1001, INT64_MAX };
    static atomic_uchar seen[1001];
    for (int threads = 1; threads <= 4; threads++) {
        ln_threads_set(threads);
        for (int64_t s = 0; s < LN_COUNT(sizes); s++)
            for (int64_t c = 0; c < LN_COUNT(chunks); c++) {
                tally t = { .seen = seen, .n = sizes[s], .chunk = chunks[c] };
                memset(seen, 0, sizeof seen);
                ln__parallel_for(t.n, t.chunk, count_items, &t);
                assert_int_equal(t.wrong, 0);
                assert_int_equal(t.calls, t.n / t.chunk + (t.n % t.chunk != 0));
                for (int64_t i = 0; i < 1001; i++)
                    assert_int_equal(seen[i], i < t.n);
            }
    }
    ln_threads_set(0);
}

static void nonsense_is_harmless(void **state)
{
    (void)state;
    static atomic_uchar seen[10];
    tally t = { .seen = seen, .n = 10, .chunk = 1 };
    ln__parallel_for(-5, 1, count_items, &t);
    assert_int_equal(t.calls, 0);
    ln__parallel_for(10, 0, count_items, &t); /* a chunk of 0 counts as 1 */
    ln__parallel_for(10, -3, count_items, &t);
    assert_int_equal(t.calls, 20);
    assert_int_equal(t.wrong, 0);
}

static void on_two_threads(void *ctx, int64_t begin, int64_t end)
{
    (void)end;
    atomic_int *arrived = ctx;
    atomic_fetch_add(arrived, 1);
    for (int64_t spins = 0; atomic_load(arrived) < 2 && spins < INT64_C(20000000000); spins++)
        continue; /* both chunks must be running at the same time to get out of here */
    (void)begin;
}

static void two_threads_really_run(void **state)
{
    (void)state;
    atomic_int arrived = 0;
    ln_threads_set(2);
    ln__parallel_for(2, 1, on_two_threads, &arrived);
    assert_int_equal(arrived, 2);
    ln_threads_set(0);
}

static void nested(void *ctx, int64_t begin, int64_t end)
{
    static const int64_t inner = 20;
    tally *t = ctx;
    const int here = ln__thread_index();
    for (int64_t i = begin; i < end; i++) {
        tally own = { .seen = t->seen + i * inner, .n = inner, .chunk = 3 };
        ln__parallel_for(inner, 3, count_items, &own);
        if (ln__thread_index() != here || omp_get_level() != 1)
            atomic_fetch_add(&t->wrong, 1);
        float a[4] = { 1, 2, 3, 4 }, c[4];
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 2, 2, 2, 1, a, 2, a, 2, 0, c, 2);
        if (c[0] != 7 || c[3] != 22)
            atomic_fetch_add(&t->wrong, 1);
    }
}

static void inner_regions_run_in_place(void **state)
{
    (void)state;
    static atomic_uchar seen[30 * 20];
    tally t = { .seen = seen };
    ln_threads_set(2);
    ln__parallel_for(30, 1, nested, &t);
    ln_threads_set(0);
    assert_int_equal(t.wrong, 0);
    for (int i = 0; i < 600; i++)
        assert_int_equal(seen[i], 1);
}

/* Puts a variable back; `before` is what getenv gave, copied. The OpenMP runtime reads its own again after a fork. */
static void restore(const char *name, char *before)
{
    if (before)
        assert_int_equal(setenv(name, before, 1), 0);
    else
        assert_int_equal(unsetenv(name), 0);
    ln__free(before);
}

static char *copy_of(const char *name)
{
    char *copy = NULL;
    const char *value = getenv(name);
    if (value)
        assert_int_equal(ln__strdup(&copy, value), LN_OK);
    return copy;
}

static void explicit_count_beats_environment(void **state)
{
    (void)state;
    char *ours = copy_of("LINNET_THREADS"), *omp = copy_of("OMP_NUM_THREADS");
    ln_threads_set(3);
    assert_int_equal(ln_threads(), 3);
    setenv("LINNET_THREADS", "5", 1);
    assert_int_equal(ln_threads(), 3);
    setenv("OMP_NUM_THREADS", "7,2", 1);
    ln_threads_set(0);
    assert_int_equal(ln_threads(), 5);
    setenv("LINNET_THREADS", "", 1);
    ln_threads_set(0);
    assert_int_equal(ln_threads(), 7);
    setenv("LINNET_THREADS", "many", 1);
    ln_threads_set(-1);
    assert_int_equal(ln_threads(), 7);
    setenv("LINNET_THREADS", "999999999999", 1);
    ln_threads_set(0);
    assert_in_range(ln_threads(), 8, 1024);
    unsetenv("LINNET_THREADS");
    unsetenv("OMP_NUM_THREADS");
    ln_threads_set(0);
    assert_int_equal(ln_threads(), ln__usable_cpus());
    assert_true(ln_threads() >= 1);
    restore("LINNET_THREADS", ours);
    restore("OMP_NUM_THREADS", omp);
    ln_threads_set(0);
}

static void put_file(const char *name, const char *text)
{
    char path[700];
    snprintf(path, sizeof path, "mkdir -p \"$(dirname '%s/%s')\"", scratch_dir, name);
    assert_int_equal(system(path), 0);
    write_bytes(scratch(name), text, strlen(text));
}

static void quota_is_read_from_both_kinds_of_cgroup(void **state)
{
    (void)state;
    char root[600];
    snprintf(root, sizeof root, "%s/v2", scratch_dir);
    assert_int_equal(ln__cgroup_cpus(root), 0); /* no such file: no quota */
    put_file("v2/proc/self/cgroup", "0::/user/job\n");
    assert_int_equal(ln__cgroup_cpus(root), 0);
    put_file("v2/sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
    assert_int_equal(ln__cgroup_cpus(root), 0);
    put_file("v2/sys/fs/cgroup/cpu.max", "900000 100000\n");
    assert_int_equal(ln__cgroup_cpus(root), 9);
    put_file("v2/sys/fs/cgroup/user/cpu.max", "250000 100000\n"); /* 2.5 CPUs; the tightest counts */
    assert_int_equal(ln__cgroup_cpus(root), 3);
    put_file("v2/sys/fs/cgroup/user/job/cpu.max", "nonsense\n");
    assert_int_equal(ln__cgroup_cpus(root), 3);
    put_file("v2/sys/fs/cgroup/user/job/cpu.max", "50000 100000\n");
    assert_int_equal(ln__cgroup_cpus(root), 1);

    snprintf(root, sizeof root, "%s/v1", scratch_dir);
    put_file("v1/proc/self/cgroup", "11:memory:/other\n4:cpuset:/x\n3:cpu,cpuacct:/docker/abc\n0::/\n");
    put_file("v1/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
    put_file("v1/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    assert_int_equal(ln__cgroup_cpus(root), 0);
    put_file("v1/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n"); /* inside a container only the root shows */
    put_file("v1/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_int_equal(ln__cgroup_cpus(root), 4);
}

static void add_up(void *ctx, int64_t begin, int64_t end)
{
    double *x = ctx;
    for (int64_t i = begin; i < end; i++)
        x[i] += (double)i;
}

/* Products large enough for OpenBLAS to want threads. */
static void multiply(void)
{
    enum { N = 300 };
    static float a[N * N], b[N * N], c[N * N];
    for (int i = 0; i < N * N; i++) {
        a[i] = 1;
        b[i] = 2;
    }
    const int before = ln__blas_enter();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, b, N, 0, c, N);
    ln__blas_leave(before);
    if (c[0] != 2 * N || c[N * N - 1] != 2 * N)
        _exit(9);
}

static void a_forked_child_does_not_hang(void **state)
{
    (void)state;
    static double x[100000];
    ln_threads_set(2);
    ln__parallel_for(100000, 100, add_up, x);
    multiply();
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        if (ln_threads() != 1)
            _exit(2);
        ln__parallel_for(100000, 100, add_up, x);
        for (int64_t i = 0; i < 100000; i++)
            if (x[i] != 2.0 * (double)i)
                _exit(3);
        multiply();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(ln_threads(), 2); /* the parent keeps its threads */
    ln__parallel_for(100000, 100, add_up, x);
    ln_threads_set(0);
}

static void blas_setting_of_the_host_is_restored(void **state)
{
    (void)state;
    omp_set_num_threads(3);
    ln_threads_set(2);
    const int before = ln__blas_enter();
    assert_int_equal(omp_get_max_threads(), 2);
    ln__blas_leave(before);
    assert_int_equal(omp_get_max_threads(), 3);
    ln_threads_set(0);
}

static void *from_a_host_thread(void *ctx)
{
    tally *t = ctx;
    for (int i = 0; i < 50; i++)
        ln__parallel_for(t->n, t->chunk, count_items, t);
    return NULL;
}

static void host_threads_may_call_at_the_same_time(void **state)
{
    (void)state;
    static atomic_uchar seen[2][500];
    tally t[2] = { { .seen = seen[0], .n = 500, .chunk = 7 }, { .seen = seen[1], .n = 500, .chunk = 11 } };
    pthread_t host[2];
    ln_threads_set(2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&host[i], NULL, from_a_host_thread, &t[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(host[i], NULL);
    for (int i = 0; i < 500; i++)
        assert_true(seen[0][i] == 50 && seen[1][i] == 50);
    assert_int_equal(t[0].wrong + t[1].wrong, 0);
    ln_threads_set(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once_in_fixed_chunks),
        cmocka_unit_test(nonsense_is_harmless),
        cmocka_unit_test(two_threads_really_run),
        cmocka_unit_test(inner_regions_run_in_place),
        cmocka_unit_test(explicit_count_beats_environment),
        cmocka_unit_test(quota_is_read_from_both_kinds_of_cgroup),
        cmocka_unit_test(a_forked_child_does_not_hang),
        cmocka_unit_test(blas_setting_of_the_host_is_restored),
        cmocka_unit_test(host_threads_may_call_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
