#!/bin/sh
# POSIX behaviour of root/, seen from the host: as whoever runs this, and, when that is root, as an ordinary user too, to
# whom all files seem to belong, and with the guest's own owners.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3
checks=$GONDOLIN_SOURCE/tests/tools/posix-checks.py

sandbox
mkdir "$sb/root/srv/posix"
timeout 60 python3 "$checks" "$sb/root/srv/posix" || fail 'see above'
echo 'find /srv/posix | wc -l; stat -c %u /srv/posix/attributes/m' >"$sb/run"
[ "$(sed -n 1p "$sb/last/stdout")" -gt 150 ] || fail 'the guest does not have what the host made'
timeout 20 gondolin umount "$sb"
[ "$(id -u)" = 0 ] || exit 0

# An ordinary user with a store and directories of his own.
user=65534
as_user() {
    # shellcheck disable=SC2097,SC2098 # each is meant as it is
    XDG_RUNTIME_DIR=$home/run XDG_STATE_HOME=$home/state GONDOLIN_STORE=$home/store HOME=$home \
        timeout 120 setpriv --reuid $user --regid $user --clear-groups "$@"
}
home=$scratch/home
chmod 711 "$scratch"
mkdir -p "$home/run" "$home/state" "$home/store" "$home/tools"
cp -R "$shared_store/images" "$shared_store/tags" "$home/store"
cp "$GONDOLIN_SOURCE/tests/tools/posix-checks.py" "$home/tools"
chmod 700 "$home/run"
chown -R $user:$user "$home"
checks=$home/tools/posix-checks.py
python=/usr/bin/python3

for options in "" "--owner guest"; do
    sb=$home/sb
    # shellcheck disable=SC2086 # options are words
    as_user gondolin mount --image busybox $options "$sb" >/dev/null || fail "an ordinary user cannot mount $options"
    as_user sh -c "echo 'mkdir -m 777 /srv/posix; chown $user /srv/posix' >'$sb/run'"
    as_user $python "$checks" "$sb/root/srv/posix" || fail "as an ordinary user $options: see above"
    if as_user chown 1234 "$sb/root/srv/posix" 2>/dev/null; then fail 'a user gives files away'; fi
    as_user sh -c "echo 'stat -c %u /srv/posix/attributes/m' >'$sb/run'"
    owner=$(as_user cat "$sb/last/stdout")
    shown=$(as_user stat -c %u "$sb/root/etc/passwd")
    case $options in
    "") [ "$owner $shown" = "0 $user" ] || fail "in the guest the owner is $owner; passwd is shown as of $shown" ;;
    *) [ "$owner $shown" = "$user 0" ] || fail "raw: in the guest the owner is $owner; passwd is shown as of $shown" ;;
    esac
    if ls "$sb" >/dev/null 2>&1; then fail 'root can look into a mount of somebody who did not allow it'; fi
    as_user gondolin umount "$sb"
done
if ! grep -q '^user_allow_other' /etc/fuse.conf 2>/dev/null; then
    said=$(as_user gondolin mount --image busybox --allow-other "$home/sb2" 2>&1) && fail '--allow-other works'
    case $said in *'fuse.conf has the line user_allow_other'*) ;; *) fail "--allow-other says: $said" ;; esac
fi
