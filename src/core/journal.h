/* journal.h - what a long run has finished, so that a killed run resumes and ends with the same bytes.
 *
 * A journal is a directory DIR holding journal.jsonl: a first line with the run's identity (a hash of options and
 * inputs), then one line per finished step with its JSON payload, each appended and fsynced. Blobs of a step are
 * files beside it, written atomically before their line. A torn last line is ignored. */
#ifndef LINNET_CORE_JOURNAL_H
#define LINNET_CORE_JOURNAL_H

#include <jansson.h>

#include "core/core.h"

typedef struct ln__journal ln__journal;
/* Opens or creates. A journal of another identity is started afresh. */
ln_status ln__journal_open(ln__journal **out, const char *dir, const char *identity);
/* Payload of a finished step (borrowed), or NULL. */
json_t *ln__journal_find(const ln__journal *j, const char *step);
/* Records a step; `payload` is borrowed. */
ln_status ln__journal_add(ln__journal *j, const char *step, json_t *payload);
int64_t ln__journal_steps(const ln__journal *j);
const char *ln__journal_dir(const ln__journal *j);
ln_status ln__journal_remove(ln__journal *j); /* deletes the directory with all blobs: the run is complete */
void ln__journal_free(ln__journal *j);

#endif
