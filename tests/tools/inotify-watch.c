/* SPDX-License-Identifier: Apache-2.0 */
/* inotify-watch PATH...: says "ready", then one line for each inotify(7) event: the path, the event, the name. Linked statically,
 * so that it runs in any guest. */
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { ROOM = 4096, WATCHES = 64 };

static const struct {
    uint32_t mask;
    const char *name;
} events[] = {{IN_MODIFY, "MODIFY"}, {IN_ATTRIB, "ATTRIB"},       {IN_CREATE, "CREATE"},
              {IN_DELETE, "DELETE"}, {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVED_FROM, "MOVED_FROM"},
              {IN_MOVED_TO, "MOVED_TO"}, {IN_Q_OVERFLOW, "OVERFLOW"}};

static void say(const char *path, const struct inotify_event *event)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (event->mask & events[i].mask)
            printf("%s %s%s%s\n", path, events[i].name, event->len ? " " : "", event->len ? event->name : "");
}

int main(int argc, char **argv)
{
    static _Alignas(struct inotify_event) char buffer[ROOM];
    const char *paths[WATCHES] = {NULL};
    int fd = inotify_init1(IN_CLOEXEC);
    uint32_t mask = 0;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        mask |= events[i].mask & ~(uint32_t)IN_Q_OVERFLOW;
    for (int i = 1; i < argc; i++) {
        int watch = inotify_add_watch(fd, argv[i], mask);
        if (watch < 0 || watch >= WATCHES) {
            perror(argv[i]);
            return 1;
        }
        paths[watch] = argv[i];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) {
        const struct inotify_event *event;
        for (char *at = buffer; at < buffer + n; at += sizeof *event + event->len) {
            event = (const struct inotify_event *)at;
            say(event->wd >= 0 && event->wd < WATCHES && paths[event->wd] ? paths[event->wd] : "?", event);
        }
    }
    return 1;
}
