/* progress.h - progress lines with rate and ETA. Library code only calls an ln_progress_fn; this is the command's. */
#ifndef LINNET_CORE_PROGRESS_H
#define LINNET_CORE_PROGRESS_H

#include "core/core.h"

typedef struct ln__progress {
    FILE *to;      /* NULL: quiet */
    bool terminal; /* rewrite one line; otherwise a plain line at most every 10 s */
    char stage[64];
    double started, last_shown;
    int64_t first_done, last_done; /* a resumed stage does not start at 0 */
    int64_t total;
    int shown;            /* columns of the line that stands on the terminal; 0: none */
    volatile int *cancel; /* set by SIGINT; may be NULL */
} ln__progress;
void ln__progress_init(ln__progress *p, FILE *to, bool quiet, volatile int *cancel);
/* An ln_progress_fn; payload is an ln__progress. Returns 1 once *cancel is set. */
int ln__progress_show(void *payload, const char *stage, int64_t done, int64_t total);
void ln__progress_end(ln__progress *p); /* finishes the line */
double ln__now(void);                   /* monotonic seconds */
/* "1.5 MB", "3 min 12 s": for people. Writes into buf and returns it. */
char *ln__human_bytes(char *buf, size_t n, double bytes);
char *ln__human_seconds(char *buf, size_t n, double seconds);

#endif
