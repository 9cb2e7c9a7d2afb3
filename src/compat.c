/* SPDX-License-Identifier: Apache-2.0 */
#include "src/compat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"
#include "src/proto.h"

/* Is the line one of `text`? */
static bool has_line(const char *text, const char *line, size_t len)
{
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, line, len) == 0 && (at[len] == '\n' || at[len] == '\0'))
            return true;
    }
    return false;
}

/* What `have` says in place of the line, if it has just one with that key. */
static const char *value_of(const char *have, const char *key, size_t key_len)
{
    const char *found = NULL;
    for (const char *at = have; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, key, key_len) != 0 || at[key_len] != ' ')
            continue;
        if (found)
            return NULL;
        found = at + key_len + 1;
    }
    return found;
}

static void tell_difference(FILE *out, const char *line, size_t len, const char *other, bool *any)
{
    size_t key_len = strcspn(line, " \n");
    const char *value = value_of(other, line, key_len);
    fprintf(out, "%s%.*s", *any ? "; " : "", (int)(len < 120 ? len : 120), line);
    if (value)
        fprintf(out, ", here %.*s", (int)(strcspn(value, "\n") < 100 ? strcspn(value, "\n") : 100), value);
    else
        fputs(", not here", out);
    *any = true;
}

/* Lines of `from` that `other` lacks. */
static void tell_differences(FILE *out, const char *from, const char *other, bool *any)
{
    for (const char *line = from; *line; line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        if (len && !has_line(other, line, len))
            tell_difference(out, line, len, other, any);
        line += len;
    }
}

/* Those that only this machine has. */
static void tell_additions(FILE *out, const char *from, const char *shape, bool *any)
{
    for (const char *line = shape; *line; line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        if (len && !has_line(from, line, len) && !value_of(from, line, strcspn(line, " \n"))) {
            fprintf(out, "%shere also %.*s", *any ? "; " : "", (int)(len < 120 ? len : 120), line);
            *any = true;
        }
        line += len;
    }
}

int compat_check(const struct checkpoint *c, const char *shape, struct err *err)
{
    const struct checkpoint_manifest *m = &c->manifest;
    cleanup_free char *text = NULL;
    size_t size = 0;
    bool any = false;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return err_set(err, ENOMEM, "out of memory");
    if (m->agent_protocol != CTL_VERSION) {
        fprintf(out, "agent protocol %llu, here %d", (unsigned long long)m->agent_protocol, CTL_VERSION);
        any = true;
    }
    tell_differences(out, m->shape ? m->shape : "", shape, &any);
    tell_additions(out, m->shape ? m->shape : "", shape, &any);
    if (fclose(out) != 0)
        return err_set(err, ENOMEM, "out of memory");
    if (!any)
        return 0;
    return err_set(err, EOPNOTSUPP, "checkpoint %s: its machine cannot go on here: %s; its disk can be booted, with --disk or "
                   "\"restore %s disk\"", c->name ? c->name : "(template)", text, c->name ? c->name : "NAME");
}
