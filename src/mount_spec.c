/* SPDX-License-Identifier: Apache-2.0 */
#include "src/mount_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/host_path.h"
#include "src/nearest.h"
#include "src/options.h"

enum { TARGET_LIMIT = 1024, DEFAULT_MEMORY = 64 << 20 };
enum { LEAST_MEMORY = 16 << 10 }; /* for the directory itself and a file or two */

/* ---- words ---- */

/* Cuts *rest at the first `separator` that has no '\' before it, and takes away those before any of `quoted`. NULL at the
 * end. */
static char *next_field(char **rest, char separator, const char *quoted)
{
    char *field = *rest, *out = field, *in = field;
    if (!field)
        return NULL;
    *rest = NULL;
    for (; *in; in++) {
        if (*in == separator) {
            *rest = in + 1;
            break;
        }
        if (*in == '\\' && in[1] && strchr(quoted, in[1]))
            in++;
        *out++ = *in;
    }
    *out = '\0';
    return field;
}

static char *next_path(char **rest)
{
    return next_field(rest, ':', ":,");
}

/* In a pattern a '\' before anything else is the pattern's. */
static char *next_option(char **rest)
{
    return next_field(rest, ',', ",");
}

/* Appends '-' or '+', the pattern and a newline. */
static int add_pattern(struct mount_spec *spec, char kind, const char *pattern)
{
    char *longer = NULL;
    if (asprintf(&longer, "%s%c%s\n", spec->patterns ? spec->patterns : "", kind, pattern) < 0)
        return -ENOMEM;
    free(spec->patterns);
    spec->patterns = longer;
    return 0;
}

/* ---- options ---- */

static int choose(const char *what, const char *option, const char *value, const char *const *names, unsigned *out,
                  struct err *err)
{
    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(names[i], value) == 0) {
            *out = i;
            return 0;
        }
    }
    const char *near = nearest_match(value, names);
    return err_set(err, EINVAL, "%s: %s: \"%.60s\" is none of its values%s%s%s", what, option, value,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int set_owner(const char *what, struct mount_spec *spec, const char *value, struct err *err)
{
    static const char *const names[] = {"user", "raw", "mapped", NULL};
    unsigned owner = 0;
    int rc = choose(what, "owner", value, names, &owner, err);
    if (rc < 0)
        return rc;
    if (owner == WORKER_OWNER_RAW && geteuid() != 0)
        return err_set(err, EPERM, "%s: owner=raw: only root may give files to others; use owner=mapped", what);
    spec->owner = (enum worker_owner)owner;
    return 0;
}

static int set_cache(const char *what, struct mount_spec *spec, const char *value, struct err *err)
{
    static const char *const names[] = {"auto", "none", NULL};
    unsigned cache = 0;
    int rc = choose(what, "cache", value, names, &cache, err);
    spec->cache = (enum worker_cache)cache;
    return rc;
}

static int set_pattern(const char *what, const char *option, struct mount_spec *spec, const char *value,
                       struct err *err)
{
    if (!*value || strchr(value, '\n'))
        return err_set(err, EINVAL, "%s: %s: a pattern of .gitignore is expected", what, option);
    if (add_pattern(spec, strcmp(option, "shadow") == 0 ? '-' : '+', value) < 0)
        return err_errno(err, ENOMEM, "%s", what);
    if (strlen(spec->patterns) >= WORKER_TEXT)
        return err_set(err, E2BIG, "%s: %s: the patterns of a mount have more than %d bytes", what, option, WORKER_TEXT - 1);
    return 0;
}

/* One that is not known, or stands without the value that it has, or with one that it has not. */
static int wrong_option(const char *what, const char *word, bool has_value, struct err *err)
{
    static const char *const names[] = {"ro", "rw", "noexec", "owner", "cache", "shadow", "shadow-tmpfs", NULL};
    const char *near = nearest_match(word, names);
    if (near && strcmp(near, word) == 0)
        return err_set(err, EINVAL, has_value ? "%s: %s takes no value" : "%s: %s: its value is missing", what, word);
    return err_set(err, EINVAL, "%s: unknown option \"%.60s\"%s%s%s", what, word, near ? "; did you mean " : "",
                   near ? near : "", near ? "?" : "");
}

static int set_option(const char *what, struct mount_spec *spec, char *word, struct err *err)
{
    char *value = strchr(word, '=');
    if (value)
        *value++ = '\0';
    if (!value && strcmp(word, "ro") == 0)
        spec->read_only = true;
    else if (!value && strcmp(word, "rw") == 0)
        spec->read_only = false;
    else if (!value && strcmp(word, "noexec") == 0)
        spec->no_exec = true;
    else if (value && strcmp(word, "owner") == 0)
        return set_owner(what, spec, value, err);
    else if (value && strcmp(word, "cache") == 0)
        return set_cache(what, spec, value, err);
    else if (value && (strcmp(word, "shadow") == 0 || strcmp(word, "shadow-tmpfs") == 0))
        return set_pattern(what, word, spec, value, err);
    else
        return wrong_option(what, word, value != NULL, err);
    return 0;
}

static int set_options(const char *what, struct mount_spec *spec, char *text, struct err *err)
{
    int rc = 0;
    for (char *word; rc == 0 && (word = next_option(&text));)
        rc = set_option(what, spec, word, err);
    return rc;
}

/* ---- paths ---- */

char *mount_spec_tidy(const char *path)
{
    char *tidy = malloc(strlen(path) + 1), *out = tidy;
    if (!tidy)
        return NULL;
    for (; *path; path++)
        if (*path != '/' || (path[1] && path[1] != '/'))
            *out++ = *path;
    *out = '\0';
    return tidy;
}

/* Is "." or ".." a part of it? */
static bool has_dots(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t len = strcspn(at, "/");
        if ((len == 1 || len == 2) && strspn(at, ".") >= len)
            return true;
    }
    return false;
}

static int set_target(const char *what, struct mount_spec *spec, const char *text, struct err *err)
{
    static const char *const reserved[] = {"/proc", "/sys", "/dev", "/run/gondolin", NULL};
    cleanup_free char *target = mount_spec_tidy(text);
    if (!target)
        return err_errno(err, ENOMEM, "%s", what);
    if (text[0] != '/')
        return err_set(err, EINVAL, "%s: \"%.200s\": the path in the guest has to be absolute", what, text);
    if (strlen(text) > TARGET_LIMIT || strchr(text, '\n'))
        return err_set(err, EINVAL, "%s: the path in the guest is longer than %d bytes or has a newline in it", what,
                       TARGET_LIMIT);
    if (has_dots(target))
        return err_set(err, EINVAL, "%s: \"%.200s\": . and .. cannot be in the path in the guest", what, text);
    if (!*target)
        return err_set(err, EINVAL, "%s: the root of the guest cannot be mounted over", what);
    for (size_t i = 0; reserved[i]; i++) {
        size_t len = strlen(reserved[i]);
        if (strncmp(target, reserved[i], len) == 0 && (!target[len] || target[len] == '/'))
            return err_set(err, EINVAL, "%s: %.200s: the guest needs %s itself", what, target, reserved[i]);
    }
    spec->target = steal_pointer(&target);
    return 0;
}

static int set_source(const char *what, struct mount_spec *spec, const char *text, struct err *err)
{
    if (!*text)
        return err_set(err, EINVAL, "%s: the path on the host is empty; HOST:GUEST[:OPTION,...] is expected", what);
    spec->source = strdup(text);
    return spec->source ? 0 : err_errno(err, ENOMEM, "%s", what);
}

/* What owner=mapped remembers has to be kept somewhere. */
static int check_attributes(const char *what, const struct mount_spec *spec, const char *given, struct err *err)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", spec->fd);
    if (spec->owner == WORKER_OWNER_MAPPED && getxattr(path, "user.gondolin.owner", NULL, 0) < 0 && errno == EOPNOTSUPP)
        return err_set(err, EOPNOTSUPP, "%s: %.200s: owner=mapped: its file system has no extended attributes of users",
                       what, given);
    return 0;
}

static int check_source(const char *what, struct mount_spec *spec, const char *given, struct err *err)
{
    struct stat st;
    struct statfs fs;
    if (fstat(spec->fd, &st) < 0)
        return err_errno(err, errno, "%s: %.300s", what, given);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(err, ENOTDIR, "%s: %.300s: neither a directory nor a regular file", what, given);
    if (fstatfs(spec->fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
        return err_set(err, EACCES, "%s: %.300s: /proc is not served, because the memory of processes is in it", what, given);
    if (faccessat(spec->fd, "", R_OK | (S_ISDIR(st.st_mode) ? X_OK : 0), AT_EACCESS | AT_EMPTY_PATH) < 0)
        return err_errno(err, errno, "%s: %.300s", what, given);
    spec->is_file = S_ISREG(st.st_mode);
    if (spec->is_file && spec->patterns)
        return err_set(err, EINVAL, "%s: %.200s: shadow is for directories", what, given);
    return check_attributes(what, spec, given, err);
}

/* ---- whole ---- */

void mount_spec_free(struct mount_spec *spec)
{
    free(spec->source);
    free(spec->target);
    free(spec->patterns);
    free(spec->options);
    if (spec->fd >= 0)
        close(spec->fd);
    *spec = (struct mount_spec){.fd = -1};
}

int mount_spec_read(const char *what, const char *text, struct mount_spec *out, struct err *err)
{
    *out = (struct mount_spec){.fd = -1};
    cleanup_free char *copy = strdup(text);
    char *rest = copy;
    const char *source = next_path(&rest), *target = next_path(&rest);
    out->options = strdup(rest ? rest : "");
    int rc = copy && out->options ? 0 : err_errno(err, ENOMEM, "%s", what);
    if (rc == 0 && !target)
        rc = err_set(err, EINVAL, "%s: \"%.200s\": HOST:GUEST[:OPTION,...] is expected", what, text);
    rc = rc ? rc : set_source(what, out, source, err);
    rc = rc ? rc : set_target(what, out, target, err);
    rc = rc ? rc : set_options(what, out, rest, err);
    if (rc < 0)
        mount_spec_free(out);
    return rc;
}

int mount_spec_open(const char *what, struct mount_spec *spec, dev_t avoid, struct err *err)
{
    cleanup_free char *given = steal_pointer(&spec->source);
    int fd = host_path_open(given, avoid, &spec->source);
    if (fd == -EDEADLK)
        return err_set(err, EDEADLK, "%s: %.300s: lies in this sandbox itself", what, given);
    if (fd < 0)
        return err_errno(err, -fd, "%s: %.300s", what, given);
    spec->fd = fd;
    return check_source(what, spec, given, err);
}

int mount_spec_bind(const char *what, const char *text, struct mount_spec *out, struct err *err)
{
    int rc = mount_spec_read(what, text, out, err);
    if (rc < 0)
        return rc;
    rc = mount_spec_open(what, out, 0, err);
    if (rc < 0)
        mount_spec_free(out);
    return rc;
}

static int set_size(const char *what, struct mount_spec *spec, const char *word, struct err *err)
{
    unsigned long long size;
    if (strncmp(word, "size=", 5) != 0)
        return err_set(err, EINVAL, "%s: unknown option \"%.60s\"; there is only size=SIZE", what, word);
    if (options_size(word + 5, &size) < 0 || size == 0)
        return err_set(err, EINVAL, "%s: size: \"%.60s\" is no size such as 64M", what, word + 5);
    if (size < LEAST_MEMORY)
        return err_set(err, EINVAL, "%s: size: %.60s is too little; at least %dK is needed", what, word + 5,
                       LEAST_MEMORY >> 10);
    spec->size = size;
    return 0;
}

int mount_spec_memory(const char *what, const char *text, struct mount_spec *out, struct err *err)
{
    *out = (struct mount_spec){.fd = -1, .size = DEFAULT_MEMORY, .owner = WORKER_OWNER_RAW};
    cleanup_free char *copy = strdup(text);
    char *rest = copy;
    const char *target = next_path(&rest);
    out->options = strdup(rest ? rest : "");
    int rc = copy && out->options ? set_target(what, out, target, err) : err_errno(err, ENOMEM, "%s", what);
    for (char *word; rc == 0 && (word = next_option(&rest));)
        rc = set_size(what, out, word, err);
    if (rc < 0)
        mount_spec_free(out);
    return rc;
}

int mount_specs_add(struct mount_specs *specs, const char *what, struct mount_spec *spec, struct err *err)
{
    size_t at = 0;
    while (at < specs->count && strcmp(specs->list[at].target, spec->target) < 0)
        at++;
    if (at < specs->count && strcmp(specs->list[at].target, spec->target) == 0)
        return err_set(err, EEXIST, "%s: %.300s: something is mounted there already", what, spec->target);
    if (specs->count == MOUNTTABLE_MAX)
        return err_set(err, ENOSPC, "%s: more than %d mounts", what, MOUNTTABLE_MAX);
    struct mount_spec *longer = reallocarray(specs->list, specs->count + 1, sizeof *longer);
    if (!longer)
        return err_errno(err, ENOMEM, "%s", what);
    specs->list = longer;
    memmove(longer + at + 1, longer + at, (specs->count - at) * sizeof *longer);
    longer[at] = *spec;
    specs->count++;
    *spec = (struct mount_spec){.fd = -1};
    return 0;
}

void mount_specs_free(struct mount_specs *specs)
{
    for (size_t i = 0; i < specs->count; i++)
        mount_spec_free(&specs->list[i]);
    free(specs->list);
    *specs = (struct mount_specs){0};
}
