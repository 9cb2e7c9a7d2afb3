/* SPDX-License-Identifier: Apache-2.0 */
/* What changes the machine as a whole is done one after the other. */
#include <stdlib.h>

#include "src/supervisor_internal.h"

static void begin_first(struct supervisor *s)
{
    s->operations->begun = true;
    s->operations->begin(s->operations);
}

void operation_add(struct supervisor *s, struct operation *operation)
{
    struct operation **at = &s->operations;
    while (*at)
        at = &(*at)->next;
    *at = operation;
    operation->s = s;
    operation->next = NULL;
    if (s->operations == operation)
        begin_first(s);
}

/* One that came when the last one was done, but before this, has begun already. */
static void begin_next(void *data)
{
    struct supervisor *s = data;
    if (s->operations && !s->operations->begun)
        begin_first(s);
    else if (!s->operations && s->quit_wanted)
        loop_quit(s->loop, 0);
}

void operation_done(struct supervisor *s, const struct operation *operation)
{
    s->operations = operation->next;
    loop_timer(s->loop, 0, begin_next, s); /* the caller is in the middle of something */
}
