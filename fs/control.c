/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_list.h"
#include "src/printable.h"

static struct control_node *node_new(struct control *control, const char *name, mode_t mode,
                                     const struct control_ops *ops, void *object)
{
    struct control_node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    *node = (struct control_node){.control = control, .mode = mode, .ops = ops, .object = object, .in_tree = true};
    node->name = strdup(name);
    if (!node->name) {
        free(node);
        return NULL;
    }
    node->id = CONTROL_ID_BIT | ++control->last_id;
    clock_gettime(CLOCK_REALTIME, &node->mtime);
    node->next_known = control->nodes[node->id % CONTROL_BUCKETS];
    control->nodes[node->id % CONTROL_BUCKETS] = node;
    return node;
}

struct control *control_new(uid_t uid, gid_t gid)
{
    static const struct control_ops plain_dir;
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return NULL;
    control->uid = uid;
    control->gid = gid;
    control->root = node_new(control, "", S_IFDIR | 0755, &plain_dir, NULL);
    if (!control->root) {
        free(control);
        return NULL;
    }
    return control;
}

static void node_unlist(struct control_node *node)
{
    struct control_node **at = &node->control->nodes[node->id % CONTROL_BUCKETS];
    while (*at != node)
        at = &(*at)->next_known;
    *at = node->next_known;
}

void control_node_maybe_free(struct control_node *node)
{
    if (node->in_tree || node->lookups || node->handles)
        return;
    node_unlist(node);
    if (node->ops->freed)
        node->ops->freed(node->object);
    free(node->name);
    free(node);
}

struct control_node *control_node_by_id(struct control *control, uint64_t id)
{
    if (id == CONTROL_ROOT_ID)
        return control->root;
    for (struct control_node *node = control->nodes[id % CONTROL_BUCKETS]; node; node = node->next_known)
        if (node->id == id)
            return node;
    return NULL;
}

struct control_node *control_directory(struct control *control, uint64_t id)
{
    struct control_node *dir = control_node_by_id(control, id);
    if (dir && dir->in_tree && dir->ops->update)
        dir->ops->update(dir->object);
    return dir;
}

struct control_node *control_find(const struct control_node *dir, const char *name)
{
    for (struct control_node *child = dir->children; child; child = child->next_sibling)
        if (strcmp(child->name, name) == 0)
            return child;
    return NULL;
}

void control_each_child(struct control_node *dir, void (*fn)(void *data, struct control_node *node), void *data)
{
    for (struct control_node *child = dir->children, *next; child; child = next) {
        next = child->next_sibling;
        fn(data, child);
    }
}

bool control_node_absent(const struct control_node *node)
{
    if (node->foreign_id)
        return node->foreign_id(node->object) == 0;
    if (S_ISLNK(node->mode)) {
        char *target = node->ops->readlink(node->object);
        free(target);
        return !target;
    }
    return false;
}

struct control_node *control_root(struct control *control)
{
    return control->root;
}

struct control_node *control_add(struct control_node *dir, const char *name, mode_t mode,
                                 const struct control_ops *ops, void *object)
{
    if (control_find(dir, name)) {
        errno = EEXIST;
        return NULL;
    }
    struct control_node *node = node_new(dir->control, name, mode, ops, object);
    if (!node)
        return NULL;
    node->parent = dir;
    struct control_node **at = &dir->children;
    while (*at)
        at = &(*at)->next_sibling;
    *at = node;
    dir->mtime = node->mtime;
    return node;
}

int control_add_foreign(struct control_node *dir, const char *name, uint64_t (*id)(void *object), void *object)
{
    static const struct control_ops foreign;
    struct control_node *node = control_add(dir, name, S_IFDIR | 0755, &foreign, object);
    if (!node)
        return -errno;
    node->foreign_id = id;
    return 0;
}

void control_remove(struct control_node *node)
{
    while (node->children)
        control_remove(node->children);
    struct control_node **at = &node->parent->children;
    while (*at != node)
        at = &(*at)->next_sibling;
    *at = node->next_sibling;
    clock_gettime(CLOCK_REALTIME, &node->parent->mtime);
    node->parent = NULL;
    node->in_tree = false;
    control_node_maybe_free(node);
}

void control_call_if_idle(struct control *control)
{
    void (*fn)(void *data) = control->when_idle;
    if (control->handles || !fn)
        return;
    control->when_idle = NULL;
    fn(control->when_idle_data);
}

void control_when_idle(struct control *control, void (*fn)(void *data), void *data)
{
    control->when_idle = fn;
    control->when_idle_data = data;
    control_call_if_idle(control);
}

void control_close_handles(struct control *control)
{
    while (control->handles)
        control_handle_close(control->handles);
    control_list_close_all(control);
}

void control_abort_requests(struct control *control)
{
    while (control->requests)
        control_reply_error(control->requests, ENOTCONN, "the sandbox has ended");
}

void control_free(struct control *control)
{
    if (!control)
        return;
    while (control->root->children)
        control_remove(control->root->children);
    for (size_t i = 0; i < CONTROL_BUCKETS; i++) {
        while (control->nodes[i]) {
            struct control_node *node = control->nodes[i];
            node->in_tree = false;
            node->lookups = node->handles = 0;
            control_node_maybe_free(node);
        }
    }
    free(control);
}

void control_set_session(struct control *control, void *session, void *front)
{
    control->session = session;
    control->front = front;
}

void *control_front(const struct control *control)
{
    return control->front;
}

void control_set_arriving(struct control *control, uint64_t unique, pid_t thread)
{
    control->arriving_unique = unique;
    control->arriving_thread = thread;
}

pid_t control_caller(const struct control *control, uint64_t unique)
{
    for (const struct control_request *request = control->requests; request; request = request->next)
        if (request->unique == unique)
            return request->thread;
    return -1;
}

const char *control_node_name(const struct control_node *node)
{
    return node->name;
}

void *control_node_object(const struct control_node *node)
{
    return node->object;
}

bool control_node_removed(const struct control_node *node)
{
    return !node->in_tree;
}

void *control_handle_object(const struct control_handle *handle)
{
    return handle->node->object;
}

struct control_node *control_handle_node(const struct control_handle *handle)
{
    return handle->node;
}

int control_handle_flags(const struct control_handle *handle)
{
    return handle->flags;
}

void *control_handle_state(const struct control_handle *handle)
{
    return handle->state;
}

void control_handle_set_state(struct control_handle *handle, void *state)
{
    handle->state = state;
}

void control_answer_set(struct control_answer *answer, const char *text, size_t len)
{
    free(answer->text);
    *answer = (struct control_answer){.text = malloc(len ? len : 1)};
    if (!answer->text)
        return;
    memcpy(answer->text, text, len);
    answer->len = len;
}

void control_handle_set_answer(struct control_handle *handle, const char *text, size_t len)
{
    control_answer_set(&handle->answer, text, len);
}

struct control_handle *control_request_handle(const struct control_request *request)
{
    return request->handle;
}

bool control_request_continues(const struct control_request *request)
{
    return request->continues;
}

const char *control_last_error(const struct control *control)
{
    return control->error;
}

void control_set_error(struct control *control, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(control->error, sizeof control->error, fmt, ap);
    va_end(ap);
    printable(control->error, strlen(control->error));
}
