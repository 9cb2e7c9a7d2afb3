/* SPDX-License-Identifier: Apache-2.0 */
#include "src/actions.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "src/nearest.h"

enum { MAX_ACTIONS = 16, ABOUT_MAX = 2048 };

int action_failed(const char *verb, const char *action, const struct err *err)
{
    char words[48];
    snprintf(words, sizeof words, "%s %s", verb, action);
    return verb_failed(words, err);
}

void print_json(struct json_object *value)
{
    puts(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(value);
}

static void list_names(const struct actions *actions, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < actions->count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s",
                                   i == 0 ? "" : i + 1 == actions->count ? " and " : ", ", actions->list[i].name);
}

static const struct action *find_action(const struct actions *actions, const char *word)
{
    const char *names[MAX_ACTIONS + 1] = {NULL};
    char all[256];
    for (size_t i = 0; i < actions->count && i < MAX_ACTIONS; i++) {
        if (strcmp(actions->list[i].name, word) == 0)
            return &actions->list[i];
        names[i] = actions->list[i].name;
    }
    const char *near = nearest_match(word, names);
    list_names(actions, all, sizeof all);
    if (near)
        verb_refused(actions->verb, "%s: no such action; did you mean \"%s\"?", word, near);
    else
        verb_refused(actions->verb, "%s: no such action; there are %s", word, all);
    return NULL;
}

/* The intro and a line for each action. */
static void describe(const struct actions *actions, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size, "%s", actions->intro);
    int width = 0;
    for (size_t i = 0; i < actions->count; i++) {
        int n = (int)(strlen(actions->list[i].name) + 1 + strlen(actions->list[i].operands));
        width = n > width ? n : width;
    }
    for (size_t i = 0; i < actions->count && length < size; i++) {
        const struct action *action = &actions->list[i];
        int rest = width - (int)strlen(action->name) - 1;
        length += (size_t)snprintf(text + length, size - length, "\n  %s %-*s  %s", action->name, rest, action->operands,
                                   action->about);
    }
}

static bool knows(const struct action *action, const char *option)
{
    size_t len = strlen(option);
    for (const char *at = action->options; at && *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == len && strncmp(at, option, len) == 0)
            return true;
        at += n;
    }
    return false;
}

/* The first option that was given and that the action does not know; NULL: none. */
static const char *without_effect(const struct action *action, const struct option_spec *specs)
{
    for (; specs->name; specs++)
        if (*(const bool *)specs->to && !knows(action, specs->name))
            return specs->name;
    return NULL;
}

static int run(const struct actions *actions, const struct operands *operands, const struct option_spec *specs,
               const void *options)
{
    const struct action *action = find_action(actions, operands->words[0]);
    if (!action)
        return EXIT_GONDOLIN;
    int given = operands->count - 1;
    if (given < action->min_operands || (action->max_operands >= 0 && given > action->max_operands))
        return verb_refused(actions->verb, "%s takes %s; see: gondolin help %s", action->name,
                            *action->operands ? action->operands : "no operands", actions->verb);
    const char *useless = without_effect(action, specs);
    if (useless)
        return verb_refused(actions->verb, "--%s means nothing to %s; see: gondolin help %s", useless, action->name,
                            actions->verb);
    return action->run(operands, options);
}

int actions_main(const struct actions *actions, const struct option_spec *specs, const void *options, int argc,
                 char **argv)
{
    char about[ABOUT_MAX];
    describe(actions, about, sizeof about);
    const struct usage usage = {
        .verb = actions->verb,
        .operands = actions->operands,
        .about = about,
        .options = specs,
        .min_operands = 1,
        .max_operands = -1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    return run(actions, &operands, specs, options);
}
