/* room: grad */
/* test_golden_ops.c - operations and their gradients against PyTorch (golden/torch_ops.py), in f64 and f32, at every
 * CPU level of this machine. The cases are in golden_ops.def. */
#include "golden_fixture.h"

enum { INPUTS = 8, RESULTS = 4 };

static ln_var *svd_of(ln_tape *t, ln_var *x, ln_var **y) /* what does not depend on the signs of the vectors */
{
    ln_var *u, *vt;
    ln_svd(t, x, &u, &y[1], &vt);
    y[0] = ln_square(t, u);
    y[2] = ln_square(t, vt);
    y[3] = ln_matmul(t, u, vt, 0, 0);
    return y[0];
}

static ln_var *attend(ln_tape *t, ln_var **x, int causal, int64_t window, double scale, int alibi)
{
    ln_attention_opts o = LN_ATTENTION_OPTS_INIT;
    o.causal = causal;
    o.window = window;
    o.scale = scale;
    o.alibi = alibi;
    return ln_attention(t, x[0], x[1], x[2], &o);
}

static ln_var *entropy(ln_tape *t, ln_var *x, ln_var *targets, int32_t ignore, double smoothing, double z)
{
    ln_cross_entropy_opts o = LN_CROSS_ENTROPY_OPTS_INIT;
    o.ignore = ignore;
    o.smoothing = smoothing;
    o.z = z;
    return ln_cross_entropy(t, x, targets, &o);
}

static ln_var *linear_entropy(ln_tape *t, ln_var *x, ln_var *w, ln_var *targets, double smoothing)
{
    ln_cross_entropy_opts o = LN_CROSS_ENTROPY_OPTS_INIT;
    o.smoothing = smoothing;
    return ln_linear_cross_entropy(t, x, w, targets, &o);
}

static ln_var *ctc(ln_tape *t, ln_var **x, ln_ctc_opts o)
{
    return ln_ctc(t, ln_log_softmax(t, x[0]), x[1], x[2], x[3], &o);
}

#define GOLDEN(name, expression) MANY(name, y[0] = expression)
#define EACH(name, expression) MANY(name, y[0] = expression)
#define MANY(name, ...)                                                                                                \
    static void build_##name(ln_tape *t, ln_var **x, ln_var **y)                                                       \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        __VA_ARGS__;                                                                                                   \
    }
#include "golden_ops.def"
#undef GOLDEN
#undef EACH
#undef MANY

typedef struct golden_case {
    const char *name;
    void (*build)(ln_tape *t, ln_var **x, ln_var **y);
    bool each;
} golden_case;

#define GOLDEN(name, ...) { #name, build_##name, false },
#define EACH(name, ...) { #name, build_##name, true },
#define MANY(name, ...) { #name, build_##name, false },
static const golden_case cases[] = {
#include "golden_ops.def"
};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- one case ---- */

static int failures; /* all are told before the test fails */

/* A variable (or a gradient, when `grad`) has the shape and the numbers of a tensor, which is released. */
static void compare(const golden_case *c, const ln_var *v, ln_tensor *want, char letter, int i, double tolerance)
{
    char what[128];
    double raw[1024];
    const int64_t n = ln_var_count(v);
    snprintf(what, sizeof what, "%s, %s: %s.%c%d", ln_dtype_name(ln_var_dtype(v)), golden_levels[ln__k()->level],
             c->name, letter, i);
    assert_true(n <= 1024);
    if (ln_var_ndim(v) != ln_tensor_ndim(want))
        fail_msg("%s: %d dimensions, expected %d", what, ln_var_ndim(v), ln_tensor_ndim(want));
    for (int d = 0; d < ln_var_ndim(v); d++)
        if (ln_var_dim(v, d) != ln_tensor_dim(want, d))
            fail_msg("%s: dimension %d is %lld, expected %lld", what, d, (long long)ln_var_dim(v, d),
                     (long long)ln_tensor_dim(want, d));
    if (letter == 'y')
        OK(ln_var_read(v, raw));
    else if (ln_var_grad(v) == NULL)
        memset(raw, 0, sizeof raw); /* no gradient arrived: zeros in the file */
    else
        memcpy(raw, ln_var_grad(v), ln_dtype_bytes(ln_var_dtype(v), n));
    double *got = golden_numbers(raw, ln_var_dtype(v), n);
    double *expected = golden_numbers(ln_tensor_cdata(want), ln_tensor_dtype(want), n);
    const bool each = c->each && ln_var_dtype(v) == LN_F64; /* in f32 the far ends vanish */
    failures += !golden_close(got, expected, n, tolerance, each, what);
    free(got);
    free(expected);
    ln_tensor_release(want);
}

/* sum_k sum_i s(i + 5 k) y_k[i] over the float results; NULL when there is none with a gradient. */
static ln_var *loss_of(ln_tape *t, ln_var *const *y, int n)
{
    ln_var *loss = NULL;
    for (int k = 0; k < n; k++) {
        int64_t dims[LN_MAX_DIMS];
        double s[1024];
        float single[1024];
        if (!ln_var_wants_grad(y[k]))
            continue;
        assert_true(ln_var_count(y[k]) <= 1024);
        for (int64_t i = 0; i < ln_var_count(y[k]); i++)
            single[i] = (float)(s[i] = op_number(i + 5 * k));
        for (int d = 0; d < ln_var_ndim(y[k]); d++)
            dims[d] = ln_var_dim(y[k], d);
        const bool f64 = ln_var_dtype(y[k]) == LN_F64;
        ln_var *w = ln_input(t, ln_var_dtype(y[k]), ln_var_ndim(y[k]), dims, f64 ? (const void *)s : single);
        ln_var *part = ln_sum(t, ln_mul(t, w, y[k]), LN_ALL, 0);
        loss = loss ? ln_add(t, loss, part) : part;
    }
    return loss;
}

static bool used[256]; /* operations that some case has noted */

static void note_operations(const ln_tape *t)
{
    const ln__op *const *ops = ln__ops();
    for (int64_t i = 0; i < t->nodes; i++)
        for (int k = 0; ops[k]; k++)
            used[k] = used[k] || t->node[i].op == ops[k];
}

/* How many tensors of the file the case accounts for. */
static int64_t check_case(const golden_case *c, const ln_archive *a, ln_dtype dt, double tolerance)
{
    ln_tape *t = op_tape();
    ln_var *x[INPUTS + 1] = { NULL }, *y[RESULTS + 1] = { NULL };
    ln_tensor *part;
    int nx = 0, ny = 0;
    int64_t seen = 0;
    for (; nx < INPUTS && (part = golden_part(a, c->name, 'x', nx)) != NULL; nx++) {
        ln_tensor *gradient = golden_part(a, c->name, 'd', nx);
        x[nx] = golden_var(t, part, dt, gradient != NULL);
        ln_tensor_release(gradient);
        ln_tensor_release(part);
    }
    if (nx == 0)
        fail_msg("%s is not in the golden file", c->name);
    c->build(t, x, y);
    OK(ln_tape_status(t));
    while (ny < RESULTS && y[ny])
        ny++;
    note_operations(t);
    ln_var *loss = loss_of(t, y, ny);
    for (int k = 0; k < ny; k++) {
        part = golden_part(a, c->name, 'y', k);
        if (part == NULL)
            fail_msg("%s has no result %d in the golden file", c->name, k);
        compare(c, y[k], part, 'y', k, tolerance);
    }
    if (loss)
        OK(ln_backward(t, loss));
    for (int i = 0; i < nx; i++)
        if ((part = golden_part(a, c->name, 'd', i)) != NULL) {
            assert_non_null(loss);
            compare(c, x[i], part, 'd', i, tolerance);
            seen++;
        }
    ln_tape_free(t);
    return seen + nx + ny;
}

/* ---- tests ---- */

/* Drawn at random, or through a frozen operator: no counterpart there. Their own tests hold them to the rest. */
static const char *const elsewhere[] = { "dropout",       "bernoulli_st", "gumbel_softmax",      "apply_linop",
                                         "masked_linear", "lora_linear",  "linop_cross_entropy", "hard_concrete" };

static bool is_elsewhere(const char *name)
{
    bool is = false;
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        is = is || strcmp(name, elsewhere[i]) == 0;
    return is;
}

static void check_all(ln_dtype dt, double tolerance)
{
    failures = 0;
    ln_archive *a = golden_file("torch_ops.safetensors");
    const char *only = getenv("LINNET_OP"); /* one case by name, for work on it */
    for (size_t l = 0; l < sizeof golden_levels / sizeof *golden_levels; l++) {
        int64_t seen = 0;
        if (ln__cpu_force(golden_levels[l]) != LN_OK)
            continue;
        for (int i = 0; i < CASES; i++)
            if (only == NULL || strcmp(only, cases[i].name) == 0)
                seen += check_case(&cases[i], a, dt, tolerance);
        if (only == NULL && seen != ln_archive_count(a))
            fail_msg("the cases take %lld of the file's %lld arrays", (long long)seen, (long long)ln_archive_count(a));
    }
    OK(ln__cpu_force("auto"));
    ln_archive_release(a);
    assert_int_equal(failures, 0);
}

static void test_f64(void **state)
{
    (void)state;
    check_all(LN_F64, 1e-12);
}

static void test_f32(void **state)
{
    (void)state;
    check_all(LN_F32, 1e-5);
}

static void test_cases(void **state)
{
    (void)state;
    ln_archive *a = golden_file("torch_ops.safetensors");
    assert_true(CASES >= 60);
    for (int64_t i = 0; i < ln_archive_count(a); i++) {
        const char *name = ln_archive_name(a, i);
        const size_t n = strcspn(name, ".");
        int found = 0;
        for (int k = 0; k < CASES; k++)
            found += strlen(cases[k].name) == n && strncmp(cases[k].name, name, n) == 0;
        if (found != 1)
            fail_msg("%.*s stands %d times in golden_ops.def, expected once", (int)n, name, found);
    }
    ln_archive_release(a);
}

static void test_coverage(void **state)
{
    (void)state;
    for (int k = 0; getenv("LINNET_OP") == NULL && ln__ops()[k]; k++) {
        const ln__op *op = ln__ops()[k];
        if (!(op->flags & LN__OP_CONSTANT) && used[k] == is_elsewhere(op->name)) /* constants leave no note */
            fail_msg("%s: %s", op->name, used[k] ? "listed as having no case" : "no case uses it");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_f64),
        cmocka_unit_test(test_f32),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
