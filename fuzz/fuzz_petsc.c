/* room: linop */
/* fuzz_petsc.c - PETSc's binary format, and the assembly of what it holds. */
#include "fuzz.h"

#include "io/petsc.h"
#include "linalg/sparse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    ln__petsc p = { 0 };
    ln__csr *a = NULL;
    ln_status st = ln__petsc_from_memory(&p, data, size, "fuzz.petsc");
    if (st == LN_OK && p.has_matrix) {
        const ln__coo *c = &p.matrix;
        int64_t merged = 0;
        st = ln__csr_from_triplets(&a, LN_F64, c->rows, c->cols, c->n, c->row, c->col, c->value, &merged);
        if (st == LN_OK)
            FUZZ_CHECK(a->nnz + merged == c->n);
        else
            FUZZ_CHECK(st == LN_ERR_NOMEM);
    }
    if (p.has_vector)
        fuzz_touch(p.vector, (size_t)p.n * sizeof *p.vector);
    if (st != LN_OK)
        fuzz_check_message(st);
    else
        FUZZ_CHECK(p.has_matrix || p.has_vector);
    ln__csr_free(a);
    ln__petsc_free(&p);
    fuzz_end();
    return 0;
}
