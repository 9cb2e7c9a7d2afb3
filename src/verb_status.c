/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"
#include "src/client_file.h"
#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

enum { STATUS_MAX = 64 * 1024 };

static struct json_object *to_json(const char *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    /* Only what reads back the same is a number: an id such as 001234567890 is not one. */
    char again[32];
    snprintf(again, sizeof again, "%lld", number);
    return *end || errno || strcmp(again, value) != 0 ? json_object_new_string(value) : json_object_new_int64(number);
}

/* Of these the file has only what can be shown on a line, and a name stays text also where it is a number. */
static const char *true_text(const struct session *session, const char *key)
{
    return strcmp(key, "name") == 0 ? session->name : strcmp(key, "mountpoint") == 0 ? session->mountpoint : NULL;
}

static void print_json(char *status, const struct session *session)
{
    struct json_object *object = json_object_new_object();
    char *rest = status;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, ' ');
        if (!value)
            continue;
        *value++ = '\0';
        const char *text = true_text(session, line);
        json_object_object_add(object, line, text ? json_object_new_string(text) : to_json(value));
    }
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

/* Some of the values were told by the guest. */
static void print_text(char *status)
{
    for (char *c = status; *c; c++) {
        if (iscntrl((unsigned char)*c) && *c != '\n')
            *c = '?';
    }
    fputs(status, stdout);
}

static int read_status(const struct session *session, char **status, struct err *err)
{
    cleanup_close int fd = open(session->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", session->mountpoint);
    *status = client_file_read(fd, "status", STATUS_MAX, err);
    return *status ? 0 : err_wrap(err, "%s", session->mountpoint);
}

int verb_status(int argc, char **argv)
{
    bool json = false;
    const struct option_spec options[] = {
        {"json", 0, NULL, "print a JSON object", NULL, OPTION_FLAG, &json},
        {0},
    };
    const struct usage usage = {
        .verb = "status",
        .operands = "[SANDBOX]",
        .about = "Shows the state of a sandbox: its file `status`.\n"
                 "SANDBOX is a mount point, a name or an id; it may be left out where only one is running.",
        .options = options,
        .page = "gondolin-list(1)",
        .max_operands = 1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    struct session session;
    struct err err;
    if (session_find(operand_at(&operands, 0), &session, &err) < 0)
        return verb_failed("status", &err);
    cleanup_free char *status = NULL;
    int rc = read_status(&session, &status, &err);
    if (rc == 0 && json)
        print_json(status, &session);
    else if (rc == 0)
        print_text(status);
    session_close(&session);
    return rc < 0 ? verb_failed("status", &err) : 0;
}
