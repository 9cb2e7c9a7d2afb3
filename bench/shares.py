# SPDX-License-Identifier: Apache-2.0
"""A machine that has directories of the host in every way there is: gondolin's, virtio-9p and virtio-fs."""
import os
import re
import shlex
import shutil
import subprocess
import time

from machines import Sandbox, cpu_seconds, disturb_less, newc_archive

SETTLE_SECONDS = 0.3
MEMORY_MIB = 1024
GUEST_TOP = "/bench"


class Unavailable(Exception):
    """Says what is missing."""


class GenericKernel:
    """The distribution's generic kernel: the one for clouds, which images have, has no virtio-9p. Its modules are loaded by
    the agent in place of the others. Kept in the build directory."""
    MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "crc32c_generic", "ext4", "fuse", "virtiofs",
               "9pnet_virtio", "9p")

    def __init__(self, bench, cloud_package):
        self.package = cloud_package.replace("-cloud", "")
        self.directory = f"{bench.build}/bench/{self.package}"
        self.kernel, self.modules = f"{self.directory}/vmlinuz", f"{self.directory}/modules.cpio"
        if not os.path.exists(self.directory):
            work = f"{bench.scratch}/kernel"
            os.mkdir(work)
            self.download(work)
            self.unpack(work)
            shutil.rmtree(work)

    def download(self, work):
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Unavailable(f"needs {self.package}, and there is no apt-get to fetch it")
        got = subprocess.run(["apt-get", "download", "-q", self.package], cwd=work, check=False, text=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300)
        if got.returncode:
            raise Unavailable(f"needs {self.package}: {got.stderr.strip().splitlines()[-1]}")

    def unpack(self, work):
        package = next(name for name in os.listdir(work) if name.endswith(".deb"))
        subprocess.run(["dpkg-deb", "-x", f"{work}/{package}", f"{work}/tree"], check=True, timeout=300)
        found = {name[:-3].replace("-", "_"): f"{folder}/{name}" for folder, _, names in os.walk(f"{work}/tree")
                 for name in names if name.endswith(".ko")}
        order, contents = [], {}
        for name in self.MODULES:
            add_module(name, found, order, contents)
        files = {f"modules/{name}.ko": contents[name] for name in order}
        files["modules/order"] = "".join(f"{name}.ko\n" for name in order).encode()
        os.mkdir(f"{work}/done")
        with open(f"{work}/done/modules.cpio", "wb") as out:
            out.write(newc_archive(files, 0o100644))
        image = next(name for name in os.listdir(f"{work}/tree/boot") if name.startswith("vmlinuz"))
        shutil.copy(f"{work}/tree/boot/{image}", f"{work}/done/vmlinuz")
        os.makedirs(os.path.dirname(self.directory), exist_ok=True)
        shutil.move(f"{work}/done", self.directory)


def add_module(name, found, order, contents):
    """After what it depends on; what is not there is built in."""
    if name in contents or name not in found:
        return
    with open(found[name], "rb") as module:
        contents[name] = module.read()
    depends = re.search(rb"\0depends=([^\0]*)\0", contents[name])
    for other in depends.group(1).decode().split(",") if depends else []:
        add_module(other.replace("-", "_"), found, order, contents)
    order.append(name)


class Virtiofsd:
    """It serves one machine and ends with it."""
    PROGRAMS = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")

    def __init__(self, bench, directory):
        program = next((path for path in self.PROGRAMS if os.path.exists(path)), None)
        if not program:
            raise Unavailable("there is no virtiofsd")
        if os.geteuid() != 0:
            raise Unavailable("virtiofsd needs root")
        self.socket = f"{bench.scratch}/virtiofsd.socket"
        self.log = f"{bench.scratch}/virtiofsd.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([program, f"--socket-path={self.socket}", "-o", f"source={directory}"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        while not os.path.exists(self.socket):
            time.sleep(0.05)
            if self.process.poll() is not None:
                raise Unavailable(f"virtiofsd ended: {self.last_words()}")
        disturb_less(self.process.pid)

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return (log.read().strip().splitlines() or ["without a word"])[-1]

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=20)


class Share:
    """The directory /bench/NAME of the guest, and where the host sees it."""

    def __init__(self, sandbox, name, host):
        self.sandbox, self.name, self.host, self.guest = sandbox, name, host, f"{GUEST_TOP}/{name}"

    def unpack(self, archive):
        subprocess.run(["tar", "-xf", archive, "-C", self.host], check=True, timeout=120)

    def seconds(self, *words, processes=1):
        return self.sandbox.work(*words, processes=processes)


class Disk(Share):
    """The guest's own disk: the host would write there through root/, which takes longer."""

    def unpack(self, archive):
        shutil.copy(archive, f"{self.sandbox.mountpoint}/root/tmp/archive.tar")
        self.sandbox.execute("/bin/tar", "-xf", "/tmp/archive.tar", "-C", self.guest)


class Own(Share):
    """What a directory of --bind costs is told by processor: of the guest, of the monitor, which moves the bytes, and of
    gondolin-vfs."""

    def __init__(self, sandbox, name, host):
        super().__init__(sandbox, name, host)
        self.loads = {}

    def seconds(self, *words, processes=1):
        before = self.cpu()
        seconds = super().seconds(*words, processes=processes)
        for who, used in self.cpu().items():
            self.loads.setdefault(who, []).append(100 * (used - before[who]) / seconds)
        return seconds

    def cpu(self):
        vm, worker = self.sandbox.vm, int(self.sandbox.read_status()["mounts_pid"])
        monitor = cpu_seconds(vm, only=vm)
        return {"guest": cpu_seconds(vm) - monitor, "monitor": monitor, "gondolin-vfs": cpu_seconds(worker)}

    def limited_by(self):
        """Since it was last asked."""
        loads = {who: sum(samples) / len(samples) for who, samples in self.loads.items()}
        self.loads = {}
        most = max(loads, key=loads.get)
        return f"{most} ({', '.join(f'{who} {load:.0f} %' for who, load in loads.items())})"


class SharingSandbox(Sandbox):
    """With every device that can be had; `missing` says why others are not there."""

    def __init__(self, bench, image, cloud_package):
        self.extra, self.kernel, self.virtiofsd, self.missing, self.shares = [], None, None, {}, []
        hosts = {name: f"{bench.scratch}/shares/{name}" for name in ("bind", "9p", "virtio-fs")}
        for path in hosts.values():
            os.makedirs(path)
        self.program = shutil.which(f"qemu-system-{os.uname().machine}")
        self.add_devices(bench, cloud_package, hosts)
        try:
            super().__init__(bench, "--memory", f"{MEMORY_MIB}M", "--qemu", self.write_wrapper(bench), "--bind",
                             f"{hosts['bind']}:{GUEST_TOP}/bind", image=image)
            self.mount_all(hosts)
        except BaseException:
            self.__exit__()
            raise

    def add_devices(self, bench, cloud_package, hosts):
        try:
            self.kernel = GenericKernel(bench, cloud_package)
        except Unavailable as reason:
            self.missing = {"9p": str(reason), "virtio-fs": str(reason)}
            return
        for name, add in (("9p", self.add_9p), ("virtio-fs", self.add_virtiofs)):
            try:
                add(bench, hosts[name])
            except Unavailable as reason:
                self.missing[name] = str(reason)

    def add_9p(self, _, directory):
        self.need_device("virtio-9p-pci-non-transitional")
        self.extra += ["-fsdev", f"local,id=ninep,path={directory},security_model=none,multidevs=remap",
                       "-device", "virtio-9p-pci-non-transitional,fsdev=ninep,mount_tag=9p"]

    def add_virtiofs(self, bench, directory):
        self.need_device("vhost-user-fs-pci")
        self.virtiofsd = Virtiofsd(bench, directory)
        # The daemon has to see the machine's memory.
        self.extra += ["-object", f"memory-backend-memfd,id=shared,size={MEMORY_MIB}M,share=on",
                       "-machine", "memory-backend=shared", "-chardev", f"socket,id=virtiofsd,path={self.virtiofsd.socket}",
                       "-device", "vhost-user-fs-pci,chardev=virtiofsd,tag=virtio-fs"]

    def need_device(self, name):
        known = subprocess.run([self.program, "-device", "help"], check=True, text=True, stdout=subprocess.PIPE, timeout=60)
        if f'"{name}"' not in known.stdout:
            raise Unavailable(f"{self.program} has no {name}")

    def write_wrapper(self, bench):
        """Only the start of the machine is changed, not what the program is asked before."""
        path = f"{bench.scratch}/qemu"
        changes = ""
        if self.kernel:
            initramfs = shlex.quote(f"{path}.initramfs")
            changes = (f"  */vmlinux) word={shlex.quote(self.kernel.kernel)} ;;\n"
                       f"  */initramfs.cpio) cat \"$word\" {shlex.quote(self.kernel.modules)} >{initramfs}\n"
                       f"    word={initramfs} ;;\n")
        with open(path, "w", encoding="utf-8") as script:
            script.write(f"#!/bin/sh\ncase \"$*\" in *virtserialport*) ;; *) exec {self.program} \"$@\" ;; esac\n"
                         f"for word do\n  shift\n  case $word in\n{changes}  esac\n  set -- \"$@\" \"$word\"\ndone\n"
                         f"exec {self.program} \"$@\" {shlex.join(self.extra)}\n")
        os.chmod(path, 0o700)
        return path

    def mount_all(self, hosts):
        """virtio-9p with the largest messages that it takes, and mappings, which git needs; virtio-fs as it comes."""
        how = {"9p": ["-t", "9p", "-o", "trans=virtio,version=9p2000.L,msize=512000,cache=mmap"],
               "virtio-fs": ["-t", "virtiofs"]}
        self.execute("/bin/mkdir", "-p", *(f"{GUEST_TOP}/{name}" for name in (*hosts, "disk")))
        for name in hosts:
            if name in how and name not in self.missing:
                self.execute("/bin/mount", *how[name], name, f"{GUEST_TOP}/{name}")
        self.shares = [Own(self, "bind", hosts["bind"]),
                       *(Share(self, name, hosts[name]) for name in how if name not in self.missing),
                       Disk(self, "disk", f"{self.mountpoint}/root{GUEST_TOP}/disk")]

    def command_line(self):
        """Without what is only here; a bare machine has no daemon to talk to."""
        words = super().command_line()
        return words[:len(words) - len(self.extra)]

    def forget(self):
        """Has the guest's kernel drop all that it keeps."""
        self.run("sync; echo 3 >/proc/sys/vm/drop_caches")
        time.sleep(SETTLE_SECONDS)

    def __exit__(self, *details):
        super().__exit__(*details)
        if self.virtiofsd:
            self.virtiofsd.end()
