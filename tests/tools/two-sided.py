#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""two-sided.py HOST_DIR GUEST_DIR SECONDS SEED COMMAND...: edits one directory from both sides at random, keeps a model of what
has to be in it, and compares what either side sees with that: what was touched after every edit, all of it now and then.
COMMAND starts a shell in the guest. The host has to see an edit of the guest at once, the guest one of the host within a
second. Prints how often it was late; on the first difference what was done last, and exits 1."""
import base64
import io
import os
import random
import subprocess
import sys
import tarfile
import time

HOST, GUEST, SECONDS, SEED, COMMAND = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
PATIENCE = 1
NAMES = "abcdef"
EDITS_BETWEEN_SNAPSHOTS = 40
KINDS = "make make write write append append truncate replace move movedir link symlink remove mkdir rmdir".split()
choose = random.Random(SEED)
history = []


def differs(what, got, want):
    print(f"seed {SEED}: {what}: got {got!r} instead of {want!r}; before that:", *history[-8:], sep="\n  ")
    sys.exit(1)


LOOK = """look() { for path; do if [ -L $path ]; then echo @l; readlink $path; elif [ -d $path ]; then echo @d; ls $path;
elif [ -e $path ]; then echo @f; cat $path; echo; else echo @-; echo; fi; done; }"""


class Guest:
    """A shell there that answers every line with what it prints and its exit code."""

    def __init__(self):
        self.shell = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.run(f"cd {GUEST}; {LOOK}")

    def run(self, command):
        self.shell.stdin.write(f"{command}\necho \"<$?>\"\n")
        self.shell.stdin.flush()
        text = ""
        while not text.endswith(">\n"):
            line = self.shell.stdout.readline()
            if not line:
                differs("the guest's shell", "its end", command)
            text += line
        text, _, code = text[:-2].rpartition("<")
        return text, int(code)

    def do(self, command):
        text, code = self.run(command)
        if code:
            differs(command, f"{code} {text}", 0)

    def look(self, paths):
        answers = [answer.partition("\n") for answer in self.run("look " + " ".join(paths))[0].split("@")[1:]]
        return {path: ("d", tuple(rest.split())) if kind == "d" else (kind, rest[:-1])
                for path, (kind, _, rest) in zip(paths, answers)}

    def everything(self):
        text, _ = self.run("tar cf - . | base64")
        seen = {}
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text))) as tar:
            for member in tar:
                name = os.path.normpath(member.name)
                if member.isdir():
                    seen[name] = ("d",)
                elif member.issym():
                    seen[name] = ("l", member.linkname)
                else:
                    seen[name] = ("f", tar.extractfile(member).read().decode())
        return seen


class Host:
    """The same commands here."""

    def do(self, command):
        subprocess.run(command, shell=True, cwd=HOST, check=True)

    def look(self, paths):
        return {path: self.look_at(os.path.join(HOST, path)) for path in paths}

    @staticmethod
    def look_at(path):
        if os.path.islink(path):
            return "l", os.readlink(path)
        if os.path.isdir(path):
            return "d", tuple(sorted(os.listdir(path)))
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                return "f", file.read()
        return "-", ""


class Model:
    """What has to be there: a path leads to "d", ("l", target) or the list that holds a file's text, shared by its names."""

    def __init__(self):
        self.tree = {".": "d"}

    def paths(self, *kinds):
        return [path for path, what in self.tree.items() if path != "." and type(what) in kinds]

    def free(self):
        parents = [path for path, what in self.tree.items() if what == "d" and path.count("/") < 2]
        path = os.path.normpath(os.path.join(choose.choice(parents), choose.choice(NAMES)))
        return None if path in self.tree else path

    def children(self, path):
        above = "" if path == "." else path + "/"
        return tuple(sorted({other[len(above):].split("/")[0] for other in self.tree if other != "." and
                             other.startswith(above)}))

    def look(self, path):
        what = self.tree.get(path)
        if what is None:
            return "-", ""
        if what == "d":
            return "d", self.children(path)
        return what if isinstance(what, tuple) else ("f", what[0])

    def everything(self):
        return {path: ("d",) if what == "d" else self.look(path) for path, what in self.tree.items()}

    def move(self, old, new):
        for path in [path for path in self.tree if path == old or path.startswith(old + "/")]:
            self.tree[new + path[len(old):]] = self.tree.pop(path)


def edit(model):
    """One random edit: its command and the paths to be looked at. The model has it already."""
    text = "".join(choose.choices("0123456789", k=choose.choice((1, 30, 5000))))
    new, files = model.free(), model.paths(list)
    links, directories = model.paths(tuple), model.paths(str)
    kind = choose.choice(KINDS)
    if kind in ("make", "mkdir", "symlink") and new:
        model.tree[new] = {"make": [text], "mkdir": "d", "symlink": ("l", text[:30])}[kind]
        return {"make": f"echo -n {text} >{new}", "mkdir": f"mkdir {new}", "symlink": f"ln -s {text[:30]} {new}"}[kind], [new]
    if kind in ("write", "append", "truncate") and files:
        path = choose.choice(files)
        old = model.tree[path]
        old[0] = {"write": text, "append": old[0] + text, "truncate": ""}[kind]
        return {"write": f"echo -n {text} >{path}", "append": f"echo -n {text} >>{path}", "truncate": f": >{path}"}[kind], [path]
    if kind == "replace" and len(files) > 1:
        old, over = choose.sample(files, 2)
        if model.tree[old] is not model.tree[over]:
            model.tree[over] = model.tree.pop(old)
            return f"mv -f {old} {over}", [old, over]
    if kind in ("move", "movedir") and new and (files if kind == "move" else directories):
        old = choose.choice(files if kind == "move" else directories)
        if not (new + "/").startswith(old + "/"):
            model.move(old, new)
            return f"mv {old} {new}", [old, new]
    if kind == "link" and new and files:
        path = choose.choice(files)
        model.tree[new] = model.tree[path]
        return f"ln {path} {new}", [path, new]
    if kind == "remove" and files + links:
        path = choose.choice(files + links)
        del model.tree[path]
        return f"rm -f {path}", [path]
    if kind == "rmdir" and directories:
        path = choose.choice(directories)
        for inner in [inner for inner in model.tree if (inner + "/").startswith(path + "/")]:
            del model.tree[inner]
        return f"rm -r {path}", [path]
    return None, []


def compare(side, name, want, patience):
    """Whether that side sees what is wanted at once; it has to within this time."""
    end, at_once = time.monotonic() + patience, True
    while (got := side.look(list(want))) != want:
        if time.monotonic() >= end:
            differs(f"what the {name} sees", got, want)
        at_once = False
    return at_once


def main():
    guest, host, model = Guest(), Host(), Model()
    end, edits, late = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end:
        command, touched = edit(model)
        if not command:
            continue
        edits += 1
        by_guest = choose.random() < 0.5
        history.append(f"{'guest' if by_guest else 'host'}: {command[:120]}")
        (guest if by_guest else host).do(command)
        want = {path: model.look(path) for path in touched + [os.path.dirname(path) or "." for path in touched]}
        compare(host, "host", want, 0)
        late += not compare(guest, "guest", want, 0 if by_guest else PATIENCE)
        if edits % EDITS_BETWEEN_SNAPSHOTS == 0 and guest.everything() != model.everything():
            differs("all of it as the guest sees it", guest.everything(), model.everything())
    guest.shell.stdin.close()
    print(f"{edits} edits, {late} of them seen late by the guest; seed {SEED}")


main()
