/* SPDX-License-Identifier: Apache-2.0 */
#include "src/ended.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/printable.h"

enum { LARGEST_FILE = 1024 * 1024, CONSOLE_KEPT = 1000, REASON_KEPT = 500 };

static void make_directory(bool make, const char *path)
{
    if (make && mkdir(path, 0700) < 0)
        return; /* it is there already, or opening it tells what is wrong */
}

/* The directory of the file; -ENOENT where this user has no home. */
static int open_directory(bool make)
{
    char path[PATH_MAX];
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0] == '/') {
        snprintf(path, sizeof path, "%s", state);
        make_directory(make, path);
    } else if (home && home[0] == '/') {
        snprintf(path, sizeof path, "%s/.local", home);
        make_directory(make, path);
        snprintf(path, sizeof path, "%s/.local/state", home);
        make_directory(make, path);
    } else {
        return -ENOENT;
    }
    size_t len = strlen(path);
    snprintf(path + len, sizeof path - len, "/gondolin");
    make_directory(make, path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The whole file, malloc'd; "" when there is none yet, NULL with errno. */
static char *read_file(int dir_fd)
{
    cleanup_close int fd = openat(dir_fd, "ended", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? strdup("") : NULL;
    cleanup_free char *text = malloc(LARGEST_FILE);
    ssize_t n = text ? read(fd, text, LARGEST_FILE - 1) : -1;
    if (n < 0)
        return NULL;
    text[n] = '\0';
    return steal_pointer(&text);
}

/* The text without the lines at its beginning that are too many. */
static const char *newest_lines(const char *text, size_t count)
{
    const char *at = text + strlen(text);
    while (at > text) {
        if (at[-1] == '\n' && count-- == 0)
            break;
        at--;
    }
    return at;
}

static void add_text(struct json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, json_object_new_string(value ? value : ""));
}

/* What the guest said goes to terminals and into JSON. The end of it is kept, line by line. */
static void add_guest_text(struct json_object *object, const char *key, const char *value, size_t most)
{
    char text[CONSOLE_KEPT + 1];
    size_t len = value ? strlen(value) : 0;
    const char *from = len > most ? value + len - most : value;
    snprintf(text, sizeof text, "%s", len ? from : "");
    for (char *line = text; *line; line += *line == '\n') {
        size_t n = strcspn(line, "\r\n");
        printable(line, n);
        line += n;
        if (*line == '\r')
            *line = ' ';
    }
    add_text(object, key, text);
}

static struct json_object *describe(const struct session *s, bool orderly, const char *reason, const char *console)
{
    struct json_object *object = json_object_new_object();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    add_text(object, "id", s->id);
    add_text(object, "name", s->name);
    add_text(object, "mountpoint", s->mountpoint);
    add_text(object, "image", s->image);
    add_guest_text(object, "reason", reason, REASON_KEPT);
    add_guest_text(object, "console", console, CONSOLE_KEPT);
    json_object_object_add(object, "orderly", json_object_new_boolean(orderly));
    json_object_object_add(object, "started_ms", json_object_new_int64(s->started_ms));
    json_object_object_add(object, "ended_ms",
                           json_object_new_int64(now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000));
    return object;
}

static bool write_file(int dir_fd, const char *before, const char *line)
{
    int fd = openat(dir_fd, "ended.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    size_t len = strlen(before);
    const char *mend = len && before[len - 1] != '\n' ? "\n" : "";
    bool good = fprintf(f, "%s%s%s\n", before, mend, line) > 0;
    return fclose(f) == 0 && good && renameat(dir_fd, "ended.new", dir_fd, "ended") == 0;
}

void ended_record(const struct session *session, bool orderly, const char *reason, const char *console)
{
    cleanup_close int dir_fd = open_directory(true);
    if (dir_fd < 0 || flock(dir_fd, LOCK_EX) < 0)
        return;
    struct json_object *object = describe(session, orderly, reason, console);
    const char *line = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    cleanup_free char *text = read_file(dir_fd);
    if (text && line && !write_file(dir_fd, newest_lines(text, ENDED_KEPT - 1), line))
        unlinkat(dir_fd, "ended.new", 0);
    json_object_put(object);
}

static char *take_text(const struct json_object *object, const char *key)
{
    struct json_object *value;
    bool good = json_object_object_get_ex(object, key, &value) && json_object_is_type(value, json_type_string);
    return good ? strdup(json_object_get_string(value)) : NULL;
}

static int64_t take_number(const struct json_object *object, const char *key)
{
    struct json_object *value;
    return json_object_object_get_ex(object, key, &value) ? json_object_get_int64(value) : 0;
}

void ended_close(struct ended *e)
{
    char *strings[] = {e->id, e->name, e->mountpoint, e->image, e->reason, e->console};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    *e = (struct ended){0};
}

static bool parse(const char *line, struct ended *out)
{
    struct json_object *object = json_tokener_parse(line), *orderly;
    if (!json_object_is_type(object, json_type_object)) {
        json_object_put(object);
        return false;
    }
    *out = (struct ended){
        .id = take_text(object, "id"),
        .name = take_text(object, "name"),
        .mountpoint = take_text(object, "mountpoint"),
        .image = take_text(object, "image"),
        .reason = take_text(object, "reason"),
        .console = take_text(object, "console"),
        .orderly = json_object_object_get_ex(object, "orderly", &orderly) && json_object_get_boolean(orderly),
        .started_ms = take_number(object, "started_ms"),
        .ended_ms = take_number(object, "ended_ms"),
    };
    json_object_put(object);
    if (out->id && out->name && out->mountpoint && out->image && out->reason && out->console)
        return true;
    ended_close(out);
    return false;
}

int ended_list(struct ended **out, size_t *count, struct err *err)
{
    *out = NULL;
    *count = 0;
    cleanup_close int dir_fd = open_directory(false);
    if (dir_fd < 0)
        return 0;
    cleanup_free char *text = read_file(dir_fd);
    if (!text)
        return err_errno(err, errno, "the record of ended sandboxes");
    struct ended *list = calloc(ENDED_KEPT, sizeof *list);
    if (!list)
        return err_errno(err, ENOMEM, "the record of ended sandboxes");
    size_t n = 0;
    for (char *newline; n < ENDED_KEPT && *text; *newline = '\0') { /* from the end: the newest is the last line */
        newline = strrchr(text, '\n');
        n += parse(newline ? newline + 1 : text, &list[n]);
        if (!newline)
            break;
    }
    *out = list;
    *count = n;
    return 0;
}

void ended_list_free(struct ended *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ended_close(&list[i]);
    free(list);
}

/* The absolute path of something that may not exist any more. */
static bool absolute(const char *reference, char path[PATH_MAX])
{
    char parent[PATH_MAX], resolved[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", reference);
    for (size_t len = strlen(parent); len > 1 && parent[len - 1] == '/'; len--)
        parent[len - 1] = '\0';
    char *slash = strrchr(parent, '/');
    const char *base = slash ? slash + 1 : parent;
    if (slash == parent)
        return (size_t)snprintf(path, PATH_MAX, "/%s", base) < PATH_MAX;
    if (slash)
        *slash = '\0';
    if (!realpath(slash ? parent : ".", resolved)) {
        if (reference[0] != '/')
            return false;
        snprintf(resolved, sizeof resolved, "%s", parent);
    }
    return (size_t)snprintf(path, PATH_MAX, "%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, base) < PATH_MAX;
}

bool ended_find(const char *reference, struct ended *out)
{
    struct ended *list;
    size_t count, found = 0;
    char path[PATH_MAX] = "";
    if (ended_list(&list, &count, NULL) < 0)
        return false;
    bool any = !reference || !*reference;
    if (!any && !absolute(reference, path))
        path[0] = '\0';
    while (!any && found < count && strcmp(list[found].mountpoint, path) != 0 &&
           strcmp(list[found].name, reference) != 0 && strcmp(list[found].id, reference) != 0)
        found++;
    bool good = found < count;
    if (good) {
        *out = list[found];
        list[found] = (struct ended){0};
    }
    ended_list_free(list, count);
    return good;
}

void ended_format_age(int64_t since_ms, char *to, size_t size)
{
    long long s = (long long)time(NULL) - since_ms / 1000;
    if (s < 0)
        s = 0;
    if (s < 60)
        snprintf(to, size, "%llds", s);
    else if (s < 3600)
        snprintf(to, size, "%lldm", s / 60);
    else if (s < 86400)
        snprintf(to, size, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(to, size, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}
