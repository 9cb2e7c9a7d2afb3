/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/worker_state.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct section {
    uint32_t kind, id;
    uint64_t len;
};

int worker_state_put(FILE *out, enum worker_section kind, uint32_t id, worker_section_fn *save, void *object)
{
    struct section section = {.kind = kind, .id = id};
    long at = ftell(out);
    if (at < 0 || fwrite(&section, sizeof section, 1, out) != 1)
        return -EIO;
    int rc = save(object, out);
    long end = ftell(out);
    if (rc < 0 || end < 0)
        return rc < 0 ? rc : -EIO;
    section.len = (uint64_t)(end - at) - sizeof section;
    if (fseek(out, at, SEEK_SET) < 0 || fwrite(&section, sizeof section, 1, out) != 1 || fseek(out, end, SEEK_SET) < 0)
        return -EIO;
    return 0;
}

/* The section at `at`; false: there is no whole one. */
static bool read_section(const struct worker_state *state, size_t at, struct section *out)
{
    if (state->len - at < sizeof *out)
        return false;
    memcpy(out, state->bytes + at, sizeof *out);
    return out->len <= state->len - at - sizeof *out;
}

static bool all_whole(const struct worker_state *state)
{
    struct section section;
    for (size_t at = 0; at < state->len; at += sizeof section + section.len)
        if (!read_section(state, at, &section))
            return false;
    return true;
}

int worker_state_map(int fd, struct worker_state *out)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size <= 0)
        return -EPROTO;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    *out = (struct worker_state){map, (size_t)st.st_size};
    if (all_whole(out))
        return 0;
    munmap(map, out->len);
    return -EPROTO;
}

const uint8_t *worker_state_find(const struct worker_state *state, enum worker_section kind, uint32_t id, size_t *len)
{
    struct section section;
    for (size_t at = 0; at < state->len && read_section(state, at, &section); at += sizeof section + section.len) {
        if (section.kind != kind || section.id != id)
            continue;
        *len = section.len;
        return state->bytes + at + sizeof section;
    }
    return NULL;
}
