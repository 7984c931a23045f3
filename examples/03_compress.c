/* 03_compress.c - a checkpoint made smaller, with a line per stage.
 *
 * Build: cc 03_compress.c $(pkg-config --cflags --libs linnet)
 * Run:   ./a.out MODEL CALIBRATION_TEXT OUT_DIR
 */
#include <linnet/linnet.h>
#include <stdio.h>

static int progress(void *payload, const char *stage, int64_t done, int64_t total)
{
    (void)payload;
    if (done == total)
        fprintf(stderr, "%s: %lld of %lld\n", stage, (long long)done, (long long)total);
    return 0;
}

int main(int argc, char **argv)
{
    char *json = NULL;
    ln_result *r = NULL;
    ln_compress_opts o = LN_COMPRESS_OPTS_INIT;
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL TEXT OUT\n", argv[0]);
        return 2;
    }
    o.calib = argv[2];
    o.calib_tokens = 4096;
    o.remove = 0.2;
    o.progress = progress;
    ln_status st = ln_result_new(&r, "compress", "rocket");
    if (st == LN_OK)
        st = ln_compress(ln_system_find("compress", "rocket"), argv[1], argv[3], &o, NULL, r);
    if (st == LN_OK)
        st = ln_result_write_text(&json, r, 2);
    if (st == LN_OK)
        printf("%s\n", json);
    else
        fprintf(stderr, "%s\n", ln_last_error());
    ln_free(json);
    ln_result_free(r);
    return ln_status_exit_code(st);
}
