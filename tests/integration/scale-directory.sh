#!/bin/sh
# A directory of many entries (GONDOLIN_TEST_ENTRIES, 50000 takes two minutes under emulation), made in the guest: listed,
# looked into and removed from the host.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

many=${GONDOLIN_TEST_ENTRIES:-5000}
sandbox
echo "mkdir /srv/big && cd /srv/big && seq 1 $many | xargs -n 5000 touch" >"$sb/run"
[ "$(timeout 60 find "$sb/root/srv/big" -mindepth 1 | sort -u | wc -l)" = "$many" ] || fail "find does not see $many"
# shellcheck disable=SC2012 # -l, which asks for the attributes of each
[ "$(timeout 60 ls -l "$sb/root/srv/big" | wc -l)" = "$((many + 1))" ] || fail "ls -l does not see $many"
[ "$(stat -c %s "$sb/root/srv/big/3141")" = 0 ] || fail 'an entry cannot be looked up'
timeout 200 rm -r "$sb/root/srv/big" || fail 'rm -r'
echo 'ls /srv' >"$sb/run"
[ -z "$(cat "$sb/last/stdout")" ] || fail 'the guest still has the directory'
rss=$(awk '/^VmRSS:/ {print $2}' "/proc/$(status_of supervisor_pid)/status")
sanitized || [ "$rss" -lt 65536 ] || fail "the supervisor has grown to $rss KiB"
