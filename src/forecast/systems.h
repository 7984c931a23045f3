/* systems.h - the descriptors of this room, for the table in src/systems.c. */
#ifndef LINNET_FORECAST_SYSTEMS_H
#define LINNET_FORECAST_SYSTEMS_H

#include <linnet/system.h>

extern const ln_system ln__system_forecast_mixlinear, ln__system_forecast_dlinear, ln__system_forecast_nlinear,
    ln__system_forecast_linear, ln__system_forecast_fits, ln__system_forecast_sparsetsf, ln__system_forecast_naive;

#endif
