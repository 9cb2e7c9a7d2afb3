/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/err.h"
#include "src/libexec.h"
#include "src/nearest.h"
#include "src/options.h"
#include "src/verbs.h"

struct verb {
    const char *name;
    int (*run)(int argc, char **argv); /* NULL: in the engine */
    const char *summary;
};

static int verb_help(int argc, char **argv);

static const struct verb verbs[] = {
    {"mount", NULL, "boot a sandbox and mount it on a directory"},
    {"umount", verb_umount, "unmount a sandbox and end it"},
    {"run", verb_run, "boot, run one command, end"},
    {"exec", verb_exec, "run a command in a sandbox"},
    {"shell", verb_shell, "open a shell in a sandbox"},
    {"attach", verb_attach, "follow a sandbox's console"},
    {"list", verb_list, "list the running sandboxes"},
    {"status", verb_status, "show the state of a sandbox"},
    {"checkpoint", NULL, "take, list, compare, export and remove checkpoints"},
    {"restore", NULL, "take a sandbox back to a checkpoint"},
    {"build", NULL, "build an image"},
    {"image", NULL, "list, inspect, verify, tag and remove images"},
    {"gc", NULL, "clear what is abandoned, and caches"},
    {"doctor", NULL, "check what gondolin needs on this machine"},
    {"help", verb_help, "show this text, or that of a verb"},
};

enum { VERBS = sizeof verbs / sizeof *verbs };

/* Descriptors 0, 1 and 2 are open from here on: a file opened later must not be taken for standard output. */
static void open_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static void print_help(FILE *to)
{
    fputs("Usage: gondolin VERB [OPTION]...\nA Linux virtual machine as a mounted directory.\n\n", to);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\n  -V, --version  show the version\n  -h, --help     show this text\n"
          "\nHelp on a verb: gondolin help VERB. Manual pages: gondolin(1), gondolin-files(5)\n", to);
}

static int no_such_verb(const char *word)
{
    const char *names[VERBS + 1] = {NULL};
    for (size_t i = 0; i < VERBS; i++)
        names[i] = verbs[i].name;
    const char *near = nearest_match(word, names);
    if (near)
        return verb_refused(word, "no such verb; did you mean \"%s\"?", near);
    return verb_refused(word, "no such verb; see: gondolin help");
}

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, word) == 0)
            return &verbs[i];
    }
    return NULL;
}

/* Verbs that need the big libraries are in a program of their own: loading those takes twenty times as long as all that
 * `gondolin exec` does on this side. argv[0] is the verb, as for the others. */
static int run_engine(int argc, char **argv)
{
    static const char engine[] = "gondolin-engine";
    char *path = libexec_path(engine);
    char **words = calloc((size_t)argc + 2, sizeof *words);
    if (path && words) {
        words[0] = (char *)"gondolin";
        memcpy(words + 1, argv, (size_t)argc * sizeof *words);
        execv(path, words);
    }
    int code = verb_refused(argv[0], "%s: %s; is gondolin installed whole?", path ? path : engine, strerror(errno));
    free(words);
    free(path);
    return code;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    return verb->run ? verb->run(argc, argv) : run_engine(argc, argv);
}

static int verb_help(int argc, char **argv)
{
    const struct usage usage = {
        .verb = "help",
        .operands = "[VERB]",
        .about = "Shows the verbs of gondolin, or the options of one of them.",
        .page = "gondolin(1)",
        .max_operands = 1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    if (operands.count == 0) {
        print_help(stdout);
        return 0;
    }
    const struct verb *verb = find_verb(operands.words[0]);
    if (!verb)
        return no_such_verb(operands.words[0]);
    char *help[] = {operands.words[0], "--help", NULL};
    return run_verb(verb, 2, help);
}

static int first_option(const char *word)
{
    static const char *const known[] = {"version", "help", NULL};
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        puts("gondolin " PACKAGE_VERSION);
        return 0;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    const char *near = nearest_match(word + strspn(word, "-"), known);
    if (near)
        return verb_refused(word, "no such option; did you mean --%s?", near);
    return verb_refused(word, "no such option here (options go after the verb); see: gondolin help");
}

/* Output that could not be written (a full disk, say) must not look like success. */
static int finish(int code)
{
    if ((fflush(stdout) == EOF || ferror(stdout)) && errno != EPIPE && code == 0)
        return verb_refused("standard output", "%s", strerror(errno));
    return code;
}

int main(int argc, char **argv)
{
    open_standard_files();
    if (argc < 2) {
        print_help(stderr);
        return EXIT_GONDOLIN;
    }
    if (argv[1][0] == '-')
        return finish(first_option(argv[1]));
    const struct verb *verb = find_verb(argv[1]);
    return verb ? finish(run_verb(verb, argc - 1, argv + 1)) : no_such_verb(argv[1]);
}
