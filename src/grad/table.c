/* table.c - all operations, family by family, and the check that each can be differentiated and tested.
 *
 * A family is a file ops_<family>.def of lines LN_OP(name); an operation that is not listed there does not exist for
 * the generated checks, so the public functions' file and its list go together. */
#include <string.h>

#include "grad/tape.h"

#define LN_OP(name) extern const ln__op ln__op_##name;
#include "grad/families.def"
#undef LN_OP

static const ln__op *const ops[] = {
#define LN_OP(name) &ln__op_##name,
#include "grad/families.def"
#undef LN_OP
    NULL,
};

const ln__op *const *ln__ops(void)
{
    return ops;
}

ln_status ln__ops_check(void)
{
    for (const ln__op *const *p = ops; *p; p++) {
        const ln__op *const op = *p;
        if (!op->name || !op->infer || !op->build)
            return ln__fail(LN_ERR_ARG, "operation %s: no %s", op->name ? op->name : "?",
                            !op->name   ? "name"
                            : op->infer ? "test cases"
                                        : "infer");
        for (int type = 0; type < 2; type++) {
            if (!op->forward[type] && !(op->flags & LN__OP_VIEW))
                return ln__fail(LN_ERR_ARG, "operation %s: no forward for %s", op->name, type ? "f64" : "f32");
            if (!op->backward[type] && !(op->flags & LN__OP_CONSTANT))
                return ln__fail(LN_ERR_ARG, "operation %s: no backward for %s", op->name, type ? "f64" : "f32");
        }
        if (op->flags & LN__OP_SURROGATE && !op->surrogate)
            return ln__fail(LN_ERR_ARG, "operation %s: straight-through, but no surrogate to check against", op->name);
        for (const ln__op *const *q = ops; q < p; q++)
            if (strcmp((*q)->name, op->name) == 0)
                return ln__fail(LN_ERR_ARG, "operation %s: listed twice", op->name);
    }
    return LN_OK;
}
