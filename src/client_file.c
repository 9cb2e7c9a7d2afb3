/* SPDX-License-Identifier: Apache-2.0 */
#include "src/client_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"

/* What the sandbox says about the write that just failed; false when it says nothing. */
static bool read_sentence(int fd, char *sentence, size_t size)
{
    ssize_t n = read(fd, sentence, size - 1);
    if (n <= 0)
        return false;
    sentence[n] = '\0';
    sentence[strcspn(sentence, "\n")] = '\0';
    return *sentence != '\0';
}

int client_file_request(int fd, const char *what, const char *text, struct err *err)
{
    size_t len = strlen(text);
    ssize_t n = write(fd, text, len);
    if (n == (ssize_t)len)
        return 0;
    int code = n < 0 ? errno : EIO;
    char sentence[512];
    if (read_sentence(fd, sentence, sizeof sentence))
        return err_set(err, code, "%s", sentence);
    return err_errno(err, code, "%s", what);
}

int client_file_write(int dir_fd, const char *name, const char *text, struct err *err)
{
    cleanup_close int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", name);
    return client_file_request(fd, name, text, err);
}

char *client_file_read(int dir_fd, const char *name, size_t max, struct err *err)
{
    cleanup_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    cleanup_free char *text = malloc(max + 1);
    if (fd < 0 || !text) {
        err_errno(err, errno, "%s", name);
        return NULL;
    }
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len < max; len += (size_t)n) {
        n = read(fd, text + len, max - len);
        if (n < 0) {
            err_errno(err, errno, "%s", name);
            return NULL;
        }
    }
    text[len] = '\0';
    return steal_pointer(&text);
}
