/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the command line, one file each (src/verb_NAME.c). argv[0] is the verb; each parses its own options
 * (src/options.h), reports its own mistakes and returns the exit code of the program. build, checkpoint, doctor,
 * gc, image, mount and restore are linked into gondolin-engine (src/engine_main.c), which main.c executes for them. */
#ifndef GONDOLIN_SRC_VERBS_H
#define GONDOLIN_SRC_VERBS_H

int verb_attach(int argc, char **argv);
int verb_build(int argc, char **argv);
int verb_checkpoint(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_exec(int argc, char **argv);
int verb_gc(int argc, char **argv);
int verb_image(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_mount(int argc, char **argv);
int verb_restore(int argc, char **argv);
int verb_run(int argc, char **argv);
int verb_shell(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_umount(int argc, char **argv);

#endif
