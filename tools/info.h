/* info.h - the parts of `linnet info`: each prints for people and fills the result. */
#ifndef LINNET_TOOLS_INFO_H
#define LINNET_TOOLS_INFO_H

#include "cli.h"

ln_status info_header(cli_ctx *ctx, const ln_archive *a);   /* format, files, bytes */
ln_status info_metadata(cli_ctx *ctx, const ln_archive *a); /* key by key */
/* Count and bytes per element type; every tensor in the result, and printed when `each`. */
ln_status info_tensors(cli_ctx *ctx, const ln_archive *a, bool each);
ln_status info_linops(cli_ctx *ctx, const ln_model *m); /* linear layers by operator kind */

#endif
