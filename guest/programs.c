/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/programs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "src/cleanup.h"

enum { MAX_DIRECTORIES = 32 };

struct place {
    dev_t dev;
    ino_t ino;
};

static void add(struct programs *out, const char *name)
{
    if (out->count >= PROGRAMS_MAX)
        return;
    if (out->count % 256 == 0) {
        char **grown = realloc(out->names, (out->count + 256) * sizeof *grown);
        if (!grown)
            return;
        out->names = grown;
    }
    char *copy = strdup(name);
    if (copy)
        out->names[out->count++] = copy;
}

static bool is_program(int dir_fd, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_REG && entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
        return false;
    return fstatat(dir_fd, entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* /bin is often a symlink to /usr/bin: each directory is read once. */
static bool is_new(struct place *seen, size_t *count, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || *count == MAX_DIRECTORIES)
        return false;
    for (size_t i = 0; i < *count; i++) {
        if (seen[i].dev == st.st_dev && seen[i].ino == st.st_ino)
            return false;
    }
    seen[(*count)++] = (struct place){st.st_dev, st.st_ino};
    return true;
}

static void list_directory(const char *path, struct place *seen, size_t *seen_count, struct programs *out)
{
    cleanup_closedir DIR *dir = opendir(path);
    if (!dir || !is_new(seen, seen_count, dirfd(dir)))
        return;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (is_program(dirfd(dir), entry))
            add(out, entry->d_name);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void drop_doubles(struct programs *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++) {
        if (kept > 0 && strcmp(out->names[kept - 1], out->names[i]) == 0)
            free(out->names[i]);
        else
            out->names[kept++] = out->names[i];
    }
    out->count = kept;
}

void programs_list(const char *path, struct programs *out)
{
    struct place seen[MAX_DIRECTORIES];
    size_t seen_count = 0;
    *out = (struct programs){0};
    while (*path) {
        char directory[PATH_MAX];
        size_t len = strcspn(path, ":");
        if (len > 0 && len < sizeof directory) {
            memcpy(directory, path, len);
            directory[len] = '\0';
            list_directory(directory, seen, &seen_count, out);
        }
        path += len + (path[len] == ':');
    }
    if (out->count > 0)
        qsort(out->names, out->count, sizeof *out->names, compare);
    drop_doubles(out);
}

void programs_clear(struct programs *programs)
{
    for (size_t i = 0; i < programs->count; i++)
        free(programs->names[i]);
    free(programs->names);
    *programs = (struct programs){0};
}
