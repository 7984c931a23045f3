/* level.h - one source, several CPU levels and both types: the scheme of core/level.h. */
#ifndef LINNET_GRAD_LEVEL_H
#define LINNET_GRAD_LEVEL_H

#include "core/level.h"

#endif
