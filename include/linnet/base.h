/* linnet/base.h - status codes, errors and export macros. Includes nothing but the C library. */
#ifndef LINNET_BASE_H
#define LINNET_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LN_VERSION_MAJOR 0
#define LN_VERSION_MINOR 1
#define LN_VERSION_PATCH 0
#define LN_VERSION "0.1.0"

#define LN_API __attribute__((visibility("default")))
#define LN_MUST_CHECK __attribute__((warn_unused_result))

/* Values are part of the ABI: append, never renumber. The comment ends with the exit code of the command. */
typedef enum ln_status {
    LN_OK = 0,
    LN_ERR_ARG = -1,          /* a documented precondition was broken: 2          */
    LN_ERR_SHAPE = -2,        /* tensors do not fit together: 3                   */
    LN_ERR_DTYPE = -3,        /* an element type that cannot be used here: 3      */
    LN_ERR_RANGE = -4,        /* an option lies outside its bounds: 2             */
    LN_ERR_NOMEM = -5,        /* out of memory, or above --max-memory: 4          */
    LN_ERR_IO = -6,           /* the operating system refused: 4                  */
    LN_ERR_FORMAT = -7,       /* the file is not what it claims to be: 3          */
    LN_ERR_NUMERIC = -8,      /* singular, indefinite, NaN or Inf: 3              */
    LN_ERR_NOTFITTED = -9,    /* used before it was fitted: 2                     */
    LN_ERR_UNSUPPORTED = -10, /* known, but not supported by this library: 3      */
    LN_ERR_CANCELLED = -11,   /* the progress callback asked to stop: 130         */
    LN_ERR_NOTFOUND = -12,    /* no such file, tensor, key or name: 3             */
    LN_ERR_EXISTS = -13,      /* the output is already there: 2                   */
    LN_ERR_RELATION = -14     /* a checked relation does not hold: 1              */
} ln_status;

/** Version of the library actually loaded, e.g. "0.1.0". Static storage. */
LN_API const char *ln_version(void);

/** Name of a status, e.g. "LN_ERR_SHAPE". Never NULL; static storage. */
LN_API const char *ln_status_name(ln_status st);

/** Exit code that the command uses for a status: 0, 1, 2, 3, 4 or 130. */
LN_API int ln_status_exit_code(ln_status st);

/**
 * One line on why the last failing call on *this thread* failed. Never NULL.
 * Owned by the library; valid until the next failing call on this thread.
 * Successful calls leave it alone: look at the status first.
 */
LN_API const char *ln_last_error(void);

/** Called between steps; return nonzero to cancel. `total` is 0 when unknown. */
typedef int (*ln_progress_fn)(void *payload, const char *stage, int64_t done, int64_t total);

/** Frees a buffer that a linnet function handed over as "free with ln_free". Accepts NULL. */
LN_API void ln_free(void *p);

/** Cap on the bytes linnet may hold at once (allocations, not mapped files). 0 means no cap. */
LN_API void ln_memory_limit(int64_t bytes);
/** Bytes held now, and the most held since start (or since ln_memory_peak_reset). */
LN_API int64_t ln_memory_held(void);
LN_API int64_t ln_memory_peak(void);
LN_API void ln_memory_peak_reset(void);

/**
 * Threads used by parallel regions. An explicit call wins over LINNET_THREADS, over OMP_NUM_THREADS, over the
 * CPUs this process may use (affinity mask and cgroup quota). `n` = 0 returns to the automatic choice.
 * Results do not depend on the number.
 */
LN_API void ln_threads_set(int n);
LN_API int ln_threads(void);

#ifdef __cplusplus
}
#endif
#endif
