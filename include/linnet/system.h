/* linnet/system.h - a system is an estimator: one descriptor from which CLI, config, man page, docs and the
 * conformance suite are made. */
#ifndef LINNET_SYSTEM_H
#define LINNET_SYSTEM_H

#include <linnet/params.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Static storage. `impl` is the room's own interface, chosen by the verb (compress: see linnet/compress.h). */
typedef struct ln_system {
    const char *name;    /* "rocket"                                            */
    const char *verb;    /* "compress"                                          */
    const char *summary; /* one line, no full stop                              */
    const char *paper;   /* "ROCKET, arXiv 2602.11008", or NULL                 */
    const char *example; /* a complete command line                             */
    const ln_param *params;
    uint32_t opts_size;
    const void *impl;
} ln_system;

/** All registered systems, NULL-terminated, in the order of `linnet list`. */
LN_API const ln_system *const *ln_systems(void);
/** NULL when there is none. */
LN_API const ln_system *ln_system_find(const char *verb, const char *name);

#ifdef __cplusplus
}
#endif
#endif
