/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target once on each file given: the corpus as an ordinary test, with any compiler. */
#include <errno.h>
#include <string.h>

#include "src/cleanup.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_LIMIT = 1 << 20 };

static int replay(const char *path)
{
    cleanup_fclose FILE *file = fopen(path, "rb");
    cleanup_free uint8_t *data = malloc(INPUT_LIMIT);
    if (!file || !data) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return 1;
    }
    LLVMFuzzerTestOneInput(data, fread(data, 1, INPUT_LIMIT, file));
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i]) != 0)
            return 1;
    }
    printf("%d inputs\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
