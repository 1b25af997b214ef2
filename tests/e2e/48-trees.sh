# What strangers wrote below a tree: links, names, pipes. The host's files stay as they are.
# shellcheck shell=bash
IMAGES=/var/lib/firecracker/images
HOSTILE=$T/hostile

# Directories of the host that must not change: one beside the templates, so that a rename could reach it,
# one on another file system.
precious_dirs() {
	rm -rf /var/lib/firecracker/precious /etc/precious
	mkdir -p /var/lib/firecracker/precious/cron.d /etc/precious
	echo keep >/var/lib/firecracker/precious/cron.d/existing
	echo keep >/etc/precious/file
}

precious() { (cd / && find var/lib/firecracker/precious etc/precious -type f -exec sha256sum {} + | sort -k 2); }

untouched() { [ "$(precious)" = "$before" ]; }

# vm_image DIR LINK TARGET: the files of a VM image whose root file system has that link.
vm_image() {
	rm -rf "$HOSTILE/root"
	mkdir -p "$HOSTILE/root/usr/sbin" "$HOSTILE/root/proc" "$HOSTILE/root/${2%/*}" "$1"
	ln -s "$3" "$HOSTILE/root/$2"
	rm -f "$1/rootfs"
	mke2fs -q -F -t ext4 -d "$HOSTILE/root" "$1/rootfs" 16M >/dev/null
	printf '\177ELF%4092s' x >"$1/kernel"
	echo 1 >"$1/channel"
}

# A bundle of the image and the include in $HOSTILE.
vm_bundle() {
	local dir=$HOSTILE/bundle
	rm -rf "$dir"
	mkdir -p "$dir/include" "$dir/flake.d"
	cp -r "$HOSTILE/image" "$dir/image"
	cp "$HOSTILE/include.tar" "$dir/include/1"
	cat >"$dir/flake.yaml" <<-Y
		vm:
		  name: hostileimg
		  target_app_path: /bin/sh
		  host_app_path: /usr/bin/hostile
		  runtime: {firecracker: {overlay_size: 64MiB, rootfs_image_path: /x/rootfs, kernel_image_path: /x/kernel}}
		include: {tar: [/x]}
	Y
	cat >"$dir/bundle.yaml" <<-Y
		format: 1
		name: hostile
		engine: firecracker
		image: hostileimg
		apps: [{path: /usr/bin/hostile, target: /bin/sh}]
		include: [x]
		parts: []
	Y
	tar -C "$dir" -cf "$HOSTILE/hostile.bundle" .
}

# links_of_two NAME: an image and an include whose links lead to the host when they are put together.
links_of_two() {
	vm_image "$IMAGES/hostileimg" "$1" "$2"
	run flake-ctl firecracker register --force --vm hostileimg --app /usr/bin/hostile --no-net \
		--overlay-size 64MiB --include-tar "$HOSTILE/include.tar"
	check "register, $1 -> $2: refused" [ "$rc" = 1 -a ! -e /usr/bin/hostile ]
	check "and says why" err_has "would go through the included link"
	check "the host's files stay" untouched
	rm -rf "$IMAGES/hostileimg"
	vm_image "$HOSTILE/image" "$1" "$2"
	vm_bundle
	# shellcheck disable=SC2086
	run flake-ctl import $yes "$HOSTILE/hostile.bundle"
	check "import, $1 -> $2: the host's files stay" untouched
	check "and no disk is made" [ -z "$(find /var/lib/firecracker/storage -name 'hostile*' 2>/dev/null)" ]
	run flake-ctl firecracker remove --vm hostileimg --force
}

links() {
	local include=$HOSTILE/include
	precious_dirs
	before=$(precious)
	mkdir -p "$include/opt/tool" "$include/srv/x"
	echo new >"$include/opt/tool/new"
	echo overwritten >"$include/opt/tool/existing"
	ln -s /var/lib/firecracker/precious "$include/opt/link"
	ln -s / "$include/opt/root"
	echo "a file" >"$include/srv/x/precious"
	tar -C "$include" -cf "$HOSTILE/include.tar" .
	links_of_two opt/tool link/cron.d
	links_of_two opt/tool /opt/link/cron.d
	rm -r "$include/opt/tool"
	tar -C "$include" -cf "$HOSTILE/include.tar" .
	links_of_two srv/x ../opt/root/etc
}

# A kernel's modules whose list names files of the host: as many .. as lead to the root.
modules() {
	local tree=/tmp/s/1/2/3/4/5/6/7/8 up=../../../../../../../../../..
	mkdir -p "$tree/boot" "$tree/lib/modules/6.6.6/kernel/fs" /tmp/s/1/etc/precious
	printf '\177ELF%4092s' x >"$tree/boot/vmlinux-6.6.6"
	echo stranger >/tmp/s/1/etc/precious/module
	printf 'depends=module\0' >"$tree/lib/modules/6.6.6/kernel/fs/ext4.ko"
	printf 'kernel/fs/ext4.ko:\n%s/etc/precious/module:\n' "$up" >"$tree/lib/modules/6.6.6/modules.dep"
	run flake-ctl firecracker build-image --name hostileimg --from-oci "$IMAGE" --kernel "$tree/boot/vmlinux-6.6.6"
	check "a module's name with .. is refused" [ "$rc" = 1 ]
	check "and is said" err_has "modules.dep: '$up/etc/precious/module' has a part that is no name of a file"
	check "the host's files stay" untouched
	check "no image is made" [ ! -e "$IMAGES/hostileimg" ]
	rm -rf /tmp/s
}

# A pipe that nobody writes to, where a file is expected.
pipes() {
	mkdir -p "$HOSTILE/project/.flakes/package" "$HOSTILE/pipe"
	mkfifo "$HOSTILE/project/.flakes/package/options.yaml"
	cd "$HOSTILE/project" || return
	run timeout 30 flake-ctl build --ci --from-oci "$IMAGE" -a /usr/bin/x --name x -o "$HOSTILE"
	check "options.yaml is a pipe: an error, no waiting" [ "$rc" = 1 ]
	check "that names it" err_has "options.yaml: it is no regular file"
	cd "$ROOT" || return
	podman rm --force hostile-pipe >/dev/null 2>&1
	podman run --name hostile-pipe "$IMAGE" /bin/busybox mkfifo /pipe.yaml
	podman commit -q hostile-pipe localhost/pipe >/dev/null
	podman rm hostile-pipe >/dev/null
	run timeout 60 flake-ctl podman register --info --container localhost/pipe
	check "an image's notes are a pipe: an error, no waiting" [ "$rc" = 1 ]
	podman rmi localhost/pipe >/dev/null
	mkfifo "$HOSTILE/pipe/index.json"
	echo '{"imageLayoutVersion": "1.0.0"}' >"$HOSTILE/pipe/oci-layout"
	tar -C "$HOSTILE/pipe" -cf "$HOSTILE/pipe.tar" .
	run timeout 60 flake-ctl build --ci --from-tar "$HOSTILE/pipe.tar" -a /usr/bin/x -o "$HOSTILE" --name pipe \
		--version 1 --description x --maintainer-name x --maintainer-email x@example.org --license MIT
	check "an archive's index is a pipe: an error, no waiting" [ "$rc" = 1 ]
	check "that names it" err_has "index.json"
}

# Where nobody can tell which processes run, nobody's instance is taken for dead.
without_proc() {
	local id
	flake keeps /bin/sh --resume
	run keeps -c true
	id=$(podman ps -q --filter label=flake-pilot.flake=keeps)
	check "an instance runs" [ "$rc" = 0 -a -n "$id" ]
	run unshare -m bash -c 'mount -t tmpfs none /proc && exec keeps -c true'
	check "a call without /proc fails" rc_is 126
	check "and says why" err_has "cannot tell whether an instance runs"
	check "the instance still runs" [ "$(podman ps -q --filter label=flake-pilot.flake=keeps)" = "$id" ]
	run keeps -c 'exit 7'
	check "and takes calls" rc_is 7
	run flake-ctl podman remove --force --app /usr/bin/keeps
}

yes=
! flake-ctl import --help 2>&1 | grep -q -e --yes || yes=--yes
mkdir -p "$HOSTILE"
links
modules
pipes
without_proc
