/* SPDX-License-Identifier: Apache-2.0 */
/* What gondolin needs of a machine, as a table of checks: each gives a verdict, the reason, and what to do about it. */
#ifndef GONDOLIN_SRC_DOCTOR_H
#define GONDOLIN_SRC_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum doctor_verdict {
    DOCTOR_OK,
    DOCTOR_WARN, /* gondolin works, but something is slower, weaker or missing */
    DOCTOR_FAIL, /* no sandbox can be mounted */
};

struct doctor_item {
    const char *name;
    enum doctor_verdict verdict;
    char reason[320];
    char fix[320]; /* empty when there is nothing to do */
};

struct doctor_check {
    const char *name; /* stable: programs look for it; NULL ends a table */
    void (*run)(struct doctor_item *item);
};

/* The whole table, and its two halves: programs and places, and the host's kernel. */
extern const struct doctor_check doctor_tool_checks[];
extern const struct doctor_check doctor_host_checks[];

enum { DOCTOR_MAX_ITEMS = 32 };

/* Runs the checks of a table and puts their results into items[used...]; returns the new number of items. */
size_t doctor_run(const struct doctor_check *checks, struct doctor_item *items, size_t used);

/* No item failed. */
bool doctor_usable(const struct doctor_item *items, size_t count);

void doctor_print(FILE *to, const struct doctor_item *items, size_t count);

/* {"usable":true,"checks":[{"name","verdict":"ok"|"warn"|"fail","reason","fix"}]} */
void doctor_print_json(FILE *to, const struct doctor_item *items, size_t count);

/* For the checks: set the verdict with its reason; `fix` may be NULL. */
void doctor_ok(struct doctor_item *item, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_warn(struct doctor_item *item, const char *fix, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void doctor_fail(struct doctor_item *item, const char *fix, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
