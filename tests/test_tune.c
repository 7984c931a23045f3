/* room: adapt */
/* test_tune.c - the library's door to tuning: what is refused, want of memory, an adapter against the sums it stands
 * for, two ranks against one. What runs learn, and that they resume to the same bytes: cli/tune.test. */
#include "text_model.h"

#include <linnet/tune.h>

#include "adapt/systems.h"
#include "model/adapter.h"
#include "file_distance.h"
#include "model/checkpoint.h"
#include "ranks.h"

static char model_dir[64];

static int setup(void **state)
{
    if (io_setup(state) != 0)
        return -1;
    ln_model_release(text_model_open()); /* writes it */
    snprintf(model_dir, sizeof model_dir, "%s", io_dir);
    char text[2048];
    size_t n = 0;
    for (int i = 0; i < 40; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              i % 2 ? "the dog sat on the cat.\n" : "the cat sat on the mat.\n");
    io_write("text", text, n);
    return 0;
}

static int teardown(void **state)
{
    if (ln__remove_tree(io_path("out")) != LN_OK)
        return -1;
    return io_teardown(state);
}

static ln_tune_opts small(void)
{
    static char text[512];
    ln_tune_opts o = { 0 };
    ln_params_defaults(ln_tune_params(), &o);
    snprintf(text, sizeof text, "%s", io_path("text"));
    o.struct_size = sizeof o;
    o.text = text;
    o.context = 16;
    o.batch = 2;
    o.steps = 3;
    o.warmup = 1;
    o.valid = 0.2;
    o.eval_every = 2;
    o.eval_tokens = 32;
    return o;
}

static void test_refusals(void **state)
{
    (void)state;
    char out[512];
    ln_tune_opts o = small();
    snprintf(out, sizeof out, "%s", io_path("out"));
    check_failure(ln_tune(NULL, model_dir, out, &o, NULL, NULL), LN_ERR_ARG, "a system of this verb", "no system");
    check_failure(ln_tune(&ln__system_full, NULL, out, &o, NULL, NULL), LN_ERR_ARG, "a model is needed", "no model");
    check_failure(ln_tune(&ln__system_full, model_dir, NULL, &o, NULL, NULL), LN_ERR_ARG, "output directory", "no out");
    check_failure(ln_tune_plan(&ln__system_full, model_dir, &o, NULL, NULL), LN_ERR_ARG, "result", "no result");
    o.text = NULL;
    check_failure(ln_tune(&ln__system_full, model_dir, out, &o, NULL, NULL), LN_ERR_ARG, "text", "no text");
    o = small();
    o.batch = 0;
    check_failure(ln_tune(&ln__system_full, model_dir, out, &o, NULL, NULL), LN_ERR_RANGE, "batch", "no batch");
    o = small();
    ln_lora_opts lora = { 0 };
    ln_params_defaults(ln__system_lora.params, &lora);
    lora.struct_size = sizeof lora;
    lora.rank = 0;
    check_failure(ln_tune(&ln__system_lora, model_dir, out, &o, &lora, NULL), LN_ERR_RANGE, "rank", "rank 0");
    lora.rank = 2;
    lora.alpha = 0; /* nothing would ever be learned */
    check_failure(ln_tune(&ln__system_lora, model_dir, out, &o, &lora, NULL), LN_ERR_RANGE, "alpha", "alpha 0");
    check_failure(ln_tune(&ln__system_heal, model_dir, out, &o, NULL, NULL), LN_ERR_UNSUPPORTED,
                  "nothing in it is factored", "heal");
    o.lr = 1e3; /* it diverges, says where, and writes no model */
    o.optimizer = LN_SGD;
    o.clip = 0;
    o.steps = 300;
    o.eval_every = 0;
    check_failure(ln_tune(&ln__system_full, model_dir, out, &o, NULL, NULL), LN_ERR_NUMERIC, "step ", "divergence");
    snprintf(out, sizeof out, "%s", io_path("out/model.safetensors"));
    assert_false(ln__file_exists(out));
}

static ln_status once(void *ctx)
{
    const ln_system *s = ctx;
    char out[512];
    ln_tune_opts o = small();
    o.force = 1;
    snprintf(out, sizeof out, "%s", io_path("out"));
    return ln_tune(s, model_dir, out, &o, NULL, NULL);
}

static void test_torture(void **state)
{
    (void)state;
    ln_threads_set(1);
    torture(once, (void *)(uintptr_t)&ln__system_lora);
    torture(once, (void *)(uintptr_t)&ln__system_full);
    ln_threads_set(0);
}

/* Merging what a run wrote gives W + (alpha / r) B A, summed here in f64. */
static void test_merge(void **state)
{
    (void)state;
    const char *layer = "model.layers.1.mlp.down_proj";
    ln_tune_opts o = small();
    ln_lora_opts lora = { 0 };
    ln_model *before = NULL, *after = NULL;
    ln_tensor *w = NULL, *sum = NULL, *a = NULL, *b = NULL;
    ln_archive *file = NULL;
    char out[512], path[1024];
    int64_t n = 0, moved = 0;
    ln_params_defaults(ln__system_lora.params, &lora);
    lora.struct_size = sizeof lora;
    lora.rank = 3;
    lora.alpha = 7.5;
    o.lr = 0.05;
    snprintf(out, sizeof out, "%s", io_path("out"));
    OK(ln_tune(&ln__system_lora, model_dir, out, &o, &lora, NULL));
    OK(ln_model_open(&before, model_dir));
    OK(ln_model_open(&after, model_dir));
    OK(ln__adapter_merge(after, out, &n));
    assert_int_equal(n, ln_model_linear_count(after));
    OK(ln_linop_to_dense(&w, ln_model_linear(before, layer), LN_F32));
    OK(ln_linop_to_dense(&sum, ln_model_linear(after, layer), LN_F32));
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", out);
    OK(ln_archive_open(&file, path));
    snprintf(path, sizeof path, "base_model.model.%s.lora_A.weight", layer);
    OK(ln_archive_get(&a, file, path));
    snprintf(path, sizeof path, "base_model.model.%s.lora_B.weight", layer);
    OK(ln_archive_get(&b, file, path));
    const float *A = ln_tensor_cdata(a), *B = ln_tensor_cdata(b), *W = ln_tensor_cdata(w), *S = ln_tensor_cdata(sum);
    const int64_t rows = ln_tensor_dim(w, 0), cols = ln_tensor_dim(w, 1);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            double want = 0;
            for (int64_t k = 0; k < 3; k++)
                want += (double)B[i * 3 + k] * (double)A[k * cols + j];
            want = (double)W[i * cols + j] + 2.5 * want;
            assert_true(fabs(want - (double)S[i * cols + j]) < 1e-6);
            moved += S[i * cols + j] != W[i * cols + j];
        }
    assert_true(moved > rows * cols / 2);
    ln_tensor_release(w);
    ln_tensor_release(sum);
    ln_tensor_release(a);
    ln_tensor_release(b);
    ln_archive_release(file);
    ln_model_release(before);
    ln_model_release(after);
}

typedef struct rank_run {
    char out[512];
    ln_tune_opts o;
} rank_run;

static ln_status on_rank(void *ctx, ln_comm *c)
{
    rank_run *r = ctx;
    ln_lora_opts lora = { 0 };
    ln_params_defaults(ln__system_lora.params, &lora);
    lora.struct_size = sizeof lora;
    r->o.comm = c;
    return ln_tune(&ln__system_lora, model_dir, r->out, &r->o, &lora, NULL);
}

static void test_two_ranks(void **state)
{
    (void)state;
    rank_run one = { .o = small() }, r[2];
    void *ctx[2] = { &r[0], &r[1] };
    char a[600], b[600];
    one.o.lr = 0.01;
    one.o.batch = 3;
    snprintf(one.out, sizeof one.out, "%s", io_path("one"));
    assert_true(on_rank(&one, NULL) == LN_OK);
    network *net = network_new(2);
    for (int k = 0; k < 2; k++) {
        r[k] = one;
        snprintf(r[k].out, sizeof r[k].out, "%s", io_path(k == 0 ? "two" : "none"));
    }
    network_run(net, on_rank, ctx);
    for (int k = 0; k < 2; k++)
        if (net->seat[k].st != LN_OK)
            fail_msg("rank %d: %s", k, net->seat[k].message);
    snprintf(a, sizeof a, "%s/adapter_model.safetensors", one.out);
    snprintf(b, sizeof b, "%s/adapter_model.safetensors", r[0].out);
    assert_true(file_distance(a, b) <= 1e-5);
    assert_false(ln__file_exists(r[1].out));
    network_free(net);
    OK(ln__remove_tree(one.out));
    OK(ln__remove_tree(r[0].out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_ranks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torture, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
