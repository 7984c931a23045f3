/* systems.h - the descriptors of this room, for the table in src/systems.c. */
#ifndef LINNET_SOLVE_SYSTEMS_H
#define LINNET_SOLVE_SYSTEMS_H

#include <linnet/system.h>

extern const ln_system ln__system_lasso, ln__system_elasticnet, ln__system_ridge, ln__system_omp, ln__system_iht,
    ln__system_cosamp, ln__system_subset;

#endif
