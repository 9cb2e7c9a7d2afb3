/* SPDX-License-Identifier: Apache-2.0 */
#include "images/modules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/files.h"
#include "src/cleanup.h"

enum {
    MAX_INDEX = 4 << 20,
    MAX_NAME = 64,
    MAX_DEPTH = 32, /* far more than any chain in a real kernel */
};

struct module {
    char name[MAX_NAME];
    char *file;
    char *needs; /* files, separated by spaces */
};

struct modules {
    struct module *list;
    size_t count;
    struct names builtin;
};

int modules_name_of(const char *file, char *name, size_t size)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    const char *end = strstr(base, ".ko");
    size_t length = end ? (size_t)(end - base) : 0;

    if (length == 0 || length >= size)
        return -EINVAL;
    for (size_t i = 0; i < length; i++)
        name[i] = base[i] == '-' ? '_' : base[i];
    name[length] = '\0';
    return 0;
}

static char *read_index(const char *directory, const char *name, struct err *err)
{
    cleanup_free char *path = files_format("%s/%s", directory, name);
    char *text = path ? files_read(path, MAX_INDEX, NULL) : NULL;
    if (!text)
        err_errno(err, errno, "read kernel modules: %s/%s", directory, name);
    return text;
}

static int add_module(struct modules *modules, const char *file, const char *needs)
{
    struct module *list = reallocarray(modules->list, modules->count + 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    modules->list = list;

    struct module *module = &list[modules->count];
    int code = modules_name_of(file, module->name, sizeof module->name);
    if (code < 0)
        return code;
    module->file = strdup(file);
    module->needs = strdup(needs);
    if (!module->file || !module->needs) {
        free(module->file);
        free(module->needs);
        return -ENOMEM;
    }
    modules->count++;
    return 0;
}

/* "kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko ..." */
static int parse_dependencies(struct modules *modules, char *text)
{
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (*line == '\0')
            continue;
        char *colon = strchr(line, ':');
        if (!colon)
            return -EINVAL;
        *colon = '\0';
        int code = add_module(modules, line, colon + 1);
        if (code < 0)
            return code;
    }
    return 0;
}

static int parse_builtin(struct modules *modules, char *text)
{
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char name[MAX_NAME];
        if (*line != '\0' && modules_name_of(line, name, sizeof name) == 0)
            names_add(&modules->builtin, name);
    }
    return modules->builtin.failed ? -ENOMEM : 0;
}

int modules_load(const char *directory, struct modules **out, struct err *err)
{
    struct err own = {0};
    cleanup_free char *dependencies = read_index(directory, "modules.dep", &own);
    cleanup_free char *builtin = dependencies ? read_index(directory, "modules.builtin", &own) : NULL;
    if (!builtin)
        return err_set(err, own.code, "%s", own.text);

    struct modules *modules = calloc(1, sizeof *modules);
    int code = modules ? parse_dependencies(modules, dependencies) : -ENOMEM;
    if (code == 0)
        code = parse_builtin(modules, builtin);
    if (code < 0) {
        modules_free(modules);
        return err_errno(err, -code, "read kernel modules: %s/modules.dep", directory);
    }
    *out = modules;
    return 0;
}

static const struct module *find(const struct modules *modules, const char *name)
{
    for (size_t i = 0; i < modules->count; i++)
        if (strcmp(modules->list[i].name, name) == 0)
            return &modules->list[i];
    return NULL;
}

static int resolve(const struct modules *modules, const char *name, struct names *order, int depth, struct err *err)
{
    if (names_has(&modules->builtin, name) || names_has(order, name))
        return 0;
    const struct module *module = find(modules, name);
    if (!module)
        return err_set(err, ENOENT, "kernel modules: this kernel has no module %s", name);
    if (depth > MAX_DEPTH)
        return err_set(err, EINVAL, "kernel modules: the dependencies of %s never end", name);

    cleanup_free char *needs = strdup(module->needs);
    char *rest = needs;
    for (char *file; rest && (file = strsep(&rest, " "));) {
        char need[MAX_NAME];
        if (*file == '\0')
            continue;
        if (modules_name_of(file, need, sizeof need) < 0)
            return err_set(err, EINVAL, "kernel modules: %s needs \"%.100s\", which is no module", name, file);
        int code = resolve(modules, need, order, depth + 1, err);
        if (code < 0)
            return code;
    }
    names_add(order, name);
    return needs && !order->failed ? 0 : err_errno(err, ENOMEM, "kernel modules");
}

int modules_resolve(const struct modules *modules, const char *const *wanted, struct names *order, struct err *err)
{
    int code = 0;
    for (; code == 0 && *wanted; wanted++)
        code = resolve(modules, *wanted, order, 0, err);
    return code;
}

const char *modules_file(const struct modules *modules, const char *name)
{
    const struct module *module = find(modules, name);
    return module ? module->file : NULL;
}

void modules_free(struct modules *modules)
{
    if (!modules)
        return;
    for (size_t i = 0; i < modules->count; i++) {
        free(modules->list[i].file);
        free(modules->list[i].needs);
    }
    free(modules->list);
    names_free(&modules->builtin);
    free(modules);
}
