/* peer.c - other people's programs beside ours: bench/peer_NAME.py is run by $LINNET_PEER_PYTHON or python3 and prints
 * one JSON object. A peer that is not installed prints {"missing": "package"}: that is no error. */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "core/file.h"
#include "core/json.h"

extern char **environ;

/* The script: in $LINNET_PEER_DIR, ./bench, or bench/ of the tree that the command was built in. */
static ln_status find_script(char **out, const char *name)
{
    ln_status st = LN_OK;
    char exe[4096], file[96];
    char *path = NULL, *dir = NULL;
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = 0;
    for (int up = 0; up < 3 && strrchr(exe, '/'); up++)
        *strrchr(exe, '/') = 0;
    snprintf(file, sizeof file, "peer_%s.py", name);
    LN_TRY(ln__sprintf(&dir, "%s/bench", exe));
    const char *places[] = { getenv("LINNET_PEER_DIR"), "bench", dir };
    for (int i = 0; i < LN_COUNT(places); i++) {
        if (!places[i])
            continue;
        LN_TRY(ln__path_join(&path, places[i], file));
        if (ln__file_exists(path)) {
            *out = path;
            path = NULL;
            goto done;
        }
        ln__free(path);
        path = NULL;
    }
    LN_FAIL(LN_ERR_NOTFOUND, "%s is in neither $LINNET_PEER_DIR, ./bench nor %s", file, dir);
done:
    ln__free(path);
    ln__free(dir);
    return st;
}

static ln_status read_all(ln__buf *out, int fd)
{
    char chunk[4096];
    for (;;) {
        const ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            return LN_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ln__fail(LN_ERR_IO, "reading from the peer: %s", ln__errno_text(errno));
        const ln_status st = ln__buf_add(out, chunk, (size_t)n);
        if (st != LN_OK)
            return st;
    }
}

/* Runs python with the script; its standard output into `out`, *code its exit code (-1: not started or killed). */
static ln_status run_script(ln__buf *out, int *code, const char *script, const char *const *args, int n_args)
{
    ln_status st = LN_OK;
    enum { MAX_ARGS = 16 };
    char *argv[MAX_ARGS + 3];
    int fd[2] = { -1, -1 }, status = 0;
    pid_t child;
    posix_spawn_file_actions_t actions;
    const char *python = getenv("LINNET_PEER_PYTHON");
    *code = -1;
    argv[0] = (char *)(uintptr_t)(python && *python ? python : "python3");
    argv[1] = (char *)(uintptr_t)script;
    n_args = LN_MIN(n_args, MAX_ARGS);
    for (int i = 0; i < n_args; i++)
        argv[2 + i] = (char *)(uintptr_t)args[i];
    argv[2 + n_args] = NULL;
    posix_spawn_file_actions_init(&actions);
    if (pipe(fd) != 0)
        LN_FAIL(LN_ERR_IO, "pipe: %s", ln__errno_text(errno));
    posix_spawn_file_actions_adddup2(&actions, fd[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, fd[0]);
    posix_spawn_file_actions_addclose(&actions, fd[1]);
    const int failed = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
    close(fd[1]);
    fd[1] = -1;
    if (failed) {
        LN_TRY(ln__buf_printf(out, "{\"missing\": [\"%s\"]}", python ? "the Python of LINNET_PEER_PYTHON" : "python3"));
        *code = 0;
        goto done;
    }
    const ln_status got = read_all(out, fd[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    LN_TRY(got);
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
done:
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < 2; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    return st;
}

static ln_status one_peer(cli_ctx *ctx, json_t *list, json_t *peer, double ours, const char *unit, int64_t our_bytes)
{
    ln_status st = LN_OK;
    const char *name = json_string_value(json_object_get(peer, "peer"));
    const char *version = json_string_value(json_object_get(peer, "version"));
    const double rate = json_number_value(json_object_get(peer, "rate"));
    if (!name || !(rate > 0))
        return ln__fail(LN_ERR_FORMAT, "a peer without name or rate");
    LN_TRY(ln__json_set(peer, "ratio", json_real(ours / rate)));
    LN_TRY(ln__json_set(peer, "unit", json_string(unit)));
    LN_TRY(ln__json_append(list, json_incref(peer)));
    cli_say(ctx, "  peer %s %s: %.4g %s; linnet / peer = %.2f\n", name, version ? version : "", rate, unit,
            ours / rate);
    const double bytes = json_number_value(json_object_get(peer, "bytes"));
    if (our_bytes > 0 && bytes > 0) {
        char text[32];
        LN_TRY(ln__json_set(peer, "bytes_ratio", json_real((double)our_bytes / bytes)));
        ln__human_bytes(text, sizeof text, bytes);
        cli_say(ctx, "  peer %s: %s of memory; linnet / peer = %.2f\n", name, text, (double)our_bytes / bytes);
    }
done:
    return st;
}

ln_status bench_peers(cli_ctx *ctx, const char *name, const char *const *args, int n_args, double ours,
                      const char *unit)
{
    return bench_peers_of(ctx, "peers", name, args, n_args, ours, unit, 0);
}

ln_status bench_peers_of(cli_ctx *ctx, const char *key, const char *name, const char *const *args, int n_args,
                         double ours, const char *unit, int64_t our_bytes)
{
    ln_status st = LN_OK;
    ln__buf text = { 0 };
    char *script = NULL;
    json_t *answer = NULL, *list = json_array(), *item;
    int code = 0;
    size_t i;
    LN_TRY(find_script(&script, name));
    LN_TRY(run_script(&text, &code, script, args, n_args));
    if (cli_cancel)
        LN_FAIL(LN_ERR_CANCELLED, "interrupted");
    if (code != 0)
        LN_FAIL(LN_ERR_IO, "%s ended with exit code %d", script, code);
    LN_TRY(ln__json_parse(&answer, text.data ? text.data : "", text.len, script));
    json_array_foreach(json_object_get(answer, "peers"), i, item)
        LN_TRY(one_peer(ctx, list, item, ours, unit, our_bytes));
    json_array_foreach(json_object_get(answer, "missing"), i, item)
        cli_say(ctx, "  peer %s: not there\n", json_is_string(item) ? json_string_value(item) : "?");
    LN_TRY(cli_json(ctx, key, list));
done:
    ln__buf_free(&text);
    ln__free(script);
    json_decref(answer);
    json_decref(list);
    return st;
}
