/* SPDX-License-Identifier: Apache-2.0 */
#include "src/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/nearest.h"

enum { MAX_OPTIONS = 64, WRITTEN_MAX = 512 };

static const struct option_spec help_option = {.name = "help", .letter = 'h', .kind = OPTION_FLAG};

struct parser {
    const struct usage *usage;
    char **argv;
    int argc, at; /* at: the word being looked at */
    bool help;
};

int verb_failed(const char *verb, const struct err *err)
{
    char text[sizeof err->text];
    memcpy(text, err->text, sizeof text);
    for (char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c))
            *c = '?';
    }
    size_t len = strlen(verb);
    bool named = strncmp(text, verb, len) == 0 && text[len] == ':'; /* sentences of the supervisor name the verb */
    fprintf(stderr, named ? "gondolin: %s%s\n" : "gondolin: %s: %s\n", named ? "" : verb, text);
    return EXIT_GONDOLIN;
}

int verb_refused(const char *verb, const char *fmt, ...)
{
    struct err err;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, ap);
    va_end(ap);
    return verb_failed(verb, &err);
}

/* Calls `accept` for the options of both tables and --help until one is accepted; NULL when none is. */
static const struct option_spec *find(const struct usage *usage,
                                      bool (*accept)(const struct option_spec *, const void *), const void *data)
{
    const struct option_spec *tables[] = {usage->options, usage->more};
    for (size_t i = 0; i < 2; i++) {
        for (const struct option_spec *o = tables[i]; o && o->name; o++) {
            if (accept(o, data))
                return o;
        }
    }
    return accept(&help_option, data) ? &help_option : NULL;
}

struct text {
    const char *start;
    size_t len;
};

static bool has_name(const struct option_spec *o, const void *data)
{
    const struct text *name = data;
    return strlen(o->name) == name->len && memcmp(o->name, name->start, name->len) == 0;
}

static bool has_letter(const struct option_spec *o, const void *data)
{
    return o->letter && o->letter == *(const char *)data;
}

struct names {
    const char *list[MAX_OPTIONS + 1];
    size_t count;
};

static bool collect(const struct option_spec *o, const void *data)
{
    struct names *names = *(struct names *const *)data;
    if (names->count < MAX_OPTIONS)
        names->list[names->count++] = o->name;
    return false;
}

static int unknown_name(const struct usage *usage, const struct text *name, struct err *err)
{
    struct names names = {0}, *to = &names;
    find(usage, collect, &to);
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(name->len < sizeof word ? name->len : sizeof word - 1), name->start);
    const char *near = nearest_match(word, names.list);
    if (near)
        return err_set(err, EINVAL, "--%s: no such option; did you mean --%s?", word, near);
    return err_set(err, EINVAL, "--%s: no such option; see: gondolin help %s", word, usage->verb);
}

static int set_unsigned(const struct option_spec *o, const char *written, const char *value, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || errno || n > UINT_MAX)
        return err_set(err, EINVAL, "%s: not a whole number between 0 and %u", written, UINT_MAX);
    *(unsigned *)o->to = (unsigned)n;
    return 0;
}

int options_size(const char *text, unsigned long long *bytes)
{
    static const char suffixes[] = "KMGT";
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    if (errno)
        return -ERANGE;
    unsigned shift = 0;
    const char *suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        end++;
        if (strcmp(end, "B") == 0 || strcmp(end, "iB") == 0)
            end += strlen(end);
    }
    if (*end)
        return -EINVAL;
    if (n > (unsigned long long)INT64_MAX >> shift)
        return -ERANGE;
    *bytes = n << shift;
    return 0;
}

static int set_size(const struct option_spec *o, const char *written, const char *value, struct err *err)
{
    unsigned long long bytes = 0;
    int rc = options_size(value, &bytes);
    if (rc < 0)
        return err_set(err, -rc, "%s: %s; write bytes or for example 512M, 2G", written,
                       rc == -ERANGE ? "too large" : "not a size");
    *(uint64_t *)o->to = bytes;
    return 0;
}

int option_list_add(struct option_list *list, const char *word)
{
    const char **grown = reallocarray(list->words, list->count + 2, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    list->words = grown;
    grown[list->count++] = word;
    grown[list->count] = NULL;
    return 0;
}

void option_list_free(struct option_list *list)
{
    for (size_t i = 0; list->owned && i < list->count; i++)
        free((char *)list->words[i]);
    free(list->words);
    *list = (struct option_list){0};
}

static int pass(const struct option_spec *o, const char *value, struct err *err)
{
    struct option_list *list = o->to;
    char *word;
    if (asprintf(&word, value ? "--%s=%s" : "--%s", o->name, value) < 0)
        return err_errno(err, ENOMEM, "--%s", o->name);
    list->owned = true;
    if (option_list_add(list, word) == 0)
        return 0;
    free(word);
    return err_errno(err, ENOMEM, "--%s", o->name);
}

static int check_choice(const struct option_spec *o, const char *written, const char *value, struct err *err)
{
    for (const char *const *choice = o->choices; choice && *choice; choice++) {
        if (strcmp(*choice, value) == 0)
            return 0;
    }
    if (!o->choices || !value)
        return 0;
    const char *near = nearest_match(value, o->choices);
    int rc = err_set(err, EINVAL, "%s: must be", written);
    for (const char *const *choice = o->choices; !near && *choice; choice++) {
        size_t len = strlen(err->text);
        snprintf(err->text + len, sizeof err->text - len, "%s %s", choice == o->choices ? "" : " or", *choice);
    }
    return near ? err_set(err, EINVAL, "%s: no such value; did you mean %s?", written, near) : rc;
}

int option_set(const struct option_spec *o, const char *written, const char *value, struct err *err)
{
    int rc = value ? check_choice(o, written, value, err) : 0;
    if (rc < 0)
        return rc;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)o->to = true;
        return 0;
    case OPTION_STRING:
    case OPTION_FILE:
    case OPTION_REFERENCE:
        *(const char **)o->to = value;
        return 0;
    case OPTION_UNSIGNED:
        return set_unsigned(o, written, value, err);
    case OPTION_SIZE:
        return set_size(o, written, value, err);
    case OPTION_LIST:
        return option_list_add(o->to, value) < 0 ? err_errno(err, ENOMEM, "%s", written) : 0;
    case OPTION_PASS:
        return pass(o, value, err);
    }
    return 0;
}

static int apply(struct parser *p, const struct option_spec *o, const char *value, struct err *err)
{
    char written[WRITTEN_MAX];
    if (o == &help_option) {
        p->help = true;
        return 0;
    }
    snprintf(written, sizeof written, value ? "--%s %s" : "--%s", o->name, value);
    return option_set(o, written, value, err);
}

/* The value that stands in the next word. */
static const char *next_word(struct parser *p)
{
    return p->at + 1 < p->argc ? p->argv[++p->at] : NULL;
}

static int missing_value(const struct parser *p, const struct option_spec *o, struct err *err)
{
    return err_set(err, EINVAL, "--%s: its value is missing: gondolin %s --%s %s", o->name, p->usage->verb, o->name,
                   o->argument);
}

static int parse_long(struct parser *p, const char *word, struct err *err)
{
    struct text name = {word + 2, strcspn(word + 2, "=")};
    const char *value = name.start[name.len] ? name.start + name.len + 1 : NULL;
    const struct option_spec *o = find(p->usage, has_name, &name);
    if (!o)
        return unknown_name(p->usage, &name, err);
    if (value && !o->argument)
        return err_set(err, EINVAL, "--%s takes no value, but was given \"%s\"", o->name, value);
    if (o->argument && !value && !(value = next_word(p)))
        return missing_value(p, o, err);
    return apply(p, o, value, err);
}

static int parse_letters(struct parser *p, const char *word, struct err *err)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const struct option_spec *o = find(p->usage, has_letter, letter);
        if (!o)
            return err_set(err, EINVAL, "-%c: no such option; see: gondolin help %s", *letter, p->usage->verb);
        if (o->argument) {
            const char *value = letter[1] ? letter + 1 : next_word(p);
            return value ? apply(p, o, value, err) : missing_value(p, o, err);
        }
        int rc = apply(p, o, NULL, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Operands are moved to the front of argv as they are met: the words before `at` have been dealt with. */
static int parse_words(struct parser *p, struct operands *out, struct err *err)
{
    bool ended = false;
    for (p->at = 1; p->at < p->argc; p->at++) {
        char *word = p->argv[p->at];
        int rc = 0;
        if (!ended && strcmp(word, "--") == 0) {
            if (p->usage->takes_command) {
                out->command = p->argv + p->at + 1;
                return 0;
            }
            ended = true;
        } else if (ended || word[0] != '-' || word[1] == '\0') {
            out->words[out->count++] = word;
        } else {
            rc = word[1] == '-' ? parse_long(p, word, err) : parse_letters(p, word, err);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_operands(const struct usage *u, const struct operands *operands, struct err *err)
{
    const char *shape = u->operands ? u->operands : "";
    if (operands->count < u->min_operands)
        return err_set(err, EINVAL, "something is missing: gondolin %s %s", u->verb, shape);
    if (u->takes_command && !operands->command)
        return err_set(err, EINVAL, "the command goes after \"--\": gondolin %s %s", u->verb, shape);
    if (u->takes_command && !operands->command[0])
        return err_set(err, EINVAL, "the command after \"--\" is missing: gondolin %s %s", u->verb, shape);
    if (u->max_operands >= 0 && operands->count > u->max_operands)
        return err_set(err, EINVAL, "\"%s\" is one word too many: gondolin %s%s%s", operands->words[u->max_operands],
                       u->verb, *shape ? " " : "", shape);
    return 0;
}

static bool free_list(const struct option_spec *o, const void *data)
{
    (void)data;
    if (o->kind == OPTION_LIST || o->kind == OPTION_PASS)
        option_list_free(o->to);
    return false;
}

void option_inherit(const struct option_spec *to, const struct option_spec *from)
{
    switch (to->kind) {
    case OPTION_FLAG:
        *(bool *)to->to |= *(bool *)from->to;
        break;
    case OPTION_STRING:
    case OPTION_FILE:
    case OPTION_REFERENCE:
        if (!*(const char **)to->to)
            *(const char **)to->to = *(const char **)from->to;
        break;
    case OPTION_UNSIGNED:
        if (!*(unsigned *)to->to)
            *(unsigned *)to->to = *(unsigned *)from->to;
        break;
    case OPTION_SIZE:
        if (!*(uint64_t *)to->to)
            *(uint64_t *)to->to = *(uint64_t *)from->to;
        break;
    case OPTION_LIST:
    case OPTION_PASS:
        break;
    }
}

bool options_parse(const struct usage *usage, int argc, char **argv, struct operands *operands, int *code)
{
    struct parser parser = {.usage = usage, .argv = argv, .argc = argc};
    struct err err = {0};
    *operands = (struct operands){.words = argv + 1};
    int rc = parse_words(&parser, operands, &err);
    if (rc == 0 && !parser.help)
        rc = check_operands(usage, operands, &err);
    if (rc == 0 && !parser.help)
        return true;
    find(usage, free_list, NULL);
    if (rc == 0)
        options_help(usage);
    *code = rc < 0 ? verb_failed(usage->verb, &err) : 0;
    return false;
}
