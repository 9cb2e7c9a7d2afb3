/* SPDX-License-Identifier: Apache-2.0 */
/* The verb `bind`: a directory or file of the host in the guest of a sandbox that runs. Looking at the host's path may take
 * as long as some network file system likes. */
#include <errno.h>
#include <stdlib.h>

#include "src/request_work.h"
#include "src/supervisor_internal.h"

struct bind {
    struct supervisor *s;
    size_t len; /* of the request */
    struct mount_spec spec;
    dev_t own; /* the device of the sandbox's mount */
};

static int open_source(void *data, struct err *err)
{
    struct bind *b = data;
    return mount_spec_open("bind", &b->spec, b->own, err);
}

static void opened(void *data, struct control_request *request, const struct err *err)
{
    struct bind *b = data;
    if (request && err->code)
        control_reply_error(request, err->code, "%s", err->text);
    else if (request)
        host_mounts_bind(b->s->mounts, &b->spec, request, b->len);
}

static void bind_free(void *data)
{
    struct bind *b = data;
    mount_spec_free(&b->spec);
    free(b);
}

int bind_check(const char *text, struct err *err)
{
    struct mount_spec spec;
    if (text[0] != '/')
        return err_set(err, EINVAL, "bind: \"%.200s\": the path on the host has to be absolute", text);
    int rc = mount_spec_read("bind", text, &spec, err);
    if (rc == 0)
        mount_spec_free(&spec);
    return rc;
}

void bind_later(struct supervisor *s, const char *text, struct control_request *request, size_t len)
{
    static const struct request_work_ops ops = {.work = open_source, .answer = opened, .free = bind_free};
    struct bind *b = calloc(1, sizeof *b);
    struct err err = {0};
    if (b) {
        *b = (struct bind){.s = s, .len = len, .own = s->session.device};
        if (mount_spec_read("bind", text, &b->spec, &err) < 0) {
            control_reply_error(request, err.code, "%s", err.text);
            free(b);
            return;
        }
    }
    request_work_start(s->loop, request, "bind", &ops, b);
}
