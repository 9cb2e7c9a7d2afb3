/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/worker_stack.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fs/hooks.h"
#include "fs/hostdir.h"
#include "fs/memory.h"
#include "fs/shadow.h"
#include "fs/stacked.h"
#include "fs/vfs.h"
#include "fs/worker_proto.h"

enum { LAYERS = 8 };

/* Of what is made behind a shadow; bytes. */
static const uint64_t DEFAULT_MEMORY = UINT64_C(1) << 30;

struct stack {
    struct vfs *layers[LAYERS]; /* the last one is the top */
    unsigned count;
};

/* Takes what a constructor returned. */
static int put(struct stack *stack, struct vfs *layer)
{
    if (!layer)
        return -errno;
    stack->layers[stack->count++] = layer;
    return 0;
}

static struct vfs *top(const struct stack *stack)
{
    return stack->layers[stack->count - 1];
}

static struct vfs *bottom_new(const struct worker_message *mount, int root_fd, const struct worker_common *common)
{
    if (mount->flags & WORKER_MOUNT_MEMORY)
        return memory_new(mount->size);
    const struct hostdir_config config = {
        .root_fd = root_fd,
        .cred = mount->owner == WORKER_OWNER_RAW ? HOSTDIR_AS_CALLER : HOSTDIR_AS_SELF,
        .watch = mount->cache == WORKER_CACHE_AUTO ? common->watch : NULL,
        .mounts_fd = common->mounts_fd,
        .mapped = mount->owner == WORKER_OWNER_MAPPED,
        .stand_ins = mount->owner == WORKER_OWNER_RAW,
        .one_owner = mount->owner == WORKER_OWNER_USER,
    };
    return hostdir_new(&config);
}

/* The memory behind what is shadowed is one of the layers, but nothing stands on it. */
static int put_shadow(struct stack *stack, const struct worker_message *mount)
{
    struct vfs *below = top(stack), *memory = NULL;
    if (strncmp(mount->text, "+", 1) == 0 || strstr(mount->text, "\n+")) {
        memory = memory_new(mount->size ? mount->size : DEFAULT_MEMORY);
        int rc = put(stack, memory);
        if (rc < 0)
            return rc;
    }
    return put(stack, shadow_new(below, memory, mount->text));
}

struct vfs *worker_stack_new(const struct worker_message *mount, int root_fd, const struct worker_common *common)
{
    struct stack stack = {.count = 0};
    int rc = put(&stack, bottom_new(mount, root_fd, common));
    if (rc == 0 && mount->text[0])
        rc = put_shadow(&stack, mount);
    if (rc == 0 && (mount->flags & WORKER_MOUNT_READONLY))
        rc = put(&stack, readonly_new(top(&stack)));
    if (rc == 0 && common->hook)
        rc = put(&stack, hooks_new(top(&stack), common->hook, mount->target));
    if (rc < 0) {
        errno = -rc;
        return NULL;
    }
    for (unsigned i = 0; i < stack.count; i++)
        stack.layers[i]->top = top(&stack);
    return top(&stack);
}

int worker_stack_save(struct vfs *stack, FILE *out)
{
    return stack->ops->save ? stack->ops->save(stack, out) : 0;
}

int worker_stack_load(struct vfs *stack, const uint8_t *state, size_t len)
{
    return stack->ops->load ? stack->ops->load(stack, state, len) : len ? -EPROTO : 0;
}
