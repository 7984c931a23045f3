/* systems.h - the descriptors of this room, for the table in src/systems.c. */
#ifndef LINNET_FACTOR_SYSTEMS_H
#define LINNET_FACTOR_SYSTEMS_H

#include <linnet/system.h>

extern const ln_system ln__system_nmf, ln__system_seminmf, ln__system_cp, ln__system_ntf, ln__system_factor_svd,
    ln__system_tucker;

#endif
