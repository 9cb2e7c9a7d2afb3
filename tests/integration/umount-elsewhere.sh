#!/bin/sh
# An unmount ends the sandbox although another mount namespace has a copy of the mount, or something in it is still open.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox copied
namespace=$(if [ "$(id -u)" = 0 ]; then echo -m; else echo -rm; fi)
unshare "$namespace" true 2>/dev/null || skip 'no mount namespaces for this user'
unshare "$namespace" --propagation private sleep 30 &
eventually 5 grep -q sleep "/proc/$!/comm"
timeout 20 gondolin umount "$sb" || fail 'umount waits for a copy in another namespace'
expect_nothing_left
kill $!

sandbox lazy
(cd "$sb/root" && exec sleep 30) &
eventually 5 grep -q sleep "/proc/$!/comm"
umount -l "$sb" 2>/dev/null || fusermount3 -u -z "$sb"
expect_nothing_left
kill $!
