#!/bin/sh
# A sparse file of 4 GiB: its size, its holes and its end are those of the guest.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3

sandbox
file=$sb/root/srv/sparse
truncate -s 4G "$file"
printf 'the middle' | dd of="$file" bs=1M seek=2048 conv=notrunc 2>/dev/null
printf 'the end' | dd of="$file" bs=1 seek=4294967296 conv=notrunc 2>/dev/null
[ "$(stat -c %s "$file")" = 4294967303 ] || fail "size: $(stat -c %s "$file")"
[ "$(du -k "$file" | cut -f 1)" -le 64 ] || fail "it takes $(du -k "$file" | cut -f 1) KiB"
[ "$(tail -c 7 "$file")" = 'the end' ] || fail 'its end cannot be read'
python3 - "$file" <<'END' || fail 'holes'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
middle = 2048 << 20
assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
assert os.lseek(fd, 0, os.SEEK_DATA) == middle, "the first data"
hole = os.lseek(fd, middle, os.SEEK_HOLE)
assert middle < hole <= middle + 65536, "the hole behind it"
assert os.pread(fd, 10, middle) == b"the middle"
assert os.pread(fd, 4096, 3 << 30) == bytes(4096), "a hole reads as zeroes"
END
echo 'stat -c %s /srv/sparse; tail -c 7 /srv/sparse' >"$sb/run"
[ "$(cat "$sb/last/stdout")" = "$(printf '4294967303\nthe end')" ] || fail "the guest has: $(cat "$sb/last/stdout")"
# A copy keeps the holes: 4 GiB would not fit on the guest's disk.
timeout 60 cp --sparse=auto "$file" "$sb/root/srv/copy" || fail 'a copy with holes'
[ "$(du -k "$sb/root/srv/copy" | cut -f 1)" -le 64 ] || fail 'the copy has no holes'
[ "$(tail -c 7 "$sb/root/srv/copy")" = 'the end' ] || fail 'the end of the copy'
