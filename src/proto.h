/* SPDX-License-Identifier: Apache-2.0 */
/* The control protocol on the port gondolin.ctl, shared by the supervisor and the guest agent; gondolin-protocol(7).
 * A frame is a ctl_header and a payload: JSON text for structure, raw bytes for stream data. All integers are
 * little-endian. Each side treats the other's frames as untrusted input; an impossible frame ends the session. */
#ifndef GONDOLIN_SRC_PROTO_H
#define GONDOLIN_SRC_PROTO_H

#include <stddef.h>
#include <stdint.h>

#define PORT_CTL "gondolin.ctl"
#define PORT_ROOT "gondolin.root"
#define PORT_VFS "gondolin.vfs"
#define PORT_TCP "gondolin.tcp"

enum {
    CTL_VERSION = 3,
    CTL_MAX_FRAME = 64 * 1024,   /* header included */
    CTL_MAX_HOST_FRAME = 1024 * 1024, /* the same for the host's frames, where READY has said so: long commands are in one */
    CTL_STREAM_WINDOW = 256 * 1024, /* initial credit of each stream, in each direction, in bytes */
};

struct ctl_header {
    uint32_t length; /* of the whole frame, this header included */
    uint16_t type;   /* enum ctl_type */
    uint16_t flags;  /* enum ctl_stream for JOB_DATA and JOB_CREDIT, otherwise 0 */
    uint32_t id;     /* job id chosen by the host, unique in a session; 0 where there is none */
};

enum ctl_stream { CTL_STDIN = 0, CTL_STDOUT = 1, CTL_STDERR = 2, CTL_STREAMS = 3 };

/* "h" sent by the host, "g" by the guest. JSON members are listed; unknown members are ignored. */
enum ctl_type {
    /* g, first frame: {"version":N,"agent":"0.1.0","arch":"x86_64","boot_us":{"PHASE":N,...}} */
    CTL_HELLO = 1,
    /* h, answer to HELLO: {"version":N,"hostname":"...","realtime_ns":N,"entropy":"HEX","machine_id":"HEX","env":{...}}.
     * The agent applies it (clock and entropy before any job), then sends READY. Entropy has at most 512 bytes,
     * machine_id 16, hex is lower-case; what is absent stays as it is. May come again at any time. To a guest that is
     * quiet it says that it is a clone: it goes on once it has its own clock and entropy, and counts notices anew. */
    CTL_CONFIG = 2,
    /* g: {"root":"rw"|"ro","notices":true|false,"mounts":true,"kernel":"6.1...","max_frame":N}: whether gondolin.root
     * carries notices of what the guest's own processes change, whether CTL_MOUNTS ("mounts") and its "resume" and "hold"
     * ("mounts_resume") are understood, and how long the host's frames may be; jobs and file requests are served from here
     * on */
    CTL_READY = 3,
    /* h and g: liveness; PONG returns PING's payload (at most 4096 bytes) */
    CTL_PING = 4,
    CTL_PONG = 5,
    /* g: one line of text for the host's log, no newline, at most 1024 bytes */
    CTL_LOG = 6,
    /* h: {"grace_ms":N}: SIGTERM to all jobs, SIGKILL after the grace, sync, unmount, power off */
    CTL_SHUTDOWN = 7,
    /* g: the last frame before the power goes; empty payload */
    CTL_GOODBYE = 8,

    /* h: {"cmd":"shell line"} or {"argv":["prog",...]}, and optionally "env":{"K":"V"}, "cwd":"/dir", "user":"name",
     * "timeout_ms":N, "tty":true with "rows":N,"cols":N, "stdin":false (reads /dev/null) */
    CTL_JOB_START = 16,
    /* g: {"pid":N}: the program was executed */
    CTL_JOB_STARTED = 17,
    /* g, exactly once for each JOB_START: {"code":N} | {"signal":N} | {"code":126|127,"failed":"sentence","errno":N};
     * with "timeout":true when the agent killed it for its timeout; and {"wall_us":N,"user_us":N,"sys_us":N}.
     * All output written before the exit has been sent before this frame. Streams held open by surviving children go
     * on until their end of file. */
    CTL_JOB_EXIT = 18,
    /* both: stream bytes (flags = stream); an empty payload is the end of the stream. Never more than the credit. */
    CTL_JOB_DATA = 19,
    /* both, from the receiver of a stream: u32, bytes it has consumed and that may be sent again */
    CTL_JOB_CREDIT = 20,
    /* h: u32 signal number, sent to the job's whole process group */
    CTL_JOB_SIGNAL = 21,
    /* h: u16 rows, u16 columns */
    CTL_JOB_WINSIZE = 22,
    /* h: the host has forgotten the job: streams are closed, frames about it are no longer sent. The process, if it
     * still runs, is killed (SIGKILL, whole process group). */
    CTL_JOB_CLOSE = 23,
    /* g, before a JOB_DATA or JOB_EXIT: u64, how many cache notices gondolin.root has carried so far. What the job did to
     * files before is known to the host only when it has taken that many, so it waits for them. */
    CTL_NOTICES = 24,

    /* h: empty; g answers with JSON array of names: every executable on the default PATH, in pieces of at most one
     * frame, ended by an empty array */
    CTL_PROGRAMS = 32,
    /* h: {"quiet":true}: before the machine is saved. g answers {"notices":N,"errno":N} (notices as CTL_NOTICES) and then sends
     * nothing on any port, and no other process of it runs (or they may, and errno is not 0), until it gets
     * {"quiet":false,"realtime_ns":N}, which it does not answer, or CONFIG. The host sends nothing in between, and has no
     * request on gondolin.root unanswered. {"realtime_ns":N} alone sets the clock, where READY has said "clock":true. */
    CTL_QUIESCE = 34,
    /* h: {"frozen":true|false}: FIFREEZE / FITHAW of writable file systems; g answers {"errno":N} */
    CTL_FREEZE = 33,
    /* h: {"session":"32 hex digits"|null,"mounts":[{"id":N,"target":"/path","file":B,"ro":B,"noexec":B},...]}: all that
     * is to be mounted from gondolin.vfs, outer targets first; what is mounted and not in it is unmounted. `id` names the
     * entry in the root of the FUSE session. Another session than the one before drops everything first, and begins a
     * new FUSE session on the port (fs/sync.h); null ends the last one. With "resume":true the FUSE session goes on under the
     * new number, if it can: the guest forgets what it cached and sends no INIT. g answers {"session":"...",
     * "mounts":[{"id":N,"errno":N,"error":"..."},...],"removed":[...]} with what has been tried.
     * h: {"hold":true}: g sends no requests on gondolin.vfs until the next session, and answers {"held":B} when those that
     * it has sent are answered (true) or have not been for 2 s. QUIESCE holds them, too; CONFIG with "keep_mounts":true, in
     * a machine that was saved so, says that a session follows that resumes. */
    CTL_MOUNTS = 35,
};

/* Fills *h. */
static inline void ctl_header_init(struct ctl_header *h, enum ctl_type type, uint16_t flags, uint32_t id,
                                   size_t payload_len)
{
    *h = (struct ctl_header){.length = (uint32_t)(sizeof *h + payload_len), .type = (uint16_t)type, .flags = flags,
                             .id = id};
}

/* The largest JOB_DATA payload that fits a frame. */
#define CTL_MAX_PAYLOAD (CTL_MAX_FRAME - sizeof(struct ctl_header))

#endif
