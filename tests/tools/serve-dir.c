/* SPDX-License-Identifier: Apache-2.0 */
/* serve-dir DIR|mapped:DIR|raw:DIR|memory: MOUNTPOINT: shows DIR, as --bind does with this owner= (without: with devices, and
 * all attributes), or memory, at MOUNTPOINT through fs/server, straight on this machine's /dev/fuse, without any VM. Prints
 * "ready" when mounted; runs until unmounted, or until SIGTERM or SIGINT, which unmount. As root it mounts by itself, for all
 * users; otherwise with fusermount3. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/hostdir.h"
#include "fs/memory.h"
#include "fs/server.h"
#include "fs/wire.h"

enum { MAX_HANDLES = 4096, SPARE_FDS = 64, MEMORY_SIZE = 256 << 20 };

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "serve-dir: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_to_kernel(void *data, const void *message, size_t len)
{
    /* ENOENT: the request was aborted */
    if (write(*(int *)data, message, len) < 0 && errno != ENOENT && errno != ENODEV)
        fprintf(stderr, "serve-dir: the kernel refused a reply of %zu bytes: %s\n", len, strerror(errno));
}

static int mount_as_root(const char *mountpoint)
{
    char options[128];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        die("/dev/fuse");
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fd);
    if (mount("serve-dir", mountpoint, "fuse.serve-dir", 0, options) < 0)
        die(mountpoint);
    return fd;
}

/* fusermount3 sends the descriptor over the socket named in its environment. */
static int receive_fd(int sock)
{
    char byte;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    if (recvmsg(sock, &message, MSG_CMSG_CLOEXEC) <= 0 || !CMSG_FIRSTHDR(&message)) {
        errno = ENOTCONN;
        die("fusermount3 did not mount");
    }
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static int mount_as_user(const char *mountpoint)
{
    int sockets[2];
    char number[16];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0)
        die("socketpair");
    pid_t pid = fork();
    if (pid == 0) {
        close(sockets[0]);
        snprintf(number, sizeof number, "%d", sockets[1]);
        setenv("_FUSE_COMMFD", number, 1);
        execlp("fusermount3", "fusermount3", "-o", "default_permissions,fsname=serve-dir,subtype=serve-dir", "--",
               mountpoint, (char *)NULL);
        _exit(127);
    }
    close(sockets[1]);
    int fd = receive_fd(sockets[0]);
    close(sockets[0]);
    waitpid(pid, NULL, 0);
    return fd;
}

static void unmount(const char *mountpoint)
{
    if (geteuid() == 0) {
        umount2(mountpoint, MNT_DETACH);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        execlp("fusermount3", "fusermount3", "-u", "-z", "--", mountpoint, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void serve(struct server *server, int fd, const char *mountpoint)
{
    static uint8_t message[WIRE_FRAME_LIMIT];
    bool unmounted = false;
    for (;;) {
        if (stopping && !unmounted) {
            unmount(mountpoint);
            unmounted = true;
        }
        ssize_t len = read(fd, message, sizeof message);
        if (len < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
            continue;
        if (len < 0 && errno == ENODEV)
            return;
        if (len < 0)
            die("/dev/fuse");
        if (server_receive(server, message, (size_t)len) < 0) {
            errno = EPROTO;
            die("the kernel's request was refused");
        }
    }
}

static uint32_t raise_limit(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_cur > 2 * MAX_HANDLES ? (uint32_t)files.rlim_cur - MAX_HANDLES - SPARE_FDS : MAX_HANDLES;
}

static bool takes_prefix(const char **path, const char *prefix)
{
    size_t len = strlen(prefix);
    bool taken = strncmp(*path, prefix, len) == 0;
    *path += taken ? len : 0;
    return taken;
}

static struct vfs *open_directory(const char *path)
{
    bool mapped = takes_prefix(&path, "mapped:"), raw = takes_prefix(&path, "raw:");
    struct hostdir_config dir = {
        .root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC),
        .cred = mapped ? HOSTDIR_AS_SELF : HOSTDIR_AS_CALLER,
        .allow_devices = !mapped && !raw,
        .all_xattrs = !mapped && !raw,
        .mapped = mapped,
        .stand_ins = raw,
    };
    struct vfs *vfs = dir.root_fd < 0 ? NULL : hostdir_new(&dir);
    if (!vfs)
        die(path);
    close(dir.root_fd);
    return vfs;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: serve-dir DIR|mapped:DIR|raw:DIR|memory: MOUNTPOINT\n");
        return 2;
    }
    bool memory = strcmp(argv[1], "memory:") == 0;
    struct server_config config = {
        .max_write = WIRE_IO_LIMIT,
        .max_nodes = raise_limit(),
        .max_handles = MAX_HANDLES,
        .workers = 4,
        .locks = true,
        .attr_timeout = 1,
        .entry_timeout = 1,
    };
    struct vfs *vfs = memory ? memory_new(MEMORY_SIZE) : open_directory(argv[1]);
    if (!vfs)
        die(argv[1]);
    struct sigaction action = {.sa_handler = stop}; /* no SA_RESTART: read has to end */
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int fd = geteuid() == 0 ? mount_as_root(argv[2]) : mount_as_user(argv[2]);
    struct server *server = server_new(&config, vfs, send_to_kernel, &fd);
    if (!server)
        die("server");
    if (puts("ready") < 0 || fflush(stdout) != 0)
        stopping = 1;
    serve(server, fd, argv[2]);
    server_free(server);
    if (memory)
        memory_free(vfs);
    else
        hostdir_free(vfs);
    close(fd);
    return 0;
}
