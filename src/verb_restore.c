/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "images/checkpoint.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "src/client_file.h"
#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

static int restore(const char *reference, const char *name, struct err *err)
{
    int code = checkpoint_check_name(name, err);
    if (code < 0)
        return code;
    cleanup_close int sandbox = session_open_mount(reference, err);
    if (sandbox < 0)
        return sandbox;
    cleanup_free char *line = files_format("restore %s\n", name);
    return line ? client_file_write(sandbox, "ctl", line, err) : err_errno(err, ENOMEM, "%s", name);
}

int verb_restore(int argc, char **argv)
{
    const struct usage usage = {
        .verb = "restore",
        .operands = "[SANDBOX] CHECKPOINT",
        .about = "Takes a running sandbox back to a checkpoint, with its processes and under the same mount point.\n"
                 "SANDBOX is a mount point, a name or an id; it may be left out where only one is running.",
        .page = "gondolin-checkpoint(1)",
        .min_operands = 1,
        .max_operands = 2,
    };
    struct operands operands;
    struct err err = {0};
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    const char *second = operand_at(&operands, 1), *first = operands.words[0];
    return restore(second ? first : NULL, second ? second : first, &err) < 0 ? verb_failed("restore", &err) : 0;
}
