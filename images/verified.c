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
enum { GRAIN_S = 2, LARGEST = 16 * 1024 };

char *verified_state(const char *directory, const struct manifest *manifest)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool good = out != NULL;
    for (size_t i = 0; good && i < manifest->file_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        cleanup_free char *path = files_format("%s/%s", directory, file->name);
        struct stat st;
        good = path && lstat(path, &st) == 0;
        if (good)
            fprintf(out, "%s %s %ju %ju %jd %jd.%09ld %jd.%09ld\n", file->name, file->sha256, (uintmax_t)st.st_dev,
                    (uintmax_t)st.st_ino, (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                    (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    }
    if (out && fclose(out) == 0 && good)
        return text;
    free(text);
    return NULL;
}

bool verified_is_recorded(const char *directory, const char *state)
{
    cleanup_free char *path = files_format("%s/" VERIFIED_NAME, directory);
    cleanup_free char *recorded = path && state ? files_read(path, LARGEST, NULL) : NULL;
    return recorded && strcmp(recorded, state) == 0;
}

/* Could a file have been changed after a look at it, without that showing in its times? */
static bool changed_just_now(const char *directory, const struct manifest *manifest)
{
    bool recent = false;
    time_t now = time(NULL);
    for (size_t i = 0; i < manifest->file_count && !recent; i++) {
        cleanup_free char *path = files_format("%s/%s", directory, manifest->files[i].name);
        struct stat st;
        recent = !path || lstat(path, &st) < 0 || st.st_ctim.tv_sec > now - GRAIN_S;
    }
    return recent;
}

void verified_record(const char *directory, const struct manifest *manifest, const char *state)
{
    cleanup_free char *now = verified_state(directory, manifest);
    if (!state || !now || strcmp(now, state) != 0 || changed_just_now(directory, manifest))
        return;
    cleanup_free char *path = files_format("%s/" VERIFIED_NAME, directory);
    cleanup_free char *new = files_format("%s/" VERIFIED_NAME ".%d", directory, (int)getpid());
    cleanup_close int fd = path && new ? open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (files_write(fd, state, strlen(state)) < 0 || rename(new, path) < 0)
        unlink(new);
}
