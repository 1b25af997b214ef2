# VM flakes of one call: real VMs under QEMU, of Debian's cloud kernel and an image made from a
# container image.
# shellcheck shell=bash
. tests/e2e/vm.sh
if [ -n "$(vm_obstacle)" ]; then
	skip "VM flakes" "$(vm_obstacle)"
	return 0
fi
vm_setup

# The image has what the container image has.
vsh -c 'cd /owners && stat -c "%n %a %u:%g %F" plain setuid shared sticky closed empty; stat -c "%n %u:%g" dangling
	readlink relative; readlink dangling; [ hard -ef hard2 ] && stat -c "%h" hard; cat "a \"b'"'"' %s ä"; sha256sum big
	stat -c "%a %u:%g" / /tmp /root /etc' >"$out" 2>"$err" </dev/null
cat >"$T/owners" <<END
plain 640 1000:2000 regular file
setuid 4750 0:2000 regular file
shared 2775 1000:1000 directory
sticky 1777 0:0 directory
closed 0 0:0 directory
empty 644 0:0 regular file
dangling 1000:2000
../etc/passwd
/nowhere/at/all
2
odd
$(cd "$T/vmtree/owners" && sha256sum big)
755 0:0
1777 0:0
700 0:0
755 0:0
END
sed -i 's/regular empty file/regular file/' "$out"
check "owners, modes, links, names and contents are those of the container image" cmp "$out" "$T/owners"
run flake-ctl firecracker list
check "list shows it" out_has box
run flake-ctl firecracker list --format json
check "as JSON" python3 -c "import json; assert any('box' in str(r) for r in json.load(open('$out')))"
run flake-ctl firecracker build-image --from-oci localhost/vmbox --name box --kernel "$kernel"
check "an image that is there is not overwritten" [ "$rc" = 1 -a -s "$err" ]
run flake-ctl firecracker build-image --from-oci localhost/not-here --name nope --kernel "$kernel"
check "a container image that is not there" [ "$rc" = 1 -a ! -e $IMAGES/nope ]
run flake-ctl firecracker build-image --from-oci localhost/vmbox --name nope --kernel /etc/passwd
check "a kernel that is none" [ "$rc" = 1 -a ! -e $IMAGES/nope ]
cp "$kernel" "$T/alone"
mkdir -p "$T/no-modules"
run flake-ctl firecracker build-image --from-oci localhost/vmbox --name nope --kernel "$T/alone" --modules "$T/no-modules"
check "a kernel whose modules are not there" [ "$rc" = 1 -a ! -e $IMAGES/nope -a "$(grep -c 'neither in it nor among its modules' "$err")" = 1 ]
run flake-ctl firecracker build-image --from-oci localhost/vmbox --name nope --kernel "$kernel" --size 2M
check "a size that is too small" [ "$rc" != 0 -a ! -e $IMAGES/nope ]
check "failures leave nothing beside the images" [ "$(ls -A $IMAGES | grep -v lock)" = box ]

# What register refuses.
refuse() {
	local name=$1 code=$2
	shift 2
	run flake-ctl firecracker register --vm box --app /usr/bin/vbad --target /bin/sh "$@"
	check "register refuses $name" [ "$rc" = "$code" -a -s "$err" -a ! -e /usr/bin/vbad -a ! -e /usr/share/flakes/vbad.yaml ]
}
refuse "no CPU" 2 --vcpu 0
refuse "33 CPUs" 2 --vcpu 33
refuse "half a CPU" 2 --vcpu 0.5
refuse "1 MiB of memory" 2 --mem 1
refuse "memory that is no number" 2 --mem lots
refuse "a disk of no size" 2 --overlay-size 0
refuse "a tiny disk" 2 --overlay-size 100K
refuse "a disk that no host has" 2 --overlay-size 17TiB
refuse "a size that is none" 2 --overlay-size 20X
refuse "an engine that is none" 2 --engine xen
refuse "includes without a disk" 2 --include-path /etc/hostname
refuse "an include that is not there" 1 --overlay-size 16M --include-tar /not/here.tar
refuse "a target that is no absolute path" 2 --target bin/sh
refuse "a user that is not there" 2 --run-as nobody-here
refuse "a boot argument with a blank" 2 --boot-arg 'a b'
refuse "a boot argument with half a quotation" 2 --boot-arg 'a="b'
refuse "an image that is not there" 1 --vm nope
refuse "an image's name that leads elsewhere" 2 --vm ../box
refuse "a snapshot under QEMU" 2 --engine qemu --snapshot
run flake-ctl firecracker register --vm box --app /usr/bin/vsh --target /bin/sh
check "register refuses a flake that is there" rc_is 1
run flake-ctl firecracker register --vm box --app /usr/bin/env --target /bin/sh --force
check "and a foreign file even with --force" [ "$rc" = 1 -a -x /usr/bin/env -a ! -L /usr/bin/env ]
for size in 20GiB:21474836480 20GB:20000002048 20g:21474836480 512M:536870912 1.5GiB:1610612736 16777216:16777216; do
	run vm_flake vsize /bin/true --overlay-size "${size%:*}" --no-net
	stat -c %s $STORAGE/vsize-*.ext4 >>"$out"
	check "a disk of ${size%:*}" [ "$rc" = 0 -a "$(stat -c %s $STORAGE/vsize-*.ext4)" = "${size#*:}" ]
done
check "takes no room" [ "$(du -sm $STORAGE | cut -f1)" -lt 64 ]
run flake-ctl firecracker remove --app /usr/bin/vsize
check "remove takes the flake with its disk" [ "$rc" = 0 -a ! -e /usr/bin/vsize -a ! -e /usr/share/flakes/vsize.yaml -a -z "$(ls $STORAGE | grep vsize)" ]
mkdir -p $STORAGE
left >"$T/left"

# Exit codes, streams, arguments.
run vsh -c 'echo hello; echo to-err >&2; exit 3'
check "exit code 3" rc_is 3
check "stdout" out_is hello
check "stderr is separate, nothing else is on it" [ "$(cat "$err")" = to-err ]
run vsh -c true
check "exit code 0" [ "$rc" = 0 -a ! -s "$out" -a ! -s "$err" ]
run vsh -c 'exit 255'
check "exit code 255" rc_is 255
run vsh -c 'kill -9 $$'
check "death by signal is 128+N" rc_is 137
run vsh -c 'kill -SEGV $$'
check "for others, too" rc_is 139
vm_flake vnone /bin/nowhere --no-net
run vnone
check "a program that is not there: 127" [ "$rc" = 127 -a -s "$err" ]
vm_flake vnoexec /etc/not-executable --no-net
run vnoexec
check "one that is not executable: 126" [ "$rc" = 126 -a -s "$err" ]
vm_flake vdirect /etc --no-net
run vdirect
check "a directory: 126" rc_is 126
head -c 67108864 /dev/urandom >"$T/big"
sum=$(sha256sum <"$T/big")
check "64 MiB each way with equal checksum" [ "$(timeout $PATIENCE vsh -c 'tee /dev/fd/3 3>&1 >/dev/null | cat' <"$T/big" | sha256sum)" = "$sum" ]
check "64 MiB in" [ "$(timeout $PATIENCE vsh -c sha256sum <"$T/big")" = "$sum" ]
timeout $PATIENCE vsh -c 'cat; head -c 5000000 /dev/zero >&2; echo end; exit 9' <"$T/big" >"$T/big.out" 2>"$T/big.err"
check "nothing is lost at the end, with stderr in between" [ $? = 9 -a "$(stat -c %s "$T/big.out" "$T/big.err" | xargs)" = "67108868 5000000" ]
rm "$T"/big*
check "input that ends" [ "$(printf 'a\nb' | vsh -c 'cat; echo " over"')" = "$(printf 'a\nb over')" ]
mkfifo "$T/vm-fifo"
exec 7<>"$T/vm-fifo"
run timeout $PATIENCE bash -c "vsh -c 'echo done; exit 4' <'$T/vm-fifo'"
check "input that nobody ends does not hold it up" [ "$rc" = 4 -a "$(cat "$out")" = done ]
exec 7>&-
check "closed output ends it" [ "$(timeout $PATIENCE bash -c 'vsh -c yes | head -n 1; echo ${PIPESTATUS[0]}' | xargs)" = "y 141" ]
check "and its VM" wait_for no_qemu
run timeout $PATIENCE bash -c "vsh -c 'echo x; exit 4' <&-"
check "closed stdin" [ "$rc" = 4 -a "$(cat "$out")" = x ]
run timeout $PATIENCE bash -c "vsh -c 'exit 4' <&- >&- 2>&-"
check "all three closed" rc_is 4
run timeout $PATIENCE bash -c "vsh -c 'echo x || exit 7' >/dev/full"
check "a full device as stdout is no hang" [ "$rc" != 124 -a "$rc" != 125 ]
timeout $PATIENCE vsh -c 'head -c 20000000 /dev/zero; echo late >&2; exit 5' 2>"$err" | (wait_full; wc -c) >"$out"
check "a slow reader gets all" [ "$(cat "$out")" = 20000000 ]
run vsh -c 'printf "[%s]" "$@"' sh 'a b' "it's" '"q"' $'new\nline' '' '%s' '@x' '\n' '-x' 'ä' '$HOME' '*'
check "arguments arrive" out_is "$(printf '[%s]' 'a b' "it's" '"q"' $'new\nline' '' '%s' '@x' '\n' '-x' 'ä' '$HOME' '*')"
vsh -c 'printf %s "$1"' sh $'\xff\xfe\x80\x01' </dev/null >"$T/got"
check "bytes that are not UTF-8, too" cmp -s "$T/got" <(printf '\xff\xfe\x80\x01')
long=$(head -c 102400 /dev/zero | tr '\0' x)
run vsh -c 'echo ${#1}' sh "$long"
check "an argument of 100 KiB" out_is 102400
run bash -c 'vsh -c "echo \$#" sh $(seq 3000)'
check "3000 arguments" out_is 3000
run bash -c 'vsh -c "echo \$#" sh $(seq 6000)'
check "too many arguments: 126, not a hang" [ "$rc" = 126 -a -s "$err" ]
SECRET=1 LEAK=2 LD_PRELOAD='' run vsh -c env
check "nothing of the caller's environment" bash -c "! grep -qE 'SECRET|LEAK|sci_|BOOT_IMAGE|TERM|LD_PRELOAD' '$out'"
check "but what a program expects" [ "$(grep -cE '^(PATH=/usr|HOME=/root)' "$out")" = 2 ]
run vsh -c 'id -u; pwd; umask; ulimit -n; cat /proc/self/status | grep -E "^(SigBlk|SigIgn|CapEff)"; ls /proc/self/fd | wc -l'
check "it runs as root in /, with nothing blocked or ignored" [ "$(head -n 3 "$out" | xargs)" = "0 / 0022" -a "$(grep -c 'Sig...:.0000000000000000' "$out")" = 2 ]
check "and no descriptors but its own" [ "$(tail -n 1 "$out")" -le 4 ]
run timeout $PATIENCE vsh -c 'sleep 9999 & sleep 9999 >/dev/null 2>&1 & echo x'
check "children in the background do not hold it up" [ "$rc" = 0 -a "$(cat "$out")" = x ]
run vsh -c 'for i in $(seq 200); do (setsid sh -c true &) ; done
	while n=$(ps | grep -c "\[sh\]"); [ $n != 0 ] && [ $((i += 1)) -lt 3000 ]; do sleep 0.1; done; echo $n'
check "orphans are reaped" out_is 0
run vsh -c 'kill -9 1; kill -TERM 1; kill -SEGV 1; echo alive'
check "init cannot be killed" out_is alive
cd /usr/share && run vsh -c pwd
cd "$ROOT" || return
check "the caller's directory is not its" out_is /

# Terminals and signals.
for script in pty_test vm_pty_test; do check_python $script vsh; done
for sig in TERM INT HUP USR1; do
	fresh vsh -c "trap 'echo caught; exit 7' $sig; echo ready; while :; do sleep 0.1; done" >"$out" 2>"$err" </dev/null & pid=$!
	wait_for grep -q ready "$out"
	kill -$sig $pid; rc=0; wait $pid || rc=$?
	check "SIG$sig reaches the app" [ "$rc" = 7 -a "$(tail -n 1 "$out")" = caught ]
done
for wait in 0.02 0.2 0.5; do
	vsh -c 'sleep 100' >"$out" 2>"$err" </dev/null & pid=$!
	sleep $wait
	kill -TERM $pid; rc=0; wait $pid 2>/dev/null || rc=$?
	check "SIGTERM after $wait s of booting: 143, no VM" [ "$rc" = 143 -a "$(wait_for no_qemu; qemus)" = 0 ]
done
vm_flake vdisk /bin/sh --overlay-size 16M --no-net
left >"$T/left"
for wait in 0.05 0.3 1.5; do
	vdisk -c 'echo x >/file; sleep 100' >"$out" 2>"$err" </dev/null & pid=$!
	sleep $wait
	kill -9 $pid; wait $pid 2>/dev/null
	check "kill -9 of the pilot after $wait s leaves no VM" wait_for no_qemu
	check "and no file" wait_for nothing_left
done

# The guest goes down.
run vsh -c 'echo 1 >/proc/sys/kernel/sysrq; echo before; echo c >/proc/sysrq-trigger; sleep 20'
check "a guest panic is 125" rc_is 125
check "with the kernel's word" err_has "Kernel panic"
cp "$out" "$T/before"
for _ in 1 2 3 4; do
	run vsh -c 'echo 1 >/proc/sys/kernel/sysrq; echo before; echo c >/proc/sysrq-trigger; sleep 20'
	cat "$out" >>"$T/before"
done
check "what was written just before arrived, each of five times" [ "$(xargs <"$T/before")" = "before before before before before" ]
run vsh -c 'cut -d " " -f 41 /proc/1/stat; cut -d " " -f 41 /proc/self/stat'
check "for init goes before its programs (SCHED_FIFO), which are as all are" [ "$(xargs <"$out")" = "1 0" ]
run timeout $PATIENCE vsh -c 'reboot -f; sleep 20'
check "a guest that reboots is 125" [ "$rc" = 125 -a "$(grep -c 'ended before' "$err")" = 1 ]
run timeout $PATIENCE vsh -c 'head -c 400000000 /dev/zero | tail -n 1 >/dev/null; echo "rc=$?"; exit 8'
check "no memory left ends the program that took it, not the VM" [ "$rc" = 8 -a "$(cat "$out")" != rc=0 ]
vsh -c 'echo ready; sleep 3600' >"$out" 2>"$err" </dev/null & pid=$!
wait_for grep -q ready "$out"
pkill -9 -P $pid; rc=0; wait $pid 2>/dev/null || rc=$?
check "a killed engine is 125, and said" [ "$rc" = 125 -a -s "$err" ]
check "nothing stays of any of them" wait_for nothing_left

# Disks.
run timeout $PATIENCE vdisk -c 'dd if=/dev/zero of=/big bs=1M count=64; echo rc=$?; rm /big; echo more >/file && cat /file; exit 6'
check "a full disk is the app's ENOSPC" err_has "No space left on device"
check "and no end of all" [ "$rc" = 6 -a "$(cat "$out" | xargs)" = "rc=1 more" ]
sum=$(sha256sum $STORAGE/vdisk-*)
run vdisk -c 'echo x >/written; rm /etc/group; sync'
run vdisk -c 'ls /written; ls /etc/group; df / | tail -n 1'
check "a later call has none of the changes of an earlier one" [ "$(head -n 1 "$out")" = /etc/group ]
check "nor has the template" [ "$(sha256sum $STORAGE/vdisk-*)" = "$sum" ]
rm $STORAGE/vdisk-*
run vdisk -c 'echo made anew'
check "a template that is gone is made again" [ "$(cat "$out")" = "made anew" -a -e "$(ls $STORAGE/vdisk-*)" ]
truncate -s 1M $STORAGE/vdisk-*
run vdisk -c 'echo made anew'
check "so is one that was cut off" out_is "made anew"
vm_flake vhuge /bin/sh --overlay-size 20GB --no-net
run vhuge -c 'df -k / | tail -n 1; exit 4'
check "a disk of 20GB works, whose last part is too small for a file system" rc_is 4
flake-ctl firecracker remove --app /usr/bin/vhuge
run timeout $PATIENCE vsh -c 'echo x >/new && cat /new; dd if=/dev/zero of=/big bs=1M count=400 2>&1 | grep -o "No space.*"'
check "without a disk changes are in memory, with a limit" [ "$(cat "$out" | xargs)" = "x No space left on device" ]
check "the root file system of the image is never written to" vsh -c 'grep -q " ro," /proc/mounts; ! touch /dev/vda/x 2>/dev/null; ! dd if=/dev/zero of=/dev/vda count=1 2>/dev/null' </dev/null
vm_flake vhost /bin/sh --overlay-size 1G --no-net
mount -t tmpfs -o size=24m tmpfs $STORAGE/
mkdir -p $STORAGE
run timeout $PATIENCE vhost -c 'dd if=/dev/zero of=/big bs=1M count=64 conv=fsync; echo rc=$?; exit 6'
check "a full disk of the host is an error in the guest, not a hang" [ "$rc" != 124 -a "$(cat "$out")" != rc=0 ]
umount -l $STORAGE
flake-ctl firecracker remove --app /usr/bin/vhost

# Includes.
mkdir -p "$T/vm-inc/root" "$T/vm-inc/opt/app/closed" "$T/vm-inc/etc" "$T/site/sub"
echo secret >"$T/vm-inc/root/key"; chmod 600 "$T/vm-inc/root/key"
echo of-app >"$T/vm-inc/opt/app/data"; chown 1000:2000 "$T/vm-inc/opt/app/data"; chmod 4751 "$T/vm-inc/opt/app/data"
ln -s data "$T/vm-inc/opt/app/link"; chmod 711 "$T/vm-inc/opt/app/closed"
echo 'extra' >"$T/vm-inc/etc/extra"
tar -C "$T/vm-inc" --numeric-owner -czf "$T/vm-inc.tar.gz" root/key opt/app etc/extra
echo site >"$T/site/sub/file"; chown 1000:1000 "$T/site/sub/file"; chmod 750 "$T/site/sub"
run vm_flake vinc /bin/sh --overlay-size 16M --no-net --include-tar "$T/vm-inc.tar.gz" --include-path "$T/site"
check "register with includes" rc_is 0
run vinc -c 'cat /root/key /opt/app/link /etc/extra "$1/sub/file"; head -n 1 /etc/passwd; ls -A /owners | wc -l
	stat -c "%a %u:%g" /root /root/key /opt/app/data /opt/app/closed "$1/sub" "$1/sub/file" /etc /tmp' sh "$T/site"
check "included files are there, with those of the image" [ "$(head -n 6 "$out" | xargs)" = "secret of-app extra site root:x:0:0:root:/root:/bin/sh $(ls -A "$T/vmtree/owners" | wc -l)" ]
# Files of a path are root's in the VM, those of an archive its owners'.
check "with their owners and modes, directories of the image with theirs" [ "$(tail -n 8 "$out" | tee "$err" | xargs)" = "700 0:0 600 0:0 4751 1000:2000 711 0:0 750 0:0 644 0:0 755 0:0 1777 0:0" ]

# Network.
run vsh -c 'hostname; ls /sys/class/net; ping -c 1 127.0.0.1 >/dev/null && echo loopback'
check "host name, loopback; --no-net: nothing else" [ "$(cat "$out" | xargs)" = "vsh lo loopback" ]
vm_flake vnet /bin/sh
(echo from-the-host | timeout $PATIENCE busybox nc -l -p 5099 >/dev/null) & listener=$!
wait_for grep -q ':13EB .* 0A ' /proc/net/tcp /proc/net/tcp6
run vnet -c 'hostname; ip addr show eth0 | grep -o "inet [0-9./]*"; cat /etc/resolv.conf; nc 10.0.2.2 5099 </dev/null'
check "QEMU's user network: address, name server, a connection to the host" [ "$(cat "$out" | xargs)" = "vnet inet 10.0.2.15/24 nameserver 10.0.2.3 from-the-host" ]
kill $listener 2>/dev/null; wait $listener 2>/dev/null

# %debug, explain, hooks.
run vsh %debug -c 'echo x; echo "a line of the guest" >/dev/console; exit 2'
check "%debug shows what is on the console, on stderr" [ "$rc" = 2 -a "$(cat "$out")" = x -a "$(grep -c 'a line of the guest' "$err")" = 1 ]
check "and the command line" err_has "qemu-system-x86_64 -M microvm"
check "messages of the kernel, too" bash -c "grep -q '\[ *[0-9]*\.[0-9]*\]' '$err'"
run vsh -c 'echo "a line of the guest" >/dev/console; echo x'
check "without it there is nothing of the console" [ "$(cat "$out" "$err")" = x ]
run flake-ctl explain vsh -- -c 'echo x'
check "explain shows the engine's command line" bash -c "grep -q '^qemu-system-x86_64 .*sci_channel=port' '$out'"
mkdir -p /etc/flakes/hooks/launch.d /etc/flakes/hooks/exit.d
cat >/etc/flakes/hooks/launch.d/a.lua <<'LUA'
return function(event)
  for i, option in ipairs(event.options) do
    if option:match("^%-%-mem=") then event.options[i] = "--mem=128" end
  end
  event.env.HOOKED = "yes indeed"
  table.insert(event.args, "added")
end
LUA
cat >/etc/flakes/hooks/exit.d/a.lua <<LUA
return function(event)
  local f <close> = io.open("$T/exit-note", "w")
  f:write(event.flake, " ", event.status, " ", event.seconds > 0.2 and event.seconds < 3600 and "measured" or "")
end
LUA
run vsh -c 'echo "$HOOKED $0"; grep MemTotal /proc/meminfo | grep -o "[0-9]*"; exit 8'
check "a launch hook changes arguments and environment" out_has "yes indeed added"
check "and the machine" [ "$(tail -n 1 "$out")" -lt 131072 ]
check "an exit hook has status and duration" [ "$rc" = 8 -a "$(cat "$T/exit-note")" = "vsh 8 measured" ]
echo 'return function() flake.deny("no VMs today") end' >/etc/flakes/hooks/launch.d/a.lua
run vsh -c 'echo no'
check "a hook that denies: 126" [ "$rc" = 126 -a ! -s "$out" ]
check "with its reason" err_has "no VMs today"
rm -rf /etc/flakes/hooks

# Several at once.
for i in $(seq 8); do vdisk -c "echo $i >/mine; cat; cat /mine; exit $i" <<<"in $i" >"$T/many.$i" 2>"$T/many.err.$i" & pids[i]=$!; done
good=0
for i in $(seq 8); do rc=0; wait "${pids[i]}" || rc=$?; [ "$rc" = "$i" -a "$(xargs <"$T/many.$i")" = "in $i $i" ] && good=$((good + 1)); done
check "8 VMs of one flake at once, each with its own disk, streams and exit code" [ $good = 8 ]
check "nothing is left of them" [ "$(wait_for no_qemu; qemus)" = 0 ]

# Definitions, as the older tools write them and of version 2; bad ones.
cat >/usr/share/flakes/vone.yaml <<YML
include:
  tar: ~
  path: ~
vm:
  name: box
  target_app_path: /bin/sh
  host_app_path: /usr/bin/vone
  runtime:
    runas: root
    resume: false
    force_vsock: false
    firecracker:
      boot_args:
        - "init=/usr/sbin/sci"
        - "console=ttyS0"
        - "root=/dev/vda"
        - "acpi=off"
        - "rd.neednet=1"
        - "ip=dhcp"
        - "quiet"
      mem_size_mib: 256
      vcpu_count: 2
      cache_type: Writeback
      overlay_size: 20MiB
      rootfs_image_path: $IMAGES/box/rootfs
      kernel_image_path: $IMAGES/box/kernel
      initrd_path: $IMAGES/box/initrd
YML
ln -sf /usr/bin/firecracker-pilot /usr/bin/vone
run vone -c 'nproc; ip addr show eth0 | grep -c 10.0.2.15; cat; exit 3'
check "a definition as the older tools write it" [ "$rc" = 3 -a "$(xargs <"$out")" = "2 1" ]
cat >/usr/share/flakes/vtwo.yaml <<YML
version: 2
runtime:
  name: box
  path_map:
    /usr/bin/vtwo: {exports: /bin/sh}
    /usr/bin/vecho: {exports: /bin/echo}
engine:
  pilot: firecracker
  params: {mem_size_mib: 192, vcpu_count: 1, boot_args: [quiet], network: false, engine: qemu, rootfs_image_path: $IMAGES/box/rootfs, kernel_image_path: $IMAGES/box/kernel, initrd_path: $IMAGES/box/initrd}
YML
ln -sf /usr/bin/firecracker-pilot /usr/bin/vtwo; ln -sf /usr/bin/firecracker-pilot /usr/bin/vecho
ln -sf vtwo.yaml /usr/share/flakes/vecho.yaml
run vtwo -c 'ls /sys/class/net; exit 5'
check "a definition of version 2" [ "$rc" = 5 -a "$(cat "$out")" = lo ]
run vecho "its second" command
check "with a second command" out_is "its second command"
bad() {
	local name=$1 text=$2
	cp /usr/share/flakes/vone.yaml "$T/good.yaml"
	sed "$text" "$T/good.yaml" >/usr/share/flakes/vone.yaml
	rc=0; timeout $PATIENCE vone -c 'echo started' >"$out" 2>"$err" </dev/null || rc=$?
	cp "$T/good.yaml" /usr/share/flakes/vone.yaml
	check "a bad definition: $name" [ "$rc" = 126 -a ! -s "$out" -a "$(grep -c vone "$err")" -ge 1 ]
}
bad "memory that is no number" 's/mem_size_mib: 256/mem_size_mib: lots/'
bad "no CPU" 's/vcpu_count: 2/vcpu_count: 0/'
bad "a disk that is none" 's/overlay_size: .*/overlay_size: 20X/'
bad "a cache that is none" 's/cache_type: .*/cache_type: fast/'
bad "boot arguments that are no list" 's/boot_args:/boot_args: {a: b}\n      ignored:/'
bad "a kernel's command line with a control character" 's/"quiet"/"qui\\x01et"/'
bad "a kernel's command line that is too long" "s/\"quiet\"/\"x=$(head -c 2100 /dev/zero | tr '\0' x)\"/"
bad "no kernel" '/kernel_image_path/d'
bad "no YAML at all" '1i\\tx: [ {'
sed -i "s,$IMAGES/box/kernel,$IMAGES/gone/kernel," /usr/share/flakes/vone.yaml
run vone
check "a kernel that is not there: 127, and named" [ "$rc" = 127 -a "$(grep -c "$IMAGES/gone/kernel" "$err")" = 1 ]
sed -i "s,$IMAGES/gone/kernel,$IMAGES/box/kernel," /usr/share/flakes/vone.yaml
run flake-ctl firecracker remove --app /usr/bin/vone
check "flakes of such definitions are removed like others" [ "$rc" = 0 -a ! -e /usr/bin/vone -a ! -e /usr/share/flakes/vone.yaml -a -z "$(ls $STORAGE | grep vone)" ]
run flake-ctl firecracker remove --app /usr/bin/vtwo
check "with all their commands" [ "$rc" = 0 -a ! -e /usr/bin/vtwo -a ! -e /usr/bin/vecho ]

# Export, remove, import.
run flake-ctl firecracker export vinc "$T/vinc.flake"
check "export" [ "$rc" = 0 -a -s "$T/vinc.flake" ]
run flake-ctl firecracker remove --app /usr/bin/vinc
check "remove a flake" [ "$rc" = 0 -a ! -e /usr/bin/vinc ]
mv $IMAGES/box "$T/vm-box"
mv "$T/vm-inc.tar.gz" "$T/vm-inc.moved.tar.gz"
run flake-ctl import "$T/vinc.flake"
check "import brings flake and image" [ "$rc" = 0 -a -e $IMAGES/box/rootfs -a -e $IMAGES/box/channel ]
run vinc -c 'cat /etc/extra; cd /owners; sha256sum big; exit 5'
check "it runs, with what it includes" [ "$rc" = 5 -a "$(head -n 1 "$out")" = extra -a "$(tail -n 1 "$out")" = "$(cd "$T/vmtree/owners" && sha256sum big)" ]
run flake-ctl firecracker remove --vm box
check "remove --vm takes the image and all its flakes" [ "$rc" = 0 -a ! -e $IMAGES/box -a ! -e /usr/bin/vinc -a ! -e /usr/bin/vsh ]
run flake-ctl firecracker list
check "it is not listed any more" bash -c "! grep -q box '$out'"
ls -A $STORAGE >"$out"
check "nothing of them is left" [ -z "$(ls -A $STORAGE | grep -v lock)" ]
mv "$T/vm-box" $IMAGES/box
vm_flake vsh /bin/sh --no-net
