#!/bin/sh
# What gondolin needs is missing or broken: each is named, with what helps, and nothing is left behind.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# A PATH with everything but one program.
path_without() {
    rm -rf "${scratch:?}/bin"
    mkdir "$scratch/bin"
    for dir in $(echo "$PATH" | tr : ' '); do
        find "$dir/" -maxdepth 1 ! -type d -exec ln -s -t "$scratch/bin" {} + 2>/dev/null || true
    done
    rm -f "$scratch/bin/$1" "$scratch/bin/gondolin"
}

# The keeper and the engine are found beside the program itself.
lacks() {
    refused "$1" "$2" env PATH="$scratch/bin" "$GONDOLIN_BUILD/gondolin" mount --image busybox "$scratch/sb"
    [ ! -e "$scratch/sb" ] || fail "$2: the mount point it made is still there"
    eventually 2 nothing_left || fail "$2: left behind: $(leftovers)"
}

path_without "qemu-system-$(uname -m)"
lacks 125 'apt-get install qemu-system-'
path_without qemu-img
lacks 125 'apt-get install qemu-utils'

# A QEMU that ends at once, and one that is none.
printf '#!/bin/sh\necho "I am out of order" >&2\nexit 3\n' >"$scratch/qemu-system-$(uname -m)"
chmod +x "$scratch/qemu-system-$(uname -m)"
refused 125 'I am out of order' gondolin mount --image busybox --qemu "$scratch/qemu-system-$(uname -m)" "$scratch/sb"
refused 125 'does not answer as a QEMU' gondolin mount --image busybox --qemu /bin/true "$scratch/sb"
refused 125 'No such file' gondolin mount --image busybox --qemu no/such/qemu "$scratch/sb"
refused 125 'No such file' gondolin mount --image busybox --root-disk no-such-disk "$scratch/sb"
: >"$scratch/no-disk"
refused 125 'not a qcow2' gondolin mount --image busybox --root-disk "$scratch/no-disk" "$scratch/sb"
refused 125 'build one' env GONDOLIN_STORE="$scratch/empty-store" gondolin mount --image busybox "$scratch/sb"
[ ! -e "$scratch/sb" ] || fail 'a mount point that was made is still there'

# No /dev/fuse: as in a container that was not given it.
if unshare -rm true 2>/dev/null; then
    # shellcheck disable=SC2016
    refused 125 '/dev/fuse' unshare -rm sh -c 'mount --bind /dev/null /dev/fuse && exec gondolin mount --image busybox "$0"' \
        "$scratch/sb"
    [ ! -e "$scratch/sb" ] || fail 'a mount point that was made is still there'
fi

# libguestfs cannot make its appliance: the build fails and leaves no image.
mkdir "$scratch/broken-store"
refused 125 'libguestfs\|supermin\|appliance' env GONDOLIN_STORE="$scratch/broken-store" LIBGUESTFS_HV=/bin/false \
    gondolin build busybox --quiet
[ -z "$(cd "$scratch/broken-store" && find images tags tmp -mindepth 1)" ] ||
    fail 'a failed build left something in the store'
expect_nothing_left
