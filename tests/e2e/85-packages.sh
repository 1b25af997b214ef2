# Our own packages: built, installed, used, upgraded and removed in roots of their own.
# shellcheck shell=bash
P=$T/packages
R=$P/root
mkdir -p "$P" "$R"
chmod 755 "$T" "$P"
# A root whose parent mount is shared is none for pivot_root, which engines need.
mount --bind "$P" "$P"
mount --make-private "$P"
VERSION_NOW=$(sed -n 's/^VERSION := //p' Makefile)
VERSION_NEXT=$VERSION_NOW.1

# Package sources of this machine for its own release: "URI RELEASE" lines.
sources() {
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
		awk -v c="$CODENAME" '$3 == "main" && ($2 == c || index($2, c "-") == 1) {print $1, $2}' | sort -u
}

# A minimal root, while the packages are built; in memory if there is enough.
make_root() {
	local mirror
	mirror=$(sources | awk -v c="$CODENAME" '$2 == c {print $1; exit}')
	[ -n "$mirror" ] || { echo "apt knows no source of $CODENAME"; return 1; }
	eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
	export http_proxy https_proxy
	online debootstrap --variant=minbase "$CODENAME" "$R" "$mirror" || return 1
	sources | sed 's/^/deb /; s/$/ main/' >"$R/etc/apt/sources.list"
	apt-config dump | grep -E '^Acquire::https?::Proxy' >"$R/etc/apt/apt.conf.d/90proxy" || true
	printf 'APT::Install-Recommends "false";\nDpkg::Use-Pty "false";\n' >"$R/etc/apt/apt.conf.d/91test"
}
[ "$(awk '$1 == "MemAvailable:" {print int($2 / 1024)}' /proc/meminfo)" -lt 3000 ] || mount -t tmpfs -o mode=755 tmpfs "$R"
mountpoint -q "$R" || mount --bind "$R" "$R"
make_root >"$P/root.log" 2>&1 &
root_pid=$!

# --- Debian's ------------------------------------------------------------------------------------
run make -s deb OUT="$P/one"
check "make deb" rc_is 0
for package in flake-pilot podman-pilot; do
	check "$package is built" ls "$P/one/${package}_${VERSION_NOW}"_*.deb >/dev/null
done
check "and debug symbols of each" [ "$(ls "$P/one" | grep -cE '^(flake|podman|firecracker)-pilot-dbgsym_.*\.d?deb$')" = "$(ls "$P/one" | grep -cE '^(flake|podman|firecracker)-pilot_.*\.deb$')" ]
check "with sources" test -f "$P/one/flake-pilot_$VERSION_NOW.dsc"
check "packages of what is not in the tree are not built" \
	[ -e pilots/firecracker.c -o -z "$(ls "$P/one" | grep firecracker)" ]
run lintian --allow-root --fail-on error,warning "$P/one/flake-pilot_${VERSION_NOW}"_*.changes
check "lintian has no errors and no warnings" rc_is 0
check "and says nothing" [ ! -s "$out" ]
field() { dpkg-deb -f "$P/one/$1_$VERSION_NOW"_*.deb "$2"; }
check "podman-pilot provides flake-pilot-podman" [ "$(field podman-pilot Provides)" = "flake-pilot-podman (= $VERSION_NOW)" ]
check "it needs podman" grep -qw podman <<<"$(field podman-pilot Depends)"
check "but no Lua" [ -z "$(field podman-pilot Depends | grep -i lua)" ]
for needed in lua-argparse lua-dkjson liblua5.4-0 libyaml libcurl libarchive; do
	check "flake-pilot depends on $needed" grep -q "$needed" <<<"$(field flake-pilot Depends)"
done
dpkg-deb -c "$P/one/flake-pilot_$VERSION_NOW"_*.deb >"$out"
check "every installed Lua file is in it" [ "$(grep -c '\.lua$' "$out")" -ge "$(git ls-files 'lua/*.lua' 'runtimes/*.lua' 2>/dev/null | grep -vcE 'studio|runtimes/firecracker')" ]

# Again, by somebody else, elsewhere, from the distributed sources.
if [ -e .git ] && [ -z "$(git status --porcelain)" ]; then
	useradd -m packager
	run make -s dist
	check "make dist" rc_is 0
	tar -C /home/packager --no-same-owner -xf "flake-pilot-$VERSION_NOW.tar.gz"
	rm "flake-pilot-$VERSION_NOW.tar.gz"
	chown -R packager: "/home/packager/flake-pilot-$VERSION_NOW"
	run runuser -u packager -- env -i HOME=/home/packager PATH=/usr/bin:/bin \
		make -s -C "/home/packager/flake-pilot-$VERSION_NOW" deb
	check "make deb as a user, of the distributed sources" rc_is 0
	for file in "$P/one"/*.*deb "$P/one"/*.dsc "$P/one"/*.tar.xz; do
		check "the same bytes: ${file##*/}" cmp "$file" "/home/packager/flake-pilot-$VERSION_NOW/out/${file##*/}"
	done
else
	skip "reproducible packages" "there are changes that are not committed"
fi
run make -s deb OUT="$P/two" VERSION="$VERSION_NEXT"
check "make deb VERSION=$VERSION_NEXT" rc_is 0

# What comes later is packaged as soon as it is in the tree.
later_tree() {
	local tree=$P/later stage=$P/later-stage file
	packaging/source "$tree"
	mkdir -p "$tree/lua/flake/commands" "$P/later-files"
	touch "$tree/pilots/firecracker.c" "$tree/lua/flake/commands/studio.lua"
	for file in bin/firecracker-pilot bin/podman-pilot bin/flake-ctl bin/flake-studio lib/flake-pilot/sci \
		share/flake-pilot/runtimes/firecracker.lua share/flake-pilot/lua/flake/commands/studio.lua \
		share/man/man8/flake-studio.8; do
		install -D /dev/null "$stage/usr/$file"
	done
	mkdir -p "$stage/usr/share/flakes"
	cd "$tree" || return
	packaging/debianize . 9.9
	packaging/specify 9.9 >later.spec
	packaging/split "$stage" debian deb
	packaging/split "$stage" "$P/later-files" rpm
}
run bash -c "set -e; P='$P'; $(declare -f later_tree); later_tree"
check "a tree with everything" rc_is 0
check "has four packages" [ "$(sed -n 's/^Package: //p' "$P/later/debian/control" | sort | xargs)" = "firecracker-pilot flake-pilot flake-studio podman-pilot" ]
check "as rpms too" [ "$(cd "$P/later" && HOME=$P rpmspec -q --qf '%{name}\n' later.spec | sort | xargs)" = "firecracker-pilot flake-pilot flake-studio podman-pilot" ]
check "each file is in one of them" [ "$(cat "$P/later/debian"/*.install | sort | uniq -d)" = "debian/tmp/usr/share/flakes /usr/share" ]
check "sci is firecracker-pilot's" grep -q /sci "$P/later/debian/firecracker-pilot.install"
check "the studio's command is its own" grep -q commands/studio.lua "$P/later-files/flake-studio.files"
check "flake-pilot has the rest" [ "$(cat "$P/later/debian/flake-pilot.install")" = "debian/tmp/usr/bin/flake-ctl /usr/bin
debian/tmp/usr/share/flakes /usr/share" ]
cp -r "$P/later" "$P/unknown"
echo 'require "unheard.of"' >"$P/unknown/lua/flake/commands/studio.lua"
run bash -c "cd '$P/unknown' && packaging/debianize . 9.9"
check "a Lua module without known package is an error" [ "$rc" != 0 ] && check "that names it" err_has "Lua module unheard"

# --- rpm -----------------------------------------------------------------------------------------
RR=$P/rpm-root
mkdir -p "$RR/run"
run make -s rpm OUT="$P/rpm"
check "make rpm" rc_is 0
run env HOME="$P" rpmlint -r packaging/rpm/rpmlintrc "$P/rpm"/*.rpm
# Without dictionaries the filter of words is unused, which rpmlint calls an error.
check "rpmlint has no errors" bash -c "grep -q 'specfiles checked' '$out' && ! grep ': E: ' '$out' | grep -v unused-rpmlintrc-filter"
in_rpm_root() { HOME=$P rpm --root "$RR" --dbpath /var/lib/rpm "$@"; }
rm "$P/rpm"/*.src.rpm
run in_rpm_root -i --nodeps "$P/rpm"/*.rpm
check "rpm -i into a new root" rc_is 0
check "it is installed" in_rpm_root -q flake-pilot podman-pilot >/dev/null
check "nothing differs from the packages" in_rpm_root -V --nodeps flake-pilot podman-pilot
check "state of instances has its directory" [ "$(stat -c %a "$RR/run/flakes")" = 1777 ]
check "something provides flake-pilot-podman" in_rpm_root -q --whatprovides flake-pilot-podman >/dev/null
check "no file is nobody's" [ -z "$(find "$RR/etc/flakes" "$RR/usr" -mindepth 1 -printf '/%P\n' | grep -q . &&
	find "$RR/etc/flakes" "$RR/usr/lib/flake-pilot" "$RR/usr/share/flake-pilot" "$RR/usr/share/flakes" |
	sed "s,^$RR,," | HOME=$P xargs rpm --root "$RR" --dbpath /var/lib/rpm -qf 2>&1 | grep 'not owned')" ]
echo changed >>"$RR/etc/flakes/README"
echo "type: podman" >"$RR/usr/share/flakes/mine.yaml"
run in_rpm_root -e --nodeps flake-studio flake-pilot podman-pilot firecracker-pilot
check "rpm -e" rc_is 0
check "what the admin changed is kept" grep -q changed "$RR/etc/flakes/README.rpmsave"
check "so are definitions" test -f "$RR/usr/share/flakes/mine.yaml"
check "all else is gone" [ ! -e "$RR/usr/share/flake-pilot" -a ! -e "$RR/usr/lib/flake-pilot" -a -z "$(ls "$RR/usr/bin")" ]

# --- a Debian root -------------------------------------------------------------------------------
# publish DIR: what is offered to apt in the root.
publish() {
	mkdir -p "$R/repo"
	rm -f "$R/repo"/*
	cp "$1"/*.deb "$P/flake"/*.deb "$R/repo/"
	(cd "$R/repo" && dpkg-scanpackages -m . 2>/dev/null >Packages)
	echo 'deb [trusted=yes] file:/repo ./' >"$R/etc/apt/sources.list.d/own.list"
	in_root apt-get update -qq
}
in_root() { online env -i HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$R" "$@"; }
installed() { in_root dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null; }

# A package that brings a flake: flake_package NAME DEPENDS
flake_package() {
	local dir=$P/flake/$1
	mkdir -p "$dir/DEBIAN" "$dir/usr/bin" "$dir/usr/share/flakes"
	printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDepends: %s\nDescription: x\n' \
		"$1" "$2" >"$dir/DEBIAN/control"
	flake-ctl podman register --root "$dir" --container "$IMAGE" --app "/usr/bin/$1" \
		--target /bin/echo --opt "--net none" --opt "--cgroups disabled" >/dev/null
	rm -f "$dir/usr/share/flakes/.lock"
	dpkg-deb -Zgzip --root-owner-group -b "$dir" "$P/flake/$1.deb" >/dev/null
}

# A package that flake-ctl build makes of a real image, in two versions. The image goes: the package
# brings it.
built_package() {
	local version
	podman tag "$IMAGE" localhost/realapp:1
	for version in 1.0.0 1.1.0; do
		flake-ctl build --ci --from-oci=localhost/realapp:1 --target_app=/usr/bin/realapp --name=realapp \
			--version=$version --description="A real application" --maintainer-name=Joe \
			--maintainer-email=joe@example.org --license=MIT --output "$P/flake" \
			-- --target /bin/echo --opt "--net none" --opt "--cgroups disabled" || return
	done
	podman rmi localhost/realapp:1 >/dev/null
}

# The engine of the root works as that of the sandbox, on its store.
engine_for_root() {
	mkdir -p "$R$FLAKE_SANDBOX/store" "$R$FLAKE_SANDBOX/run"
	mount --bind "$FLAKE_SANDBOX/store" "$R$FLAKE_SANDBOX/store"
	mount --bind "$FLAKE_SANDBOX/run" "$R$FLAKE_SANDBOX/run"
	cp /etc/containers/*.conf /etc/containers/policy.json "$R/etc/containers/"
	run in_root podman info
	engine=$([ "$rc" != 0 ] || echo 1)
	[ -n "$engine" ] || skip "launching in the root" "podman does not run there: $(tail -n 1 "$err")"
}

debian_root() {
	local page
	flake_package demo podman-pilot
	flake_package other flake-pilot-podman
	run built_package
	check "flake-ctl build makes packages for it" rc_is 0
	run publish "$P/one"
	check "apt reads our packages" rc_is 0
	mount -t proc proc "$R/proc"
	# What is unmounted there must stay here.
	mount --rbind --make-rslave /sys "$R/sys"
	mount --rbind --make-rslave /dev "$R/dev"
	mount -t tmpfs tmpfs "$R/run"

	run in_root apt-get install -y demo other
	check "packages that bring a flake bring podman-pilot" rc_is 0
	check "it is installed" [ "$(installed podman-pilot)" = installed ]
	check "flake-pilot is not needed for it" [ "$(installed flake-pilot)" != installed ]
	check "nor is Lua" [ -z "$(ls "$R"/usr/lib/*/liblua5.4* 2>/dev/null)" ]
	check "state of instances has its directory" [ "$(stat -c %a "$R/run/flakes")" = 1777 ]
	engine_for_root
	launches "with podman-pilot alone" demo one "two three"
	launches "of the virtual package" other x
	mkdir -p "$R/etc/flakes/hooks/launch.d"
	echo 'return function(event) table.insert(event.args, 1, "hooked") end' >"$R/etc/flakes/hooks/launch.d/site.lua"
	run in_root demo x
	check "a hook without flake-pilot: refused" rc_is 126
	check "and that says what is missing" err_has "install the package flake-pilot"

	run in_root apt-get install -y flake-pilot flake-studio
	check "flake-pilot is installed beside" rc_is 0
	check "the site's hook is left alone" test -f "$R/etc/flakes/hooks/launch.d/site.lua"
	[ -z "$engine" ] || { run in_root demo x; check "now the hook runs" out_is "hooked x"; }
	run in_root flake-ctl --version
	check "flake-ctl --version" out_is "flake-ctl $VERSION_NOW"
	run in_root flake-ctl list
	check "flake-ctl list" [ "$(grep -c -w -e demo -e other "$out")" = 2 ]
	run in_root flake-ctl help
	check "flake-ctl help" out_has "podman"
	run in_root flake-ctl-podman --help
	check "flake-ctl-podman" out_has "register"
	# Of all engines, also of those that are not in the root.
	run build/flake-ctl completion bash
	check "completions are those of this version" cmp "$out" "$R/usr/share/bash-completion/completions/flake-ctl"
	run in_root bash -c '. /usr/share/bash-completion/completions/flake-ctl && complete -p flake-ctl'
	check "bash loads them" rc_is 0
	for page in "$R"/usr/share/man/man[58]/{flake,podman-pilot}*; do
		run man -M "$R/usr/share/man" -w "$(basename "$page" | sed 's/\.[58]\.gz$//')"
		check "man page ${page##*/}" rc_is 0
	done
	run in_root sh -c 'mkdir /fake && flake-ctl podman register --root /fake --container x --app /usr/bin/y'
	check "register --root" [ "$rc" = 0 -a -f "$R/fake/usr/share/flakes/y.yaml" ]
	run in_root flake-ctl podman register --container "$IMAGE" --app /usr/bin/mine --target /bin/echo --opt "--net none" --opt "--cgroups disabled"
	check "register" rc_is 0
	[ -z "$engine" ] || { run in_root mine own; check "an own flake runs, hooked" out_is "hooked own"; }
	# What networks of podman need is podman's to recommend, and the doctor's to name.
	run in_root apt-get install -y iptables nftables
	run in_root flake-ctl doctor
	[ -z "$engine" ] || check "flake-ctl doctor is content" rc_is 0
	check "dpkg --verify" [ -z "$(in_root dpkg --verify flake-pilot podman-pilot)" ]

	rm "$R/etc/flakes/hooks/launch.d/site.lua"
	run in_root apt-get install -y realapp=1.0.0
	check "a package of flake-ctl build is installed with ours" rc_is 0
	launches "with the image that the package brought" realapp real "a b"
	run in_root apt-get install -y realapp
	check "and upgraded" [ "$rc" = 0 -a "$(in_root dpkg-query -W -f '${Version}' realapp)" = 1.1.0 ]
	launches "after its upgrade" realapp again
	run in_root apt-get purge -y realapp
	check "and purged" [ "$rc" = 0 -a ! -e "$R/usr/bin/realapp" -a ! -e "$R/usr/share/flakes/realapp.yaml" ]
	[ -z "$engine" ] || check "with its image" [ -z "$(podman images -q --filter reference='localhost/flake-pilot/package-*')" ]
	check "other flakes' images stay" podman image exists "$IMAGE"

	echo "# changed by the site" >>"$R/etc/flakes/README"
	echo "vars: {}" >"$R/usr/share/flakes/demo.d/site.yaml"
	publish "$P/two"
	run in_root apt-get install -y --only-upgrade flake-pilot podman-pilot
	check "upgrade" rc_is 0
	run in_root flake-ctl --version
	check "the new version runs" out_is "flake-ctl $VERSION_NEXT"
	check "both packages are of it" [ "$(in_root dpkg-query -W -f '${Version} ' flake-pilot podman-pilot)" = "$VERSION_NEXT $VERSION_NEXT " ]
	check "a changed conffile is kept" grep -q "by the site" "$R/etc/flakes/README"
	launches "after the upgrade" mine again
	cp "$P/one"/*pilot_*.deb "$R/repo/"
	run in_root sh -c "apt-get install -y --allow-downgrades /repo/*pilot_${VERSION_NOW}_*.deb"
	check "downgrade" rc_is 0
	run in_root flake-ctl --version
	check "the old version runs" out_is "flake-ctl $VERSION_NOW"
	run in_root sh -c "dpkg --auto-deconfigure -i /repo/*pilot_${VERSION_NEXT}_*.deb"
	check "upgrade with dpkg alone" rc_is 0
	run in_root sh -c "dpkg -i /repo/*pilot_${VERSION_NEXT}_*.deb"
	check "and again" rc_is 0

	run in_root apt-get remove -y flake-pilot
	check "remove" rc_is 0
	launches "without flake-ctl" mine still
	check "the conffile stays" grep -q "by the site" "$R/etc/flakes/README"
	mkdir -p "$R/etc/flakes/hooks/launch.d"
	echo 'return function() end' >"$R/etc/flakes/hooks/launch.d/mine.lua"
	run in_root apt-get purge -y flake-pilot podman-pilot firecracker-pilot
	check "purge" rc_is 0
	check "flakes that needed them went too" [ "$(installed demo)" != installed ]
	check "definitions of the admin stay" test -f "$R/usr/share/flakes/mine.yaml"
	check "and his hooks" test -f "$R/etc/flakes/hooks/launch.d/mine.lua"
	check "but no conffile" test ! -e "$R/etc/flakes/README"
	check "and nothing of ours" [ ! -e "$R/usr/share/flake-pilot" -a ! -e "$R/usr/lib/flake-pilot" -a \
		-z "$(ls "$R"/usr/bin | grep -E 'flake|pilot')" ]
}

# launches NAME COMMAND ARG…: the flake, an echo, runs in real podman.
launches() {
	local name=$1
	shift
	[ -n "$engine" ] || return 0
	run in_root "$@"
	shift
	check "a launch $name" out_is "$*"
}

if wait "$root_pid"; then
	debian_root
else
	skip "packages in a Debian root" "no root could be made: $(tail -n 1 "$P/root.log")"
fi
for m in $(awk -v r="$R/" 'index($2, r) == 1 {print $2}' /proc/self/mounts | sort -r); do umount -l "$m" 2>/dev/null; done
unset -f later_tree field sources make_root publish in_root installed launches
