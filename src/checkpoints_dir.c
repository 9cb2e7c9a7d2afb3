/* SPDX-License-Identifier: Apache-2.0 */
/* The directory checkpoints/: those of the store, whoever made them. mkdir takes one of this sandbox, rmdir removes one. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"
#include "src/request_work.h"
#include "src/supervisor_internal.h"

/* One for each node of a checkpoint's directory. */
struct entry {
    struct supervisor *s;
    char name[];
};

static struct entry *entry_new(struct supervisor *s, const char *name)
{
    struct entry *e = malloc(sizeof *e + strlen(name) + 1);
    if (!e)
        return NULL;
    *e = (struct entry){.s = s};
    strcpy(e->name, name); // NOLINT: there is room for it
    return e;
}

static void entry_freed(void *object)
{
    free(object);
}

/* What a thread does to a checkpoint. The strings are its own: it may outlive the supervisor's. */
struct change {
    struct supervisor *s;
    char *store, *name;
    char *text; /* the new description, `len` bytes */
    size_t len;
};

static void change_free(void *data)
{
    struct change *c = data;
    free(c->store);
    free(c->name);
    free(c->text);
    free(c);
}

/* NULL: out of memory. */
static struct change *change_new(const struct entry *e, const char *text, size_t len)
{
    struct change *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct change){
        .s = e->s, .store = strdup(e->s->store), .name = strdup(e->name), .text = strndup(text, len), .len = len};
    if (c->store && c->name && c->text)
        return c;
    change_free(c);
    return NULL;
}

/* ---- status ---- */

static void render_files(const struct checkpoint_manifest *m, FILE *out)
{
    for (size_t i = 0; i < m->file_count; i++)
        fprintf(out, "file %s %" PRIu64 " %s\n", m->files[i].name, m->files[i].size, m->files[i].sha256);
}

static void render_manifest(const char *name, const struct checkpoint_manifest *m, FILE *out)
{
    fprintf(out, "name %s\nstate complete\nkind %s\ncreated %s\nsandbox %s\nbuild_id %s\nparent %s\n", name,
            m->kind == CHECKPOINT_FULL ? "full" : "disk", m->created, m->sandbox, m->build_id, m->parent ? m->parent : "-");
    fprintf(out, "memory %" PRIu64 "\npause_us %" PRIu64 "\ntotal_us %" PRIu64 "\nmethod %s\njobs %zu\n", m->memory,
            m->pause_us, m->total_us, m->method ? m->method : "-", m->jobs ? json_object_array_length(m->jobs) : 0);
    render_files(m, out);
}

static void render_status(void *object, FILE *out)
{
    const struct entry *e = object;
    struct checkpoint_manifest m;
    struct err err = {0};
    if (checkpoint_look(e->s->store, e->name, &m, &err) < 0)
        fprintf(out, "name %s\nstate damaged\nreason %s\n", e->name, err.text);
    else
        render_manifest(e->name, &m, out);
    checkpoint_manifest_free(&m);
}

static const struct control_ops status_ops = {.render = render_status, .freed = entry_freed, .sized = true};

/* ---- description ---- */

static void render_description(void *object, FILE *out)
{
    const struct entry *e = object;
    cleanup_free char *text = checkpoint_description(e->s->store, e->name);
    if (text && *text)
        fprintf(out, "%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
}

static void description_written(void *data, struct control_request *request, const struct err *err)
{
    const struct change *c = data;
    if (request && err->code)
        control_reply_error(request, err->code, "description: %s", err->text);
    else if (request)
        control_reply_written(request, c->len);
}

static int set_description(void *data, struct err *err)
{
    const struct change *c = data;
    return checkpoint_set_description(c->store, c->name, c->text, err);
}

static void write_description(struct control_handle *handle, const char *data, size_t len, off_t offset,
                              struct control_request *request)
{
    static const struct request_work_ops ops = {.work = set_description, .answer = description_written, .free = change_free};
    (void)offset;
    const struct entry *e = control_handle_object(handle);
    if (memchr(data, '\0', len))
        control_reply_error(request, EINVAL, "description: a NUL byte");
    else
        request_work_start(e->s->loop, request, "description", &ops, change_new(e, data, len));
}

static const struct control_ops description_ops = {.render = render_description,
                                                   .write = write_description,
                                                   .freed = entry_freed,
                                                   .sized = true,
                                                   .max_write = CHECKPOINT_DESCRIPTION_MAX};

/* ---- removing ---- */

static int remove_it(void *data, struct err *err)
{
    const struct change *c = data;
    return checkpoint_remove(c->store, c->name, err);
}

static void removed(void *data, struct control_request *request, const struct err *err)
{
    const struct change *c = data;
    checkpoints_dir_refresh(c->s);
    if (request && err->code)
        control_reply_error(request, err->code, "%s", err->text);
    else if (request)
        control_reply_removed(request);
}

static void entry_rmdir(void *object, struct control_request *request)
{
    static const struct request_work_ops ops = {.work = remove_it, .answer = removed, .free = change_free};
    const struct entry *e = object;
    request_work_start(e->s->loop, request, "rmdir", &ops, change_new(e, "", 0));
}

static const struct control_ops entry_ops = {.rmdir_later = entry_rmdir, .freed = entry_freed};

/* ---- the directory ---- */

static bool add_file(struct supervisor *s, struct control_node *dir, const char *checkpoint, const char *name, mode_t mode,
                     const struct control_ops *ops)
{
    struct entry *e = entry_new(s, checkpoint);
    if (e && control_add(dir, name, S_IFREG | mode, ops, e))
        return true;
    free(e);
    return false;
}

static void add_entry(struct supervisor *s, const char *name)
{
    struct entry *e = entry_new(s, name);
    struct control_node *node = e ? control_add(s->checkpoints_dir, name, S_IFDIR | 0700, &entry_ops, e) : NULL;
    if (!node) {
        free(e);
        return;
    }
    add_file(s, node, name, "status", 0444, &status_ops);
    add_file(s, node, name, "description", 0644, &description_ops);
}

static void drop_missing(void *data, struct control_node *node)
{
    const struct names *names = data;
    if (!names_has(names, control_node_name(node)))
        control_remove(node);
}

void checkpoints_dir_refresh(void *object)
{
    struct supervisor *s = object;
    struct names names = {0};
    struct err err = {0};
    if (!s->store || checkpoint_list(s->store, &names, &err) < 0) {
        names_free(&names);
        return;
    }
    control_each_child(s->checkpoints_dir, drop_missing, &names);
    for (size_t i = 0; i < names.count; i++)
        if (!control_find(s->checkpoints_dir, names.list[i]))
            add_entry(s, names.list[i]);
    names_free(&names);
}

static void dir_mkdir(void *object, const char *name, struct control_request *request)
{
    struct supervisor *s = object;
    struct err err = {0};
    if (checkpoint_check_name(name, &err) < 0)
        control_reply_error(request, err.code, "mkdir: %s", err.text);
    else
        checkpoint_take(s, name, false, request, 0);
}

int checkpoints_dir_add(struct supervisor *s)
{
    static const struct control_ops ops = {.mkdir_later = dir_mkdir, .update = checkpoints_dir_refresh};
    s->checkpoints_dir = control_add(control_root(s->control), "checkpoints", S_IFDIR | 0700, &ops, s);
    return s->checkpoints_dir ? 0 : -errno;
}
