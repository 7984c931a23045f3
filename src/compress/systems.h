/* systems.h - the descriptors of this room, for the table in src/systems.c. */
#ifndef LINNET_COMPRESS_SYSTEMS_H
#define LINNET_COMPRESS_SYSTEMS_H

#include <linnet/system.h>

extern const ln_system ln__system_rocket;
extern const ln_system ln__system_fwsvd;
extern const ln_system ln__system_svd;
extern const ln_system ln__system_whitened;

#endif
