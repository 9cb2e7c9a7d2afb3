/* SPDX-License-Identifier: Apache-2.0 */
#include "src/job_client.h"
#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

int verb_exec(int argc, char **argv)
{
    struct job_request request = {.verb = "exec"};
    const struct option_spec options[] = {JOB_CLIENT_OPTIONS(&request), {0}};
    const struct usage usage = {
        .verb = "exec",
        .operands = "[SANDBOX] -- COMMAND [ARGUMENT]...",
        .about = "Runs a command in a sandbox with this standard input, output and error, and exits as it does.\n"
                 "SANDBOX is a mount point, a name or an id; it may be left out where only one is running.",
        .options = options,
        .max_operands = 1,
        .takes_command = true,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    struct session session;
    struct err err;
    if (session_find(operand_at(&operands, 0), &session, &err) < 0)
        return verb_failed("exec", &err);
    request.mountpoint = session.mountpoint;
    request.argv = operands.command;
    code = job_client_run(&request);
    session_close(&session);
    option_list_free(&request.env);
    job_client_leave(code);
    return code;
}
