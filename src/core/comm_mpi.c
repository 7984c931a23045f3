/* comm_mpi.c - the ranks of MPI_COMM_WORLD, when the library is built with MPI.
 *
 * The group has a communicator of its own, so that messages of a host program cannot be taken for ours, and errors are
 * returned, not fatal. If a rank is lost the others cannot end MPI in order (MPI_Finalize would wait for it): they end
 * the whole job. */
#include "core/comm.h"

#ifndef LINNET_MPI

bool ln_comm_has_mpi(void)
{
    return false;
}

ln_status ln__comm_mpi(ln_comm **out)
{
    (void)out;
    return ln__fail(LN_ERR_UNSUPPORTED,
                    "started as one of %d processes, but this linnet was built without MPI (cmake -DLINNET_MPI=ON)",
                    ln_comm_launched());
}

#else

#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <time.h>

#include "core/progress.h"

typedef struct world {
    MPI_Comm comm;
    bool started; /* by us */
} world;

bool ln_comm_has_mpi(void)
{
    return true;
}

static ln_status fail_mpi(const char *what, int code)
{
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int n = 0;
    if (MPI_Error_string(code, text, &n) != MPI_SUCCESS)
        n = 0;
    text[n] = '\0';
    return ln__fail(LN_ERR_IO, "MPI: %s: %s", what, n > 0 ? text : "unknown error");
}

/* MPI's own waiting keeps a core busy, which another rank or a thread may need: watch closely for a moment, as long as
 * an answer in the middle of a sum takes, then look again and again (rank 0 may be evaluating or writing). */
static int wait_for(MPI_Request *r, int n)
{
    const double started = ln__now();
    const struct timespec nap = { .tv_nsec = 50000 };
    int done = 0, code = MPI_SUCCESS;
    for (;;) {
        code = MPI_Testall(n, r, &done, MPI_STATUSES_IGNORE);
        if (code != MPI_SUCCESS || done)
            return code;
        if (ln__now() - started > 1e-3)
            (void)nanosleep(&nap, NULL);
        else
            (void)sched_yield();
    }
}

static ln_status exchange(void *ctx, int32_t peer, const void *send, size_t send_bytes, void *recv, size_t recv_bytes)
{
    const world *w = ctx;
    MPI_Request r[2];
    int n = 0, code = MPI_SUCCESS;
    if (send_bytes > INT_MAX || recv_bytes > INT_MAX)
        return ln__fail(LN_ERR_RANGE, "MPI: a message of %zu bytes", LN_MAX(send_bytes, recv_bytes));
    if (recv_bytes > 0)
        code = MPI_Irecv(recv, (int)recv_bytes, MPI_BYTE, peer, 0, w->comm, &r[n++]);
    if (code == MPI_SUCCESS && send_bytes > 0)
        code = MPI_Isend(send, (int)send_bytes, MPI_BYTE, peer, 0, w->comm, &r[n++]);
    if (code == MPI_SUCCESS && n > 0)
        code = wait_for(r, n);
    return code == MPI_SUCCESS ? LN_OK : fail_mpi("exchange", code);
}

static void end(void *ctx, bool broken)
{
    world *w = ctx;
    if (broken)
        (void)MPI_Abort(w->comm, 4);
    if (w->comm != MPI_COMM_NULL)
        (void)MPI_Comm_free(&w->comm);
    if (w->started)
        (void)MPI_Finalize();
    ln__free(w);
}

ln_status ln__comm_mpi(ln_comm **out)
{
    ln_status st = LN_OK;
    world *w = NULL;
    ln_comm *c = NULL;
    int before = 0, level = 0, rank = 0, size = 1, code;
    LN_TRY(LN_NEW0(&w, 1));
    w->comm = MPI_COMM_NULL;
    if (MPI_Initialized(&before) != MPI_SUCCESS || !before) {
        code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level); /* one thread sends: the caller's */
        if (code != MPI_SUCCESS)
            LN_FAIL(LN_ERR_IO, "MPI: start failed with code %d", code);
        w->started = true;
    }
    code = MPI_Comm_dup(MPI_COMM_WORLD, &w->comm);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_set_errhandler(w->comm, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_rank(w->comm, &rank);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_size(w->comm, &size);
    if (code != MPI_SUCCESS) {
        st = fail_mpi("group of ranks", code);
        goto done;
    }
    LN_TRY(ln_comm_new(&c, rank, size, exchange, w));
    c->end = end;
    *out = c;
    w = NULL;
done:
    if (w)
        end(w, st == LN_ERR_NOMEM); /* a rank alone in this: the others wait */
    return st;
}

#endif
