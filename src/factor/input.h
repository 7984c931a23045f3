/* input.h - a file of numbers as what can be factored, and a decomposition as a directory. */
#ifndef LINNET_FACTOR_INPUT_H
#define LINNET_FACTOR_INPUT_H

#include <linnet/factor.h>

#include "core/json.h"
#include "factor/data.h"
#include "io/names.h"

typedef struct ln__input {
    ln__data d; /* of what follows */
    double *x;
    uint8_t *missing;
    ln__csr *a, *at;
    ln__names columns; /* of a table with a header; empty otherwise */
} ln__input;

/* csv, tsv (also .gz): a table; npy, npz of one array, safetensors of one tensor: dense; mtx (also .gz), npz of
 * scipy.sparse: sparse. Zero-initialise; free it whatever happens. */
ln_status ln__input_read(ln__input *in, const char *path, const ln_factor_files *files, bool nonneg);
void ln__input_free(ln__input *in);
/* Adopts the verb's shared options, and checks the job: one input; --ranks only where it has a meaning. */
ln_status ln__input_job(ln_factor_files *files, const ln_job *job, const char *who, bool has_ranks);
/* "shape", "missing", "stored" into the results. */
ln_status ln__input_report(ln_result *r, const ln__input *in);

/* Named f64 arrays to write. */
typedef struct ln__part {
    char name[32];
    int ndim;
    int64_t dims[LN_MAX_DIMS];
    const double *data;
} ln__part;
/* model.safetensors and linnet.json (system, options, columns, hash of the input, and the members of `facts`). */
ln_status ln__factor_save(const ln_job *job, const ln_system *system, const void *opts, const ln_factor_files *files,
                          const ln__input *in, const ln__part *parts, int n, json_t *facts);

#endif
