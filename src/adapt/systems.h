/* systems.h - the adapters, for the table of systems. */
#ifndef LINNET_ADAPT_SYSTEMS_H
#define LINNET_ADAPT_SYSTEMS_H

#include <linnet/system.h>

extern const ln_system ln__system_full, ln__system_lora, ln__system_heal;

#endif
