/* csr.h - the sparse matrix behind an operator of kind "csr". */
#ifndef LINNET_LINOP_CSR_H
#define LINNET_LINOP_CSR_H

#include "linalg/sparse.h"
#include "linop/linop.h"

/* Takes `a` over on success. */
ln_status ln__linop_csr_adopt(ln_linop **out, ln__csr *a);
/* The matrix of such an operator, as long as that lives; NULL: another kind. */
const ln__csr *ln__linop_csr_of(const ln_linop *op);

#endif
