/* replay.c - runs one fuzz target over files instead of a fuzzer's inventions: replay FILE|DIRECTORY…
 * Each input is copied to memory of exactly its size, so that a sanitizer notices a read behind its end. Linked with
 * one fuzz_<noun>.c; part of the normal test run, where the compiler need not know libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat s;
    if (!f || fstat(fileno(f), &s) != 0) {
        fprintf(stderr, "replay: %s cannot be read\n", path);
        if (f)
            fclose(f);
        return -1;
    }
    const size_t n = (size_t)s.st_size;
    uint8_t *data = malloc(n ? n : 1);
    const int ok = data && fread(data, 1, n, f) == n;
    fclose(f);
    if (ok)
        LLVMFuzzerTestOneInput(data, n);
    else
        fprintf(stderr, "replay: %s cannot be read\n", path);
    free(data);
    return ok ? 0 : -1;
}

static int replay_directory(const char *path, long *files)
{
    DIR *dir = opendir(path);
    char name[4096];
    int rc = 0;
    if (!dir) {
        fprintf(stderr, "replay: %s cannot be read\n", path);
        return -1;
    }
    for (struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        rc = replay_file(name);
        ++*files;
    }
    closedir(dir);
    return rc;
}

int main(int argc, char **argv)
{
    long files = 0;
    for (int i = 1; i < argc; i++) {
        struct stat s;
        const int is_directory = stat(argv[i], &s) == 0 && S_ISDIR(s.st_mode);
        if ((is_directory ? replay_directory(argv[i], &files) : replay_file(argv[i])) != 0)
            return 1;
        files += !is_directory;
    }
    if (files == 0) {
        fprintf(stderr, "replay: no input: replay FILE|DIRECTORY…\n");
        return 1;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    printf("%ld inputs\n", files);
    return 0;
}
