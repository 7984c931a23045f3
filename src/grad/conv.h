/* conv.h - the geometry of a convolution over channels-last volumes, and its two memory movements. Two dimensions are a
 * volume of depth 1, one dimension an image of height 1. */
#ifndef LINNET_GRAD_CONV_H
#define LINNET_GRAD_CONV_H

#include "grad/tape.h"

/* A volume (batch,z,h,w,c), a result (batch,oz,oh,ow,o), weights (o,kz,kh,kw,c/groups). Position p counts results
 * (b,oz,oh,ow); its row of columns is the (kz,kh,kw,c/groups) patch of one group that it sees, zeros outside. */
typedef struct ln__conv {
    int64_t batch, z, h, w, c, oz, oh, ow, o, kz, kh, kw;
    int64_t stride, pad_z, pad_h, pad_w, dilation, groups;
} ln__conv;

static inline int64_t ln__conv_positions(const ln__conv *g)
{
    return g->batch * g->oz * g->oh * g->ow;
}

/* Length of a row of columns. */
static inline int64_t ln__conv_patch(const ln__conv *g)
{
    return g->kz * g->kh * g->kw * (g->c / g->groups);
}

/* Positions along one axis: how many windows of `k` taps fit; 0 when not even one does. */
static inline int64_t ln__conv_extent(int64_t size, int64_t k, int64_t stride, int64_t pad, int64_t dilation)
{
    const int64_t room = size + 2 * pad - dilation * (k - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

/* Is a row of columns a piece of the volume itself? */
static inline bool ln__conv_pointwise(const ln__conv *g)
{
    return g->kz == 1 && g->kh == 1 && g->kw == 1 && g->stride == 1 && g->pad_z == 0 && g->pad_h == 0 && g->pad_w == 0;
}

/* Positions handled at a time, so that their columns stay near the second-level cache. */
int64_t ln__conv_tile(const ln__conv *g);
/* columns (end - begin, patch) of positions [begin, end) in one group. */
void ln__conv_gather(void *columns, const void *image, const ln__conv *g, ln_dtype dt, int64_t group, int64_t begin,
                     int64_t end);
/* The adjoint: adds columns to the image. */
void ln__conv_scatter(void *image, const void *columns, const ln__conv *g, ln_dtype dt, int64_t group, int64_t begin,
                      int64_t end);

#endif
