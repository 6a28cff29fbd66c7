/*
 * corpus.c - the fuzzers' kept inputs, run by every compiler
 *
 * NEWT_CORPUS names a directory, or a file that a fuzzer left, to run through both instead.
 */
#include "check.h"

#include <dirent.h>

#define LLVMFuzzerTestOneInput decoder_input
#include "../fuzz/decoder.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput writer_input
#include "../fuzz/writer.c"
#undef LLVMFuzzerTestOneInput

typedef int input(const uint8_t *data, size_t n);

static void
run_file(const char *path, input *f)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20);
    size_t n;
    assert_non_null(file);
    assert_non_null(data);
    n = fread(data, 1, 1 << 20, file);
    fclose(file);
    data = realloc(data, n ? n : 1); /* so that a read beyond is seen */
    f(data, n);
    free(data);
}

static int
run_directory(const char *path, input *f)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    int count = 0;
    if (!d)
        return 0;
    while ((e = readdir(d)) != NULL) {
        char name[1024];
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        run_file(name, f);
        count++;
    }
    closedir(d);
    return count;
}

static void
corpus(const char *kept, input *f)
{
    const char *path = getenv("NEWT_CORPUS");
    int n = run_directory(path ? path : kept, f);
    if (n == 0 && path) {
        run_file(path, f);
        n = 1;
    }
    printf("# %d inputs\n", n);
    assert_true(n > 0);
}

static void
decoder(void **state)
{
    (void)state;
    corpus("tests/fuzz/corpus/decoder", decoder_input);
}

static void
writer(void **state)
{
    (void)state;
    corpus("tests/fuzz/corpus/writer", writer_input);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decoder), cmocka_unit_test(writer)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("corpus", tests, NULL, NULL);
}
