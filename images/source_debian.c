/* SPDX-License-Identifier: Apache-2.0 */
/* A Debian release, installed by mmdebstrap from the archive that this system is configured with. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "images/command.h"
#include "images/files.h"
#include "images/source.h"
#include "src/cleanup.h"

enum { CHUNK = 256 * 1024, MAX_STATUS = 64 << 20 };

/* Changes whenever the tree made from the same packages does. */
#define LAYOUT "debian layout 1"

static const char *const default_packages[] = {"bash", "ca-certificates", "curl", "git", "python3", NULL};

/* Written by apt for the build only: this system's proxies are no business of the sandbox. */
#define BUILD_SETTINGS "etc/apt/apt.conf.d/99mmdebstrap"

/* Documentation is left out, as in images for containers; dpkg remembers that for later installations. */
static const char *const dpkg_options[] = {
    "path-exclude=/usr/share/doc/*",         "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",         "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",      "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/lintian/*",     NULL};

/* What was asked for by name, sorted, each once. */
static void list_packages(const struct image_recipe *recipe, struct names *packages)
{
    const char *const *lists[] = {recipe->only_packages ? NULL : default_packages, (const char *const *)recipe->packages};
    for (size_t i = 0; i < 2; i++)
        for (const char *const *at = lists[i]; at && *at; at++)
            if (!names_has(packages, *at))
                names_add(packages, *at);
    names_sort(packages);
}

/* Package names go into a comma-separated option of a program run as root: only what Debian allows in them
 * (policy 5.6.1), or a pattern of apt's, is let through. */
static int check_names(const struct source_job *job, const struct names *packages, struct err *err)
{
    const char *const name_characters = "abcdefghijklmnopqrstuvwxyz0123456789+-.:";
    for (size_t i = 0; i < packages->count; i++)
        if (!isalnum((unsigned char)packages->list[i][0]) ||
            packages->list[i][strspn(packages->list[i], name_characters)] != '\0')
            return err_set(err, EINVAL, "package \"%.64s\": not a name that a Debian package can have", packages->list[i]);
    if (!isalpha((unsigned char)job->suite[0]) || job->suite[strspn(job->suite, name_characters)] != '\0')
        return err_set(err, EINVAL, "suite \"%.64s\": not a name that a Debian release can have", job->suite);
    return packages->failed ? err_errno(err, ENOMEM, "debian") : 0;
}

/* The state of the archive is that of the system's package lists: when they have not changed, neither would the image.
 * Their modification times are those of the archive. */
static int add_list_state(const struct source_job *job, struct digest *inputs, struct err *err)
{
    cleanup_free char *files = NULL;
    int code = apt_list_files(job->apt, &files, err);
    char *rest = files;
    for (char *path; code == 0 && (path = strsep(&rest, "\n"));) {
        struct stat st;
        if (*path == '\0' || stat(path, &st) < 0)
            continue;
        cleanup_free char *state = files_format("%s %lld %lld", path, (long long)st.st_size, (long long)st.st_mtime);
        if (!state)
            return err_errno(err, ENOMEM, "debian");
        digest_add_string(inputs, state);
    }
    return code;
}

static int add_inputs(const struct source_job *job, struct digest *inputs, struct err *err)
{
    struct names packages = {0};
    list_packages(job->recipe, &packages);
    int code = check_names(job, &packages, err);
    digest_add_string(inputs, LAYOUT);
    digest_add_string(inputs, job->suite);
    for (size_t i = 0; i < packages.count; i++)
        digest_add_string(inputs, packages.list[i]);
    names_free(&packages);
    return code == 0 ? add_list_state(job, inputs, err) : code;
}

/* apt's network settings, in a file for mmdebstrap's --aptopt. */
static int write_settings(const struct source_job *job, const char *path, struct err *err)
{
    cleanup_free char *text = NULL;
    int code = apt_network_settings(job->apt, &text, err);
    if (code < 0)
        return code;
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    code = fd < 0 ? -errno : files_write(fd, text, strlen(text));
    return code < 0 ? err_errno(err, -code, "write %s", path) : 0;
}

/* What mmdebstrap says while it runs. */
struct listener {
    const struct source_job *job;
    bool no_space;
    char error[256]; /* the first one: those that follow are its consequences */
};

/* It tells its phases as "I: installing essential packages...", errors of its own and of apt as "E: ...". */
static void take_line(void *data, const char *line)
{
    static const char *const phases[] = {"running apt-get", "downloading", "extracting", "installing", "cleaning"};
    struct listener *listener = data;
    char phase[80];

    if (strstr(line, strerror(ENOSPC)) || strstr(line, "enough free space"))
        listener->no_space = true;
    if (strncmp(line, "E: ", 3) == 0 && !listener->error[0])
        snprintf(listener->error, sizeof listener->error, "%s", line + 3);
    for (size_t i = 0; strncmp(line, "I: ", 3) == 0 && i < sizeof phases / sizeof *phases; i++) {
        if (strncmp(line + 3, phases[i], strlen(phases[i])) != 0)
            continue;
        snprintf(phase, sizeof phase, "%.*s", (int)strcspn(line + 3, "."), line + 3);
        contained_progress(listener->job->contained, phase, -1);
    }
}

static int make_arguments(const struct source_job *job, const char *settings, struct names *argv, struct err *err)
{
    struct names packages = {0};

    names_add(argv, "mmdebstrap");
    names_add(argv, "--mode=root"); /* of the namespace that we are in */
    names_add(argv, "--variant=minbase");
    names_addf(argv, "--aptopt=%s", settings);
    for (size_t i = 0; dpkg_options[i]; i++)
        names_addf(argv, "--dpkgopt=%s", dpkg_options[i]);
    list_packages(job->recipe, &packages);
    for (size_t i = 0; i < packages.count; i++)
        names_addf(argv, "--include=%s", packages.list[i]);
    names_free(&packages);
    names_add(argv, job->suite);
    names_add(argv, "-");
    int code = apt_sources(job->apt, job->suite, argv, err);
    return code == 0 && argv->failed ? err_errno(err, ENOMEM, "debian") : code;
}

struct output {
    struct running *running;
    char chunk[CHUNK];
};

static la_ssize_t read_output(struct archive *archive, void *data, const void **buffer)
{
    struct output *output = data;
    ssize_t n = command_read(output->running, output->chunk, sizeof output->chunk);
    if (n < 0)
        archive_set_error(archive, (int)-n, "cannot read from mmdebstrap");
    *buffer = output->chunk;
    return n < 0 ? -1 : n;
}

static const char *plain_path(const char *path)
{
    return strncmp(path, "./", 2) == 0 ? path + 2 : path;
}

/* Copies the list of installed packages for the manifest, too. */
static void copy_status(const struct source_job *job, struct tree *tree, struct archive *from,
                        struct archive_entry *entry)
{
    cleanup_free char *path = files_format("%s/dpkg-status", job->work);
    cleanup_close int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || archive_read_data_into_fd(from, fd) != ARCHIVE_OK)
        err_errno(&tree->err, EIO, "var/lib/dpkg/status");
    else
        tree_file_from_fd(tree, archive_entry_pathname(entry), 0644, fd);
}

static int copy_tree(const struct source_job *job, struct tree *tree, struct archive *from, struct err *err)
{
    struct archive_entry *entry;
    int result;

    /* A name that is no UTF-8 is a warning: it is kept as it is. */
    while ((result = archive_read_next_header(from, &entry)) <= ARCHIVE_OK && result >= ARCHIVE_WARN && !tree->err.code) {
        const char *path = plain_path(archive_entry_pathname(entry));
        if (strcmp(path, BUILD_SETTINGS) == 0)
            continue;
        if (strcmp(path, "var/lib/dpkg/status") == 0)
            copy_status(job, tree, from, entry);
        else
            tree_copy(tree, from, entry);
    }
    if (result != ARCHIVE_EOF && !tree->err.code)
        return err_set(err, EIO, "read mmdebstrap's archive: %s", archive_error_string(from));
    tree_text(tree, "./etc/hostname", 0644, "gondolin\n");
    tree_text(tree, "./etc/hosts", 0644, "127.0.0.1 localhost gondolin\n::1 localhost gondolin\n");
    return 0;
}

/* Reads the archive that mmdebstrap prints. Errors in *err are about the archive; those of the tree stay in it. */
static int read_archive(const struct source_job *job, struct running *running, struct tree *tree, struct err *err)
{
    cleanup_free struct output *output = malloc(sizeof *output);
    struct archive *from = archive_read_new();
    int code;

    if (!from || !output) {
        archive_read_free(from);
        return err_errno(err, ENOMEM, "debian");
    }
    output->running = running;
    archive_read_support_format_tar(from);
    if (archive_read_open(from, output, NULL, read_output, NULL) == ARCHIVE_OK)
        code = copy_tree(job, tree, from, err);
    else
        code = err_set(err, EIO, "read mmdebstrap's archive: %s", archive_error_string(from));
    archive_read_free(from);
    return code;
}

/* When mmdebstrap failed the archive ended early, so its own words go before what the reader of the archive said. */
static int finish_mmdebstrap(struct running *running, const struct listener *listener, const struct err *reading,
                             struct err *err)
{
    int code = command_finish(running, err);
    if (code < 0 && listener->no_space)
        return err_set(err, ENOSPC, "mmdebstrap: %s", strerror(ENOSPC));
    if (code < 0 && listener->error[0])
        return err_set(err, -code, "mmdebstrap: %s", listener->error);
    if (code == 0 && reading->code)
        return err_set(err, reading->code, "%s", reading->text);
    return code;
}

static int run_mmdebstrap(const struct source_job *job, const char *const *argv, struct tree *tree, struct err *err)
{
    struct listener listener = {.job = job};
    struct err reading = {0};
    struct running *running;
    int code = command_start(&(struct command){.argv = argv, .package = "mmdebstrap", .line = take_line, .data = &listener},
                             &running, err);
    if (code < 0)
        return code;
    read_archive(job, running, tree, &reading);
    if (tree->err.code) {
        command_kill(running);
        return 0; /* the caller looks at the tree */
    }
    return finish_mmdebstrap(running, &listener, &reading, err);
}

static int write_tree(const struct source_job *job, struct tree *tree, struct err *err)
{
    cleanup_free char *settings = files_format("%s/apt-settings", job->work);
    struct names argv = {0};
    int code = settings ? write_settings(job, settings, err) : err_errno(err, ENOMEM, "debian");
    if (code == 0)
        code = make_arguments(job, settings, &argv, err);
    if (code == 0)
        code = run_mmdebstrap(job, (const char *const *)argv.list, tree, err);
    names_free(&argv);
    return code;
}

/* Adds the packages asked for, with the versions that dpkg's status file tells. */
static int describe(const struct source_job *job, struct manifest *manifest, struct err *err)
{
    cleanup_free char *path = files_format("%s/dpkg-status", job->work);
    cleanup_free char *text = path ? files_read(path, MAX_STATUS, NULL) : NULL;
    struct names packages = {0};
    const char *name = NULL;
    char *rest = text;
    int code = 0;

    if (!text)
        return err_errno(err, errno, "read the list of installed packages");
    list_packages(job->recipe, &packages);
    for (char *line; code == 0 && (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "Package: ", 9) == 0)
            name = line + 9;
        else if (name && strncmp(line, "Version: ", 9) == 0 && names_has(&packages, name))
            code = manifest_add_package(manifest, name, line + 9);
    }
    names_free(&packages);
    return code < 0 ? err_errno(err, -code, "list the installed packages") : 0;
}

const struct image_source source_debian = {
    .name = "debian",
    .summary = "a Debian release with the packages of your choice",
    .default_suite = "bookworm",
    .disk_size = 8ULL << 30,
    .needs_many_ids = true,
    .reports_phases = true,
    .add_inputs = add_inputs,
    .write_tree = write_tree,
    .describe = describe,
};
