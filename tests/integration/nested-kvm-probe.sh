#!/bin/sh
# The acceleration probe where KVM works: in a machine whose emulated CPU has SVM. Elsewhere only its "no" can be tested.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

[ "$(uname -m)" = x86_64 ] || skip 'emulated SVM needs an x86_64 guest'
requires qemu-system-x86_64 qemu-system-x86
requires apt-get apt
requires dpkg-deb dpkg
requires cpio cpio
busybox=$(command -v busybox) || skip 'needs busybox (Debian package busybox-static)'
cp "$busybox" "$scratch/busybox"
if ldd "$scratch/busybox" >/dev/null 2>&1; then skip 'needs a static busybox (Debian package busybox-static)'; fi

# Debian's generic kernel has kvm-amd; the cloud kernel has not.
package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
[ -n "$package" ] || skip 'apt knows no linux-image-amd64'
cd "$scratch"
timeout 120 apt-get download "$package" >apt.log 2>&1 || skip "the package $package could not be fetched"
dpkg-deb -x "$package"_*.deb kernel

mkdir -p root/dev root/proc
cp busybox "$GONDOLIN_BUILD/tests/tools/accel-probe" root
for module in irqbypass ccp kvm kvm-amd; do
    find kernel/lib/modules -name "$module.ko" -exec cp {} root \;
done
# The clock of an emulated machine on a busy host leaps: one timely answer of five is proof enough.
cat >root/init <<'END'
#!/busybox sh
/busybox mount -t devtmpfs dev /dev
for module in irqbypass ccp kvm kvm-amd; do /busybox insmod /$module.ko; done
for i in 1 2 3 4 5; do echo "verdict: $(/accel-probe)"; done
/busybox poweroff -f
END
chmod +x root/init
(cd root && find . | cpio -o -H newc --quiet) >initramfs

# With the TSC's frequency given: KVM in the machine spins for ever when the calibration has failed, as it may.
khz=$(sed -n 's/^cpu MHz[^0-9]*\([0-9]*\)\.\([0-9]\{3\}\).*/\1\2/p' /proc/cpuinfo | head -n 1)
timeout -s KILL 120 qemu-system-x86_64 -machine q35 -accel tcg -cpu max,cx16=off -m 512 -no-user-config -nodefaults \
    -display none -no-reboot -serial stdio -kernel kernel/boot/vmlinuz-* -initrd initramfs -append "console=ttyS0 quiet \
panic=-1 reboot=t mitigations=off no_timer_check cryptomgr.notests tsc_early_khz=$khz tsc=reliable" \
    </dev/null >machine.log 2>&1 || fail 'the machine did not end by itself'
grep -q 'verdict: ' machine.log || fail 'the probe did not run in the machine'
grep 'verdict: ' machine.log
grep -q 'verdict: kvm [0-9]* /dev/kvm ran guest code' machine.log || fail 'KVM works in the machine, but the probe says no'
