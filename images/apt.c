/* SPDX-License-Identifier: Apache-2.0 */
#include "images/apt.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/command.h"
#include "images/files.h"
#include "src/cleanup.h"

#define DISTRIBUTION "Debian" /* as its Release files name it */

/* Runs "PROGRAM OPTIONS... ARGUMENTS..." in `directory` (NULL: here). */
static int run(const struct apt *apt, const char *program, const char *const *arguments, const char *directory,
               char **output, struct err *err)
{
    struct names argv = {0};
    names_add(&argv, program);
    names_add_all(&argv, (const char *const *)apt->options.list);
    names_add_all(&argv, arguments);
    int code = argv.failed ? err_errno(err, ENOMEM, "run %s", program)
                           : command_run(&(struct command){.argv = (const char *const *)argv.list, .package = "apt",
                                                           .directory = directory},
                                         output, err);
    names_free(&argv);
    return code;
}

static void add_option(struct apt *apt, const char *name, const char *directory, const char *value)
{
    names_add(&apt->options, "-o");
    names_addf(&apt->options, "%s=%s/%s", name, directory, value);
}

/* Lists of our own: fetched with the system's sources, kept below `directory`. */
static int use_own_lists(struct apt *apt, const char *directory, struct err *err)
{
    static const char *const parts[] = {"lists/partial", "archives/partial"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        cleanup_free char *part = files_format("%s/%s", directory, parts[i]);
        int code = part ? files_make_directories(part, 0700) : -ENOMEM;
        if (code < 0)
            return err_errno(err, -code, "make %s/%s", directory, parts[i]);
    }
    add_option(apt, "Dir::State::Lists", directory, "lists");
    add_option(apt, "Dir::Cache::Archives", directory, "archives");
    if (apt->options.failed)
        return err_errno(err, ENOMEM, "fetch package lists");
    return run(apt, "apt-get", (const char *const[]){"update", "-qq", NULL}, NULL, NULL, err);
}

int apt_open(struct apt *apt, const char *directory, struct err *err)
{
    cleanup_free char *files = NULL;

    *apt = (struct apt){0};
    int code = files_make_directories(directory, 0700);
    if (code < 0)
        return err_errno(err, -code, "make %s", directory);
    /* apt as root would fetch as the user _apt, who cannot write where we work and may not exist in a namespace. */
    names_add(&apt->options, "-o");
    names_add(&apt->options, "APT::Sandbox::User=root");
    /* Where the system keeps no index of its lists (containers are told not to), each command would take a second. */
    add_option(apt, "Dir::Cache::pkgcache", directory, "pkgcache.bin");
    names_add(&apt->options, "-o");
    names_add(&apt->options, "Dir::Cache::srcpkgcache=");
    code = apt_list_files(apt, &files, err);
    if (code == 0 && files[0] == '\0')
        code = use_own_lists(apt, directory, err);
    if (code < 0)
        apt_close(apt);
    return code;
}

void apt_close(struct apt *apt)
{
    names_free(&apt->options);
}

/* The value of "FIELD: value" in the first stanza of `text`, which is modified. */
static const char *find_field(char *text, const char *field)
{
    size_t length = strlen(field);
    for (char *line; (line = strsep(&text, "\n")) && *line;)
        if (strncmp(line, field, length) == 0 && line[length] == ':' && line[length + 1] == ' ')
            return line + length + 2;
    return NULL;
}

int apt_field(const struct apt *apt, const char *package, const char *field, char **value, struct err *err)
{
    cleanup_free char *text = NULL;
    /* apt-cache fails for an unknown package and succeeds silently for a purely virtual one. */
    const char *const arguments[] = {"show", "--no-all-versions", package, NULL};
    const char *found = run(apt, "apt-cache", arguments, NULL, &text, NULL) == 0 ? find_field(text, field) : NULL;
    if (!found)
        return err_set(err, ENOENT, "apt knows no package %s; update its lists with: apt-get update", package);
    *value = strdup(found);
    return *value ? 0 : err_errno(err, ENOMEM, "ask apt about %s", package);
}

static char *find_package_file(const char *directory)
{
    cleanup_closedir DIR *dir = opendir(directory);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".deb") == 0)
            return files_format("%s/%s", directory, entry->d_name);
    }
    return NULL;
}

int apt_download(const struct apt *apt, const char *package, const char *directory, char **file, struct err *err)
{
    const char *const arguments[] = {"download", "-qq", package, NULL};
    cleanup_free char *into = files_format("%s/download.XXXXXX", directory);
    if (!into || !mkdtemp(into))
        return err_errno(err, errno, "download %s", package);
    int code = run(apt, "apt-get", arguments, into, NULL, err);
    if (code < 0)
        return err_wrap(err, "download %s", package);
    *file = find_package_file(into);
    return *file ? 0 : err_set(err, EIO, "download %s: apt-get left no package file", package);
}

/* One configured index: a line of the format below, split in place. */
struct target {
    const char *kind, *origin, *uri, *codename, *component;
};

#define TARGET_FORMAT "$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)"

static bool next_target(char **rest, struct target *target)
{
    for (char *line; (line = strsep(rest, "\n"));) {
        const char **fields[] = {&target->kind, &target->origin, &target->uri, &target->codename, &target->component};
        size_t i = 0;
        for (; i < sizeof fields / sizeof *fields && line; i++)
            *fields[i] = strsep(&line, "|");
        if (i == sizeof fields / sizeof *fields && strcmp(target->kind, "Packages") == 0 &&
            strcmp(target->origin, DISTRIBUTION) == 0)
            return true;
    }
    return false;
}

/* What follows the release's own name in "bookworm-security", if it is a part that a plain installation has. */
static const char *companion(const char *codename)
{
    const char *dash = strchr(codename, '-');
    if (!dash)
        return "";
    return strcmp(dash, "-updates") == 0 || strcmp(dash, "-security") == 0 ? dash : NULL;
}

/* Adds lines for `suite` from the targets of the release `base` (NULL: of any). */
static void add_lines(char *text, const char *base, const char *suite, struct names *lines)
{
    bool rolling = strcmp(suite, "sid") == 0 || strcmp(suite, "unstable") == 0;
    struct target target;

    while (next_target(&text, &target)) {
        const char *part = companion(target.codename);
        size_t length = strcspn(target.codename, "-");
        if (!part || (rolling && *part) || (base && (strlen(base) != length || strncmp(base, target.codename, length) != 0)))
            continue;
        cleanup_free char *line = files_format("deb %s %s%s %s", target.uri, suite, part, target.component);
        if (!line)
            lines->failed = true;
        else if (!names_has(lines, line))
            names_add(lines, line);
    }
}

int apt_sources(const struct apt *apt, const char *suite, struct names *lines, struct err *err)
{
    const char *const arguments[] = {"indextargets", "--format", TARGET_FORMAT, NULL};
    cleanup_free char *text = NULL;
    int code = run(apt, "apt-get", arguments, NULL, &text, err);
    if (code < 0)
        return code;
    cleanup_free char *copy = strdup(text);
    if (!copy)
        return err_errno(err, ENOMEM, "read apt's sources");
    add_lines(copy, suite, suite, lines);
    if (lines->count == 0) /* another release than this system's: the same servers have it */
        add_lines(text, NULL, suite, lines);
    if (lines->failed)
        return err_errno(err, ENOMEM, "read apt's sources");
    return lines->count ? 0 : err_set(err, ENOENT, "apt has no package lists of " DISTRIBUTION "; add its archive to "
                                      "/etc/apt/sources.list and run: apt-get update");
}

int apt_list_files(const struct apt *apt, char **text, struct err *err)
{
    const char *const arguments[] = {"indextargets", "--format", "$(FILENAME)", "Created-By: Packages", NULL};
    return run(apt, "apt-get", arguments, NULL, text, err);
}

int apt_network_settings(const struct apt *apt, char **text, struct err *err)
{
    const char *const arguments[] = {"dump", "Acquire::http", "Acquire::https", "Acquire::ftp", "Acquire::Retries",
                                     "Acquire::ForceIPv4", "Acquire::ForceIPv6", "Acquire::Check-Valid-Until",
                                     "Acquire::Check-Date", NULL};
    return run(apt, "apt-config", arguments, NULL, text, err);
}
