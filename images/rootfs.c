/* SPDX-License-Identifier: Apache-2.0 */
#include "images/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <archive.h>

#include "images/files.h"
#include "src/cleanup.h"

/* The process that writes the tree. */
struct producer {
    pid_t pid;
    int stream; /* the tar */
    int result; /* a struct err at the end: code 0 when all went well */
};

static void write_tar(const struct image_source *source, const struct source_job *job, int fd, struct err *err)
{
    struct archive *archive = archive_write_new();
    if (!archive) {
        err_errno(err, ENOMEM, "write tree");
        return;
    }
    struct tree tree = {.archive = archive, .mtime = time(NULL)};
    archive_write_set_format_pax_restricted(archive);
    archive_write_set_options(archive, "hdrcharset=BINARY");
    if (archive_write_open_fd(archive, fd) != ARCHIVE_OK)
        err_set(err, EIO, "write tree: %s", archive_error_string(archive));
    else
        source->write_tree(job, &tree, err);
    /* Without its end mark the stream would still unpack: an unfinished one is told by the result, not by that. */
    if (!err->code && !tree.err.code && archive_write_close(archive) != ARCHIVE_OK)
        err_set(err, EIO, "write tree: %s", archive_error_string(archive));
    if (!err->code && tree.err.code)
        err_set(err, tree.err.code, "write tree: %s", tree.err.text);
    archive_write_free(archive);
}

static void producer_main(const struct image_source *source, const struct source_job *job, int stream, int result)
{
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN);
    /* libarchive converts names between UTF-8 (of pax headers) and the locale's character set. */
    setlocale(LC_CTYPE, "C.UTF-8");
    write_tar(source, job, stream, &err);
    /* The result first: who has seen the stream's end finds it there. */
    (void)!write(result, &err, sizeof err);
    _exit(0);
}

static int start_producer(const struct image_source *source, const struct source_job *job, struct producer *producer)
{
    int stream[2], result[2];
    pid_t parent = getpid();

    if (pipe2(stream, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(result, O_CLOEXEC) < 0) {
        int code = errno;
        close(stream[0]);
        close(stream[1]);
        return -code;
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        close(stream[0]);
        producer_main(source, job, stream[1], result[1]);
    }
    int code = pid < 0 ? -errno : 0;
    close(stream[1]);
    close(result[1]);
    *producer = (struct producer){.pid = pid, .stream = stream[0], .result = result[0]};
    return code;
}

/* Reads the result and waits for its end. When the disk has failed (`stop`) it is not needed any more, unless it had
 * failed before and is the cause of that. */
static int finish_producer(struct producer *producer, bool stop, struct err *err)
{
    struct pollfd ready = {.fd = producer->result, .events = POLLIN};
    struct err told = {.code = EPIPE, .text = "nobody reads the tree"};

    if (stop && poll(&ready, 1, 0) <= 0)
        kill(producer->pid, SIGKILL);
    else if (read(producer->result, &told, sizeof told) != sizeof told)
        told = (struct err){ECHILD, "write tree: the process that wrote it ended unexpectedly (out of memory?)"};
    close(producer->stream);
    close(producer->result);
    waitpid(producer->pid, NULL, 0);
    return told.code ? err_set(err, told.code, "%s", told.text) : 0;
}

int rootfs_build(const struct image_source *source, const struct source_job *source_job, const struct disk_job *disk_job,
                 struct err *err)
{
    struct err producing = {0}, storing = {0};
    struct producer producer = {.pid = -1, .stream = -1, .result = -1};
    struct disk *disk = NULL;

    int code = start_producer(source, source_job, &producer);
    if (code < 0)
        return err_errno(err, -code, "start writing the tree");
    code = disk_open(disk_job, &disk, &storing);
    if (code == 0)
        code = disk_fill(disk, producer.stream, &storing);
    int produced = finish_producer(&producer, code < 0, &producing);
    if (code < 0 || produced < 0)
        disk_abandon(disk);
    else
        code = disk_close(disk, &storing);
    /* When the tree could not be written for another reason than that nobody read it, that is the cause. */
    if (produced < 0 && (code == 0 || produced != -EPIPE))
        return err_set(err, -produced, "%s", producing.text);
    return code < 0 ? err_set(err, -code, "%s", storing.text) : 0;
}
