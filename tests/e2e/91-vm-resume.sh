# VMs that stay; the users' own; images of older tools. Under QEMU.
# shellcheck shell=bash
. tests/e2e/vm.sh
if [ -n "$(vm_obstacle)" ]; then
	skip "VM flakes that stay" "$(vm_obstacle)"
	return 0
fi
vm_setup
mkdir -p "$STORAGE"
boot='cat /proc/sys/kernel/random/boot_id'
# What stands in the state file of an instance.
state_of() { sed -n "s/^$2 //p" "$STATE/$1.run"; }

vm_flake vres /bin/sh --resume --overlay-size 32M
run vres -c "$boot; echo to-err >&2; exit 3"
first=$(cat "$out")
check "the first call boots a VM" [ "$rc" = 3 -a -n "$first" -a "$(cat "$err")" = to-err -a "$(qemus)" = 1 ]
run vres -c "$boot; exit 42"
check "a later call runs in it" [ "$rc" = 42 -a "$(cat "$out")" = "$first" -a "$(qemus)" = 1 ]
mkdir -p "$T/only"
PATH=$T/only run /usr/bin/vres -c 'echo needs nothing'
check "a call needs no engine" out_is "needs nothing"
for i in $(seq 8); do vres -c "echo $i; cat; sleep 0.3; echo err-$i >&2; exit $i" <<<"in $i" >"$T/r.$i" 2>"$T/r.err.$i" & pids[i]=$!; done
good=0
for i in $(seq 8); do rc=0; wait "${pids[i]}" || rc=$?; [ "$rc" = "$i" -a "$(xargs <"$T/r.$i")" = "$i in $i" -a "$(cat "$T/r.err.$i")" = "err-$i" ] && good=$((good + 1)); done
check "8 calls at once in one VM, each with its own streams and exit code" [ $good = 8 -a "$(qemus)" = 1 ]
head -c 33554432 /dev/urandom >"$T/big1"; head -c 33554432 /dev/urandom >"$T/big2"
vres -c cat <"$T/big1" >"$T/big1.out" & pid=$!
vres -c cat <"$T/big2" >"$T/big2.out"
wait $pid
check "32 MiB each way in two calls at once" [ "$(cat "$T"/big[12] | sha256sum)" = "$(cat "$T"/big[12].out | sha256sum)" ]
rm "$T"/big*
for i in $(seq 70); do vres -c 'sleep 1; echo x' </dev/null >"$T/c.$i" 2>&1 & pids[i]=$!; done
good=0 told=0
for i in $(seq 70); do
	wait "${pids[i]}" && [ "$(cat "$T/c.$i")" = x ] && good=$((good + 1))
	[ "$(cat "$T/c.$i")" = "vres: too many sessions" ] && told=$((told + 1))
done
check "70 calls at once, more than a VM serves: 64 run, the others are told" [ $good -ge 64 -a $((good + told)) = 70 -a "$(qemus)" = 1 ]
run timeout $PATIENCE bash -c 'vres -c yes | head -n 1; echo ${PIPESTATUS[0]}'
check "closed output ends a call" [ "$(xargs <"$out")" = "y 141" ]
vres -c 'echo $$ >/run/blocked; exec cat /dev/zero' 2>/dev/null </dev/null |
	(wait_full; echo >"$T/full"; wait_for test -e "$T/go") & blocked=$!
wait_for test -e "$T/full"
run timeout $PATIENCE vres -c 'echo not held up'
check "an output that nobody reads holds up nobody else" out_is "not held up"
touch "$T/go"
wait $blocked
run vres -c 'printf "[%s]" "$@"' sh 'a b' "it's" $'new\nline' '' '%s' '@x'
check "arguments arrive" out_is "$(printf '[%s]' 'a b' "it's" $'new\nline' '' '%s' '@x')"
SECRET=1 run vres -c 'env; ls /proc/self/fd | wc -l'
check "nothing of a caller, nor of other calls" bash -c "! grep -qE 'SECRET|run=|sci_' '$out' && [ \"\$(tail -n 1 '$out')\" -le 4 ]"
check_python pty_test vres
run vres -c "$boot"
check "it is still the same VM" out_is "$first"

# Calls that die.
vres -c 'trap "echo caught; exit 7" TERM; echo ready; while :; do sleep 0.1; done' >"$out" 2>"$err" </dev/null & pid=$!
wait_for grep -q ready "$out"
kill -TERM $pid; rc=0; wait $pid || rc=$?
check "SIGTERM reaches the app in the VM" rc_is 7
run vres -c 'kill -9 $$'
check "death by signal is 128+N" rc_is 137
vres -c 'echo ready; exec sleep 12345' >"$out" 2>"$err" </dev/null & pid=$!
wait_for grep -q ready "$out"
kill -9 $pid; wait $pid 2>/dev/null
gone() { [ -z "$(vres -c 'pidof sleep' </dev/null)" ]; }
check "kill -9 of a pilot ends its app" wait_for gone
vres -c 'trap "" HUP TERM; echo ready; while :; do sleep 0.5; done' >"$out" 2>"$err" </dev/null & pid=$!
wait_for grep -q ready "$out"
kill -9 $pid; wait $pid 2>/dev/null
check "even one that will not" wait_for gone
for wait in 0 0.01 0.03; do
	vres -c 'echo x' >/dev/null 2>&1 </dev/null & pid=$!
	sleep $wait
	kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
done
run vres -c "$boot"
check "the VM survives all that" [ "$(cat "$out")" = "$first" -a "$(qemus)" = 1 ]
run timeout $PATIENCE vres -c 'sleep 9999 >/dev/null 2>&1 & echo x'
check "a child in the background does not hold up the end" out_is x
run vres -c 'pidof sleep >/dev/null && kill $(pidof sleep) && echo stayed'
check "and stays in the VM" out_is stayed

# show, explain, remove.
# A guest that hangs.
pkill -STOP '^qemu-system'
vres -c true </dev/null >/dev/null 2>"$err" & pid=$!
for _ in 1 2; do ask_to_end $pid; done
wait_for eval "! has_term $pid ShdPnd"
check "a VM that hangs keeps a call that is asked to end twice" kill -0 $pid
ask_to_end $pid; rc=0; wait $pid || rc=$?
check "but not one that is asked three times" rc_is 143
pkill -CONT '^qemu-system'
run timeout $PATIENCE vres -c 'echo goes on'
check "and the VM goes on when it can" out_is "goes on"

run flake-ctl firecracker show
check "show lists it" bash -c "grep -qE '^vres +(-|) *qemu +[0-9]+ ' '$out'"
run flake-ctl firecracker show --format json
check "as JSON, with the process" python3 -c "
import json, os
rows = json.load(open('$out'))
assert len(rows) == 1 and rows[0]['flake'] == 'vres' and rows[0]['engine'] == 'qemu', rows
os.kill(rows[0]['pid'], 0)"
run flake-ctl explain vres -- -c true
check "explain of a running VM shows how it is reached" [ "$rc" = 0 -a -s "$out" ]
run flake-ctl firecracker remove --app /usr/bin/vres
check "a flake that runs is not removed" [ "$rc" = 1 -a -e /usr/bin/vres ]
check "and the message says what to do" err_has "flake-ctl firecracker stop vres"
run flake-ctl firecracker remove --vm box
check "nor its image" [ "$rc" = 1 -a -e $IMAGES/box/rootfs -a -e /usr/bin/vsh ]

# Stop, and what stays on the disk.
run vres -c 'echo kept >/kept; head -c 8000000 /dev/urandom >/data; sha256sum /data'
sum=$(cat "$out")
run flake-ctl firecracker stop vres
check "stop ends it" [ "$rc" = 0 -a "$(cat "$out")" = "stopped vres" -a "$(qemus)" = 0 ]
check "no process of ours stays" [ -z "$(pgrep -x vres)" ]
check "nor a directory of it" [ -z "$(ls $STATE | grep '\.vm$')" ]
check "its disk was unmounted cleanly" bash -c "dumpe2fs -h $STORAGE/vres.overlay 2>/dev/null | grep -q 'Filesystem state: *clean' && e2fsck -fn $STORAGE/vres.overlay >/dev/null 2>&1"
run flake-ctl firecracker stop vres
check "to stop what does not run is no failure" rc_is 0
run vres -c "cat /kept; sha256sum /data; $boot"
check "what was written just before is there after the next start" [ "$(head -n 2 "$out")" = "kept
$sum" ]
check "which is another VM" [ "$(tail -n 1 "$out")" != "$first" ]
run vres %remove -c 'cat /kept; exit 3'
check "%remove keeps the exit code, ends the VM" [ "$rc" = 3 -a "$(cat "$out")" = kept -a "$(qemus)" = 0 ]
check "and drops the disk" [ ! -e $STORAGE/vres.overlay ]
run vres -c 'ls /kept; echo new >/kept'
check "the next one starts with a new disk" [ ! -s "$out" ]

# What dies under it.
kill -9 "$(state_of vres pid)"
check "kill -9 of the process beside the VM ends the VM" wait_for no_qemu
run vres -c 'cat /kept; exit 4'
check "the next call starts anew, with the disk" [ "$rc" = 4 -a "$(qemus)" = 1 ]
pkill -9 '^qemu-system'
wait_for no_qemu
run timeout $PATIENCE vres -c 'echo again; exit 5'
check "kill -9 of qemu: the next call starts anew" [ "$rc" = 5 -a "$(cat "$out")" = again -a "$(qemus)" = 1 ]
vres -c 'echo ready; sleep 3600' >"$out" 2>"$err" </dev/null & pid=$!
wait_for grep -q ready "$out"
pkill -9 '^qemu-system'; rc=0; wait $pid || rc=$?
check "a call whose VM dies is 125" [ "$rc" = 125 -a -s "$err" ]
run timeout $PATIENCE vres -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 100'
check "a panic is 125" rc_is 125
run timeout $PATIENCE vres -c 'echo again'
check "and the next call starts anew" [ "$(cat "$out")" = again -a "$(qemus)" = 1 ]
rm -rf $STATE
run timeout $PATIENCE vres -c 'echo again'
check "a wiped /run: there is a VM again" [ "$rc" = 0 -a "$(cat "$out")" = again ]
check "and only one" wait_for eval '[ "$(qemus)" = 1 ]'
sed -i 's/^start .*/start 1/' $STATE/vres.run
run timeout $PATIENCE vres -c 'echo again'
check "another process of that id is not taken for it" out_is again
check "still one VM" wait_for eval '[ "$(qemus)" = 1 ]'
printf 'id \npid -1\nstart x\n\377garbage' >$STATE/vres.run
run timeout $PATIENCE vres -c 'echo again'
check "garbage in the state file" out_is again
check "still one VM" wait_for eval '[ "$(qemus)" = 1 ]'
chmod 755 $STATE
run vres -c 'echo no'
check "a state directory that others may read is refused" rc_is 126
chmod 700 $STATE
flake-ctl firecracker stop --all >/dev/null
check "stop --all ends everything" no_qemu
for wait in 0.02 0.1 0.4 0.8; do
	vres -c 'echo killed' >/dev/null 2>&1 </dev/null & pid=$!
	sleep $wait
	kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
	run timeout $PATIENCE vres -c 'echo after'
	check "kill -9 of the first call after $wait s: the next works" [ "$(cat "$out")" = after -a "$(qemus)" = 1 ]
	flake-ctl firecracker stop vres >/dev/null 2>&1
done
for i in $(seq 6); do vres -c "$boot" </dev/null >"$T/host.$i" 2>"$T/host.err" & pids[i]=$!; done
wait "${pids[@]}"
check "of 6 first calls at once one boots the VM" [ "$(sort -u "$T"/host.[1-6] | wc -l)" = 1 -a -s "$T/host.1" -a "$(qemus)" = 1 ]

# Instances, definitions.
run vres @one -c "echo one >/mine; $boot; hostname"
one=$(cat "$out")
run vres @two -c "cat /mine; $boot"
check "instances are separate, with their disks" [ "$(cat "$out")" != "$(head -n 1 <<<"$one")" -a "$(wc -l <"$out")" = 1 -a "$(qemus)" = 3 ]
run vres @one -c "cat /mine; $boot"
check "and are found again" out_is "$(printf 'one\n%s' "$(head -n 1 <<<"$one")")"
run flake-ctl firecracker stop vres @one
check "stop ends one of them" [ "$(cat "$out")" = "stopped vres @one" -a "$(qemus)" = 2 ]
run vres -c "$boot"
first=$(cat "$out")
echo 'vm: {runtime: {firecracker: {mem_size_mib: 128}}}' >/usr/share/flakes/vres.d/10.yaml 2>/dev/null ||
	{ mkdir -p /usr/share/flakes/vres.d; echo 'vm: {runtime: {firecracker: {mem_size_mib: 128}}}' >/usr/share/flakes/vres.d/10.yaml; }
run vres -c "$boot; grep MemTotal /proc/meminfo | grep -o '[0-9]*'"
check "a changed definition gets a new VM" [ "$(head -n 1 "$out")" != "$first" -a "$(tail -n 1 "$out")" -lt 131072 ]
check "in place of the old one" wait_for eval '[ "$(qemus)" = 2 ]'
rm /usr/share/flakes/vres.d/10.yaml
vm_flake vres /bin/sh --resume --overlay-size 32M
check "register ends the VMs of the definition that it replaces" no_qemu
check "and drops their disks" [ -z "$(ls $STORAGE | grep '^vres.*overlay$')" ]
vm_flake vmem /bin/sh --resume --no-net
run vmem -c 'echo x >/kept'
run vmem -c 'cat /kept; ls /sys/class/net'
check "a VM that stays without a disk keeps things in memory" [ "$(xargs <"$out")" = "x lo" ]
vm_flake vnone /bin/nowhere --resume --no-net
run vnone
check "a program that is not there: 127" [ "$rc" = 127 -a "$(qemus)" = 2 ]
flake-ctl firecracker stop --all >/dev/null

# A VM that does not come up.
vm_flake vbroken /bin/sh --no-net --boot-arg rdinit=/nowhere --boot-arg init=/nowhere
run timeout $PATIENCE vbroken -c 'echo no'
check "a VM that does not come up is 125, with the reason" [ "$rc" = 125 -a "$(grep -c 'did not come up.*panic' "$err")" = 1 ]
vm_flake vbroken /bin/sh --no-net --resume --boot-arg rdinit=/nowhere --boot-arg init=/nowhere
run timeout $PATIENCE vbroken -c 'echo no'
check "also where it would stay" [ "$rc" = 125 -a "$(grep -c 'did not come up.*panic' "$err")" = 1 -a "$(qemus)" = 0 ]
check "nothing is left of it" [ -z "$(ls $STATE | grep -E 'vbroken.*(vm|run)$')" ]

# Hooks around a VM that stays.
mkdir -p /etc/flakes/hooks/launch.d /etc/flakes/hooks/exit.d
echo 'return function(event) event.env.HOOKED = "yes"; table.insert(event.args, "added") end' >/etc/flakes/hooks/launch.d/a.lua
run vmem -c 'echo $HOOKED $0; exit 6'
check "a launch hook changes the first call" [ "$rc" = 6 -a "$(cat "$out")" = "yes added" ]
cat >/etc/flakes/hooks/exit.d/a.lua <<LUA
return function(event) local f <close> = io.open("$T/exit-note", "w"); f:write(event.flake, " ", event.status) end
LUA
run vmem -c 'echo $HOOKED $0; exit 8'
check "and a later one; an exit hook sees its end" [ "$rc" = 8 -a "$(cat "$out")" = "yes added" -a "$(cat "$T/exit-note")" = "vmem 8" ]
run vmem %remove -c 'exit 9'
check "%remove ends the VM there, too" [ "$rc" = 9 -a "$(cat "$T/exit-note")" = "vmem 9" -a "$(qemus)" = 0 ]
rm -rf /etc/flakes/hooks

# A normal user: the system's flakes in VMs of his own, and flakes of his own.
useradd -m vera 2>/dev/null
chmod 755 "$T"
as() { (cd / && runuser -u vera -- env -i HOME=/home/vera USER=vera PATH=/home/vera/.local/bin:/usr/local/bin:/usr/bin:/bin "$@"); }
run as vsh -c 'id -u; echo x; exit 6'
check "a user calls the system's flake" [ "$rc" = 6 -a "$(xargs <"$out")" = "0 x" ]
vm_flake vdisk /bin/sh --overlay-size 16M --no-net
run as vdisk -c 'echo y >/file && cat /file; exit 5'
check "with a disk" [ "$rc" = 5 -a "$(cat "$out")" = y ]
vres -c 'echo root >/who' </dev/null
run as vres -c "cat /who 2>/dev/null; echo vera >/who; $boot"
check "he has a VM of his own" [ "$(wc -l <"$out")" = 1 -a "$(qemus)" = 2 ]
run as vres -c 'cat /who; exit 2'
check "later calls run in it" [ "$rc" = 2 -a "$(cat "$out")" = vera ]
check "as himself" [ "$(pgrep -u vera -c '^qemu-system')" = 1 ]
run as flake-ctl firecracker show
check "he sees his" [ "$(grep -c '^vres' "$out")" = 1 ]
run as flake-ctl firecracker stop --all
check "and stops it, not root's" [ "$rc" = 0 -a "$(qemus)" = 1 ]
flake-ctl firecracker stop --all >/dev/null
check "his disks are his alone" [ "$(stat -c '%a %U' /home/vera/.flakes/firecracker/storage)" = "700 vera" ]
mkdir -p "$T/parts"
cp $IMAGES/box/rootfs $IMAGES/box/kernel $IMAGES/box/initrd "$T/parts/"
chmod -R a+rX "$T/parts"
as mkdir -p /home/vera/.local/bin
as flake-ctl init --user >/dev/null 2>&1 </dev/null
run as flake-ctl firecracker pull --user --name mine --rootfs "$T/parts/rootfs" --kernel "file://$T/parts/kernel" --initrd "$T/parts/initrd"
check "he pulls an image of his own from files" [ "$rc" = 0 -a -e /home/vera/.flakes/firecracker/images/mine/rootfs ]
run as flake-ctl firecracker register --user --vm mine --app /home/vera/.local/bin/vown --target /bin/sh --overlay-size 16M --mem 192 --vcpu 1 --engine qemu
check "and registers a flake of his own" rc_is 0
run as vown -c 'echo own >/file; cat /file; stat -c %U:%a /owners/setuid 2>/dev/null; stat -c "%u:%g %a" /owners/setuid; exit 7'
check "which runs" [ "$rc" = 7 -a "$(head -n 1 "$out")" = own -a "$(tail -n 1 "$out")" = "0:2000 4750" ]
run as flake-ctl firecracker list --user
check "list shows his image" out_has mine
as vown -c 'echo ready; sleep 3600' </dev/null >"$out" 2>&1 & pid=$!
wait_for grep -q ready "$out"
pkill -9 -u vera -x vown; wait $pid 2>/dev/null
check "kill -9 of his pilot leaves no VM" wait_for no_qemu
run as flake-ctl firecracker remove --user --vm mine
check "he removes them" [ "$rc" = 0 -a ! -e /home/vera/.local/bin/vown -a ! -e /home/vera/.flakes/firecracker/images/mine ]
check "with their disks" [ -z "$(ls /home/vera/.flakes/firecracker/storage | grep vown)" ]

# An image of the older tools: a stand-in for their init, on the serial console.
mkdir -p "$T/old" "$IMAGES/old"
(cd "$T/old" && cpio -id --quiet <$IMAGES/box/initrd)
mkdir -p "$T/old/bin"
cp /bin/busybox "$T/old/bin/"
rm -f "$T/old/init"
cat >"$T/old/init" <<'INIT'
#!/bin/busybox sh
# Takes what it is to run from the environment, as the older tools' init does.
export PATH=/bin
b=/bin/busybox
$b mkdir -p /proc /sys /dev /newroot
$b mount -t proc p /proc; $b mount -t sysfs s /sys; $b mount -t devtmpfs d /dev
for m in virtio_ring virtio virtio_mmio virtio_blk crc16 mbcache jbd2 crc32c_generic libcrc32c crc32c_intel ext4 overlay; do
	f=$($b find /lib/modules -name "$m.ko" -o -name "$(echo $m | $b tr _ -).ko" | $b head -n 1)
	[ -z "$f" ] || $b insmod "$f" 2>/dev/null
done
for i in $($b seq 600); do [ -b /dev/vda ] && break; $b sleep 0.1; done
$b mount -o ro /dev/vda /newroot || echo "no root"
case $overlay_root in /dev/*) $b mkdir -p /over; $b mount -t ext4 $overlay_root /over && echo "overlay is there" ;; esac
$b mount -t tmpfs t /newroot/tmp
cd /newroot
line=$(echo "$run" | $b sed 's/\\-/-/g')
echo "old init: $line"
$b chroot /newroot /bin/sh -c "exec $line" </dev/ttyS0 >/dev/ttyS0 2>&1
$b sync
$b reboot -f
INIT
chmod 755 "$T/old/init"
(cd "$T/old" && find . | cpio -o -H newc --quiet) >"$T/old.initrd"
cp $IMAGES/box/rootfs "$T/kis.rootfs.ext4"
cp "$T/old.initrd" "$T/kis.initrd"
cp $IMAGES/box/kernel "$T/kis.kernel"
rmdir $IMAGES/old
debugfs -w -R 'rm /usr/sbin/sci' "$T/kis.rootfs.ext4" >/dev/null 2>&1
(cd "$T" && sha256sum kis.rootfs.ext4 >kis.sha256 && tar -czf kis.tar.gz kis.rootfs.ext4 kis.initrd kis.kernel kis.sha256)
run flake-ctl firecracker pull --name old --kis-image "$T/kis.tar.gz"
check "pull of a kis archive" [ "$rc" = 0 -a -e $IMAGES/old/rootfs -a ! -e $IMAGES/old/channel ]
run flake-ctl firecracker pull --name old --kis-image "$T/kis.tar.gz"
check "pull does not overwrite an image" rc_is 1
(cd "$T" && echo damaged >>kis.rootfs.ext4 && tar -czf kis.bad.tar.gz kis.rootfs.ext4 kis.initrd kis.kernel kis.sha256)
run flake-ctl firecracker pull --name old --force --kis-image "$T/kis.bad.tar.gz"
check "a wrong checksum is an error" [ "$rc" != 0 -a -s "$err" ]
check "and the old image stays" [ -e $IMAGES/old/rootfs -a "$(ls -A $IMAGES | grep -v lock | xargs)" = "box old" ]
run flake-ctl firecracker register --vm old --app /usr/bin/vold --target /bin/echo --mem 192 --vcpu 1 --engine qemu --overlay-size 16M
check "register an image of older tools" rc_is 0
run timeout $PATIENCE vold -e a-b c=d -- end
check "its init is told on the command line, output comes over the console" [ "$rc" = 0 -a "$(tr -d '\r' <"$out" | grep -cx 'a-b c=d -- end')" = 1 ]
check "with the overlay" out_has "overlay is there"
check "the kernel says nothing there but that it ends" [ "$(grep -c '^\[ *[0-9.]*\]' "$out")" = "$(grep -c '^\[ *[0-9.]*\] reboot: ' "$out")" ]
run vold 'a "b'
check "what it cannot be told is refused" [ "$rc" = 126 -a ! -s "$out" ]
run flake-ctl firecracker register --vm old --app /usr/bin/voldres --target /bin/echo --resume
check "resume, too" [ "$rc" = 2 -a ! -e /usr/bin/voldres ]
check "no VM stays" [ "$(wait_for no_qemu; qemus)" = 0 ]
# Ours, called by a pilot of the older tools.
mv $IMAGES/box/channel "$T/channel"
flake-ctl firecracker register --vm box --app /usr/bin/vlegacy --target /bin/echo --mem 192 --vcpu 1 --engine qemu --overlay-size 16M 2>/dev/null
run timeout $PATIENCE vlegacy -e a-b c=d end
check "our init does what a pilot of the older tools asks" [ "$rc" = 0 -a "$(tr -d '\r' <"$out" | grep -cx 'a-b c=d end')" = 1 ]
flake-ctl firecracker register --force --vm box --app /usr/bin/vlegacy --target /bin/ready-cat --mem 192 --vcpu 1 --engine qemu 2>/dev/null
rc=0; : >"$out"
(wait_for grep -q ready "$out"; printf 'typed\n\004') | timeout $PATIENCE vlegacy >"$out" 2>"$err" || rc=$?
check "with the console as its terminal" [ "$rc" = 0 -a "$(tr -d '\r' <"$out" | grep -c '^typed')" = 2 ]
mv "$T/channel" $IMAGES/box/channel
run flake-ctl firecracker pull --name old --force --replace-sci --kis-image "$T/kis.tar.gz"
check "pull --replace-sci puts ours in" [ "$rc" = 0 -a -e $IMAGES/old/channel ]
flake-ctl firecracker remove --vm old
flake-ctl firecracker stop --all >/dev/null
check "nothing runs at the end" no_qemu
