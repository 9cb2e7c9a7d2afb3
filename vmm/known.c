/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/known.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/session.h"
#include "vmm/accel.h"

enum { BOOT_ID_MAX = 64 };

static void boot_id(char id[static BOOT_ID_MAX])
{
    cleanup_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, id, BOOT_ID_MAX - 1);
    id[n > 0 ? n : 0] = '\0';
    id[strcspn(id, "\n")] = '\0';
}

/* The head of the file: "BOOT KEY\n". NULL when out of memory or when there is no boot to tell from others. */
static char *head_of(const char *key)
{
    char boot[BOOT_ID_MAX], *head;
    boot_id(boot);
    return *boot && asprintf(&head, "%s %s\n", boot, key) >= 0 ? head : NULL;
}

char *known_get(const char *name, const char *key)
{
    char file[32], text[KNOWN_MAX];
    struct stat st;
    snprintf(file, sizeof file, "known.%s", name);
    cleanup_free char *head = head_of(key);
    cleanup_close int base = session_base(NULL);
    cleanup_close int fd = base < 0 ? -1 : openat(base, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (!head || fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077))
        return NULL;
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return strncmp(text, head, strlen(head)) == 0 ? strdup(text + strlen(head)) : NULL;
}

void known_put(const char *name, const char *key, const char *value)
{
    char file[32], fresh[64], text[KNOWN_MAX];
    snprintf(file, sizeof file, "known.%s", name);
    snprintf(fresh, sizeof fresh, "%s.%d", file, (int)getpid());
    cleanup_free char *head = head_of(key);
    cleanup_close int base = session_base(NULL);
    int length = head ? snprintf(text, sizeof text, "%s%s", head, value) : -1;
    if (base < 0 || length < 0 || length >= (int)sizeof text)
        return;
    cleanup_close int fd = openat(base, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && (write(fd, text, (size_t)length) != length || renameat(base, fresh, base, file) < 0))
        unlinkat(base, fresh, 0);
}

uint32_t known_tsc_khz(void)
{
    char value[16];
    cleanup_free char *known = known_get("tsc", "kHz");
    uint32_t khz = known ? (uint32_t)strtoul(known, NULL, 10) : 0;
    if (khz)
        return khz;
    khz = accel_tsc_khz();
    snprintf(value, sizeof value, "%u", khz);
    if (khz)
        known_put("tsc", "kHz", value);
    return khz;
}
