/* provenance.h - what a saved result says of the run that made it. */
#ifndef LINNET_CORE_PROVENANCE_H
#define LINNET_CORE_PROVENANCE_H

#include <linnet/estimator.h>

#include "core/json.h"

/* Every option of a table (NULL: none) as text. Texts that were not given are "", or with `given_only` left out. */
ln_status ln__params_into(json_t *to, const ln_param *table, const void *opts, bool given_only);

typedef struct ln__provenance {
    const char *format; /* "linnet.regress/1" */
    const ln_system *system;
    const ln_job *job;
    const void *opts;       /* of the system                              */
    const ln_param *common; /* table of what the systems of a verb share  */
    const void *shared;     /* its options                                */
} ln__provenance;
/* Sets format, version, system, then the members of `own`, then seed, hash of the input and options. */
ln_status ln__provenance_into(json_t *to, const ln__provenance *p, json_t *own);

#endif
