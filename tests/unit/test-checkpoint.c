/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "images/image.h"
#include "images/verified.h"
#include "src/cleanup.h"
#include "src/session.h"
#include "tests/unit/checkpointdir.h"
#include "tests/unit/imagedir.h"
#include "vmm/qcow2.h"

static const char *store;
static char build_id[65];

static void set_up(void)
{
    store = imagedir_begin();
    setenv("XDG_RUNTIME_DIR", store, 1);
    imagedir_add("rootfs", build_id);
}

TestSuite(checkpoint, .init = set_up, .fini = imagedir_end);

static void add(const char *name, const char *parent)
{
    checkpointdir_add(store, name, CHECKPOINT_FULL, build_id, parent);
}

static char *path_of(const char *name, const char *file)
{
    return files_format("%s/checkpoints/%s/%s", store, name, file);
}

static bool tmp_is_empty(void)
{
    cleanup_free char *command = files_format("exit $(ls -A %s/tmp | wc -l)", store);
    return system(command) == 0;
}

/* Writes a byte into the middle of a file, or one more than there are. */
static void spoil(const char *name, const char *file, off_t offset, char byte)
{
    cleanup_free char *path = path_of(name, file);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, &byte, 1, offset), 1, "%s", path);
}

static void refuses(const char *name, int code, const char *words)
{
    struct checkpoint c;
    struct err err = {0};
    cr_expect_eq(checkpoint_open(store, name, false, &c, &err), -code, "%s: %s", name, err.text);
    cr_expect(strstr(err.text, words), "%s says: %s", name, err.text);
}

Test(checkpoint, what_is_published_can_be_opened)
{
    struct checkpoint c;
    struct err err = {0};
    add("a", NULL);
    add("b", "a");
    cr_assert_eq(checkpoint_open(store, "b", true, &c, &err), 0, "%s", err.text);
    cr_expect_str_eq(c.name, "b");
    cr_expect_str_eq(c.manifest.parent, "a");
    cr_expect_str_eq(c.manifest.sandbox, "sb");
    cr_expect_eq(c.manifest.file_count, 3);
    cr_expect_eq(strlen(c.manifest.created), strlen("2026-01-31T12:00:00Z"));
    checkpoint_close(&c);
    cr_expect(tmp_is_empty());
}

static void looks(const char *name, int code, const char *words)
{
    struct checkpoint_manifest m;
    struct err err = {0};
    cr_expect_eq(checkpoint_look(store, name, &m, &err), -code, "%s: %s", name, err.text);
    cr_expect(strstr(err.text, words), "%s: %s", name, err.text);
    checkpoint_manifest_free(&m);
}

Test(checkpoint, publishing_ends_when_a_signal_arrives)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct checkpoint c;
    struct err err = {0};
    struct interrupt interrupt;
    struct signalfd_siginfo taken;
    checkpointdir_work(store, CHECKPOINT_FULL, build_id, NULL, false, &work, &manifest);
    cr_assert_eq(interrupt_begin(&interrupt), 0);
    raise(SIGTERM);
    cr_expect_eq(checkpoint_publish_until(store, &work, "a", &manifest, &interrupt, &c, &err), -EINTR, "%s", err.text);
    cr_assert_eq(read(interrupt.fd, &taken, sizeof taken), (ssize_t)sizeof taken, "else it ends the test");
    cr_assert_eq(checkpoint_publish_until(store, &work, "a", &manifest, &interrupt, &c, &err), 0, "%s", err.text);
    interrupt_end(&interrupt);
    checkpoint_close(&c);
    store_work_end(&work);
}

Test(checkpoint, a_look_finds_files_that_are_missing_or_have_another_size)
{
    add("a", NULL);
    add("b", "a");
    looks("b", 0, "");
    spoil("b", "ram", 1 << 20, 'x');
    looks("b", 0, "");
    spoil("b", "ram", 8 << 20, 'x');
    looks("b", EBADMSG, "ram");
    cleanup_free char *ram = path_of("a", "ram");
    cr_assert_eq(unlink(ram), 0);
    looks("a", EBADMSG, "ram");
    looks("c", ENOENT, "c");
}

Test(checkpoint, layers_of_its_own)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct checkpoint c;
    struct err err = {0};
    checkpointdir_work(store, CHECKPOINT_DISK_ONLY, build_id, NULL, true, &work, &manifest);
    cr_assert_eq(checkpoint_publish(store, &work, "a", &manifest, &c, &err), 0, "%s", err.text);
    store_work_end(&work);
    cr_expect_eq(c.manifest.file_count, 2);
    checkpoint_close(&c);
    cr_assert_eq(checkpoint_open(store, "a", true, &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
}

Test(checkpoint, names_are_checked)
{
    char long_name[301];
    memset(long_name, 'a', 300);
    long_name[300] = '\0';
    const char *const bad[] = {"", ".", "..", "a/b", "-a", ".a", "a b", "a\n", long_name};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct checkpoint_manifest manifest;
        struct err err = {0};
        cr_expect_eq(checkpoint_check_name(bad[i], &err), -EINVAL, "%s", bad[i]);
        refuses(bad[i], EINVAL, "a name is 1 to 64");
        cr_expect_eq(checkpoint_remove(store, bad[i], &err), -EINVAL);
        cr_expect_eq(checkpoint_read_manifest(store, bad[i], &manifest, &err), -EINVAL);
        cr_expect_eq(checkpoint_set_description(store, bad[i], "x", &err), -EINVAL);
        cr_expect_not(checkpoint_exists(store, bad[i]));
    }
    cr_expect_eq(checkpoint_check_name("a.b_c-1", NULL), 0);
}

Test(checkpoint, one_that_is_missing_names_the_nearest)
{
    add("before", NULL);
    refuses("befroe", ENOENT, "did you mean before?");
    refuses("zzz", ENOENT, "gondolin checkpoint ls");
}

Test(checkpoint, a_name_that_is_taken_is_refused_and_the_work_stays)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct checkpoint c;
    struct err err = {0};
    add("a", NULL);
    checkpointdir_work(store, CHECKPOINT_FULL, build_id, NULL, false, &work, &manifest);
    cr_expect_eq(checkpoint_publish(store, &work, "a", &manifest, &c, &err), -EEXIST);
    cr_expect_eq(manifest.file_count, 0);
    cr_assert_eq(checkpoint_publish(store, &work, "b", &manifest, &c, &err), 0, "%s", err.text);
    cr_expect_null(manifest.sandbox, "the manifest was moved");
    checkpoint_close(&c);
    store_work_end(&work);
}

Test(checkpoint, nothing_else_is_published)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct checkpoint c;
    struct err err = {0};
    checkpointdir_work(store, CHECKPOINT_DISK_ONLY, build_id, NULL, false, &work, &manifest);
    cleanup_free char *stray = files_format("%s/stray", work.path), *written = files_format("%s/manifest.json", work.path);
    close(open(stray, O_CREAT | O_WRONLY, 0600));
    cr_expect_eq(checkpoint_publish(store, &work, "a", &manifest, &c, &err), -EINVAL);
    cr_expect(strstr(err.text, "stray"), "%s", err.text);
    unlink(stray);
    close(open(written, O_CREAT | O_WRONLY, 0600)); /* a manifest of somebody else's making */
    cr_expect_eq(checkpoint_publish(store, &work, "a", &manifest, &c, &err), -EINVAL);
    cr_expect_not(checkpoint_exists(store, "a"));
    checkpoint_manifest_free(&manifest);
    store_work_end(&work);
}

Test(checkpoint, a_disk_over_something_else_is_not_published)
{
    static const char *const names[] = {"/etc/shadow", "json:{\"driver\":\"raw\"}", "nbd:localhost:1", "../../../etc/shadow",
                                        "../b/disk.qcow2", "layer-1.qcow2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct store_work work;
        struct checkpoint_manifest manifest;
        struct checkpoint c;
        struct err err = {0};
        checkpointdir_work(store, CHECKPOINT_DISK_ONLY, build_id, NULL, false, &work, &manifest);
        cleanup_free char *disk = files_format("%s/disk.qcow2", work.path);
        cleanup_close int fd = open(disk, O_RDWR | O_CLOEXEC);
        cr_assert_eq(qcow2_set_backing(fd, names[i], &err), 0, "%s", err.text);
        cr_expect_eq(checkpoint_publish(store, &work, "a", &manifest, &c, &err), -EBADMSG, "%s", names[i]);
        cr_expect(strstr(err.text, "lies on"), "%s", err.text);
        checkpoint_manifest_free(&manifest);
        store_work_end(&work);
    }
}

Test(checkpoint, a_parent_has_to_be_there)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct checkpoint c;
    struct err err = {0};
    checkpointdir_work(store, CHECKPOINT_DISK_ONLY, build_id, "gone", false, &work, &manifest);
    cr_expect_eq(checkpoint_publish(store, &work, "a", &manifest, &c, &err), -ENOENT, "%s", err.text);
    checkpoint_manifest_free(&manifest);
    store_work_end(&work);
}

Test(checkpoint, each_file_that_is_tampered_with_is_named)
{
    static const char *const files[] = {"disk.qcow2", "ram", "state"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[] = {'t', (char)('0' + i), '\0'};
        add(name, NULL);
        spoil(name, files[i], 4000, 'x');
        refuses(name, EBADMSG, files[i]);
        cleanup_free char *path = path_of(name, files[i]);
        cr_assert_eq(truncate(path, 3999), 0);
        refuses(name, EBADMSG, files[i]);
        cr_assert_eq(unlink(path), 0);
        refuses(name, EBADMSG, files[i]);
    }
}

Test(checkpoint, a_hole_filled_with_zeros_is_no_change)
{
    struct checkpoint c;
    struct err err = {0};
    add("a", NULL);
    spoil("a", "ram", 1 << 20, '\0');
    cr_assert_eq(checkpoint_open(store, "a", true, &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
}

Test(checkpoint, what_lies_below_is_checked_too)
{
    add("a", NULL);
    add("b", "a");
    spoil("a", "disk.qcow2", 4000, 'x');
    refuses("b", EBADMSG, "checkpoints/a/disk.qcow2");
}

Test(checkpoint, memory_of_what_lies_below_is_not_needed)
{
    struct checkpoint c;
    struct err err = {0};
    add("a", NULL);
    add("b", "a");
    cleanup_free char *ram = path_of("a", "ram");
    unlink(ram);
    cr_assert_eq(checkpoint_open(store, "b", true, &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
}

Test(checkpoint, a_manifest_that_is_damaged_is_named)
{
    add("a", NULL);
    spoil("a", "manifest.json", 2, 'x');
    refuses("a", EINVAL, "manifest.json");
    cleanup_free char *path = path_of("a", "manifest.json");
    unlink(path);
    refuses("a", ENOENT, "manifest.json");
    cr_expect_eq(checkpoint_remove(store, "a", NULL), 0, "what is damaged can be removed");
}

Test(checkpoint, an_image_that_is_gone_is_named)
{
    add("a", NULL);
    cleanup_free char *path = files_format("%s/images/%s", store, build_id);
    files_remove_tree(path);
    refuses("a", ENOENT, build_id);
}

static int count(void *data, const struct manifest_file *file, struct err *err)
{
    (void)file, (void)err;
    ++*(int *)data;
    return 0;
}

static int compared(const struct checkpoint *c)
{
    int times = 0;
    verified_check(c->directory, c->manifest.files, c->manifest.file_count, 0, count, &times, NULL);
    return times;
}

Test(checkpoint, that_a_name_of_its_disk_goes_is_no_change)
{
    struct checkpoint c;
    struct err err = {0};
    struct stat st;
    add("a", NULL);
    cr_assert_eq(checkpoint_open(store, "a", false, &c, &err), 0, "%s", err.text);
    cleanup_free char *disk = path_of("a", "disk.qcow2"), *other = files_format("%s/other", store);
    cr_assert(link(disk, other) == 0 && stat(disk, &st) == 0);
    verified_record(c.directory, c.manifest.files, c.manifest.file_count);
    verified_unlink(c.directory, &c.manifest.files[0], other);
    cr_expect_not(files_exists(other));
    cr_expect_eq(compared(&c), 0);
    cr_assert_eq(link(disk, other), 0);
    spoil("a", "disk.qcow2", 4000, 'x');
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    cr_assert_eq(utimensat(AT_FDCWD, disk, times, 0), 0);
    verified_unlink(c.directory, &c.manifest.files[0], other);
    cr_expect_eq(compared(&c), 1);
    checkpoint_close(&c);
}

Test(checkpoint, a_root_disk_that_is_written_to_is_named)
{
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct checkpoint c;
    struct err err = {0};
    cleanup_free char *root_disk = files_format("%s/root.qcow2", store);
    cleanup_close int root = open(root_disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    checkpointdir_work(store, CHECKPOINT_DISK_ONLY, build_id, NULL, false, &work, &manifest);
    cleanup_free char *disk = files_format("%s/disk.qcow2", work.path);
    cleanup_close int fd = open(disk, O_RDWR | O_CLOEXEC);
    cr_assert_eq(qcow2_set_backing(fd, root_disk, &err), 0, "%s", err.text);
    manifest.root_disk = strdup(root_disk);
    manifest.root_disk_state = checkpoint_root_disk_state(root_disk);
    cr_assert_eq(checkpoint_publish(store, &work, "a", &manifest, &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
    store_work_end(&work);
    cr_assert_eq(checkpoint_open(store, "a", true, &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
    cr_assert_eq(write(root, "x", 1), 1);
    refuses("a", EBADMSG, root_disk);
    cleanup_free char *command = files_format("sed -i '/root_disk_state/d' %s/checkpoints/a/manifest.json", store);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(checkpoint_open(store, "a", true, &c, &err), 0, "older ones have no such record: %s", err.text);
    checkpoint_close(&c);
}

Test(checkpoint, parents_in_a_circle_end)
{
    add("a", NULL);
    add("b", "a");
    cleanup_free char *command = files_format("cd %s/checkpoints && sed -i 's|\"sandbox\"|\"parent\":\"b\",\"sandbox\"|' "
                                              "a/manifest.json", store);
    cr_assert_eq(system(command), 0);
    refuses("a", EBADMSG, "lies on");
    cr_expect_eq(checkpoint_remove(store, "a", NULL), -EBUSY);
}

Test(checkpoint, others_lie_on_it)
{
    struct err err = {0};
    struct names children = {0};
    add("a", NULL);
    add("b", "a");
    add("c", "a");
    cr_expect_eq(checkpoint_remove(store, "a", &err), -EBUSY);
    cr_expect(strstr(err.text, "b, c"), "%s", err.text);
    cr_assert_eq(checkpoint_children(store, "a", &children, &err), 0);
    cr_expect_eq(children.count, 2);
    names_free(&children);
    cr_expect_eq(checkpoint_remove(store, "b", &err), 0, "%s", err.text);
    cr_expect_eq(checkpoint_remove(store, "c", &err), 0, "%s", err.text);
    cr_expect_eq(checkpoint_remove(store, "a", &err), 0, "%s", err.text);
    cr_expect_eq(checkpoint_remove(store, "a", &err), -ENOENT);
    cr_expect(tmp_is_empty());
}

Test(checkpoint, sandboxes_that_use_it_are_named)
{
    struct checkpoint c;
    struct session session;
    struct err err = {0};
    add("a", NULL);
    cr_assert_eq(checkpoint_open(store, "a", false, &c, &err), 0, "%s", err.text);
    cr_expect_eq(checkpoint_remove(store, "a", &err), -EBUSY);
    cr_expect(strstr(err.text, "another gondolin command"), "%s", err.text);
    cr_assert_eq(session_create(&session, &err), 0, "%s", err.text);
    session.name = strdup("box");
    session.mountpoint = strdup("/mnt/box");
    session.checkpoint = strdup("a");
    cr_assert_eq(session_publish(&session, &err), 0, "%s", err.text);
    cr_expect_eq(checkpoint_remove(store, "a", &err), -EBUSY);
    cr_expect(strstr(err.text, "box (/mnt/box)"), "%s", err.text);
    session_remove(&session);
    checkpoint_close(&c);
    cr_expect_eq(checkpoint_remove(store, "a", &err), 0, "%s", err.text);
}

Test(checkpoint, two_who_remove_one)
{
    add("a", NULL);
    pid_t pids[4];
    int removed = 0;
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(-checkpoint_remove(store, "a", NULL));
    }
    for (int i = 0; i < 4; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        int code = WEXITSTATUS(status);
        removed += code == 0;
        cr_expect(code == 0 || code == ENOENT || code == EBUSY, "%d", code);
    }
    cr_expect_eq(removed, 1);
    cr_expect(tmp_is_empty());
}

Test(checkpoint, an_image_with_checkpoints_stays)
{
    struct err err = {0};
    bool removed;
    add("a", NULL);
    store_set_tag(store, "default", build_id, NULL);
    cr_expect_eq(image_remove(build_id, &removed, &err), -EBUSY);
    cr_expect(strstr(err.text, "lie on: a"), "%s", err.text);
    cr_expect_eq(checkpoint_remove(store, "a", &err), 0, "%s", err.text);
    cr_expect_eq(image_remove(build_id, &removed, &err), 0, "%s", err.text);
}

Test(checkpoint, descriptions)
{
    struct err err = {0};
    cleanup_free char *too_long = calloc(1, CHECKPOINT_DESCRIPTION_MAX + 2);
    memset(too_long, 'x', CHECKPOINT_DESCRIPTION_MAX + 1);
    add("a", NULL);
    cleanup_free char *none = checkpoint_description(store, "a");
    cr_expect_str_eq(none, "");
    cr_expect_eq(checkpoint_set_description(store, "a", "before the upgrade\n", &err), 0, "%s", err.text);
    cr_expect_eq(checkpoint_set_description(store, "a", too_long, &err), -EMSGSIZE);
    cr_expect_eq(checkpoint_set_description(store, "b", "x", &err), -ENOENT);
    cleanup_free char *text = checkpoint_description(store, "a");
    cr_expect_str_eq(text, "before the upgrade\n");
    struct checkpoint c;
    cr_expect_eq(checkpoint_open(store, "a", true, &c, &err), 0, "%s", err.text);
    checkpoint_close(&c);
    cr_expect(tmp_is_empty());
}
