/* options.h - the options of each system of this room, as its table describes them. */
#ifndef LINNET_FORECAST_OPTIONS_H
#define LINNET_FORECAST_OPTIONS_H

#include "core/core.h"

typedef struct ln__linear_opts {
    uint32_t struct_size;
    double ridge;
} ln__linear_opts;

typedef struct ln__dlinear_opts {
    uint32_t struct_size;
    double ridge;
    int64_t kernel;
} ln__dlinear_opts;

typedef struct ln__sparsetsf_opts {
    uint32_t struct_size;
    double lr;
    int64_t steps, patience;
} ln__sparsetsf_opts;

typedef struct ln__mixlinear_opts {
    uint32_t struct_size;
    double alpha, lr;
    int64_t bins, rank, steps, patience;
} ln__mixlinear_opts;

typedef struct ln__fits_opts {
    uint32_t struct_size;
    int32_t mode;
    double lr;
    int64_t harmonics, bins, base, steps, patience;
} ln__fits_opts;

typedef struct ln__naive_opts {
    uint32_t struct_size;
} ln__naive_opts;

#endif
