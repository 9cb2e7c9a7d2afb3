#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hostile-checkpoints.py FILE DIRECTORY: makes of an exported checkpoint files hostile-* that must not be imported, and one
that may: sound."""
import copy
import hashlib
import io
import json
import struct
import subprocess
import sys
import tarfile


def read(path):
    data = subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout
    members = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            if info.name.endswith(("/ram", "/state", "/output")):
                continue  # large and full of holes, and what is to be shown does not need it
            members.append((info.name, tar.extractfile(info).read()))
    return members


def digest(data):
    block, sha = 65536, hashlib.sha256()
    for i in range((len(data) + block - 1) // block):
        piece = data[i * block:(i + 1) * block]
        if piece.count(0) != len(piece):
            sha.update(struct.pack("<Q", i) + piece)
    sha.update(struct.pack("<Q", len(data)))
    return sha.hexdigest()


def add_members(tar, members):
    for name, data in members:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def write(path, members, extra=()):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add_members(tar, members)
        for info in extra:
            tar.addfile(info)
    pack(path, raw.getvalue())


def pack(path, tar):
    subprocess.run(["zstd", "-q", "-f", "-1", "-o", path], input=tar, check=True)


def image_manifest(rootfs):
    """Of an image that is in no store; it has no kernel worth the name, and a root disk of so many bytes."""
    files = [("initramfs.cpio", 1), ("rootfs.qcow2", rootfs), ("vmlinux", 1)]
    sha = hashlib.sha256("".join(f"{name}\0{size}\0{'0' * 64}\0" for name, size in files).encode())
    return {"schema": 1, "build_id": sha.hexdigest(), "inputs": "0" * 64, "arch": "x86_64", "created": "now",
            "source": {"name": "none", "packages": []}, "kernel": {"package": "k", "version": "1", "release": "1"},
            "agent": {"version": "1", "sha256": "0" * 64}, "defaults": {"memory": 0},
            "files": [{"name": name, "size": size, "sha256": "0" * 64} for name, size in files]}


def write_sparse(path, members, name, size):
    """The members, and a file that is nothing but a hole (GNU's way of saying so, 1.0)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add_members(tar, members)
        info = tarfile.TarInfo(name)
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name,
                            "GNU.sparse.realsize": str(size)}
        map_of_holes = f"1\n{size}\n0\n".encode().ljust(512, b"\0")
        info.size = len(map_of_holes)
        tar.addfile(info, io.BytesIO(map_of_holes))
    pack(path, raw.getvalue())


def main():
    source, directory = sys.argv[1:]
    members = [(name, data) for name, data in read(source)]
    prefix = members[0][0].split("/")[0]
    manifest = json.loads(members[0][1])
    manifest["kind"] = "disk"
    manifest["files"] = [f for f in manifest["files"] if f["name"] not in ("ram", "state", "output")]
    jobs = manifest.pop("jobs")
    members = [m for m in members if not m[0].endswith("/description")]
    count = 0

    def emit(name, changed, extra=()):
        nonlocal count
        count += 1
        write(f"{directory}/hostile-{count:02}-{name}", changed, extra)

    def with_manifest(change):
        m = copy.deepcopy(manifest)
        change(m)
        return [(prefix + "/manifest.json", json.dumps(m).encode())] + members[1:]

    def with_disk(change):
        """A disk with changed bytes, and the digest to match."""
        m, result = copy.deepcopy(manifest), []
        for name, data in members[1:]:
            if name.endswith("/disk.qcow2"):
                data = change(bytearray(data))
                for f in m["files"]:
                    if f["name"] == "disk.qcow2":
                        f["size"], f["sha256"] = len(data), digest(bytes(data))
            result.append((name, bytes(data)))
        return [(prefix + "/manifest.json", json.dumps(m).encode())] + result

    good = with_manifest(lambda m: None)
    write(directory + "/sound", good)
    emit("no-manifest", good[1:])
    emit("manifest-late", good[1:] + good[:1])
    emit("twice", good + good[-1:])
    emit("missing", good[:-1])
    emit("stranger", good + [(prefix + "/evil", b"x")])
    emit("verified", good + [(prefix + "/verified", b"x")])
    emit("up", good + [(prefix + "/../../../escaped", b"x")])
    emit("absolute", good + [(directory + "/escaped", b"x")])
    emit("other-prefix", good + [("other/disk.qcow2", b"x")])
    emit("bad-name", [("../x" + name[len(prefix):], data) for name, data in good])
    emit("dot-name", [(".." + name[len(prefix):], data) for name, data in good])
    link = tarfile.TarInfo(prefix + "/description")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    emit("symlink", good, [link])
    hard = tarfile.TarInfo(prefix + "/description")
    hard.type, hard.linkname = tarfile.LNKTYPE, prefix + "/disk.qcow2"
    emit("hard-link", good, [hard])
    fifo = tarfile.TarInfo(prefix + "/description")
    fifo.type = tarfile.FIFOTYPE
    emit("fifo", good, [fifo])
    emit("parent", with_manifest(lambda m: m.update(parent="b")))
    emit("root-disk", with_manifest(lambda m: m.update(root_disk="/etc/shadow")))
    emit("image", with_manifest(lambda m: m.update(image="/etc")))
    def with_machine(**members):
        return with_manifest(lambda m: m["machine"].update(members))

    emit("machine", with_machine(machine="q35,usb=off,kernel=/etc/passwd,initrd=/etc/shadow"))
    emit("machine-first", with_machine(machine="initrd=/etc/shadow,type=q35"))
    emit("cpu", with_machine(cpu="max,x=/etc/shadow"))
    emit("vmm", with_machine(vmm="/bin/sh"))
    emit("mounts", with_manifest(lambda m: m.update(mounts=[{"id": 1, "target": "/"}])))
    emit("output", with_manifest(lambda m: m.update(jobs=jobs)))
    emit("member", with_manifest(lambda m: m.update(evil=1)))
    emit("schema", with_manifest(lambda m: m.update(schema=99)))
    emit("no-such-image", with_manifest(lambda m: m.update(build_id="0" * 64)))
    emit("size", with_manifest(lambda m: m["files"][0].update(size=1 << 50)))
    emit("digest", with_manifest(lambda m: m["files"][0].update(sha256="0" * 64)))
    emit("description", good + [(prefix + "/description", b"x" * 5000)])
    emit("image-stranger", good[:1] + [(prefix + "/image/manifest.json", b"{}"), (prefix + "/image/../x", b"")] + good[1:])

    image = image_manifest(4 << 40)
    with_image = with_manifest(lambda m: m.update(build_id=image["build_id"]))[:1]
    with_image.append((prefix + "/image/manifest.json", json.dumps(image).encode()))
    write_sparse(f"{directory}/hostile-huge-image", with_image, prefix + "/image/rootfs.qcow2", 4 << 40)

    def put(offset, form, value):
        def change(disk):
            struct.pack_into(form, disk, offset, value)
            return disk
        return change

    emit("not-qcow2", with_disk(put(0, ">I", 0)))
    emit("data-file", with_disk(put(72, ">Q", 4)))
    emit("encrypted", with_disk(put(32, ">I", 1)))
    emit("l1-outside", with_disk(put(40, ">Q", 1 << 40)))
    emit("no-backing", with_disk(put(8, ">Q", 0)))
    emit("raw-backing", with_disk(put(112, ">I", 0x72617700)))
    emit("cut-disk", with_disk(lambda disk: disk[:70000]))


main()
