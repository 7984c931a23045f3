/* hals_vec_tmpl.c - columns of a tile one after the other. A column of the tile is 32 numbers side by side, and g is
 * one number for all of them: eight vectors of sums that do not wait for each other. */
static void VEC(hals_tile)(REAL *w, const REAL *p, const REAL *g, int64_t rank, int sweeps, REAL floor)
{
    for (int sweep = 0; sweep < sweeps; sweep++)
        for (int64_t r = 0; r < rank; r++) {
            REAL sum[LN__HALS_TILE];
            const REAL *gr = g + r * rank;
            if (!(gr[r] > 0)) /* the other factors have no such column: nothing to decide */
                continue;
            for (int t = 0; t < LN__HALS_TILE; t++)
                sum[t] = p[r * LN__HALS_TILE + t];
            for (int64_t s = 0; s < rank; s++)
                for (int t = 0; t < LN__HALS_TILE; t++)
                    sum[t] = MADD(-gr[s], w[s * LN__HALS_TILE + t], sum[t]);
            const REAL inverse = 1 / gr[r];
            for (int t = 0; t < LN__HALS_TILE; t++) {
                const REAL next = MADD(sum[t], inverse, w[r * LN__HALS_TILE + t]);
                w[r * LN__HALS_TILE + t] = next > floor ? next : floor;
            }
        }
}
