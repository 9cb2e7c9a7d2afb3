/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/config_file.h"
#include "src/mount_options.h"
#include "src/mount_spec.h"

struct parsed {
    struct mount_options options;
    struct option_list texts;
    struct err err;
    int rc;
};

static struct parsed parse_below(const char *directory, const char *text)
{
    struct parsed p = {0};
    struct option_spec table[MOUNT_OPTIONS_TABLE];
    mount_options_table(&p.options, table);
    p.rc = config_parse(text, strlen(text), directory, table, &p.texts, &p.err);
    return p;
}

static struct parsed parse(const char *text)
{
    struct parsed p = parse_below(NULL, text);
    cr_assert_eq(p.rc, 0, "%s: %s", text, p.err.text);
    return p;
}

static void release(struct parsed *p)
{
    mount_options_free(&p->options);
    option_list_free(&p->texts);
}

static void refuse(const char *text, const char *sentence)
{
    struct parsed p = parse_below(NULL, text);
    cr_assert_eq(p.rc, -EINVAL, "%s: %d", text, p.rc);
    cr_assert_eq(p.err.code, EINVAL);
    cr_assert_str_eq(p.err.text, sentence);
    release(&p);
}

Test(config, every_type_reaches_its_variable)
{
    struct parsed p = parse("{\"image\": \"debian\", \"memory\": \"512M\", \"cpus\": 2, \"exec\": true, \"cold\": false,"
                            " \"root-mode\": \"memory\", \"memfs\": [\"/a\", \"/b:size=1M\"]}\n");
    cr_assert_str_eq(p.options.image, "debian");
    cr_assert_str_eq(p.options.root_mode, "memory");
    cr_assert_eq(p.options.memory, UINT64_C(512) << 20);
    cr_assert_eq(p.options.cpus, 2);
    cr_assert(p.options.exec);
    cr_assert_not(p.options.cold);
    cr_assert_eq(p.options.memory_files.count, 2);
    cr_assert_str_eq(p.options.memory_files.words[1], "/b:size=1M");
    release(&p);
    p = parse("{\"memory\": 134217728}");
    cr_assert_eq(p.options.memory, UINT64_C(128) << 20);
    release(&p);
    p = parse(" {} ");
    release(&p);
}

static void expect_bind(const char *directory, const char *element, const char *word)
{
    char text[512];
    snprintf(text, sizeof text, "{\"bind\": [%s]}", element);
    struct parsed p = parse_below(directory, text);
    cr_assert_eq(p.rc, 0, "%s: %s", text, p.err.text);
    cr_assert_eq(p.options.binds.count, 1);
    cr_assert_str_eq(p.options.binds.words[0], word);
    release(&p);
}

Test(config, mounts_as_objects)
{
    expect_bind(NULL, "{\"target\": \"/srv\", \"source\": \"/x\"}", "/x:/srv");
    expect_bind(NULL, "{\"source\": \"/x\", \"target\": \"/srv\", \"readonly\": false}", "/x:/srv");
    expect_bind(NULL,
                "{\"source\": \"/x\", \"target\": \"/srv\", \"readonly\": true, \"noexec\": true, \"owner\": \"mapped\","
                " \"cache\": \"none\", \"shadow\": [\"a\", \"b\"], \"shadow-tmpfs\": [\"c\"]}",
                "/x:/srv:ro,noexec,owner=mapped,cache=none,shadow=a,shadow=b,shadow-tmpfs=c");
    struct parsed p = parse("{\"memfs\": [{\"target\": \"/a\"}, {\"size\": \"64M\", \"target\": \"/b\"},"
                            " {\"target\": \"/c\", \"size\": 4096}]}");
    cr_assert_str_eq(p.options.memory_files.words[0], "/a");
    cr_assert_str_eq(p.options.memory_files.words[1], "/b:size=64M");
    cr_assert_str_eq(p.options.memory_files.words[2], "/c:size=4096");
    release(&p);
}

Test(config, relative_paths_begin_at_the_file)
{
    expect_bind("/etc/x", "{\"source\": \"data\", \"target\": \"/srv\"}", "/etc/x/data:/srv");
    expect_bind("/etc/x", "{\"source\": \"/data\", \"target\": \"/srv\"}", "/data:/srv");
    expect_bind("/a:b", "{\"source\": \"c:d\", \"target\": \"/srv\"}", "/a\\:b/c\\:d:/srv");
    expect_bind("/a:b", "\"c\\\\:d:/srv:ro\"", "/a\\:b/c\\:d:/srv:ro");
    expect_bind("/a", "\"/c:/srv\"", "/c:/srv");
    expect_bind("/a", "\":/srv\"", ":/srv");
    struct parsed p = parse_below("/d", "{\"root-disk\": \"x\", \"qemu\": \"bin/q\", \"image\": \"name\","
                                        " \"append\": \"a/b\", \"memfs\": [\"m\"]}");
    cr_assert_eq(p.rc, 0);
    cr_assert_str_eq(p.options.root_disk, "/d/x");
    cr_assert_str_eq(p.options.qemu, "/d/bin/q");
    cr_assert_str_eq(p.options.image, "name");
    cr_assert_str_eq(p.options.append, "a/b");
    cr_assert_str_eq(p.options.memory_files.words[0], "m");
    release(&p);
}

/* What is quoted here is what --bind reads there. */
Test(config, separators_in_paths_and_patterns_survive)
{
    char top[] = "/tmp/gondolin-config-XXXXXX", path[64], text[256];
    struct mount_spec spec;
    struct err err;
    cr_assert(mkdtemp(top));
    snprintf(path, sizeof path, "%s/a:b,c\\:d\\,e", top);
    cr_assert_eq(mkdir(path, 0700), 0);
    struct parsed p = parse_below(top, "{\"bind\": [{\"source\": \"a:b,c\\\\:d\\\\,e\", \"target\": \"/srv/x:y,z\","
                                       " \"readonly\": true, \"shadow\": [\"a,b\", \"c:d\", \"!e\\\\,f=g\"]}]}");
    cr_assert_eq(p.rc, 0, "%s", p.err.text);
    cr_assert_eq(mount_spec_bind("bind", p.options.binds.words[0], &spec, &err), 0, "%s", err.text);
    cr_assert_str_eq(spec.source, path);
    cr_assert_str_eq(spec.target, "/srv/x:y,z");
    cr_assert(spec.read_only);
    cr_assert_str_eq(spec.patterns, "-a,b\n-c:d\n-!e\\,f=g\n");
    mount_spec_free(&spec);
    release(&p);
    rmdir(path);
    rmdir(top);
    snprintf(text, sizeof text, "{\"bind\": [{\"source\": \"/a\\\\\", \"target\": \"/srv\"}]}");
    refuse(text, "bind[0]: source: a \\ at the end cannot be written for a mount");
}

Test(config, wrong_types)
{
    refuse("{\"memory\": true}", "memory: a size such as \"512M\" or a number of bytes is expected, not true");
    refuse("{\"cpus\": \"two\"}", "cpus: a whole number is expected, not \"two\"");
    refuse("{\"cpus\": 1.5}", "cpus: a whole number is expected, not 1.5");
    refuse("{\"image\": null}", "image: a string is expected, not null");
    refuse("{\"exec\": 1}", "exec: true or false is expected, not 1");
    refuse("{\"bind\": \"/a:/b\"}", "bind: an array is expected, not \"/a:/b\"");
    refuse("{\"bind\": [\"/a:/b\", 7]}", "bind[1]: a string or an object is expected, not 7");
    refuse("{\"bind\": [{\"source\": \"/a\", \"target\": \"/b\", \"shadow\": \"x\"}]}",
           "bind[0]: shadow: an array is expected, not \"x\"");
    refuse("{\"bind\": [{\"source\": \"/a\", \"target\": \"/b\", \"shadow\": [\"x\", 5]}]}",
           "bind[0]: shadow[1]: a string is expected, not 5");
    refuse("{\"bind\": [{\"source\": \"/a\", \"target\": \"/b\", \"noexec\": \"yes\"}]}",
           "bind[0]: noexec: true or false is expected, not \"yes\"");
    refuse("[]", "one JSON object is expected: {\"OPTION\": VALUE, ...}");
    refuse("null", "one JSON object is expected: {\"OPTION\": VALUE, ...}");
}

Test(config, values_are_checked_as_on_the_command_line)
{
    refuse("{\"memory\": \"lots\"}", "memory: \"lots\": not a size; write bytes or for example 512M, 2G");
    refuse("{\"cpus\": -1}", "cpus: \"-1\": not a whole number between 0 and 4294967295");
    refuse("{\"accel\": \"x\"}", "accel: \"x\": must be kvm or tcg");
    refuse("{\"root-mode\": \"memroy\"}", "root-mode: \"memroy\": no such value; did you mean memory?");
    refuse("{\"append\": \"a\\u0000b\"}", "append: a NUL cannot be in it");
}

Test(config, unknown_keys)
{
    refuse("{\"memroy\": \"1G\"}", "memroy: no such key; did you mean memory?");
    refuse("{\"xyzzy\": 1}", "xyzzy: no such key; keys are told in gondolin-mount(1)");
    refuse("{\"bind\": [{\"sorce\": \"/a\"}]}", "bind[0]: sorce: no such key; did you mean source?");
    refuse("{\"memfs\": [{\"target\": \"/a\", \"source\": \"/b\"}]}",
           "memfs[0]: source: no such key; keys are told in gondolin-mount(1)");
    refuse("{\"bind\": [{\"source\": \"/a\"}]}", "bind[0]: target: is missing");
    refuse("{\"config\": \"x\"}", "config: cannot stand in a file: a file cannot name another; put its keys here");
    refuse("{\"foreground\": true}",
           "foreground: cannot stand in a file: it tells how to start, not what; give it on the command line");
    refuse("{\"env\": []}", "env: cannot stand in a file: it belongs to a command; give it to run or exec");
}

Test(config, keys_given_twice)
{
    refuse("{\"memory\": \"1G\",\n \"memory\": \"2G\"}",
           "line 2, column 3: \"memory\" was given before; put both into one");
    refuse("{\"bind\": [{\"source\": \"/a\", \"source\": \"/b\", \"target\": \"/c\"}]}",
           "line 1, column 29: \"source\" was given before; put both into one");
    refuse("{\"m\\u0065mory\": \"1G\"}", "line 1, column 3: a key with a \\ in it; write its characters as they are");
    struct parsed p = parse("{\"bind\": [{\"source\": \"/a\", \"target\": \"/b\"},"
                            " {\"source\": \"/a\", \"target\": \"/c\"}]}");
    cr_assert_eq(p.options.binds.count, 2);
    release(&p);
    p = parse("{\"append\": \"\\\"append\\\": 1\", \"name\" : \"append\"}");
    cr_assert_str_eq(p.options.append, "\"append\": 1");
    release(&p);
}

Test(config, what_is_no_json)
{
    refuse("", "line 1, column 1: unexpected end of data");
    refuse("{\"memory\":\n  lots}", "line 2, column 3: unexpected character");
    refuse("{\"memory\": \"1G\"} x", "line 1, column 18: unexpected character");
    refuse("{\"memory\": \"1G\",}", "line 1, column 17: unexpected character");
    refuse("{'memory': \"1G\"}", "line 1, column 2: strings of JSON stand in \"\"");
    refuse("{\"append\": \"a\nb\"}", "line 1, column 14: a control character or the end of the line in a string");
    refuse("{\"append\": \"\xff\"}", "line 1, column 13: invalid utf-8 string");
    refuse("{\"bind\": [[[[[[[[[1]]]]]]]]]}", "line 1, column 17: nesting too deep");
}

Test(config, limits)
{
    struct option_list texts = {0};
    const struct option_spec table[] = {{0}};
    struct err err;
    cr_assert_eq(config_parse("{}\0{", 4, NULL, table, &texts, &err), -EINVAL);
    cr_assert_str_eq(err.text, "line 1, column 3: a NUL byte; JSON is text");
    char *large = malloc(CONFIG_SIZE_MAX + 2);
    cr_assert(large);
    memset(large, ' ', CONFIG_SIZE_MAX + 1);
    memcpy(large, "{}", 2);
    large[CONFIG_SIZE_MAX + 1] = '\0';
    cr_assert_eq(config_parse(large, CONFIG_SIZE_MAX + 1, NULL, table, &texts, &err), -E2BIG);
    large[CONFIG_SIZE_MAX] = '\0';
    cr_assert_eq(config_parse(large, CONFIG_SIZE_MAX, NULL, table, &texts, &err), 0);
    free(large);
    char many[1024] = "{";
    for (int i = 0; i < 65; i++)
        sprintf(many + strlen(many), "%s\"k%d\":0", i ? "," : "", i);
    strcat(many, "}");
    refuse(many, "line 1, column 505: more keys than any object here can have");
}

Test(config, what_was_given_stays)
{
    struct mount_options given = {.memory = 1, .image = "mine"}, again = {.cpus = 1},
                         file = {.memory = 2, .cpus = 3, .exec = true, .name = "n", .image = "its"};
    mount_options_inherit(&given, &file);
    mount_options_inherit(&again, &file);
    cr_assert_eq(again.cpus, 1);
    cr_assert_eq(given.memory, 1);
    cr_assert_str_eq(given.image, "mine");
    cr_assert_eq(given.cpus, 3);
    cr_assert(given.exec);
    cr_assert_str_eq(given.name, "n");
}
