/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/checkpoint.h"
#include "images/checkpoint_file.h"
#include "images/checkpoint_verify.h"
#include "images/files.h"
#include "images/store.h"
#include "src/actions.h"
#include "src/checkpoint_actions.h"
#include "src/cleanup.h"
#include "src/client_file.h"
#include "src/session.h"
#include "src/verbs.h"

enum { SENTENCE_MAX = 4096 };

static int failed(const char *action, const struct err *err)
{
    return action_failed("checkpoint", action, err);
}

/* mkdir has only an errno to say; the sandbox says more in its file `error`. */
static int make_directory(int sandbox, const char *name, struct err *err)
{
    cleanup_free char *path = files_format("checkpoints/%s", name);
    if (path && mkdirat(sandbox, path, 0700) == 0)
        return 0;
    int code = errno;
    cleanup_free char *sentence = code == EEXIST || code == ENOENT ? NULL
                                                                   : client_file_read(sandbox, "error", SENTENCE_MAX, NULL);
    if (!sentence || !*sentence)
        return err_errno(err, code, "%s", name);
    sentence[strcspn(sentence, "\n")] = '\0';
    return err_set(err, code, "%s", sentence);
}

static int create(const char *reference, const char *name, bool disk, struct err *err)
{
    int code = checkpoint_check_name(name, err);
    if (code < 0)
        return code;
    cleanup_close int sandbox = session_open_mount(reference, err);
    if (sandbox < 0)
        return sandbox;
    if (!disk)
        return make_directory(sandbox, name, err);
    cleanup_free char *line = files_format("checkpoint %s disk\n", name);
    return line ? client_file_write(sandbox, "ctl", line, err) : err_errno(err, ENOMEM, "%s", name);
}

static int run_create(const struct operands *operands, const void *options)
{
    const struct checkpoint_options *o = options;
    const char *second = operand_at(operands, 2), *first = operands->words[1];
    struct err err = {0};
    return create(second ? first : NULL, second ? second : first, o->disk, &err) < 0 ? failed("create", &err) : 0;
}

static int run_describe(const struct operands *operands, const void *options)
{
    struct err err = {0};
    cleanup_free char *store = store_open(&err);
    (void)options;
    if (!store || checkpoint_set_description(store, operands->words[1], operands->words[2], &err) < 0)
        return failed("describe", &err);
    return 0;
}

static int run_verify(const struct operands *operands, const void *options)
{
    const struct checkpoint_options *o = options;
    struct err err = {0};
    cleanup_free char *store = store_open(&err);
    int code = store ? checkpoint_verify(store, operands->words[1], &err) : -err.code;
    if (o->json) {
        struct json_object *object = json_object_new_object();
        json_object_object_add(object, "ok", json_object_new_boolean(code == 0));
        json_object_object_add(object, "reason", code < 0 ? json_object_new_string(err.text) : NULL);
        print_json(object);
        return code < 0 ? EXIT_GONDOLIN : 0;
    }
    if (code < 0)
        return failed("verify", &err);
    printf("%s: every file has the recorded digest, every disk is sound\n", operands->words[1]);
    return 0;
}

static int run_rm(const struct operands *operands, const void *options)
{
    int worst = 0;
    (void)options;
    for (int i = 1; i < operands->count; i++) {
        struct err err = {0};
        cleanup_free char *store = store_open(&err);
        if (!store || checkpoint_remove(store, operands->words[i], &err) < 0)
            worst = failed("rm", &err);
    }
    return worst;
}

static int run_export(const struct operands *operands, const void *options)
{
    const struct checkpoint_options *o = options;
    struct err err = {0};
    cleanup_free char *store = store_open(&err);
    if (!store || checkpoint_export(store, operands->words[1], operands->words[2], o->with_image, &err) < 0)
        return failed("export", &err);
    return 0;
}

static int run_import(const struct operands *operands, const void *options)
{
    struct err err = {0};
    cleanup_free char *store = store_open(&err), *name = NULL;
    (void)options;
    if (!store || checkpoint_import(store, operands->words[1], operand_at(operands, 2), &name, &err) < 0)
        return failed("import", &err);
    puts(name);
    return 0;
}

static const struct action actions[] = {
    {"create", "[SANDBOX] NAME", "takes one of a running sandbox, which goes on", 1, 2, run_create, "disk"},
    {"ls", "", "lists them", 0, 0, checkpoint_ls, "json"},
    {"tree", "", "shows which lies on which", 0, 0, checkpoint_tree, "json"},
    {"show", "NAME", "shows what it is made of and who needs it", 1, 1, checkpoint_show, "json"},
    {"diff", "[FROM] NAME", "lists the files added, changed and removed since FROM, or since the image", 1, 2,
     checkpoint_diff_action, "json"},
    {"describe", "NAME TEXT", "sets its description", 2, 2, run_describe, NULL},
    {"verify", "NAME", "compares every file with its recorded digest, and checks the disks", 1, 1, run_verify, "json"},
    {"rm", "NAME...", "removes it, unless another or a running sandbox lies on it", 1, -1, run_rm, NULL},
    {"export", "NAME FILE", "writes it to a file (-: standard output), with all it lies on but the image", 2, 2, run_export,
     "with-image"},
    {"import", "FILE [NAME]", "reads such a file (-: standard input) and prints the name", 1, 2, run_import, NULL},
};

static const struct actions checkpoint_actions = {
    .verb = "checkpoint",
    .operands = "ACTION [OPERAND]...",
    .intro = "Looks after checkpoints: the disk of a sandbox, and for full ones its memory and processes, at one instant.\n",
    .list = actions,
    .count = sizeof actions / sizeof *actions,
};

int verb_checkpoint(int argc, char **argv)
{
    struct checkpoint_options o = {0};
    const struct option_spec options[] = {
        {"disk", 0, NULL, "create: the disk only; sandboxes boot from it", NULL, OPTION_FLAG, &o.disk},
        {"json", 0, NULL, "print JSON", NULL, OPTION_FLAG, &o.json},
        {"with-image", 0, NULL, "export: the image too", NULL, OPTION_FLAG, &o.with_image},
        {0},
    };
    return actions_main(&checkpoint_actions, options, &o, argc, argv);
}
