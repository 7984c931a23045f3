/* signals.c - Ctrl-C and its relatives. The first SIGINT, SIGTERM or SIGHUP only sets a flag, which progress callbacks
 * see: the step finishes and saves. The second removes open temporary files and leaves at once. A closed pipe ends the
 * command without a word, as other tools do. Handlers call only async-signal-safe functions. */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "core/file.h"

volatile int cli_cancel;
static atomic_int stops;

static void stop(int signal_number)
{
    (void)signal_number;
    if (atomic_fetch_add(&stops, 1) > 0) { /* two signals may arrive on two threads at once */
        ln__out_remove_all();
        _exit(130);
    }
    cli_cancel = 1;
}

static void broken_pipe(int signal_number)
{
    ln__out_remove_all();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void cli_signals_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    action.sa_handler = stop;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup wants it ignored */
        sigaction(SIGHUP, &action, NULL);
    action.sa_handler = broken_pipe;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGPIPE, &action, NULL);
}
