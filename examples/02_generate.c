/* 02_generate.c - a language model continues a prompt.
 *
 * Build: cc 02_generate.c $(pkg-config --cflags --libs linnet)
 * Run:   ./a.out MODEL "Once upon a time"
 */
#include <linnet/linnet.h>
#include <stdio.h>
#include <string.h>

static int print(void *payload, const char *text, size_t bytes)
{
    return fwrite(text, 1, bytes, payload) != bytes;
}

int main(int argc, char **argv)
{
    ln_model *m = NULL;
    int32_t *ids = NULL;
    int64_t n = 0;
    ln_generation g = { .struct_size = sizeof g };
    ln_generate_opts o = LN_GENERATE_OPTS_INIT;
    o.temperature = 0;
    o.tokens = 32;
    o.on_text = print;
    o.payload = stdout;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL PROMPT\n", argv[0]);
        return 2;
    }
    ln_status st = ln_model_open(&m, argv[1]);
    if (st == LN_OK)
        st = ln_tokenizer_encode(&ids, &n, ln_model_tokenizer(m), argv[2], strlen(argv[2]), LN_TOKENIZE_WRAP);
    if (st == LN_OK)
        st = ln_generate(&g, m, ids, n, &o);
    if (st != LN_OK)
        fprintf(stderr, "%s\n", ln_last_error());
    printf("\n");
    ln_free(g.ids);
    ln_free(ids);
    ln_model_release(m);
    return ln_status_exit_code(st);
}
