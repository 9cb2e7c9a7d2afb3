/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "src/options.h"

static const char *const modes[] = {"cow", "memory", "readonly", NULL};

enum { MAX_WORDS = 32 };

struct values {
    bool json, quiet;
    const char *name, *mode;
    unsigned cpus;
    uint64_t memory;
    struct option_list env, passed;
    struct operands operands;
    char *argv[MAX_WORDS + 1];
    int code;
};

/* Parses the NULL-terminated words after "verb". `shape` gives the limits on operands. */
static bool parse_as(const struct usage *shape, struct values *v, char **words)
{
    const struct option_spec table[] = {
        {.name = "json", .help = "print JSON", .kind = OPTION_FLAG, .to = &v->json},
        {.name = "quiet", .letter = 'q', .help = "say less", .kind = OPTION_FLAG, .to = &v->quiet},
        {.name = "name", .letter = 'n', .argument = "NAME", .help = "a name", .kind = OPTION_STRING, .to = &v->name},
        {.name = "env", .letter = 'e', .argument = "K=V", .help = "a variable", .kind = OPTION_LIST, .to = &v->env},
        {0},
    };
    const struct option_spec more[] = {
        {.name = "cpus", .argument = "N", .help = "a number", .kind = OPTION_UNSIGNED, .to = &v->cpus},
        {.name = "memory", .argument = "SIZE", .help = "a size", .kind = OPTION_SIZE, .to = &v->memory},
        {.name = "mode", .argument = "MODE", .help = "a mode", .choices = modes, .kind = OPTION_STRING, .to = &v->mode},
        {.name = "to-mount", .argument = "X", .help = "passed on", .kind = OPTION_PASS, .to = &v->passed},
        {0},
    };
    struct usage usage = *shape;
    usage.verb = "test";
    usage.options = table;
    usage.more = more;
    if (!usage.about)
        usage.about = "About.";
    /* What is parsed points into the words, which are often a literal of the caller's expression. */
    int argc = 0;
    for (; words[argc] && argc < MAX_WORDS; argc++)
        v->argv[argc] = words[argc];
    v->argv[argc] = NULL;
    v->code = -1;
    return options_parse(&usage, argc, v->argv, &v->operands, &v->code);
}

static const struct usage any_operands = {.max_operands = -1};
static const struct usage command = {.max_operands = 1, .takes_command = true, .operands = "[SANDBOX] -- COMMAND"};

/* Lives until the end of the enclosing block; cr_assert makes one of its own. */
#define ARGV(...) ((char *[]){"test", __VA_ARGS__, NULL})

Test(options, every_way_to_write_a_value)
{
    struct values v = {0};
    cr_assert(parse_as(&any_operands, &v, ARGV("--name", "a")));
    cr_assert_str_eq(v.name, "a");
    cr_assert(parse_as(&any_operands, &v, ARGV("--name=b=c")));
    cr_assert_str_eq(v.name, "b=c");
    cr_assert(parse_as(&any_operands, &v, ARGV("-n", "-d")));
    cr_assert_str_eq(v.name, "-d");
    cr_assert(parse_as(&any_operands, &v, ARGV("-qne")));
    cr_assert_str_eq(v.name, "e");
    cr_assert(v.quiet);
    cr_assert(parse_as(&any_operands, &v, ARGV("--name=")));
    cr_assert_str_eq(v.name, "");
}

Test(options, every_kind_reaches_its_variable)
{
    struct values v = {0};
    cr_assert(parse_as(&any_operands, &v,
                       ARGV("--json", "--cpus=4", "--memory", "2G", "-e", "A=1", "--mode", "cow", "-eB=2",
                            "--to-mount", "x y")));
    cr_assert(v.json);
    cr_assert_eq(v.cpus, 4);
    cr_assert_eq(v.memory, UINT64_C(2) << 30);
    cr_assert_str_eq(v.mode, "cow");
    cr_assert_eq(v.env.count, 2);
    cr_assert_str_eq(v.env.words[0], "A=1");
    cr_assert_str_eq(v.env.words[1], "B=2");
    cr_assert_null(v.env.words[2]);
    cr_assert_str_eq(v.passed.words[0], "--to-mount=x y");
    option_list_free(&v.env);
    option_list_free(&v.passed);
}

Test(options, operands_and_options_mix_until_the_dashes)
{
    struct values v = {0};
    char **argv = ARGV("a", "--json", "-", "--", "--quiet", "b");
    cr_assert(parse_as(&any_operands, &v, argv));
    cr_assert_eq(v.operands.count, 4);
    cr_assert_str_eq(v.operands.words[0], "a");
    cr_assert_str_eq(v.operands.words[1], "-");
    cr_assert_str_eq(v.operands.words[2], "--quiet");
    cr_assert_str_eq(v.operands.words[3], "b");
    cr_assert(v.json);
    cr_assert_not(v.quiet);
}

Test(options, a_command_is_left_alone)
{
    struct values v = {0};
    char **argv = ARGV("sb", "-q", "--", "ls", "--json", "--", "-n");
    cr_assert(parse_as(&command, &v, argv));
    cr_assert_eq(v.operands.count, 1);
    cr_assert_str_eq(v.operands.words[0], "sb");
    cr_assert_str_eq(v.operands.command[0], "ls");
    cr_assert_str_eq(v.operands.command[1], "--json");
    cr_assert_str_eq(v.operands.command[2], "--");
    cr_assert_str_eq(v.operands.command[3], "-n");
    cr_assert_null(v.operands.command[4]);
    cr_assert_not(v.json);
}

static void expect_mistake(const struct usage *shape, char **words, const char *sentence)
{
    struct values v = {0};
    cr_redirect_stderr();
    cr_assert_not(parse_as(shape, &v, words));
    cr_assert_eq(v.code, 125);
    fflush(stderr);
    char expected[256];
    snprintf(expected, sizeof expected, "gondolin: test: %s\n", sentence);
    cr_assert_stderr_eq_str(expected);
}

Test(options, lists_are_freed_on_a_mistake)
{
    struct values v = {0};
    cr_redirect_stderr();
    cr_assert_not(parse_as(&any_operands, &v, ARGV("-e", "A=1", "--to-mount=x", "--xyzzy")));
    cr_assert_null(v.env.words);
    cr_assert_eq(v.env.count, 0);
    cr_assert_null(v.passed.words);
}

Test(options, typo)
{
    expect_mistake(&any_operands, ARGV("--memroy", "1"), "--memroy: no such option; did you mean --memory?");
}

Test(options, typo_with_a_value)
{
    expect_mistake(&any_operands, ARGV("--namme=x"), "--namme: no such option; did you mean --name?");
}

Test(options, unknown)
{
    expect_mistake(&any_operands, ARGV("--frobnicate"), "--frobnicate: no such option; see: gondolin help test");
}

Test(options, abbreviations_are_suggested_not_taken)
{
    expect_mistake(&any_operands, ARGV("--js"), "--js: no such option; did you mean --json?");
}

Test(options, unknown_letter)
{
    expect_mistake(&any_operands, ARGV("-qx"), "-x: no such option; see: gondolin help test");
}

Test(options, missing_value)
{
    expect_mistake(&any_operands, ARGV("--memory"), "--memory: its value is missing: gondolin test --memory SIZE");
}

Test(options, missing_value_of_a_letter)
{
    expect_mistake(&any_operands, ARGV("-n"), "--name: its value is missing: gondolin test --name NAME");
}

Test(options, value_for_a_flag)
{
    expect_mistake(&any_operands, ARGV("--json=yes"), "--json takes no value, but was given \"yes\"");
}

Test(options, wrong_choice_with_a_near_one)
{
    expect_mistake(&any_operands, ARGV("--mode", "memroy"), "--mode memroy: no such value; did you mean memory?");
}

Test(options, wrong_choice)
{
    expect_mistake(&any_operands, ARGV("--mode=x"), "--mode x: must be cow or memory or readonly");
}

Test(options, not_a_number)
{
    expect_mistake(&any_operands, ARGV("--cpus", "-1"), "--cpus -1: not a whole number between 0 and 4294967295");
}

Test(options, not_a_size)
{
    expect_mistake(&any_operands, ARGV("--memory", "1X"),
                   "--memory 1X: not a size; write bytes or for example 512M, 2G");
}

Test(options, too_many_operands)
{
    const struct usage none = {0};
    expect_mistake(&none, ARGV("a"), "\"a\" is one word too many: gondolin test");
}

Test(options, too_few_operands)
{
    const struct usage one = {.min_operands = 1, .max_operands = 1, .operands = "DIRECTORY"};
    expect_mistake(&one, ARGV("--json"), "something is missing: gondolin test DIRECTORY");
}

Test(options, no_dashes)
{
    expect_mistake(&command, ARGV("sb", "ls"),
                   "the command goes after \"--\": gondolin test [SANDBOX] -- COMMAND");
}

Test(options, no_command)
{
    expect_mistake(&command, ARGV("sb", "--"),
                   "the command after \"--\" is missing: gondolin test [SANDBOX] -- COMMAND");
}

Test(options, control_characters_never_reach_the_terminal)
{
    expect_mistake(&any_operands, ARGV("--\033[2J"), "--?[2J: no such option; see: gondolin help test");
}

Test(options, help_is_the_table)
{
    struct values v = {0};
    cr_redirect_stdout();
    cr_assert_not(parse_as(&command, &v, ARGV("--help")));
    cr_assert_eq(v.code, 0);
    fflush(stdout);
    cr_assert_stdout_eq_str("Usage: gondolin test [OPTION]... [SANDBOX] -- COMMAND\n"
                            "About.\n\n"
                            "      --json         print JSON\n"
                            "  -q, --quiet        say less\n"
                            "  -n, --name NAME    a name\n"
                            "  -e, --env K=V      a variable\n"
                            "      --cpus N       a number\n"
                            "      --memory SIZE  a size\n"
                            "      --mode MODE    a mode: cow, memory, readonly\n"
                            "      --to-mount X   passed on\n"
                            "  -h, --help         show this text\n"
                            "\nManual page: gondolin-test(1)\n");
}

Test(options, sizes)
{
    static const struct {
        const char *text;
        int rc;
        unsigned long long bytes;
    } cases[] = {
        {"0", 0, 0},           {"4096", 0, 4096},           {"1k", 0, 1024},
        {"512M", 0, 512 << 20}, {"3GiB", 0, 3ULL << 30},     {"2TB", 0, 2ULL << 40},
        {"", -EINVAL, 0},      {"M", -EINVAL, 0},           {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},    {" 1", -EINVAL, 0},          {"1.5G", -EINVAL, 0},
        {"1Mx", -EINVAL, 0},   {"9999999999T", -ERANGE, 0}, {"99999999999999999999", -ERANGE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned long long bytes = 0;
        cr_assert_eq(options_size(cases[i].text, &bytes), cases[i].rc, "%s", cases[i].text);
        cr_assert_eq(bytes, cases[i].bytes, "%s", cases[i].text);
    }
}
