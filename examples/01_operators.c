/* 01_operators.c - one matrix as three operators: what a linear map looks like from outside.
 *
 * Build: cc 01_operators.c $(pkg-config --cflags --libs linnet)
 * Prints:
 *   dense    48 numbers   96 flops   y = 1 5 9 13 17 21
 *   lowrank  28 numbers   56 flops   y = 1 5 9 13 17 21
 */
#include <linnet/linnet.h>
#include <stdio.h>

static void show(const ln_linop *op)
{
    const float x[8] = { 1, 0, 0, 0, 0, 0, 0, 0 };
    float y[6];
    if (ln_linop_apply(op, y, 6, x, 8, 1) != LN_OK)
        return;
    printf("%-8s %2lld numbers   %2lld flops   y =", ln_linop_kind(op), (long long)ln_linop_params(op),
           (long long)ln_linop_flops(op));
    for (int i = 0; i < 6; i++)
        printf(" %g", (double)y[i]);
    printf("\n");
}

int main(void)
{
    /* W[o][i] = 1 + 4 o + i = u v with u = (1 + 4 o, 1) and v = (1; i): rank two */
    float w[48], u[12], v[16];
    for (int o = 0; o < 6; o++) {
        u[2 * o] = 1.0f + 4.0f * (float)o;
        u[2 * o + 1] = 1.0f;
        for (int i = 0; i < 8; i++) {
            w[8 * o + i] = 1.0f + 4.0f * (float)o + (float)i;
            v[i] = 1.0f;
            v[8 + i] = (float)i;
        }
    }
    ln_tensor *tw = NULL, *tu = NULL, *tv = NULL;
    ln_linop *dense = NULL, *lowrank = NULL;
    int failed = 1;
    if (ln_tensor_wrap(&tw, LN_F32, 2, (int64_t[]){ 6, 8 }, NULL, w, NULL, NULL) == LN_OK &&
        ln_tensor_wrap(&tu, LN_F32, 2, (int64_t[]){ 6, 2 }, NULL, u, NULL, NULL) == LN_OK &&
        ln_tensor_wrap(&tv, LN_F32, 2, (int64_t[]){ 2, 8 }, NULL, v, NULL, NULL) == LN_OK &&
        ln_linop_dense(&dense, tw) == LN_OK && ln_linop_lowrank(&lowrank, tu, tv) == LN_OK) {
        show(dense);
        show(lowrank);
        failed = 0;
    } else {
        fprintf(stderr, "%s\n", ln_last_error());
    }
    ln_linop_release(dense);
    ln_linop_release(lowrank);
    ln_tensor_release(tw);
    ln_tensor_release(tu);
    ln_tensor_release(tv);
    return failed;
}
