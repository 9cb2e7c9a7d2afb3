/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest does with files while it is measured, by system calls alone: an emulated interpreter would cost more than
 * the files do. */
#ifndef GONDOLIN_BENCH_WORK_H
#define GONDOLIN_BENCH_WORK_H

#define WORK_USAGE                                                                                    \
    "work PROCESSES read BLOCK FILE | write SIZE BLOCK FILE | stat COUNT DIRECTORY | "                \
    "create COUNT DIRECTORY | exec PROGRAM [ARGUMENT]..."

/* Does it in so many processes at once and prints the nanoseconds until the last is done; the words are those after "work".
 * With more than one, each has its number appended to the last word. */
int work(int argc, char **argv);

#endif
