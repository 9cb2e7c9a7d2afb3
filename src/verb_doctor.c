/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/doctor.h"
#include "src/options.h"
#include "src/verbs.h"

int verb_doctor(int argc, char **argv)
{
    bool json = false;
    const struct option_spec options[] = {
        {.name = "json", .help = "print JSON", .kind = OPTION_FLAG, .to = &json},
        {0},
    };
    const struct usage usage = {
        .verb = "doctor",
        .about = "Checks what gondolin needs on this machine: a verdict, the reason and the fix for each requirement.\n"
                 "Exits with 0 when sandboxes can be mounted here, with 1 when something that is required is missing.",
        .options = options,
    };
    struct operands operands;
    struct doctor_item items[DOCTOR_MAX_ITEMS];
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    size_t count = doctor_run(doctor_tool_checks, items, 0);
    count = doctor_run(doctor_host_checks, items, count);
    if (json)
        doctor_print_json(stdout, items, count);
    else
        doctor_print(stdout, items, count);
    if (fflush(stdout) == EOF)
        return verb_refused("doctor", "standard output: %s", strerror(errno));
    return doctor_usable(items, count) ? 0 : 1;
}
