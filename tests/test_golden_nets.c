/* room: model */
/* test_golden_nets.c - networks trained for some steps against PyTorch (golden/torch_nets.py): losses on the way and
 * weights at the end, by SGD and AdamW with clipping, in f64 and f32, at every CPU level of this machine. */
#include "golden_fixture.h"
#include "tape_fixture.h"

#include <linnet/train.h>

typedef struct net_data {
    const ln_archive *a;
    const ln_weights *w;
    ln_dtype dt;
    ln_tensor *x, *targets;
    void *mean, *var;      /* of batch norm, of type dt */
    ln__tape_model *model; /* gpt */
} net_data;

static ln_var *weight(const net_data *d, const char *name)
{
    ln_var *v = ln_weights_var(d->w, name);
    if (v == NULL)
        fail_msg("no weight %s", name);
    return v;
}

/* ---- the networks ---- */

static ln_var *mlp(ln_tape *t, const net_data *d)
{
    ln_cross_entropy_opts o = LN_CROSS_ENTROPY_OPTS_INIT;
    o.smoothing = 0.1;
    ln_var *x = golden_var(t, d->x, d->dt, false), *y = golden_var(t, d->targets, d->dt, false);
    ln_var *h = ln_linear_act(t, x, weight(d, "fc1.weight"), weight(d, "fc1.bias"), LN_ACT_GELU);
    h = ln_layer_norm(t, h, weight(d, "norm.gain"), weight(d, "norm.bias"), 1e-5);
    return ln_cross_entropy(t, ln_linear(t, h, weight(d, "fc2.weight"), weight(d, "fc2.bias")), y, &o);
}

static ln_var *cnn(ln_tape *t, const net_data *d)
{
    ln_var *x = golden_var(t, d->x, d->dt, false), *y = golden_var(t, d->targets, d->dt, false);
    ln_var *mean = ln_wrap(t, d->dt, LN_DIMS(4), NULL, d->mean), *var = ln_wrap(t, d->dt, LN_DIMS(4), NULL, d->var);
    ln_var *h = ln_conv2d(t, x, weight(d, "conv1.weight"), NULL, 1, 1, 1);
    h = ln_batch_norm(t, h, weight(d, "batch.gain"), weight(d, "batch.bias"), mean, var, 0.1, 1e-5);
    h = ln_max_pool2d(t, ln_relu(t, h), 2, 1);
    h = ln_conv2d(t, h, weight(d, "conv2.weight"), NULL, 2, 1, 2);
    h = ln_silu(t, ln_group_norm(t, h, weight(d, "group.gain"), weight(d, "group.bias"), 3, 1e-5));
    h = ln_reshape(t, ln_adaptive_pool2d(t, h, 2, 2), LN_DIMS(5, 24));
    return ln_cross_entropy(t, ln_linear(t, h, weight(d, "fc.weight"), weight(d, "fc.bias")), y, NULL);
}

static ln_var *gru(ln_tape *t, const net_data *d)
{
    enum { LENGTH = 7 };
    ln_var *ids = golden_var(t, d->x, d->dt, false), *y = golden_var(t, d->targets, d->dt, false), *state[LENGTH];
    ln_var *e = ln_embedding(t, weight(d, "embed"), ids), *h = ln_input(t, d->dt, LN_DIMS(2, 6), NULL);
    for (int i = 0; i < LENGTH; i++) {
        ln_var *x = ln_reshape(t, ln_contiguous(t, ln_narrow(t, e, 1, i, 1)), LN_DIMS(2, 5));
        h = ln_gru_cell(t, x, h, weight(d, "w_ih"), weight(d, "w_hh"), weight(d, "b_ih"), weight(d, "b_hh"));
        state[i] = h;
    }
    ln_var *all = ln_stack(t, state, LENGTH, 1);
    return ln_cross_entropy(t, ln_linear(t, all, weight(d, "head.weight"), weight(d, "head.bias")), y, NULL);
}

static ln_var *gpt(ln_tape *t, const net_data *d)
{
    return causal_loss(d->model, t, "llama");
}

/* ---- training and comparison ---- */

static ln_tensor *part_of(const ln_archive *a, const char *net, const char *rest)
{
    char name[256];
    ln_tensor *x = NULL;
    snprintf(name, sizeof name, "%s.%s", net, rest);
    OK(ln_archive_get(&x, a, name));
    return x;
}

/* The set of weights NET.w.*, with their values. */
static ln_weights *weights_of(const ln_archive *a, const char *net, ln_dtype dt)
{
    char prefix[64];
    const int n = snprintf(prefix, sizeof prefix, "%s.w.", net);
    ln_weights *w = NULL;
    OK(ln_weights_new(&w, dt, 0));
    for (int turn = 0; turn < 2; turn++) {
        for (int64_t i = 0; i < ln_archive_count(a); i++) {
            const char *name = ln_archive_name(a, i);
            int64_t dims[LN_MAX_DIMS];
            ln_tensor *x = NULL, *as = NULL;
            if (strncmp(name, prefix, (size_t)n) != 0)
                continue;
            OK(ln_archive_get(&x, a, name));
            for (int k = 0; k < ln_tensor_ndim(x); k++)
                dims[k] = ln_tensor_dim(x, k);
            if (turn == 0) {
                OK(ln_weights_add(w, name + n, ln_tensor_ndim(x), dims, LN_INIT_ZEROS, 0));
            } else {
                OK(ln_tensor_convert(&as, x, dt));
                memcpy(ln_weights_var(w, name + n)->data, ln_tensor_cdata(as), ln_tensor_bytes(as));
            }
            ln_tensor_release(x);
            ln_tensor_release(as);
        }
        if (turn == 0)
            OK(ln_weights_seal(w));
    }
    assert_true(ln_weights_count(w) > 0);
    return w;
}

static bool close_to(const net_data *d, const char *net, const char *rest, const void *got, int64_t n, double tolerance)
{
    char what[256];
    ln_tensor *want = part_of(d->a, net, rest);
    snprintf(what, sizeof what, "%s, %s: %s.%s", ln_dtype_name(d->dt), golden_levels[ln__k()->level], net, rest);
    assert_int_equal(ln_tensor_count(want), n);
    assert_int_equal(ln_tensor_dtype(want), LN_F64);
    double *x = golden_numbers(got, d->dt, n);
    const bool same = golden_close(x, ln_tensor_cdata(want), n, tolerance, false, what);
    free(x);
    ln_tensor_release(want);
    return same;
}

/* sum_i s(i + 5 k) w_i, k = 0 … 3: what is kept of the weights of gpt. */
static void sums_of(void *out, const ln_var *v, ln_dtype dt)
{
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        for (int64_t i = 0; i < ln_var_count(v); i++)
            sum += op_number(i + 5 * k) * golden_number(v->data, dt, i);
        if (dt == LN_F64)
            ((double *)out)[k] = sum;
        else
            ((float *)out)[k] = (float)sum;
    }
}

typedef struct net_kind {
    const char *name;
    ln_var *(*loss)(ln_tape *t, const net_data *d);
    double lr;  /* of SGD */
    double f32; /* tolerance */
} net_kind;

static const ln_optimizer_opts optimizers[] = {
    { .struct_size = sizeof(ln_optimizer_opts),
      .kind = LN_SGD,
      .lr = 0.1,
      .decay = 0.01,
      .momentum = 0.9,
      .nesterov = 1,
      .skip_limit = 1,
      .clip_norm = 1 },
    { .struct_size = sizeof(ln_optimizer_opts),
      .kind = LN_ADAMW,
      .lr = 0.01,
      .decay = 0.1,
      .beta1 = 0.9,
      .beta2 = 0.99,
      .eps = 1e-6,
      .skip_limit = 1,
      .clip_norm = 1 },
};
static const char *const optimizer_name[] = { "sgd", "adamw" };

/* How many of its arrays differ. */
static int train(const net_kind *net, net_data *d, ln_weights *w, int o)
{
    char rest[128];
    float loss32[64];
    double loss[64], sums[4];
    int wrong = 0;
    ln_tape *t = op_tape();
    ln_optimizer *opt = NULL;
    snprintf(rest, sizeof rest, "%s.loss", optimizer_name[o]);
    ln_tensor *curve = part_of(d->a, net->name, rest);
    const int64_t steps = ln_tensor_count(curve);
    ln_tensor_release(curve);
    assert_in_range(steps, 8, 64);
    d->w = w;
    OK(ln_optimizer_new(&opt, w, &optimizers[o]));
    for (int64_t i = 0; i < steps; i++) {
        ln_tape_reset(t);
        ln_var *v = net->loss(t, d);
        OK(ln_backward(t, v));
        loss[i] = ln_var_value(v);
        loss32[i] = (float)loss[i];
        OK(ln_optimizer_step(opt, o == 0 ? net->lr : optimizers[o].lr));
    }
    const bool f64 = d->dt == LN_F64;
    const double tolerance = f64 ? 1e-11 : net->f32;
    wrong += !close_to(d, net->name, rest, f64 ? (void *)loss : loss32, steps, tolerance);
    for (int64_t i = 0; i < ln_weights_count(w); i++) {
        const ln_var *v = ln_weights_at(w, i);
        snprintf(rest, sizeof rest, "%s.w.%s", optimizer_name[o], ln_weights_name(w, i));
        if (d->model)
            sums_of(sums, v, d->dt);
        wrong += !close_to(d, net->name, rest, d->model ? sums : v->data, d->model ? 4 : ln_var_count(v), tolerance);
    }
    if (d->mean) {
        snprintf(rest, sizeof rest, "%s.mean", optimizer_name[o]);
        wrong += !close_to(d, net->name, rest, d->mean, 4, tolerance);
        snprintf(rest, sizeof rest, "%s.var", optimizer_name[o]);
        wrong += !close_to(d, net->name, rest, d->var, 4, tolerance);
    }
    ln_optimizer_free(opt);
    ln_tape_free(t);
    return wrong;
}

static int train_new(const net_kind *net, const ln_archive *a, ln_dtype dt, int o)
{
    net_data d = { .a = a, .dt = dt };
    int wrong;
    double mean[4] = { 0 }, var[4] = { 1, 1, 1, 1 };
    float var32[4] = { 1, 1, 1, 1 };
    if (net->loss == gpt) {
        ln_model *m = tiny_open("llama");
        ln__tape_opts opts = LN__TAPE_OPTS_INIT;
        opts.dt = dt;
        d.model = trained(m, opts);
        wrong = train(net, &d, d.model->w, o);
        ln__tape_model_free(d.model);
        ln_model_release(m);
        return wrong;
    }
    if (net->loss == cnn) {
        d.mean = mean;
        d.var = dt == LN_F64 ? (void *)var : var32;
    }
    d.x = part_of(a, net->name, "x");
    d.targets = part_of(a, net->name, "targets");
    ln_weights *w = weights_of(a, net->name, dt);
    wrong = train(net, &d, w, o);
    ln_weights_free(w);
    ln_tensor_release(d.x);
    ln_tensor_release(d.targets);
    return wrong;
}

static void check(net_kind net)
{
    int wrong = 0;
    ln_archive *a = golden_file("torch_nets.safetensors");
    for (size_t l = 0; l < sizeof golden_levels / sizeof *golden_levels; l++) {
        if (ln__cpu_force(golden_levels[l]) != LN_OK)
            continue;
        for (int o = 0; o < 2; o++) {
            wrong += train_new(&net, a, LN_F64, o);
            wrong += train_new(&net, a, LN_F32, o);
        }
    }
    OK(ln__cpu_force("auto"));
    ln_archive_release(a);
    assert_int_equal(wrong, 0);
}

static void test_mlp(void **state)
{
    (void)state;
    check((net_kind){ "mlp", mlp, 0.1, 1e-5 });
}

static void test_cnn(void **state)
{
    (void)state;
    check((net_kind){ "cnn", cnn, 0.1, 1e-5 });
}

static void test_gru(void **state)
{
    (void)state;
    check((net_kind){ "gru", gru, 0.1, 1e-5 });
}

static void test_gpt(void **state)
{
    (void)state;
    check((net_kind){ "gpt", gpt, 0.01, 1e-5 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mlp),
        cmocka_unit_test(test_cnn),
        cmocka_unit_test(test_gru),
        cmocka_unit_test(test_gpt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
