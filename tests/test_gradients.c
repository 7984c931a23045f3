/* room: grad */
/* test_gradients.c - every operation of the tape through the generated checks, and the checks themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "grad/gradcheck.h"

static void test_table(void **state)
{
    (void)state;
    assert_int_equal(ln__ops_check(), LN_OK);
}

static void test_every_operation(void **state)
{
    (void)state;
    const char *only = getenv("LINNET_OP"); /* one operation by name, for work on it */
    int failed = 0, ran = 0;
    for (const ln__op *const *p = ln__ops(); *p; p++) {
        int cases = 0;
        if (only && strcmp(only, (*p)->name) != 0)
            continue;
        ran++;
        if (ln__gradcheck(*p, 7, &cases) != LN_OK) {
            print_error("%s\n", ln_last_error());
            failed++;
        }
    }
    assert_true(ran > 0);
    assert_int_equal(failed, 0);
}

/* ---- a wrong gradient is noticed ---- */

static ln_var *right(ln_tape *t, ln__case *c, int k)
{
    (void)k;
    return ln_mul(t, ln__case_leaf(t, c, LN_DIMS(3, 4), -1, 1), ln__case_leaf(t, c, LN_DIMS(4), -1, 1));
}

static ln_var *wrong(ln_tape *t, ln__case *c, int k)
{
    (void)k;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(3, 4), -1, 1);
    ln_var *y = ln_mul(t, x, x);
    ln_var *hidden =
        ln_input(t, ln_var_dtype(x), LN_DIMS(3, 4), ln_var_data(x)); /* depends on x behind the tape's back */
    return ln_add(t, y, hidden);
}

static void test_checker(void **state)
{
    (void)state;
    assert_int_equal(ln__gradcheck_fn(right, 0, 1, 0, "right"), LN_OK);
    assert_int_equal(ln__gradcheck_fn(wrong, 0, 1, 0, "wrong"), LN_ERR_RELATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_every_operation),
        cmocka_unit_test(test_checker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
