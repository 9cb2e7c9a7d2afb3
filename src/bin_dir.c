/* SPDX-License-Identifier: Apache-2.0 */
#include "src/bin_dir.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "images/names.h"

enum {
    PROGRAMS_KEPT = 4096,
    PATIENCE_MS = 1000, /* with the guest's answer */
    LINE_MAX_BYTES = 250, /* of "#!", which the kernel cuts at 256 */
};

struct program {
    struct bin_dir *bin;
    char *name;
    struct control_node *node;
};

struct waiter {
    struct waiter *next;
    struct bin_dir *bin;
    struct control_request *request;
};

struct bin_dir {
    struct loop *loop;
    struct control_node *dir;
    struct agent_link *link;
    char *helper, *mountpoint;
    struct program *programs[PROGRAMS_KEPT]; /* sorted by name */
    size_t count;
    bool asking, overdue;
    struct names answer; /* what has come of it */
    struct waiter *waiters;
    struct timer *patience;
};

/* ---- files ---- */

/* The helper learns the mount point and the name from one argument; where that would be too long for the kernel, from the
 * path of the file, which the kernel adds. */
static void render(void *object, FILE *out)
{
    const struct program *program = object;
    const struct bin_dir *bin = program->bin;
    size_t length = strlen(bin->helper) + strlen(bin->mountpoint) + strlen(program->name) + sizeof "#! /bin/\n";
    if (length <= LINE_MAX_BYTES && !strchr(bin->mountpoint, '\n'))
        fprintf(out, "#!%s %s/bin/%s\n", bin->helper, bin->mountpoint, program->name);
    else
        fprintf(out, "#!%s -\n", bin->helper);
}

static void freed(void *object)
{
    struct program *program = object;
    free(program->name);
    free(program);
}

static const struct control_ops program_ops = {.render = render, .freed = freed, .sized = true};

/* NULL: out of memory. */
static struct program *program_new(struct bin_dir *bin, const char *name)
{
    struct program *program = malloc(sizeof *program);
    if (!program)
        return NULL;
    *program = (struct program){.bin = bin, .name = strdup(name)};
    if (program->name)
        program->node = control_add(bin->dir, name, S_IFREG | 0555, &program_ops, program);
    if (program->node)
        return program;
    freed(program);
    return NULL;
}

/* ---- the guest's answer ---- */

/* Names that can be looked up, shown, and put behind "#!". */
static bool is_name(const char *name, size_t len)
{
    if (len == 0 || len > NAME_MAX || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f || name[i] == '/')
            return false;
    return true;
}

static int take_names(struct bin_dir *bin, struct json_object *array)
{
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        struct json_object *item = json_object_array_get_idx(array, i);
        if (!json_object_is_type(item, json_type_string))
            return -EPROTO;
        const char *name = json_object_get_string(item);
        if (is_name(name, (size_t)json_object_get_string_len(item)) && bin->answer.count < PROGRAMS_KEPT)
            names_add(&bin->answer, name);
    }
    return bin->answer.failed ? -EPROTO : 0;
}

/* Makes the directory what the guest has said; files that stay are the same as before. */
static void apply(struct bin_dir *bin)
{
    struct program *merged[PROGRAMS_KEPT] = {NULL};
    size_t old = 0, count = 0;
    names_sort(&bin->answer);
    for (size_t i = 0; i < bin->answer.count; i++) {
        const char *name = bin->answer.list[i];
        if (count && strcmp(merged[count - 1]->name, name) == 0)
            continue;
        while (old < bin->count && strcmp(bin->programs[old]->name, name) < 0)
            control_remove(bin->programs[old++]->node);
        struct program *program;
        if (old < bin->count && strcmp(bin->programs[old]->name, name) == 0)
            program = bin->programs[old++];
        else
            program = program_new(bin, name);
        if (program)
            merged[count++] = program;
    }
    while (old < bin->count)
        control_remove(bin->programs[old++]->node);
    memcpy(bin->programs, merged, count * sizeof *merged);
    bin->count = count;
}

/* ---- asking ---- */

static void go_on(struct bin_dir *bin)
{
    timer_cancel(bin->patience);
    bin->patience = NULL;
    while (bin->waiters) {
        struct waiter *w = bin->waiters;
        bin->waiters = w->next;
        struct control_request *request = w->request;
        free(w);
        control_request_resume(request);
    }
}

static void out_of_patience(void *data)
{
    struct bin_dir *bin = data;
    bin->patience = NULL;
    bin->overdue = true;
    go_on(bin);
}

static void interrupted(struct control_request *request, void *data)
{
    struct waiter *w = data;
    struct waiter **at = &w->bin->waiters;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    free(w);
    control_reply_error(request, EINTR, "interrupted");
}

static bool ask(struct bin_dir *bin)
{
    if (!bin->asking)
        bin->asking = agent_link_send(bin->link, CTL_PROGRAMS, 0, 0, NULL, 0);
    return bin->asking && !bin->overdue;
}

static bool refresh(void *object, struct control_request *request)
{
    struct bin_dir *bin = object;
    if (!agent_link_ready(bin->link) || !ask(bin))
        return true;
    struct waiter *w = malloc(sizeof *w);
    if (!w)
        return true;
    *w = (struct waiter){.next = bin->waiters, .bin = bin, .request = request};
    bin->waiters = w;
    if (!bin->patience)
        bin->patience = loop_timer(bin->loop, PATIENCE_MS, out_of_patience, bin);
    control_request_on_interrupt(request, interrupted, w);
    return false;
}

bool bin_dir_asks(const struct bin_dir *bin)
{
    return bin->asking;
}

int bin_dir_frame(struct bin_dir *bin, const uint8_t *payload, size_t len)
{
    struct json_object *array = bin->asking ? agent_link_parse_array(payload, len) : NULL;
    int rc = array ? take_names(bin, array) : -EPROTO;
    bool last = rc == 0 && json_object_array_length(array) == 0;
    json_object_put(array);
    if (last) {
        apply(bin);
        names_free(&bin->answer);
        bin->asking = bin->overdue = false;
        go_on(bin);
    }
    return rc;
}

void bin_dir_set_link(struct bin_dir *bin, struct agent_link *link)
{
    bin->link = link;
    bin->asking = bin->overdue = false;
    names_free(&bin->answer);
    go_on(bin);
}

static const struct control_ops bin_ops = {.refresh = refresh};

struct bin_dir *bin_dir_new(struct loop *loop, struct control *control, const char *helper, const char *mountpoint)
{
    struct bin_dir *bin = calloc(1, sizeof *bin);
    if (!bin)
        return NULL;
    *bin = (struct bin_dir){.loop = loop, .helper = strdup(helper), .mountpoint = strdup(mountpoint)};
    if (bin->helper && bin->mountpoint)
        bin->dir = control_add(control_root(control), "bin", S_IFDIR | 0555, &bin_ops, bin);
    if (bin->dir)
        return bin;
    bin_dir_free(bin);
    return NULL;
}

void bin_dir_free(struct bin_dir *bin)
{
    if (!bin)
        return;
    timer_cancel(bin->patience);
    while (bin->waiters) {
        struct waiter *next = bin->waiters->next;
        free(bin->waiters);
        bin->waiters = next;
    }
    names_free(&bin->answer);
    free(bin->helper);
    free(bin->mountpoint);
    free(bin);
}
