/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin-keeper MOUNTPOINT remove|leave SESSION-DIR WORK-DIR, with a pipe on descriptor 3; see src/keeper.h. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "images/files.h"
#include "src/ended.h"
#include "src/mountpoint.h"
#include "src/session.h"

/* True when the supervisor said that it has cleaned up by itself. */
static bool dismissed(void)
{
    char word[8];
    ssize_t n;
    do
        n = read(3, word, sizeof word);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 125;
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    if (chdir("/") < 0 || dismissed())
        return 0;
    struct session session;
    /* The machine dies with the supervisor (PR_SET_PDEATHSIG) and the kernel aborts the FUSE connection with it. */
    if (session_read(argv[3], &session)) {
        mountpoint_clear_dead(session.device);
        ended_record(&session, false, ENDED_UNEXPLAINED, NULL);
    }
    session_close(&session);
    if (strcmp(argv[2], "remove") == 0)
        rmdir(argv[1]);
    files_remove_tree(argv[4]);
    files_remove_tree(argv[3]);
    return 0;
}
