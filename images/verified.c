/* SPDX-License-Identifier: Apache-2.0 */
#include "images/verified.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "images/files.h"
#include "src/cleanup.h"

#define VERIFIED_NAME "verified"

/* Time stamps may be as coarse as two seconds (FAT); most are some milliseconds. */
enum { GRAIN_S = 2, LARGEST = 32 * 1024, BOOT_ID_MAX = 64 };

/* What is read now of files that were not synced is in the memory of this boot of the host: the next one may find anything
 * in them, under the same times. "" for those that were; NULL when it cannot be told. malloc'd. */
static char *boot_of(bool unsynced)
{
    char *id = unsynced ? files_read("/proc/sys/kernel/random/boot_id", BOOT_ID_MAX, NULL) : strdup("");
    if (id)
        id[strcspn(id, "\n")] = '\0';
    return id;
}

/* A line with the file's state now, malloc'd. NULL when it is missing. *changed_s: when it was changed last. */
static char *state_of(const char *directory, const struct manifest_file *file, bool unsynced, time_t *changed_s)
{
    cleanup_free char *path = files_format("%s/%s", directory, file->name), *boot = boot_of(unsynced);
    struct stat st;
    if (!path || !boot || lstat(path, &st) < 0)
        return NULL;
    *changed_s = st.st_ctim.tv_sec;
    cleanup_free char *state = files_state(&st);
    return state ? files_format("%s %s %s%s%ju %s\n", file->name, file->sha256, boot, *boot ? " " : "",
                                (uintmax_t)st.st_dev, state) : NULL;
}

static char *read_record(const char *directory)
{
    cleanup_free char *path = files_format("%s/" VERIFIED_NAME, directory);
    return path ? files_read(path, LARGEST, NULL) : NULL;
}

/* The line of a file in the record, or NULL. */
static const char *find_line(const char *record, const char *name)
{
    size_t length = strlen(name);
    while (record && *record) {
        if (strncmp(record, name, length) == 0 && record[length] == ' ')
            return record;
        const char *end = strchr(record, '\n');
        record = end ? end + 1 : NULL;
    }
    return NULL;
}

static bool is_recorded(const char *record, const char *name, const char *state)
{
    const char *line = find_line(record, name);
    return line && state && strncmp(line, state, strlen(state)) == 0;
}

static void write_record(const char *directory, const char *text)
{
    cleanup_free char *path = files_format("%s/" VERIFIED_NAME, directory);
    cleanup_free char *new = files_format("%s/" VERIFIED_NAME ".%d", directory, (int)getpid());
    cleanup_close int fd = path && new ? open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (files_write(fd, text, strlen(text)) < 0 || rename(new, path) < 0)
        unlink(new);
}

/* The old record with the lines of `files` replaced by `states` (NULL: taken out). */
static void merge(const char *directory, const struct manifest_file *files, size_t count, char *const *states)
{
    cleanup_free char *record = read_record(directory), *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    for (const char *line = record; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line, " \n"), line);
        if (!manifest_files_find(files, count, name))
            fprintf(out, "%.*s\n", (int)strcspn(line, "\n"), line);
    }
    for (size_t i = 0; i < count; i++)
        if (states[i])
            fputs(states[i], out);
    if (fclose(out) == 0)
        write_record(directory, text);
}

/* Is the state the same still, and would it show had the file been changed since it was looked at? */
static bool is_settled(const char *directory, const struct manifest_file *file, bool unsynced, const char *state)
{
    time_t changed_s = 0;
    cleanup_free char *now = state_of(directory, file, unsynced, &changed_s);
    return now && state && strcmp(now, state) == 0 && changed_s <= time(NULL) - GRAIN_S;
}

int verified_check(const char *directory, const struct manifest_file *files, size_t count, unsigned how,
                   verified_compare_fn *compare, void *data, struct err *err)
{
    cleanup_free char *record = read_record(directory);
    char *states[MANIFEST_MAX_FILES] = {NULL};
    bool compared = false, unsynced = how & VERIFIED_UNSYNCED;
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        time_t ignored;
        states[i] = state_of(directory, &files[i], unsynced, &ignored);
        if (!(how & VERIFIED_ALL) && is_recorded(record, files[i].name, states[i]))
            continue;
        compared = true;
        code = compare(data, &files[i], err);
        if (code == 0 && !is_settled(directory, &files[i], unsynced, states[i])) {
            free(states[i]);
            states[i] = NULL;
        }
    }
    if (compared && code == 0)
        merge(directory, files, count, states);
    for (size_t i = 0; i < count; i++)
        free(states[i]);
    return code;
}

void verified_record(const char *directory, const struct manifest_file *files, size_t count)
{
    char *states[MANIFEST_MAX_FILES] = {NULL};
    time_t ignored;
    for (size_t i = 0; i < count; i++)
        states[i] = state_of(directory, &files[i], false, &ignored);
    merge(directory, files, count, states);
    for (size_t i = 0; i < count; i++)
        free(states[i]);
}

/* The time of the last change of a state is what its line ends with. */
static bool differs_in_ctime_only(const char *state, const char *other)
{
    return strncmp(state, other, (size_t)(strrchr(state, ' ') - state) + 1) == 0;
}

void verified_unlink(const char *directory, const struct manifest_file *file, const char *other)
{
    time_t ignored;
    cleanup_free char *record = read_record(directory), *before = state_of(directory, file, false, &ignored);
    bool recorded = is_recorded(record, file->name, before);
    unlink(other);
    cleanup_free char *after = state_of(directory, file, false, &ignored);
    if (recorded && after && differs_in_ctime_only(before, after))
        merge(directory, file, 1, &after);
}
