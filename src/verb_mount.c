/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin mount: finds or builds the image, checks the mount point, and starts the supervisor: in the background unless
 * -f is given, returning when the guest is ready. As `run` in place of `mount` it is the first half of gondolin run. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/files.h"
#include "images/image.h"
#include "src/cleanup.h"
#include "src/mount_config.h"
#include "src/mount_from.h"
#include "src/mount_options.h"
#include "src/mountpoint.h"
#include "src/offline.h"
#include "src/options.h"
#include "src/printable.h"
#include "src/progress.h"
#include "src/session.h"
#include "src/session_name.h"
#include "src/supervisor.h"
#include "src/verbs.h"

static const char *verb = "mount";

/* Sentences are about a mount and its place. Who calls gondolin run has asked for neither. */
static int failed(const struct err *err, const char *mountpoint)
{
    static const char mount[] = "mount: ";
    struct err own = *err;
    char *text = own.text;
    size_t len = strlen(mountpoint);
    if (strcmp(verb, "mount") == 0)
        return verb_failed(verb, err);
    if (strncmp(text, mount, sizeof mount - 1) == 0)
        text += sizeof mount - 1;
    if (len && strncmp(text, mountpoint, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        text += len + 2;
    memmove(own.text, text, strlen(text) + 1);
    return verb_failed(verb, &own);
}

/* The place to mount on. The directory is locked (flock) for as long as the sandbox lives: two mounts of one path at the
 * same time would otherwise both find it free. */
struct place {
    char *path;
    int fd;
    bool made;
};

static int check_empty(int fd, const char *path, struct err *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_closedir DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return err_errno(err, errno, "mount: %s", path);
    const struct dirent *entry;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return err_set(err, ENOTEMPTY, "mount: %s is not empty; use an empty directory", path);
    return 0;
}

static bool is_mounted(const char *path)
{
    return mountpoint_is_gondolin(path) || mountpoint_is_offline(path);
}

/* Is a sandbox or a checkpoint's disk mounted there? What one has left that was killed with all its processes is taken
 * away. */
static bool is_taken(const char *path)
{
    struct session *sessions;
    size_t count;
    if (!is_mounted(path))
        return false;
    if (session_list(&sessions, &count, NULL) == 0)
        session_list_free(sessions, count);
    return is_mounted(path);
}

static int claim(struct place *place, struct err *err)
{
    if (is_taken(place->path))
        return err_set(err, EBUSY, "mount: %s is mounted already; gondolin umount %s ends it", place->path, place->path);
    place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->fd < 0)
        return err_errno(err, errno, "mount: %s", place->path);
    if (flock(place->fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, EBUSY, "mount: %s: another gondolin is mounting here", place->path);
    return check_empty(place->fd, place->path, err);
}

static int take_place(const char *argument, struct place *place, struct err *err)
{
    if (mkdir(argument, 0700) == 0)
        place->made = true;
    else if (errno != EEXIST && errno != ENOTCONN)
        return err_errno(err, errno, "mount: %s: cannot be made", argument);
    place->path = realpath(argument, NULL);
    if (!place->path)
        return err_errno(err, errno, "mount: %s%s", argument,
                         errno == ENOTCONN ? ": a dead mount is there; fusermount3 -u -z takes it away" : "");
    return claim(place, err);
}

static void give_up_place(struct place *place)
{
    if (place->fd >= 0)
        close(place->fd);
    if (place->made && place->path)
        rmdir(place->path);
    free(place->path);
}

static int build_default(struct err *err)
{
    static const struct image_recipe recipe = {.source = "debian", .tag = IMAGE_DEFAULT_TAG};
    fprintf(stderr, "gondolin: %s: there is no image yet; building the default one (Debian, a few minutes, once)\n", verb);
    struct progress progress;
    progress_begin(&progress, stderr);
    int rc = image_build(&recipe, progress_show, &progress, NULL, err);
    progress_end(&progress);
    return rc;
}

static int open_image(const char *reference, struct image *image, struct err *err)
{
    int rc = image_open(reference ? reference : IMAGE_DEFAULT_TAG, false, image, err);
    if (rc != -ENOENT || reference)
        return rc;
    rc = build_default(err);
    return rc < 0 ? rc : image_open(IMAGE_DEFAULT_TAG, false, image, err);
}

/* What the waiting parent is told: 'R' and the id, or 'E' and a sentence. */
struct announcer {
    int fd;
    bool foreground;
    const char *mountpoint;
};

static void announce(const struct announcer *a, char kind, const char *text)
{
    if (a->fd < 0)
        return;
    dprintf(a->fd, "%c%s", kind, text);
}

static void print_ready(const char *mountpoint, const char *id)
{
    cleanup_free char *shown = printable_spelled(mountpoint);
    printf("%s %s\n", shown ? shown : "?", id);
}

static void ready(void *data, const char *id)
{
    struct announcer *a = data;
    if (a->foreground) {
        print_ready(a->mountpoint, id);
        fflush(stdout);
        return;
    }
    announce(a, 'R', id);
    close(a->fd);
    a->fd = -1;
}

/* The daemon keeps nothing of the terminal it came from. */
static void let_go_of_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (chdir("/") < 0) {
        /* then the working directory stays busy, nothing worse */
    }
}

static int run_in_foreground(const struct supervisor_start *start)
{
    struct announcer a = {.fd = -1, .foreground = true, .mountpoint = start->mountpoint};
    struct err err = {0};
    return supervisor_run(start, ready, &a, &err) < 0 ? failed(&err, start->mountpoint) : 0;
}

static void run_daemon(const struct supervisor_start *start, int fd)
{
    struct announcer a = {.fd = fd, .mountpoint = start->mountpoint};
    struct err err = {0};
    setsid();
    let_go_of_terminal();
    int rc = supervisor_run(start, ready, &a, &err);
    if (rc < 0 && start->made_mountpoint)
        rmdir(start->mountpoint); /* the parent may have gone */
    if (rc < 0 || a.fd >= 0)
        announce(&a, 'E', rc < 0 ? err.text : "mount: ended before it was ready");
    exit(rc < 0 ? EXIT_GONDOLIN : 0);
}

/* Signals that end a mount are blocked from before it makes anything; the supervisor and its waiting parent take them when
 * they can clean up. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigprocmask(SIG_BLOCK, set, NULL);
}

/* Reads what the daemon announces until it closes its end. A signal goes to the daemon, which then ends; its number is put
 * into *signal_number. */
static void read_announcement(int fd, int signal_fd, pid_t daemon, char *text, size_t size, int *signal_number)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    size_t len = 0;
    *signal_number = 0;
    for (ssize_t n = 1; n > 0;) {
        struct signalfd_siginfo info;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        if (fds[1].revents && read(signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            *signal_number = (int)info.ssi_signo;
            kill(daemon, SIGTERM);
        }
        if (fds[0].revents) {
            n = read(fd, text + len, size - 1 - len);
            len += n > 0 ? (size_t)n : 0;
        }
    }
    text[len] = '\0';
}

/* Waits for what the daemon announces; with nothing announced it died. */
static int wait_until_ready(int fd, pid_t daemon, const char *mountpoint)
{
    char text[1024];
    struct err err;
    sigset_t signals;
    int signal_number, status = 0;
    block_signals(&signals);
    cleanup_close int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    read_announcement(fd, signal_fd, daemon, text, sizeof text, &signal_number);
    if (text[0] == 'R') {
        print_ready(mountpoint, text + 1);
        return 0;
    }
    while (waitpid(daemon, &status, 0) < 0 && errno == EINTR)
        ;
    if (signal_number)
        return EXIT_SIGNAL_BASE + signal_number;
    if (text[0] == 'E')
        err_set(&err, EIO, "%s", text + 1);
    else
        err_set(&err, EIO, "mount: %s: the supervisor died (%s %d)", mountpoint,
                WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return verb_failed("mount", &err);
}

static int run_in_background(struct supervisor_start *start)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return verb_refused("mount", "pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        start->waiter_fd = ends[1];
        run_daemon(start, ends[1]);
    }
    close(ends[1]);
    int code = pid < 0 ? verb_refused("mount", "fork: %s", strerror(errno))
                       : wait_until_ready(ends[0], pid, start->mountpoint);
    close(ends[0]);
    return code;
}

/* Files that options name. The daemon works in the root directory. */
struct absolute {
    char root_disk[PATH_MAX], qemu[PATH_MAX];
};

static int make_absolute(const char **file, const char *option, char path[PATH_MAX], struct err *err)
{
    if (!*file || **file == '/')
        return 0;
    if (!realpath(*file, path))
        return err_errno(err, errno, "mount: --%s %s", option, *file);
    *file = path;
    return 0;
}

static int make_files_absolute(struct mount_options *o, struct absolute *to, struct err *err)
{
    int rc = make_absolute(&o->root_disk, "root-disk", to->root_disk, err);
    if (rc == 0 && o->qemu && strchr(o->qemu, '/'))
        rc = make_absolute(&o->qemu, "qemu", to->qemu, err);
    return rc;
}

typedef int read_mount_fn(const char *what, const char *text, struct mount_spec *out, struct err *err);

/* Adds what a list of options says, of the command line or of a file (NULL: none). */
static int read_list(const char *file, const char *option, const struct option_list *list, read_mount_fn *read_one,
                     struct mount_specs *to, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        struct mount_spec spec;
        cleanup_free char *what = file ? files_format("%.300s: %s[%zu]", file, option, i) : files_format("--%s", option);
        if (!what)
            return err_errno(err, ENOMEM, "--%s", option);
        rc = read_one(what, list->words[i], &spec, err);
        rc = rc ? rc : mount_specs_add(to, what, &spec, err);
        if (rc < 0)
            mount_spec_free(&spec);
    }
    return rc;
}

static int read_mounts(const char *file, const struct mount_options *o, struct mount_specs *to, struct err *err)
{
    int rc = read_list(file, "bind", &o->binds, mount_spec_bind, to, err);
    return rc ? rc : read_list(file, "memfs", &o->memory_files, mount_spec_memory, to, err);
}

/* Looks at what bind and memfs say, on the command line and in the file, and opens what they name. */
static int read_all_mounts(const struct mount_options *o, const struct mount_config *config, struct mount_specs *to,
                           struct err *err)
{
    int rc = read_mounts(NULL, o, to, err);
    rc = rc ? rc : read_mounts(o->config, &config->options, to, err);
    return rc < 0 ? err_wrap(err, "mount") : 0;
}

static int check_name(const struct mount_options *o, struct err *err)
{
    int rc = o->name ? session_name_check(o->name, err) : 0;
    return rc < 0 ? err_wrap(err, "mount") : 0;
}

static int read_hook(const struct mount_options *o, struct vfs_hook_spec *to, struct err *err)
{
    int rc = o->vfs_hook ? vfs_hook_spec_read(o->vfs_hook, to, err) : 0;
    return rc < 0 ? err_wrap(err, "mount") : 0;
}

/* A checkpoint's disk, without a machine. */
static int mount_offline(const char *checkpoint, const char *directory, bool foreground)
{
    struct place place = {.fd = -1};
    struct err err = {0};
    int code = take_place(directory, &place, &err) < 0 ? verb_failed("mount", &err)
                                                       : offline_mount(checkpoint, place.path, place.made, foreground);
    place.made = place.made && code != 0;
    give_up_place(&place);
    return code;
}

int verb_mount(int argc, char **argv)
{
    verb = argv[0];
    bool foreground = false;
    const char *offline = NULL;
    struct mount_options options = {0};
    struct option_spec shared[MOUNT_OPTIONS_TABLE];
    const struct option_spec own[] = {
        {"foreground", 'f', NULL, "stay in the foreground until the sandbox ends", NULL, OPTION_FLAG, &foreground},
        {"offline", 0, "CHECKPOINT", "show what is on a checkpoint's disk, read-only, without its machine", NULL, OPTION_STRING,
         &offline},
        {0},
    };
    mount_options_table(&options, shared);
    const struct usage usage = {
        .verb = verb,
        .operands = "DIRECTORY",
        .about = "Boots a sandbox and shows it as DIRECTORY, which must be empty or absent. Returns when the guest is\n"
                 "ready and prints the mount point and the sandbox's id. README in the directory tells how to use it.",
        .options = own,
        .more = shared,
        .min_operands = 1,
        .max_operands = 1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    struct err err = {0};
    struct image image = {0};
    struct place place = {.fd = -1};
    struct absolute absolute;
    if (offline) {
        mount_options_free(&options);
        return mount_offline(offline, operand_at(&operands, 0), foreground);
    }
    struct mount_from from = {.checkpoint.lock_fd = -1};
    struct mount_config config;
    struct mount_specs mounts = {0};
    struct vfs_hook_spec hook = {0};
    int rc = mount_config_open(&options, &config, &err);
    rc = rc ? rc : check_name(&options, &err);
    rc = rc ? rc : read_all_mounts(&options, &config, &mounts, &err);
    rc = rc ? rc : read_hook(&options, &hook, &err);
    rc = rc ? rc : make_files_absolute(&options, &absolute, &err);
    rc = rc ? rc : mount_from_open(&options, &from, &err);
    rc = rc ? rc : open_image(options.image, &image, &err);
    if (rc < 0) {
        vfs_hook_spec_free(&hook);
        mount_specs_free(&mounts);
        mount_from_close(&from);
        mount_config_close(&config);
        mount_options_free(&options);
        return failed(&err, operand_at(&operands, 0));
    }
    sigset_t signals;
    block_signals(&signals);
    if (take_place(operand_at(&operands, 0), &place, &err) < 0) {
        code = failed(&err, operand_at(&operands, 0));
    } else {
        struct supervisor_start start = {.options = &options, .mountpoint = place.path, .made_mountpoint = place.made,
                                         .image = &image, .from = options.from ? &from.checkpoint : NULL,
                                         .mounts = &mounts, .hook = options.vfs_hook ? &hook : NULL, .waiter_fd = -1};
        code = foreground ? run_in_foreground(&start) : run_in_background(&start);
        place.made = place.made && code != 0;
    }
    give_up_place(&place);
    image_close(&image);
    mount_from_close(&from);
    mount_specs_free(&mounts);
    vfs_hook_spec_free(&hook);
    mount_config_close(&config);
    mount_options_free(&options);
    return code;
}
