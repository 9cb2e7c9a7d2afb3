/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hook_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/utf8.h"

enum { PROTOCOL = 1, WORD_LIMIT = 32, LARGEST_ERRNO = 133 };

static const char *const op_names[] = {
    [HOOK_CREATE] = "create",     [HOOK_OPEN] = "open",     [HOOK_OPENDIR] = "opendir",   [HOOK_READ] = "read",
    [HOOK_WRITE] = "write",       [HOOK_SETATTR] = "setattr", [HOOK_FALLOCATE] = "fallocate", [HOOK_COPY] = "copy",
    [HOOK_MKNOD] = "mknod",       [HOOK_MKDIR] = "mkdir",   [HOOK_SYMLINK] = "symlink",   [HOOK_LINK] = "link",
    [HOOK_UNLINK] = "unlink",     [HOOK_RMDIR] = "rmdir",   [HOOK_RENAME] = "rename",     [HOOK_SETXATTR] = "setxattr",
    [HOOK_REMOVEXATTR] = "removexattr",
};

const char *hook_op_name(enum hook_op op)
{
    return op_names[op];
}

/* ---- tokens of what the program says ---- */

struct scanner {
    const char *at, *end;
    char *why;
};

struct word {
    char text[WORD_LIMIT];
};

static int refuse(struct scanner *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct scanner *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->why, HOOK_WHY, fmt, ap);
    va_end(ap);
    return -EPROTO;
}

static char peek(struct scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
    return s->at < s->end ? *s->at : '\0';
}

static bool accept(struct scanner *s, char wanted)
{
    if (peek(s) != wanted || s->at == s->end)
        return false;
    s->at++;
    return true;
}

static int expect(struct scanner *s, char wanted)
{
    return accept(s, wanted) ? 0 : refuse(s, "no JSON object of the expected form: '%c' is missing", wanted);
}

/* No word that may stand in a line needs an escape. */
static int read_word(struct scanner *s, struct word *out)
{
    size_t len = 0;
    int rc = expect(s, '"');
    for (; rc == 0 && s->at < s->end && *s->at != '"'; s->at++) {
        if (len + 1 == sizeof out->text || *s->at < ' ' || *s->at == 0x7f || *s->at == '\\')
            return refuse(s, "a string that means nothing here");
        out->text[len++] = *s->at;
    }
    out->text[len] = '\0';
    return rc ? rc : expect(s, '"');
}

static int read_number(struct scanner *s, uint64_t *out)
{
    char first = peek(s);
    *out = 0;
    if (first < '0' || first > '9')
        return refuse(s, "a number without a sign is expected");
    const char *begin = s->at;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, (uint64_t)(*s->at - '0'), out))
            return refuse(s, "a number that is too large");
    bool fraction = s->at < s->end && strchr(".eE", *s->at);
    return fraction || (first == '0' && s->at - begin > 1) ? refuse(s, "a number that is no integer") : 0;
}

static bool accept_literal(struct scanner *s, const char *literal)
{
    size_t len = strlen(literal);
    peek(s);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, literal, len) != 0)
        return false;
    s->at += len;
    return true;
}

static int read_bool(struct scanner *s, bool *out)
{
    *out = accept_literal(s, "true");
    return *out || accept_literal(s, "false") ? 0 : refuse(s, "true or false is expected");
}

/* ---- objects ---- */

typedef int value_fn(struct scanner *s, void *out);

struct member {
    const char *name;
    value_fn *read;
    bool needed;
};

static int find_member(struct scanner *s, const struct member *members, const char *name)
{
    for (int i = 0; members[i].name; i++)
        if (strcmp(members[i].name, name) == 0)
            return i;
    return refuse(s, "unknown member \"%s\"", name);
}

static int read_members(struct scanner *s, const struct member *members, void *out, uint32_t *seen)
{
    do {
        struct word name;
        int rc = read_word(s, &name);
        int which = rc ? rc : find_member(s, members, name.text);
        if (which < 0)
            return which;
        if (*seen & UINT32_C(1) << which)
            return refuse(s, "\"%s\" is there twice", name.text);
        *seen |= UINT32_C(1) << which;
        rc = expect(s, ':');
        rc = rc ? rc : members[which].read(s, out);
        if (rc < 0)
            return rc;
    } while (accept(s, ','));
    return 0;
}

static int read_object(struct scanner *s, const struct member *members, void *out)
{
    uint32_t seen = 0;
    int rc = expect(s, '{');
    if (rc == 0 && peek(s) != '}')
        rc = read_members(s, members, out, &seen);
    rc = rc ? rc : expect(s, '}');
    if (rc == 0 && (peek(s), s->at < s->end))
        rc = refuse(s, "more than one JSON object in a line");
    for (int i = 0; rc == 0 && members[i].name; i++)
        if (members[i].needed && !(seen & UINT32_C(1) << i))
            rc = refuse(s, "\"%s\" is missing", members[i].name);
    return rc;
}

/* ---- the hello ---- */

static int read_version(struct scanner *s, void *out)
{
    uint64_t version;
    (void)out;
    int rc = read_number(s, &version);
    return rc == 0 && version != PROTOCOL ? refuse(s, "\"hook\" has to be %d", PROTOCOL) : rc;
}

static int read_decides(struct scanner *s, void *out)
{
    return read_bool(s, &((struct hook_hello *)out)->decides);
}

static int read_timeout(struct scanner *s, void *out)
{
    uint64_t ms;
    int rc = read_number(s, &ms);
    if (rc == 0 && (ms == 0 || ms > HOOK_LONGEST_TIMEOUT_MS))
        rc = refuse(s, "\"timeout_ms\" has to be 1 to %d", HOOK_LONGEST_TIMEOUT_MS);
    ((struct hook_hello *)out)->timeout_ms = (unsigned)ms;
    return rc;
}

static int read_op(struct scanner *s, uint32_t *ops)
{
    struct word name;
    int rc = read_word(s, &name);
    for (unsigned op = 0; rc == 0 && op < HOOK_OPS; op++) {
        if (strcmp(op_names[op], name.text) == 0) {
            *ops |= UINT32_C(1) << op;
            return 0;
        }
    }
    return rc ? rc : refuse(s, "\"ops\" has \"%s\", which is no operation", name.text);
}

static int read_ops(struct scanner *s, void *out)
{
    struct hook_hello *hello = out;
    hello->ops = 0;
    int rc = expect(s, '[');
    if (rc == 0 && accept(s, ']'))
        return 0;
    do
        rc = rc ? rc : read_op(s, &hello->ops);
    while (rc == 0 && accept(s, ','));
    return rc ? rc : expect(s, ']');
}

int hook_read_hello(const char *line, size_t len, struct hook_hello *out, char why[HOOK_WHY])
{
    static const struct member members[] = {{"hook", read_version, true},
                                            {"decides", read_decides, false},
                                            {"timeout_ms", read_timeout, false},
                                            {"ops", read_ops, false},
                                            {0}};
    struct scanner s = {.at = line, .end = line + len, .why = why};
    *out = (struct hook_hello){.timeout_ms = HOOK_TIMEOUT_MS, .ops = (UINT32_C(1) << HOOK_OPS) - 1};
    return read_object(&s, members, out);
}

/* ---- answers ---- */

/* An answer that is being read. */
struct reading {
    struct hook_answer *answer;
    bool allow, refused;
};

static int read_id(struct scanner *s, void *out)
{
    return read_number(s, &((struct reading *)out)->answer->id);
}

static int read_allow(struct scanner *s, void *out)
{
    struct reading *r = out;
    int rc = read_bool(s, &r->allow);
    return rc == 0 && !r->allow ? refuse(s, "\"allow\" can only be true; a refusal has an \"errno\"") : rc;
}

static int errno_named(const char *name)
{
    for (int code = 1; code <= LARGEST_ERRNO; code++) {
        const char *known = strerrorname_np(code);
        if (known && strcmp(known, name) == 0)
            return code;
    }
    return 0;
}

static int read_errno(struct scanner *s, void *out)
{
    struct reading *r = out;
    struct word name = {""};
    uint64_t number = 0;
    int rc = peek(s) == '"' ? read_word(s, &name) : read_number(s, &number);
    if (rc < 0)
        return rc;
    r->refused = true;
    r->answer->error = name.text[0] ? errno_named(name.text) : number <= LARGEST_ERRNO ? (int)number : 0;
    return r->answer->error && strerrorname_np(r->answer->error) ? 0 : refuse(s, "\"errno\" is no error number");
}

int hook_read_answer(const char *line, size_t len, struct hook_answer *out, char why[HOOK_WHY])
{
    static const struct member members[] = {
        {"id", read_id, true}, {"allow", read_allow, false}, {"errno", read_errno, false}, {0}};
    struct scanner s = {.at = line, .end = line + len, .why = why};
    struct reading reading = {.answer = out};
    *out = (struct hook_answer){0};
    int rc = read_object(&s, members, &reading);
    return rc == 0 && reading.allow == reading.refused ? refuse(&s, "either \"allow\" or \"errno\" is expected") : rc;
}

/* ---- to the program ---- */

static void put_string(FILE *out, const char *name, const char *text)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
    fprintf(out, ",\"%s\":\"", name);
    while (at < end) {
        size_t n = utf8_sequence(at, (size_t)(end - at));
        if (n == 0)
            fprintf(out, "\\udc%02x", *at);
        else if (n == 1 && (*at < ' ' || *at == '"' || *at == '\\' || *at == 0x7f))
            fprintf(out, "\\u%04x", *at);
        else
            fwrite(at, 1, n, out);
        at += n ? n : 1;
    }
    fputc('"', out);
}

static void put_result(FILE *out, int64_t result)
{
    const char *name = result < 0 && result >= -LARGEST_ERRNO ? strerrorname_np((int)-result) : NULL;
    fprintf(out, ",\"result\":%" PRId64, result);
    if (name)
        put_string(out, "errno", name);
}

static void put_event(FILE *out, const struct hook_event *event)
{
    static const char *const number_names[] = {
        [HOOK_OFFSET] = "offset", [HOOK_SIZE] = "size", [HOOK_MODE] = "mode", [HOOK_UID] = "uid", [HOOK_GID] = "gid"};
    const struct {
        const char *name, *text;
    } strings[] = {{"op", op_names[event->op]}, {"mount", event->mount},   {"path", event->path}, {"to", event->to},
                   {"access", event->access},   {"target", event->target}, {"name", event->name}};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (strings[i].text)
            put_string(out, strings[i].name, strings[i].text);
    if (event->truncate)
        fputs(",\"truncate\":true", out);
    if (event->times)
        fputs(",\"times\":true", out);
    for (unsigned i = 0; i < HOOK_NUMBERS; i++)
        if (event->has & UINT32_C(1) << i)
            fprintf(out, ",\"%s\":%" PRIu64, number_names[i], event->numbers[i]);
}

static char *make_line(uint64_t id, const struct hook_event *event, const int64_t *result)
{
    char *line = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&line, &size);
    if (!out)
        return NULL;
    fprintf(out, "{\"id\":%" PRIu64, id);
    if (event)
        put_event(out, event);
    if (result)
        put_result(out, *result);
    fputs("}\n", out);
    bool failed = ferror(out);
    if (fclose(out) == 0 && !failed)
        return line;
    free(line);
    errno = ENOMEM;
    return NULL;
}

char *hook_event_line(uint64_t id, const struct hook_event *event, const int64_t *result)
{
    return make_line(id, event, result);
}

char *hook_result_line(uint64_t id, int64_t result)
{
    return make_line(id, NULL, &result);
}
