/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/jail.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct component {
    const char *text;
    size_t len;
};

/* Takes the next component off *at; false at the end. "" (doubled slashes) and "." are skipped. */
static bool next_component(const char **at, const char *end, struct component *out)
{
    for (;;) {
        while (*at < end && **at == '/')
            (*at)++;
        if (*at == end)
            return false;
        out->text = *at;
        while (*at < end && **at != '/')
            (*at)++;
        out->len = (size_t)(*at - out->text);
        if (out->len != 1 || out->text[0] != '.')
            return true;
    }
}

static bool is_parent(const struct component *c)
{
    return c->len == 2 && c->text[0] == '.' && c->text[1] == '.';
}

static bool safe_as_it_is(const char *target, size_t len, unsigned depth)
{
    const char *at = target;
    struct component c;
    unsigned climbs = 0;
    bool named = false;
    if (target[0] == '/')
        return false;
    while (next_component(&at, target + len, &c)) {
        if (!is_parent(&c))
            named = true;
        else if (named || ++climbs > depth)
            return false;
    }
    return true;
}

struct builder {
    char *out;
    size_t len, size;
    size_t floor; /* what lies before it are the leading ../ */
};

static bool push(struct builder *b, const char *text, size_t len)
{
    if (b->len + len + 1 > b->size)
        return false;
    if (b->len)
        b->out[b->len++] = '/';
    memcpy(b->out + b->len, text, len);
    b->len += len;
    return true;
}

/* Drops the last component above the floor; false when there is none. */
static bool pop(struct builder *b)
{
    if (b->len == b->floor)
        return false;
    while (b->len > b->floor && b->out[b->len - 1] != '/')
        b->len--;
    if (b->len > b->floor)
        b->len--;
    return true;
}

static bool climb(struct builder *b)
{
    bool ok = push(b, "..", 2);
    b->floor = b->len;
    return ok;
}

int jail_target(const char *target, size_t len, unsigned depth, char *out, size_t out_size)
{
    if (!len || memchr(target, 0, len))
        return -EIO;
    if (safe_as_it_is(target, len, depth)) {
        if (len > out_size)
            return -ENAMETOOLONG;
        memcpy(out, target, len);
        return (int)len;
    }
    struct builder b = {.out = out, .size = out_size};
    unsigned climbed = 0;
    bool ok = true;
    if (target[0] == '/')
        while (ok && climbed < depth) {
            ok = climb(&b);
            climbed++;
        }
    const char *at = target;
    struct component c;
    while (ok && next_component(&at, target + len, &c)) {
        if (!is_parent(&c))
            ok = push(&b, c.text, c.len);
        else if (!pop(&b) && climbed < depth) {
            ok = climb(&b);
            climbed++;
        }
    }
    if (ok && !b.len)
        ok = push(&b, ".", 1);
    return ok ? (int)b.len : -ENAMETOOLONG;
}
