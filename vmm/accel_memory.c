/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel_memory.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "src/cleanup.h"

enum { BOOT_ID_MAX = 64, KEY_MAX = 192, FILE_MAX = 1024 };

static bool read_text(int fd, char *text, size_t size)
{
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The first line of the file: what the verdict holds for. */
static bool make_key(char key[static KEY_MAX])
{
    char boot[BOOT_ID_MAX];
    struct stat st;
    cleanup_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (!read_text(fd, boot, sizeof boot) || stat("/dev/kvm", &st) < 0)
        return false;
    boot[strcspn(boot, "\n")] = '\0';
    snprintf(key, KEY_MAX, "%s %ju %jd.%09ld\n", boot, (uintmax_t)st.st_ino, (intmax_t)st.st_ctim.tv_sec,
             st.st_ctim.tv_nsec);
    return true;
}

/* A directory of our own, where nobody else could have put a file for us to believe. */
static int open_directory(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char user[64];
    snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
    const char *const places[] = {runtime && *runtime == '/' ? runtime : NULL, user, geteuid() == 0 ? "/run" : NULL};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct stat st;
        cleanup_close int fd = places[i] ? open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022))
            return steal_fd(&fd);
    }
    return -1;
}

static const char file_name[] = "gondolin-accel";

static int open_file(int flags)
{
    cleanup_close int dir = open_directory();
    return dir < 0 ? -1 : openat(dir, file_name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

/* Takes a line from *text into out; false when it is not whole or too long. */
static bool take_line(const char **text, char *out, size_t size)
{
    const char *end = strchr(*text, '\n');
    size_t len = end ? (size_t)(end - *text) : 0;
    if (!end || len >= size)
        return false;
    memcpy(out, *text, len);
    out[len] = '\0';
    *text = end + 1;
    return true;
}

bool accel_recall(struct accel_verdict *v)
{
    char key[KEY_MAX], text[FILE_MAX];
    struct accel_verdict kept = {.kvm = false};
    cleanup_close int fd = open_file(O_RDONLY);
    if (!read_text(fd, text, sizeof text) || !make_key(key) || strncmp(text, key, strlen(key)) != 0)
        return false;
    const char *at = text + strlen(key);
    if (!take_line(&at, kept.reason, sizeof kept.reason) || !take_line(&at, kept.fix, sizeof kept.fix))
        return false;
    *v = kept;
    return true;
}

void accel_remember(const struct accel_verdict *v)
{
    char key[KEY_MAX], text[FILE_MAX];
    if (!make_key(key))
        return;
    cleanup_close int fd = open_file(O_WRONLY | O_CREAT | O_TRUNC);
    int len = snprintf(text, sizeof text, "%s%s\n%s\n", key, v->reason, v->fix);
    if (fd >= 0 && write(fd, text, (size_t)len) != len && ftruncate(fd, 0) < 0)
        return; /* half a verdict is none: it lacks its last line */
}

void accel_forget(void)
{
    cleanup_close int dir = open_directory();
    if (dir >= 0)
        unlinkat(dir, file_name, 0);
}
