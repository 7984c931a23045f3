/* comm.c - sums, broadcasts and meetings of ranks, from nothing but exchanges between two of them.
 *
 * Sum: recursive halving, then doubling (Rabenseifner 2004). In round k a rank and the one whose number differs in bit
 * k each add the other's part of half of what they hold; then the halves go back the same way. Every number is added
 * along the same tree of ranks, ((0+2)+(1+3)) for four, and a sum is made once and copied: equal bytes everywhere, and
 * each rank sends 2 (1 - 1/size) times the data. Ranks beyond the largest power of two first give theirs to another and
 * are told the result. In pieces of 4 MiB, so that the room for a peer's part stays small.
 * Broadcast: a binomial tree. A failed exchange breaks the group: nothing is sent after it. */
#include "core/comm.h"

#include <stdlib.h>
#include <string.h>

#include "core/threads.h"

enum { PIECE = 4 << 20, LINE = 1 + LN__COMM_SUMS + LN__COMM_MOSTS, MESSAGE = 400, ADD_CHUNK = 1 << 16, SMALL = 4096 };

/* ---- life ---- */

ln_status ln_comm_new(ln_comm **out, int32_t rank, int32_t size, ln_comm_exchange_fn exchange, void *ctx)
{
    ln_status st = LN_OK;
    ln_comm *c = NULL;
    if (!out || (size > 1 && !exchange))
        return ln__fail(LN_ERR_ARG, "comm: out and exchange must not be NULL");
    if (size < 1 || rank < 0 || rank >= size)
        return ln__fail(LN_ERR_RANGE, "comm: rank %d of %d ranks", rank, size);
    LN_TRY(LN_NEW0(&c, 1));
    c->rank = rank;
    c->size = size;
    c->exchange = exchange;
    c->ctx = ctx;
    if (size > 1) {
        LN_TRY(ln__alloc((void **)&c->room, PIECE, 1));
        LN_TRY(ln__calloc((void **)&c->table, (size_t)size, LINE * sizeof *c->table));
    }
    *out = c;
    c = NULL;
done:
    ln_comm_free(c);
    return st;
}

int32_t ln_comm_launched(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        const long n = text ? strtol(text, NULL, 10) : 0;
        if (n >= 1 && n <= INT32_MAX)
            return (int32_t)n;
    }
    return 1;
}

ln_status ln_comm_world(ln_comm **out)
{
    if (!out)
        return ln__fail(LN_ERR_ARG, "comm: out is NULL");
    /* launchers that do not say how many there are (Slurm with PMIx) give each process its rank */
    const bool placed = ln_comm_has_mpi() && (getenv("PMIX_RANK") || getenv("PMI_RANK"));
    return placed || ln_comm_launched() > 1 ? ln__comm_mpi(out) : ln_comm_new(out, 0, 1, NULL, NULL);
}

void ln_comm_free(ln_comm *c)
{
    if (!c)
        return;
    if (c->end)
        c->end(c->ctx, c->broken);
    ln__free(c->room);
    ln__free(c->table);
    ln__free(c);
}

int32_t ln_comm_rank(const ln_comm *c)
{
    return c ? c->rank : 0;
}

int32_t ln_comm_size(const ln_comm *c)
{
    return c ? c->size : 1;
}

bool ln_comm_broken(const ln_comm *c)
{
    return c && c->broken;
}

/* ---- exchanges ---- */

static ln_status exchange(ln_comm *c, int32_t peer, const void *send, size_t send_bytes, void *recv, size_t recv_bytes)
{
    if (c->broken)
        return ln__fail(LN_ERR_IO, "rank %d: a rank is gone", c->rank);
    const ln_status st = c->exchange(c->ctx, peer, send, send_bytes, recv, recv_bytes);
    c->broken = st != LN_OK;
    return st;
}

typedef struct add_job {
    void *x;
    const void *y;
    bool wide;
} add_job;

static void add_range(void *ctx, int64_t begin, int64_t end)
{
    const add_job *j = ctx;
    if (j->wide) {
        double *x = j->x;
        const double *y = j->y;
        for (int64_t i = begin; i < end; i++)
            x[i] += y[i];
    } else {
        float *x = j->x;
        const float *y = j->y;
        for (int64_t i = begin; i < end; i++)
            x[i] += y[i];
    }
}

static void add(void *x, const void *y, int64_t n, size_t width)
{
    add_job j = { .x = x, .y = y, .wide = width == 8 };
    ln__parallel_for(n, ADD_CHUNK, add_range, &j);
}

/* ---- sum ---- */

/* The same sums for what is small, where a round costs its start and not its bytes: both of a pair hand over all they
 * have and add, which gives both the same (a + b is b + a). */
static ln_status all_to_all(ln_comm *c, char *x, int64_t n, size_t width, int32_t power)
{
    ln_status st = LN_OK;
    const size_t bytes = width * (size_t)n;
    for (int32_t bit = power / 2; bit > 0; bit /= 2) {
        LN_TRY(exchange(c, c->rank ^ bit, x, bytes, c->room, bytes));
        add(x, c->room, n, width);
    }
done:
    return st;
}

/* Ranks 0 … power-1, a power of two. */
static ln_status halve_and_double(ln_comm *c, char *x, int64_t n, size_t width, int32_t power)
{
    ln_status st = LN_OK;
    int64_t low[32], high[32], lo = 0, hi = n;
    int depth = 0;
    for (int32_t bit = power / 2; bit > 0; bit /= 2, depth++) {
        const int64_t mid = lo + (hi - lo) / 2;
        const bool upper = (c->rank & bit) != 0;
        const int64_t keep = upper ? mid : lo, kept = upper ? hi - mid : mid - lo;
        const int64_t give = upper ? lo : mid, given = hi - lo - kept;
        low[depth] = lo;
        high[depth] = hi;
        LN_TRY(
            exchange(c, c->rank ^ bit, x + width * (size_t)give, width * (size_t)given, c->room, width * (size_t)kept));
        add(x + width * (size_t)keep, c->room, kept, width);
        lo = keep;
        hi = keep + kept;
    }
    for (int32_t bit = 1; bit < power; bit *= 2) {
        depth--;
        const bool upper = (c->rank & bit) != 0;
        const int64_t other = upper ? low[depth] : hi, others = high[depth] - low[depth] - (hi - lo);
        LN_TRY(exchange(c, c->rank ^ bit, x + width * (size_t)lo, width * (size_t)(hi - lo), x + width * (size_t)other,
                        width * (size_t)others));
        lo = low[depth];
        hi = high[depth];
    }
done:
    return st;
}

static ln_status sum_piece(ln_comm *c, char *x, int64_t n, size_t width)
{
    ln_status st = LN_OK;
    const size_t bytes = width * (size_t)n;
    int32_t power = 1;
    while (power <= c->size / 2)
        power *= 2;
    if (c->rank >= power) {
        LN_TRY(exchange(c, c->rank - power, x, bytes, NULL, 0));
        LN_TRY(exchange(c, c->rank - power, NULL, 0, x, bytes));
        goto done;
    }
    const bool helps = c->rank + power < c->size;
    if (helps) {
        LN_TRY(exchange(c, c->rank + power, NULL, 0, c->room, bytes));
        add(x, c->room, n, width);
    }
    LN_TRY((bytes <= SMALL ? all_to_all : halve_and_double)(c, x, n, width, power));
    if (helps)
        LN_TRY(exchange(c, c->rank + power, x, bytes, NULL, 0));
done:
    return st;
}

ln_status ln_comm_sum(ln_comm *c, ln_dtype dt, void *x, int64_t n)
{
    ln_status st = LN_OK;
    if (dt != LN_F32 && dt != LN_F64)
        return ln__fail(LN_ERR_DTYPE, "comm: a sum of %s, expected f32 or f64", ln_dtype_name(dt));
    if (n < 0 || (n > 0 && !x))
        return ln__fail(LN_ERR_ARG, "comm: a sum of %lld numbers at %p", (long long)n, x);
    if (ln_comm_size(c) == 1)
        return LN_OK;
    const size_t width = ln_dtype_bytes(dt, 1);
    const int64_t most = PIECE / (int64_t)width;
    for (int64_t at = 0; at < n; at += LN_MIN(most, n - at))
        LN_TRY(sum_piece(c, (char *)x + width * (size_t)at, LN_MIN(most, n - at), width));
done:
    return st;
}

/* ---- broadcast ---- */

ln_status ln__comm_spread(ln_comm *c, int32_t from, void *data, size_t bytes)
{
    ln_status st = LN_OK;
    if (ln_comm_size(c) == 1)
        return LN_OK;
    const int32_t me = (c->rank - from + c->size) % c->size; /* counted from the sender */
    for (size_t at = 0; at < bytes; at += LN_MIN((size_t)PIECE, bytes - at)) {
        char *x = (char *)data + at;
        const size_t n = LN_MIN((size_t)PIECE, bytes - at);
        int32_t bit = 1;
        while (bit <= me / 2) /* the highest bit of me: whom it comes from */
            bit *= 2;
        if (me > 0)
            LN_TRY(exchange(c, (me - bit + from) % c->size, NULL, 0, x, n));
        for (int64_t to = me == 0 ? 1 : 2 * (int64_t)bit; me + to < c->size; to *= 2)
            LN_TRY(exchange(c, (int32_t)((me + to + from) % c->size), x, n, NULL, 0));
    }
done:
    return st;
}

ln_status ln_comm_broadcast(ln_comm *c, void *data, size_t bytes)
{
    if (bytes > 0 && !data)
        return ln__fail(LN_ERR_ARG, "comm: a broadcast of %zu bytes at NULL", bytes);
    return ln__comm_spread(c, 0, data, bytes);
}

/* ---- meetings ---- */

/* The message of the lowest rank that failed; with the rank before it, unless all failed alike. */
static ln_status fail_together(ln_comm *c)
{
    ln_status st = LN_OK;
    char text[MESSAGE] = "";
    int32_t first = 0;
    bool alike = true;
    while (c->table[first * LINE] == 0)
        first++;
    for (int32_t r = 0; r < c->size; r++)
        alike = alike && c->table[r * LINE] == c->table[first * LINE];
    if (c->rank == first)
        ln__format(text, sizeof text, "%s", ln_last_error());
    LN_TRY(ln__comm_spread(c, first, text, sizeof text));
    text[sizeof text - 1] = '\0';
    st = (ln_status)c->table[first * LINE];
    return alike ? ln__fail(st, "%s", text) : ln__fail(st, "rank %d: %s", first, text);
done:
    return st;
}

ln_status ln__comm_join(ln_comm *c, ln_status mine, double *sum, int n_sum, double *most, int n_most)
{
    ln_status st = LN_OK;
    if (ln_comm_size(c) == 1)
        return mine;
    if (c->broken)
        return mine != LN_OK ? mine : ln__fail(LN_ERR_IO, "rank %d: a rank is gone", c->rank);
    memset(c->table, 0, (size_t)c->size * LINE * sizeof *c->table);
    double *line = c->table + (int64_t)c->rank * LINE;
    line[0] = mine;
    for (int i = 0; i < n_sum && mine == LN_OK; i++)
        line[1 + i] = sum[i];
    for (int i = 0; i < n_most && mine == LN_OK; i++)
        line[1 + LN__COMM_SUMS + i] = most[i];
    LN_TRY(ln_comm_sum(c, LN_F64, c->table, (int64_t)c->size * LINE)); /* others' lines are zero: this gathers */
    for (int32_t r = 0; r < c->size; r++)
        if (c->table[r * LINE] != 0)
            return fail_together(c);
    for (int i = 0; i < n_sum; i++) {
        sum[i] = 0;
        for (int32_t r = 0; r < c->size; r++)
            sum[i] += c->table[r * LINE + 1 + i];
    }
    for (int i = 0; i < n_most; i++)
        for (int32_t r = 0; r < c->size; r++)
            most[i] = LN_MAX(most[i], c->table[r * LINE + 1 + LN__COMM_SUMS + i]);
done:
    return st;
}

ln_status ln_comm_agree(ln_comm *c, ln_status mine)
{
    return ln__comm_join(c, mine, NULL, 0, NULL, 0);
}
