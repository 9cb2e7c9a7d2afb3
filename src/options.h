/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of a verb as one table, from which it is parsed and its help is printed, so the two cannot disagree:
 *
 *     bool json = false;
 *     const struct option_spec table[] = {
 *         {.name = "json", .help = "print JSON", .kind = OPTION_FLAG, .to = &json},
 *         {0},
 *     };
 *     const struct usage usage = {.verb = "list", .about = "Lists the running sandboxes.", .options = table};
 *     struct operands operands;
 *     int code;
 *     if (!options_parse(&usage, argc, argv, &operands, &code))
 *         return code;
 *
 * Options may stand before, between and after the operands: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, flags also
 * in one word (-ab). "--" ends them. -h and --help are known to every verb. */
#ifndef GONDOLIN_SRC_OPTIONS_H
#define GONDOLIN_SRC_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/err.h"

enum option_kind {
    OPTION_FLAG,      /* bool: becomes true */
    OPTION_STRING,    /* const char *: the last one given wins */
    OPTION_FILE,      /* the same: a path */
    OPTION_REFERENCE, /* the same: a path where it has a '/' in it, a name otherwise */
    OPTION_UNSIGNED,  /* unsigned: decimal */
    OPTION_SIZE,      /* uint64_t: bytes, with an optional suffix K, M, G or T (powers of 1024) */
    OPTION_LIST,      /* struct option_list: every value in order */
    OPTION_PASS,      /* struct option_list: the option itself as --name or --name=value, to hand to another verb */
};

struct option_list {
    const char **words; /* NULL-terminated once there is one */
    size_t count;
    bool owned; /* the words are malloc'd, not borrowed from argv */
};

struct option_spec {
    const char *name;           /* without dashes; NULL ends the table */
    char letter;                /* 0: no short form */
    const char *argument;       /* what to call the value in the help; NULL exactly for flags */
    const char *help;           /* a phrase: lower case, no full stop */
    const char *const *choices; /* NULL-terminated: the only values allowed; NULL: any */
    enum option_kind kind;
    void *to;
};

struct usage {
    const char *verb;
    const char *operands;              /* as printed after the options: "[SANDBOX] -- COMMAND [ARGUMENT]..." */
    const char *about;                 /* one or more sentences; may have several lines */
    const struct option_spec *options; /* may be NULL */
    const struct option_spec *more;    /* a second table, for verbs that share one; may be NULL */
    const char *page;                  /* manual page; NULL: gondolin-VERB(1) */
    int min_operands, max_operands;    /* -1: any number. Those after "--" count only where takes_command is false. */
    bool takes_command;                /* what follows "--" is a command, which must be there */
};

/* Pointers into argv, which is reordered. */
struct operands {
    char **words; /* `count` of them */
    int count;
    char **command; /* NULL-terminated; NULL where there is no "--" */
};

/* The operand number `i` (from 0), or NULL when there are fewer. */
static inline const char *operand_at(const struct operands *operands, int i)
{
    return i < operands->count ? operands->words[i] : NULL;
}

/* Fills the variables named in the tables; the lists are then to be freed. False when the verb is to return *code at
 * once, with nothing to free: help was printed (0), or a mistake was reported in one line on stderr, with the nearest
 * name there is (EXIT_GONDOLIN). */
bool options_parse(const struct usage *usage, int argc, char **argv, struct operands *operands, int *code);

/* Prints the help of a verb on stdout. */
void options_help(const struct usage *usage);

/* Reads a decimal number of bytes with an optional suffix K, M, G or T (also KiB, KB and the like: all powers of 1024).
 * -EINVAL for anything else, -ERANGE beyond 2^63 - 1. */
int options_size(const char *text, unsigned long long *bytes);

/* Sets the variable of an option as parsing does. A refusal begins with `written`, which tells option and value: "--cpus
 * two". The value is kept, not copied; it is NULL exactly for flags. 0 or -errno. */
int option_set(const struct option_spec *option, const char *written, const char *value, struct err *err);

/* Where the variable of `to` has its default (NULL, 0, false), it becomes that of `from`, an option of the same kind.
 * Lists stay as they are. */
void option_inherit(const struct option_spec *to, const struct option_spec *from);

/* 0 or -ENOMEM. */
int option_list_add(struct option_list *list, const char *word);
void option_list_free(struct option_list *list);

/* Prints "gondolin: VERB: SENTENCE" on stderr (the verb once, where the sentence begins with it), control characters
 * shown as '?'. Returns EXIT_GONDOLIN. */
int verb_failed(const char *verb, const struct err *err);

/* The same for a sentence made on the spot. */
int verb_refused(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
