/* room: grad */
/* test_gradients.c - every operation of the tape through the generated checks, at every CPU level of this machine, and
 * the checks themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/kernels.h"
#include "grad/gradcheck.h"

static void test_table(void **state)
{
    (void)state;
    assert_int_equal(ln__ops_check(), LN_OK);
}

static void check_every_operation(const char *level)
{
    const char *only = getenv("LINNET_OP"); /* one operation by name, for work on it */
    int failed = 0, ran = 0;
    for (const ln__op *const *p = ln__ops(); *p; p++) {
        int cases = 0;
        if (only && strcmp(only, (*p)->name) != 0)
            continue;
        ran++;
        if (ln__gradcheck(*p, 7, &cases) != LN_OK) {
            print_error("%s: %s\n", level, ln_last_error());
            failed++;
        }
    }
    assert_true(ran > 0);
    assert_int_equal(failed, 0);
}

static void test_every_operation(void **state)
{
    (void)state;
    check_every_operation("auto");
}

/* The kernels of the levels below the one in use: those that other machines run. */
static void test_lower_levels(void **state)
{
    (void)state;
    static const char *const names[] = { "ref", "avx2" };
    const int used = (int)ln__k()->level;
    for (int l = 0; l < used; l++) {
        assert_int_equal(ln__cpu_force(names[l]), LN_OK);
        assert_int_equal(ln__k()->level, l);
        check_every_operation(names[l]);
    }
    assert_int_equal(ln__cpu_force("auto"), LN_OK);
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
        cmocka_unit_test(test_lower_levels),
        cmocka_unit_test(test_checker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
