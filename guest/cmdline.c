/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/cmdline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "gondolin."

static bool copy_value(const char *value, size_t len, char *to, size_t size)
{
    if (len == 0 || len >= size)
        return false;
    memcpy(to, value, len);
    to[len] = '\0';
    return true;
}

static bool starts_with(const char *word, size_t len, const char *start)
{
    return len >= strlen(start) && strncmp(word, start, strlen(start)) == 0;
}

static bool is_device(const char *path)
{
    return strncmp(path, "/dev/", 5) == 0 && path[5] && !strchr(path + 5, '/') && path[5] != '.';
}

/* `word` comes after the prefix. */
static bool take_word(const char *word, size_t len, struct cmdline *out)
{
    static const char root[] = "root=", fstype[] = "rootfstype=";
    if (starts_with(word, len, root))
        return copy_value(word + strlen(root), len - strlen(root), out->root, sizeof out->root) &&
               is_device(out->root);
    if (starts_with(word, len, fstype))
        return copy_value(word + strlen(fstype), len - strlen(fstype), out->fstype, sizeof out->fstype);
    out->read_only = true;
    return len == 2 && strncmp(word, "ro", 2) == 0;
}

int cmdline_parse(const char *text, struct cmdline *out, struct err *err)
{
    static const char space[] = " \t\n";
    *out = (struct cmdline){.root = "/dev/vda", .fstype = "ext4"};
    for (const char *at = text + strspn(text, space); *at; at += strspn(at, space)) {
        size_t len = strcspn(at, space);
        if (starts_with(at, len, PREFIX) && !take_word(at + strlen(PREFIX), len - strlen(PREFIX), out))
            return err_set(err, EINVAL,
                           "kernel command line: %.*s: unknown or unusable; gondolin.root=/dev/NAME, "
                           "gondolin.rootfstype=TYPE and gondolin.ro are known",
                           len > 200 ? 200 : (int)len, at);
        at += len;
    }
    return 0;
}
