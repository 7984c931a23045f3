/* systems.c - the table of all systems, in the order of `linnet list`. One line to register a system. */
#include <linnet/system.h>

#include <stddef.h>
#include <string.h>

#include "adapt/systems.h"
#include "compress/systems.h"
#include "factor/systems.h"
#include "factor/connectome.h"
#include "forecast/systems.h"
#include "solve/systems.h"
#include "train/systems.h"

/* One a line, so that additions do not touch each other. */
/* clang-format off */
static const ln_system *const systems[] = {
    &ln__system_rocket,
    &ln__system_fwsvd,
    &ln__system_whitened,
    &ln__system_svd,
    &ln__system_gpt,
    &ln__system_full,
    &ln__system_lora,
    &ln__system_heal,
    &ln__system_lasso,
    &ln__system_elasticnet,
    &ln__system_ridge,
    &ln__system_omp,
    &ln__system_iht,
    &ln__system_cosamp,
    &ln__system_subset,
    &ln__system_forecast_mixlinear,
    &ln__system_forecast_dlinear,
    &ln__system_forecast_nlinear,
    &ln__system_forecast_linear,
    &ln__system_forecast_fits,
    &ln__system_forecast_sparsetsf,
    &ln__system_forecast_naive,
    &ln__system_factor_svd,
    &ln__system_nmf,
    &ln__system_seminmf,
    &ln__system_cp,
    &ln__system_ntf,
    &ln__system_tucker,
    &ln__system_dynamic,
    NULL,
};
/* clang-format on */

const ln_system *const *ln_systems(void)
{
    return systems;
}

const ln_system *ln_system_find(const char *verb, const char *name)
{
    for (const ln_system *const *s = systems; *s; s++)
        if (strcmp((*s)->name, name) == 0 && (!verb || strcmp((*s)->verb, verb) == 0))
            return *s;
    return NULL;
}
