/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "src/options.h"

enum { WIDEST_NAME = 30 };

/* The part before the explanation: "  -e, --env NAME=VALUE". Returns its width. */
static int format_name(const struct option_spec *o, char *to, size_t size)
{
    char letter[] = {'-', o->letter, ',', '\0'};
    return snprintf(to, size, "  %-3s --%s%s%s", o->letter ? letter : "", o->name, o->argument ? " " : "",
                    o->argument ? o->argument : "");
}

static int widest(const struct option_spec *table)
{
    int width = 0;
    char name[128];
    for (const struct option_spec *o = table; o && o->name; o++) {
        int n = format_name(o, name, sizeof name);
        width = n > width ? n : width;
    }
    return width;
}

static void print_option(const struct option_spec *o, int width)
{
    char name[128];
    format_name(o, name, sizeof name);
    printf("%-*s  %s", width, name, o->help);
    for (const char *const *choice = o->choices; choice && *choice; choice++)
        printf("%s%s", choice == o->choices ? ": " : ", ", *choice);
    putchar('\n');
}

void options_help(const struct usage *u)
{
    static const struct option_spec help[] = {{.name = "help", .letter = 'h', .help = "show this text"}, {0}};
    const struct option_spec *tables[] = {u->options, u->more, help};
    int width = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        int n = widest(tables[i]);
        width = n > width ? n : width;
    }
    if (width > WIDEST_NAME)
        width = WIDEST_NAME;

    printf("Usage: gondolin %s [OPTION]...%s%s\n%s\n\n", u->verb, u->operands ? " " : "",
           u->operands ? u->operands : "", u->about);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const struct option_spec *o = tables[i]; o && o->name; o++)
            print_option(o, width);
    }
    if (u->page)
        printf("\nManual page: %s\n", u->page);
    else
        printf("\nManual page: gondolin-%s(1)\n", u->verb);
}
