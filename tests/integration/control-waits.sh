#!/bin/sh
# Whoever waits in a control file can be interrupted, can poll, and is not disturbed by signals that mean nothing to him.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3
requires bash bash

sandbox
timeout 60 python3 - "$sb" <<'END' || fail 'see above'
import os, select, signal, subprocess, sys, time
sb = sys.argv[1]

def put(path, text):
    with open(sb + "/" + path, "w") as f:
        f.write(text)

def job(name, command):
    os.mkdir(sb + "/jobs/" + name)
    put(f"jobs/{name}/cmd", command)
    put(f"jobs/{name}/ctl", "start\n")

def ends(process, what):
    start = time.monotonic()
    process.wait(5)
    assert time.monotonic() - start < 1, f"{what}: took {time.monotonic() - start:.1f} s"

# Ctrl-C and SIGKILL on everything that blocks.
job("sleep", "exec sleep 1000")
blocking = [["cat", f"{sb}/{f}"] for f in ("jobs/sleep/wait", "jobs/sleep/stdout", "events")]
blocking += [["sh", "-c", f"cat /dev/zero >{sb}/jobs/sleep/stdin"], ["sh", "-c", f"echo sleep 1000 >{sb}/run"]]
for number in (signal.SIGINT, signal.SIGKILL):
    for command in blocking:
        if number == signal.SIGKILL and "stdin" in command[-1]:
            continue  # its end was the end of the job's input
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(0.3)
        assert process.poll() is None, f"{command} does not block"
        os.killpg(process.pid, number)
        ends(process, f"{command} on {number}")
# The command that was being run is killed with its writer.
assert open(sb + "/last/wait").read() == "signal 9\n"

# Signals that are no reason to give up: a child that ended, one that is caught.
script = f'sleep 0.2 & trap : USR1; (sleep 0.4; kill -USR1 $$) & echo "sleep 1; echo whole" >{sb}/run && cat {sb}/last/stdout'
assert subprocess.run(["bash", "-c", script], capture_output=True, timeout=20).stdout == b"whole\n"
# ... after which Ctrl-C still works.
process = subprocess.Popen(["bash", "-c", f"trap : USR1; echo sleep 1000 >{sb}/run"], stderr=subprocess.DEVNULL)
time.sleep(0.3)
process.send_signal(signal.SIGUSR1)
time.sleep(0.3)
assert process.poll() is None
process.send_signal(signal.SIGTERM)
ends(process, "TERM behind USR1")

# poll and epoll.
job("talks", "sleep 0.5; echo out; sleep 0.3; exit 3")
for path, line in (("stdout", b"out\n"), ("wait", b"exit 3\n")):
    fd = os.open(f"{sb}/jobs/talks/{path}", os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    try:
        assert os.read(fd, 100) != b"", f"{path} ends before the job does"
    except BlockingIOError:
        assert poll.poll(0) == [], f"{path} is readable, but blocks"
    assert poll.poll(5000), f"{path} never becomes readable"
    assert os.read(fd, 100) == line, path
    os.close(fd)
fd = os.open(sb + "/events", os.O_RDONLY | os.O_NONBLOCK)
epoll = select.epoll()
epoll.register(fd, select.EPOLLIN | select.EPOLLET)
assert epoll.poll(0.1) == []
put("run", "true")
assert epoll.poll(5)
assert b'"event":"job-exit"' in os.read(fd, 4096)
os.close(fd)

# wait answers byte by byte, late, and then ends.
assert subprocess.run(["bash", "-c", f"read r <{sb}/jobs/talks/wait; echo $r"], capture_output=True).stdout == b"exit 3\n"
assert open(sb + "/jobs/talks/wait").read() == "exit 3\n"
END
