/* room: linop */
/* fuzz_mtx.c - Matrix Market text, and the assembly of what it holds. */
#include "fuzz.h"

#include "io/mtx.h"
#include "linalg/sparse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_begin();
    ln__coo c = { 0 };
    ln_tensor *dense = NULL;
    ln__csr *a = NULL;
    ln_status st = ln__mtx_from_memory(&c, &dense, data, size, "fuzz.mtx", &(ln__mtx_opts){ .pattern_ones = true });
    if (st == LN_OK && !dense) {
        int64_t merged = 0;
        st = ln__csr_from_triplets(&a, LN_F64, c.rows, c.cols, c.n, c.row, c.col, c.value, &merged);
        if (st == LN_OK) {
            FUZZ_CHECK(a->nnz + merged == c.n);
            st = ln__csr_check(a, "fuzz.mtx");
            FUZZ_CHECK(st == LN_OK || st == LN_ERR_NUMERIC);
        } else {
            FUZZ_CHECK(st == LN_ERR_NOMEM);
        }
    }
    if (dense)
        fuzz_touch(ln_tensor_cdata(dense), ln_tensor_bytes(dense));
    if (st != LN_OK)
        fuzz_check_message(st);
    ln__csr_free(a);
    ln__coo_free(&c);
    ln_tensor_release(dense);
    fuzz_end();
    return 0;
}
