/* jinja.h - the part of Jinja that chat templates use, as an interpreter. Internal.
 *
 * Text comes out as from jinja2's sandboxed environment with trim_blocks and lstrip_blocks, which is how Hugging Face
 * renders them. What is supported is listed in docs/tokenizers.md; anything else is LN_ERR_UNSUPPORTED naming construct
 * and line, never a guess. Steps, nesting and memory are limited, so a template cannot run away. */
#ifndef LINNET_TEXT_JINJA_H
#define LINNET_TEXT_JINJA_H

#include "core/json.h"

/* `context` is an object: its members are the template's variables. A template that calls raise_exception fails with
 * LN_ERR_ARG and its message. `what` begins messages. Free with ln__free. */
ln_status ln__jinja_render(char **out, size_t *bytes, const char *source, size_t n, const json_t *context,
                           const char *what);

#endif
