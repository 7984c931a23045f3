/* systems.h - the descriptors of this room, for the table in src/systems.c. */
#ifndef LINNET_TRAIN_SYSTEMS_H
#define LINNET_TRAIN_SYSTEMS_H

#include <linnet/system.h>

extern const ln_system ln__system_gpt;

#endif
