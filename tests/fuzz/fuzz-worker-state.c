/* SPDX-License-Identifier: Apache-2.0 */
/* The file that one gondolin-vfs leaves to the next: what is no whole number of sections is refused, and each section that is
 * found lies in the file and can be read to its end.
 * SOURCES: fs/worker_state.c */
#include <sys/mman.h>
#include <unistd.h>

#include "fs/worker_state.h"
#include "tests/fuzz/fuzz.h"

static void read_all(const struct worker_state *state, uint32_t kind, uint32_t id)
{
    volatile uint8_t last = 0;
    size_t len = 0;
    const uint8_t *bytes = worker_state_find(state, (enum worker_section)kind, id, &len);
    if (!bytes)
        return;
    fuzz_require(bytes >= state->bytes && len <= state->len && bytes + len <= state->bytes + state->len);
    for (size_t i = 0; i < len; i++)
        last = bytes[i];
    (void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct worker_state state;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    fuzz_require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    if (worker_state_map(fd, &state) == 0) {
        fuzz_require(state.len == size);
        for (uint32_t kind = 0; kind < 4; kind++)
            for (uint32_t id = 0; id < 4; id++)
                read_all(&state, kind, id);
        munmap((void *)(uintptr_t)state.bytes, state.len);
    }
    close(fd);
    return 0;
}
