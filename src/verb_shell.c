/* SPDX-License-Identifier: Apache-2.0 */
#include "src/job_client.h"
#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

/* The user's own shell where the guest knows it, else the best there is. */
static const char shell_line[] = "[ -x \"$SHELL\" ] || SHELL=$(command -v bash || command -v sh); export SHELL; "
                                 "exec \"$SHELL\" -l";

int verb_shell(int argc, char **argv)
{
    struct job_request request = {.verb = "shell", .cmd = shell_line, .tty = true, .escape = true};
    const struct option_spec options[] = {
        {"env", 'e', "NAME[=VALUE]", "set a variable; without a value, to what it is here", NULL, OPTION_LIST,
         &request.env},
        {"workdir", 'w', "DIR", "directory to start in", NULL, OPTION_STRING, &request.cwd},
        {"user", 'u', "USER", "user to run as", NULL, OPTION_STRING, &request.user},
        {0},
    };
    const struct usage usage = {
        .verb = "shell",
        .operands = "[SANDBOX]",
        .about = "Opens a login shell in a sandbox, on a terminal. Ctrl-] comes back and ends the shell.\n"
                 "SANDBOX is a mount point, a name or an id; it may be left out where only one is running.",
        .options = options,
        .page = "gondolin-exec(1)",
        .max_operands = 1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    struct session session;
    struct err err;
    if (session_find(operand_at(&operands, 0), &session, &err) < 0)
        return verb_failed("shell", &err);
    request.mountpoint = session.mountpoint;
    code = job_client_run(&request);
    session_close(&session);
    option_list_free(&request.env);
    job_client_leave(code);
    return code;
}
