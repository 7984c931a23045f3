/* progress.c - progress with rate and ETA: one rewritten line on a terminal, otherwise a plain line every 10 s.
 *
 * Rate and ETA count what this run did, so a resumed stage that starts at 40 % does not look fast. The last step of a
 * stage is always shown on a terminal; elsewhere only when the stage took long enough to be worth a line. */
#include "core/progress.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double TERMINAL_EVERY = 0.1, PLAIN_EVERY = 10;

double ln__now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void ln__progress_init(ln__progress *p, FILE *to, bool quiet, volatile int *cancel)
{
    const char *kind = getenv("TERM");
    memset(p, 0, sizeof *p);
    p->to = quiet ? NULL : to;
    p->terminal = p->to && isatty(fileno(p->to)) && !(kind && strcmp(kind, "dumb") == 0);
    p->cancel = cancel;
}

static void finish_line(ln__progress *p)
{
    if (p->to && p->shown > 0) {
        fputc('\n', p->to);
        fflush(p->to);
    }
    p->shown = 0;
}

/* "profile  34/210  16 %  2.1/s  ETA 1 min 23 s" */
static int describe(char *line, size_t n, const ln__progress *p, double now)
{
    char eta[48];
    const double seconds = now - p->started;
    const double rate = seconds > 0 ? (double)(p->last_done - p->first_done) / seconds : 0;
    int at = ln__format(line, n, "%s  %lld", p->stage, (long long)p->last_done);
    if (p->total > 0)
        at += ln__format(line + at, n - (size_t)at, "/%lld  %d %%", (long long)p->total,
                         (int)(100.0 * (double)p->last_done / (double)p->total));
    if (rate > 0)
        at += ln__format(line + at, n - (size_t)at, rate >= 99.5 ? "  %.0f/s" : "  %.2g/s", rate);
    if (rate > 0 && p->total > p->last_done)
        at += ln__format(line + at, n - (size_t)at, "  ETA %s",
                         ln__human_seconds(eta, sizeof eta, (double)(p->total - p->last_done) / rate));
    else if (p->total > 0 && p->last_done >= p->total)
        at += ln__format(line + at, n - (size_t)at, "  in %s", ln__human_seconds(eta, sizeof eta, seconds));
    return at;
}

static void show(ln__progress *p, double now)
{
    char line[320];
    const int columns = describe(line, sizeof line, p, now);
    if (p->terminal) {
        fprintf(p->to, "\r%s%*s", line, p->shown > columns ? p->shown - columns : 0, "");
        p->shown = columns;
    } else {
        fprintf(p->to, "%s\n", line);
    }
    fflush(p->to);
    p->last_shown = now;
}

static void begin_stage(ln__progress *p, const char *stage, int64_t done, double now)
{
    finish_line(p);
    snprintf(p->stage, sizeof p->stage, "%s", stage);
    p->started = now;
    p->last_shown = p->terminal ? now - 2 * TERMINAL_EVERY : now;
    p->first_done = done;
}

int ln__progress_show(void *payload, const char *stage, int64_t done, int64_t total)
{
    ln__progress *p = payload;
    if (p->to) {
        const double now = ln__now();
        if (strncmp(p->stage, stage ? stage : "", sizeof p->stage - 1) != 0 || done < p->last_done)
            begin_stage(p, stage ? stage : "", done, now);
        p->last_done = done;
        p->total = total;
        const bool due = now - p->last_shown >= (p->terminal ? TERMINAL_EVERY : PLAIN_EVERY);
        const bool last = total > 0 && done >= total;
        if (due || (last && (p->terminal || now - p->started >= PLAIN_EVERY)))
            show(p, now);
    }
    return p->cancel && *p->cancel;
}

void ln__progress_end(ln__progress *p)
{
    finish_line(p);
    p->stage[0] = '\0';
    p->last_done = 0;
}
