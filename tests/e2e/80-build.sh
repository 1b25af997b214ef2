# flake-ctl build against the real podman, dpkg and rpm.
# shellcheck shell=bash disable=SC2016,SC2034
B=$T/build-out
mkdir -p "$B"
export PKG_FLAKE_NAME=testpackage PKG_FLAKE_DESCRIPTION='A Test Package' PKG_FLAKE_VERSION=1.0.0 \
	PKG_FLAKE_URL=example.com PKG_FLAKE_MAINTAINER_NAME='Testian Tester' \
	PKG_FLAKE_MAINTAINER_EMAIL=Testian@testing.com PKG_FLAKE_LICENSE=MIT
podman tag "$IMAGE" localhost/my_container
clean() { rm -rf "$B"; mkdir -p "$B"; }
empty() { [ -z "$(ls -A "$B")" ]; }
owns() { dpkg-deb -c "$1" | awk '{print $6}' | grep -qx "./$2"; }

run flake-ctl build which
check "which names tool and builder" out_is "dpkg-buildpackage;flake-ctl-build-dpkg"
run flake-ctl-build about
check "flake-ctl-build about" out_is "Package flakes and images with your systems native package manager;PACKAGER"
run flake-ctl-build-dpkg about
check "flake-ctl-build-dpkg about" out_is "Package flakes with dpkg-buildpackage;PACKAGER"
run flake-ctl-build-rpmbuild about
check "flake-ctl-build-rpmbuild about" out_is "Package flakes with rpmbuild;PACKAGER"
run flake-ctl help
check "help has the packagers" out_has "Packagers:"
cp /etc/os-release "$T/os-release"
for id in 'ID=fedora' 'ID=rocky
ID_LIKE="rhel centos fedora"' 'ID="opensuse-leap"' "ID=new
ID_LIKE='suse opensuse'"; do
	echo "$id" >/etc/os-release.new && mv /etc/os-release.new /etc/os-release
	run flake-ctl build which
	check "which on ${id%%$'\n'*}" out_is "rpmbuild;flake-ctl-build-rpmbuild"
done
echo ID=unheard-of >/etc/os-release
run flake-ctl build which
check "which on an unknown system looks for tools" out_is "dpkg-buildpackage;flake-ctl-build-dpkg"
# The host's own again, if it has dpkg's packages: lintian goes by what they are for.
if grep -qxE 'ID=(debian|ubuntu)' "$T/os-release"; then cp "$T/os-release" /etc/os-release; else echo 'ID=debian' >/etc/os-release; fi

# The user's document, word for word.
cd "$B" || exit 1
run flake-ctl build --from-oci=my_container --target_app=/usr/bin/foo --name=foobar --version=1.0.0
check "the document's command" rc_is 0
check "makes the document's files" [ "$(ls -A | tr '\n' ' ')" = "foobar_1.0.0.dsc foobar_1.0.0.tar.gz foobar_1.0.0_all.deb foobar_1.0.0_amd64.buildinfo foobar_1.0.0_amd64.changes " ]
cd "$ROOT" || exit 1
mv "$B" "$T/first" && clean
run flake-ctl-build-dpkg --no-edit image podman "$IMAGE" "$T/tmp_flake_app" --target "$T/test_package"
check "older tools' verb image" rc_is 0
check "makes the package" test -f "$T/test_package/testpackage_1.0.0_all.deb"
check "with the command" owns "$T/test_package/testpackage_1.0.0_all.deb" "${T#/}/tmp_flake_app"
run flake-ctl build --no-edit --from-oci "$IMAGE" -a relative -o "$B"
check "a relative command is wrong usage" rc_is 2
run flake-ctl build --from-oci localhost/none -a /usr/bin/foo -o "$B"
check "an unknown image fails" rc_is 1
check "and leaves nothing" empty
run env -u PKG_FLAKE_NAME -u PKG_FLAKE_LICENSE flake-ctl build --ci -o "$B"
check "--ci: exit 2" rc_is 2
check "--ci lists everything missing" bash -c "grep -q -- --from-oci '$err' && grep -q -- '--name is missing' '$err' && grep -q -- '--license is missing' '$err'"
run flake-ctl build nonsense
check "an unknown verb is wrong usage" rc_is 2

# Where values come from.
mkdir -p "$T/proj/.flakes/package" /root/.flakes/package
echo 'version: 3.0' >"$T/proj/.flakes/package/options.yaml"
printf 'version: 4.0\nlicense: BSD\nmaintainer-name: Global\n' >/root/.flakes/package/options.yaml
cd "$T/proj" || exit 1
run env -u PKG_FLAKE_VERSION -u PKG_FLAKE_LICENSE -u PKG_FLAKE_MAINTAINER_NAME flake-ctl build --show-options --name cli --format csv
check "command line first" out_has "name,cli,command line"
check "then the environment" out_has "url,https://example.com,PKG_FLAKE_URL"
check "then ./.flakes" out_has "version,3.0,./.flakes/package/options.yaml"
check "then ~/.flakes" out_has "license,BSD,/root/.flakes/package/options.yaml"
check "keys with - too" out_has "maintainer-name,Global"
printf 'version: 3.0\nnothing: x\n' >.flakes/package/options.yaml
run flake-ctl build --show-options
check "unknown keys are warned of, with their line" err_has ".flakes/package/options.yaml:2: unknown option 'nothing'"
printf 'version: [1\n' >.flakes/package/options.yaml
run flake-ctl build --show-options
check "broken files are errors, with their line" err_has ".flakes/package/options.yaml:"
cd "$ROOT" || exit 1
rm -rf /root/.flakes "$T/proj"

# Reproducible, clean.
run flake-ctl build -c my_container -a /usr/bin/foo --name=foobar -o "$B"
check "a second build is the same .deb" cmp "$T/first/foobar_1.0.0_all.deb" "$B/foobar_1.0.0_all.deb"
clean
(umask 077; SOURCE_DATE_EPOCH=1700000000 flake-ctl build --from-oci "$IMAGE" -a /usr/bin/foo --name=foobar -o "$B") >/dev/null 2>&1
(cd "$B" && sha256sum -- *.deb *.dsc *.tar.gz) >"$T/sums"
clean
last=$(date +%s)
wait_for eval '[ "$(date +%s)" != "$last" ]'
SOURCE_DATE_EPOCH=1700000000 flake-ctl build --from-oci "$IMAGE" -a /usr/bin/foo --name=foobar -o "$B" >/dev/null 2>&1
check "SOURCE_DATE_EPOCH: .deb, .dsc and .tar.gz are equal, whatever the umask" bash -c "cd '$B' && sha256sum -c --quiet '$T/sums'"
check "SOURCE_DATE_EPOCH is the time of the files" bash -c "TZ=UTC dpkg-deb -c '$B/foobar_1.0.0_all.deb' | grep -q '2023-11-14'"
run lintian --fail-on error "$B/foobar_1.0.0_amd64.changes"
check "lintian has no errors" bash -c "[ $rc = 0 ] && ! grep -q '^E:' '$out'"
clean
for i in 1 2; do
	(umask $((i * 22)); flake-ctl-build-rpmbuild --from-oci "$IMAGE" -a /usr/bin/foo --name=foobar -o "$T/rpm$i") >/dev/null 2>"$err"
done
check "rpmbuild makes .rpm and .src.rpm" [ "$(ls "$T/rpm1" | tr '\n' ' ')" = "foobar-1.0.0-1.noarch.rpm foobar-1.0.0-1.src.rpm " ]
check "two .rpm are equal" cmp "$T/rpm1/foobar-1.0.0-1.noarch.rpm" "$T/rpm2/foobar-1.0.0-1.noarch.rpm"
check "two .src.rpm are equal" cmp "$T/rpm1/foobar-1.0.0-1.src.rpm" "$T/rpm2/foobar-1.0.0-1.src.rpm"
rpmlint "$T"/rpm1/*.rpm >"$out" 2>&1
check "rpmlint has no errors but the signature" bash -c "! grep ' E: ' '$out' | grep -v no-signature"

# Life of a .deb. Our own podman-pilot is no package yet: dependencies are forced.
deb() { # deb VERSION IMAGE [OPTION…]
	local v=$1 i=$2
	shift 2
	flake-ctl build --from-oci "$i" -a /usr/bin/foo --name=foobar --version="$v" -o "$B" "$@" -- --target /bin/cat --opt "--net none" >/dev/null 2>"$err"
}
variant() { # variant NAME TEXT: an image with /text
	printf 'FROM %s\nRUN echo "%s" >/text\n' "$IMAGE" "$2" >"$T/Containerfile"
	local c
	c=$(podman create "$IMAGE" x) && echo "$2" >"$T/text" && podman cp "$T/text" "$c:/text" && podman commit -q "$c" "$1" >/dev/null && podman rm "$c" >/dev/null
}
install_deb() { run dpkg --force-depends -i "$@"; }
variant localhost/app one && deb 1.0 localhost/app
variant localhost/app two && deb 2.0 localhost/app
check "two versions are built" test -f "$B/foobar_2.0_all.deb"
podman rmi -f localhost/app >/dev/null
install_deb "$B/foobar_1.0_all.deb"
check "install" rc_is 0
run foo /text
check "the app runs" out_is one
check "the image has the definition's name" podman image exists localhost/app
check "the command belongs to the package" bash -c "dpkg -S /usr/bin/foo | grep -q ^foobar:"
run flake-ctl list
check "list shows it" out_has localhost/app
echo 'container: {runtime: {podman: ["--net none", "--env X=admin"]}}' >/usr/share/flakes/foo.d/50-admin.yaml
dangling() { podman images -q --filter dangling=true | wc -l; }
before=$(dangling)
install_deb "$B/foobar_2.0_all.deb"
run foo /text
check "upgrade brings the new image" out_is two
check "and keeps the admin's .d" test -f /usr/share/flakes/foo.d/50-admin.yaml
check "no image of the old version is left" [ "$(dangling)" -le "$before" ]
install_deb "$B/foobar_1.0_all.deb"
run foo /text
check "downgrade goes back" out_is one
install_deb "$B/foobar_1.0_all.deb"
run foo /text
check "reinstall" out_is one
run flake-ctl podman update foo
check "update leaves the image to the package" bash -c "[ $rc = 2 ] && grep -q images/foo '$err'"
mv /usr/share/flakes/images/foo "$T/moved"
run foo /text
check "the archive is not needed when the image is there" out_is one
mv "$T/moved" /usr/share/flakes/images/foo
podman rmi -f "$(podman image inspect --format '{{.Id}}' localhost/app)" >/dev/null 2>&1
run foo /text
check "an image that was taken away comes back at the launch" out_is one
flake-ctl podman register --container localhost/app --app /usr/bin/other --target /bin/cat --opt "--net none"
run dpkg -r --force-depends foobar
check "remove" rc_is 0
check "the command is gone" [ ! -e /usr/bin/foo ]
run other /text
check "an image that another flake uses stays" out_is one
flake-ctl podman remove --app /usr/bin/other
install_deb "$B/foobar_1.0_all.deb"
podman untag localhost/app >/dev/null 2>&1
run foo /text
check "nobody needs the definition's name" out_is one
run dpkg -P --force-depends foobar
check "purge" rc_is 0
check "no image of the package is left" bash -c "! podman images | grep -q flake-pilot/package"
variant localhost/app admins
install_deb "$B/foobar_2.0_all.deb"
run foo /text
check "a name that is taken is no matter" out_is two
run podman run --rm --net none localhost/app /bin/cat /text
check "and stays what it was" out_is admins
run dpkg -r --force-depends foobar
check "after removal too" bash -c "podman image exists localhost/app && ! podman images | grep -q flake-pilot/package"
podman rmi localhost/app >/dev/null
mkdir -p "$T/real" && echo x >/usr/bin/foo
install_deb "$B/foobar_1.0_all.deb"
flake-ctl build --ci --from-oci "$IMAGE" -a /usr/bin/foo --name rival -o "$T/rival" >/dev/null 2>&1
install_deb "$T/rival/rival_1.0.0_all.deb"
check "a package with the same command cannot be installed" bash -c "[ $rc != 0 ] && ! dpkg-query -W -f '\${Status}' rival | grep -q 'ok installed'"
run foo /text
check "and does no harm" out_is one
dpkg -P --force-all rival >/dev/null 2>&1
check "a foreign file of the same name: dpkg's business" test -s /usr/bin/foo
dpkg -P --force-depends foobar >/dev/null 2>&1
rm -f /usr/bin/foo

# Without podman: installing works, the first launch gets the image.
mkdir -p "$T/nopodman"
for tool in /usr/bin/* /bin/* /usr/sbin/* /sbin/*; do
	[ "${tool##*/}" = podman ] || ln -sf "$tool" "$T/nopodman/" 2>/dev/null
done
run env PATH="$T/nopodman" dpkg --force-depends -i "$B/foobar_1.0_all.deb"
check "install without podman" rc_is 0
check "says that the launch will get the image" out_has "the first launch gets the image"
check "nothing is loaded" bash -c "! podman image exists localhost/app"
for i in 1 2 3; do foo /text >"$T/par$i" 2>/dev/null </dev/null & pids[i]=$!; done
for i in 1 2 3; do wait "${pids[i]}"; done
check "first launches, three at a time, load it" [ "$(cat "$T/par1" "$T/par2" "$T/par3" | tr '\n' ' ')" = "one one one " ]
install_deb "$B/foobar_1.0_all.deb"
run env PATH="$T/nopodman" dpkg --force-depends -i "$B/foobar_2.0_all.deb"
run foo /text
check "an upgrade without podman: the launch takes the new image" out_is two
run env PATH="$T/nopodman" dpkg -r --force-depends foobar
check "removal without podman" rc_is 0
podman rmi -af >/dev/null 2>&1
make_image
podman tag "$IMAGE" localhost/my_container

# In a root of its own, by dpkg and rpm.
inroot=$T/inroot
mkdir -p "$inroot"/{bin,usr/bin,var/lib/dpkg/info,var/lib/dpkg/updates,tmp,etc}
: >"$inroot/var/lib/dpkg/status"
: >"$inroot/var/lib/dpkg/available"
cp /bin/busybox "$inroot/bin/busybox"
for c in sh cat echo rm; do ln -sf busybox "$inroot/bin/$c"; done
for v in 1.0 2.0; do
	run dpkg --root="$inroot" --force-depends --force-not-root -i "$B/foobar_${v}_all.deb"
	check "dpkg --root installs $v" rc_is 0
done
check "files are there" test -f "$inroot/usr/share/flakes/images/foo" -a -L "$inroot/usr/bin/foo"
run dpkg --root="$inroot" --force-depends -P foobar
check "dpkg --root purges" bash -c "[ $rc = 0 ] && [ ! -e '$inroot/usr/share/flakes' ]"
run rpm --root "$inroot" --initdb
run rpm --root "$inroot" --nodeps -i "$T/rpm1/foobar-1.0.0-1.noarch.rpm"
check "rpm --root installs" test -f "$inroot/usr/share/flakes/images/foo" -a -L "$inroot/usr/bin/foo"
flake-ctl-build-rpmbuild --from-oci "$IMAGE" -a /usr/bin/foo --name=foobar --version 2.0 -o "$T/rpm2" >/dev/null 2>&1
echo 'include: {}' >"$inroot/usr/share/flakes/foo.d/admin.yaml"
run rpm --root "$inroot" --nodeps -U "$T/rpm2/foobar-2.0-1.noarch.rpm"
check "rpm --root upgrades" rc_is 0
check "and keeps the admin's .d" test -f "$inroot/usr/share/flakes/foo.d/admin.yaml"
run rpm --root "$inroot" --nodeps -e foobar
check "rpm --root removes" bash -c "[ $rc = 0 ] && [ ! -e '$inroot/usr/bin/foo' ]"
rm -rf "$inroot"

# Other sources.
podman save -q --format oci-archive -o "$T/a.oci.tar" localhost/my_container
podman save -q --format docker-archive -o "$T/b.tar" localhost/my_container
gzip -k "$T/a.oci.tar"
for file in a.oci.tar a.oci.tar.gz b.tar; do
	clean
	run flake-ctl build -t "$T/$file" -a /usr/bin/foo -o "$B"
	check "--from-tar $file" rc_is 0
	dpkg-deb --fsys-tarfile "$B"/*.deb | tar -xO ./usr/share/flakes/foo.yaml >"$out" 2>/dev/null
	check "names the image of the archive" out_has "name: localhost/my_container:latest"
done
clean
run flake-ctl build -t "$T/a.oci.tar" --image example.org/other:2 -a /usr/bin/foo -o "$B" --keep
check "--image names it" grep -q "name: example.org/other:2" "$B/testpackage_1.0.0.bundle/root/usr/share/flakes/foo.yaml"
check "--keep keeps the bundle" test -f "$B/testpackage_1.0.0.bundle/package.yaml"
run flake-ctl build -t "$T/sums" -a /usr/bin/foo -o "$B"
check "a file that is no image is refused" rc_is 1
tar -C "$T" -cf "$T/inc.tar" text
flake-ctl podman register exist --container localhost/my_container --app /usr/bin/exa --app /usr/bin/exb --opt "--net none"
echo 'container: {runtime: {podman: ["--net none", "--env A=b"]}}' >/usr/share/flakes/exist.d/10.yaml
clean
run flake-ctl build flake exist -o "$B"
check "--from-flake" rc_is 0
for f in usr/bin/exa usr/bin/exb usr/share/flakes/exist.yaml usr/share/flakes/exa.yaml usr/share/flakes/exist.d/10.yaml usr/share/flakes/images/exist; do
	check "has $f" bash -c "dpkg-deb -c '$B'/*.deb | grep -q ' ./$f'"
done
sed -i "s|tar: ~|tar: [$T/inc.tar]|" /usr/share/flakes/exist.yaml
run flake-ctl build flake exist --dry-run -o "$B"
check "includes come along" out_has /usr/share/flakes/exist.include/1
flake-ctl podman remove --app /usr/bin/exa --force
clean

# Bundles.
run flake-ctl build --from-oci "$IMAGE" -a /usr/bin/foo -l "$T/bundle" --dry-run --no-image -o "$B"
check "--dry-run lists what would be installed" out_has /usr/share/flakes/foo.yaml
check "and makes no package" empty
check "the bundle is there" test -f "$T/bundle/package.yaml"
echo 'container: {runtime: {podman: ["--net none"]}}' >"$T/bundle/root/usr/share/flakes/foo.d/added.yaml"
run flake-ctl build --compile -l "$T/bundle" -o "$B"
check "--compile" rc_is 0
check "takes what was added" owns "$B/testpackage_1.0.0_all.deb" usr/share/flakes/foo.d/added.yaml
check "no image in it" bash -c "! dpkg-deb -c '$B'/*.deb | grep -q images/foo"
run flake-ctl build compile "$T/bundle" -o "$B" --version 1.1
check "compile with another version" test -f "$B/testpackage_1.1_all.deb"
run flake-ctl build --compile -l "$T/bundle" --builder rpmbuild -o "$B"
check "the same bundle for another packager" test -f "$B/testpackage-1.1-1.noarch.rpm"
echo 'container: [' >"$T/bundle/root/usr/share/flakes/foo.yaml"
run flake-ctl build --compile -l "$T/bundle" -o "$B"
check "a broken bundle is refused" rc_is 1
run flake-ctl build --from-oci "$IMAGE" -a /usr/bin/foo -l /etc --dry-run -o "$B"
check "--location is never a foreign directory" bash -c "[ $rc = 1 ] && test -f /etc/passwd"
clean
start_registry
variant localhost/regapp registry
podman push -q localhost/regapp "$REGISTRY/pkg/bb:1" 2>/dev/null
podman rmi localhost/regapp >/dev/null
flake-ctl build --from-oci "$REGISTRY/pkg/bb:1" --no-image -a /usr/bin/foo --name=foobar -o "$B" -- --target /bin/echo --opt "--net none" >/dev/null 2>&1
install_deb "$B/foobar_1.0.0_all.deb"
check "--no-image: installing pulls" podman image exists "$REGISTRY/pkg/bb:1"
run foo pulled
check "and it runs" out_is pulled
run dpkg -P --force-depends foobar
check "removal takes it away" bash -c "! podman image exists $REGISTRY/pkg/bb:1"
clean

# What a value may hold.
hostile() { # hostile OPTION VALUE: refused, or carried without harm
	clean
	local b
	for b in dpkg rpmbuild; do
		run flake-ctl build --ci --builder $b --no-image --from-oci "$IMAGE" -a /usr/bin/foo -o "$B" "--$1=$2"
		check "$b --$1=$(head -c 20 <<<"$2" | tr -d '\n')…: refused or carried" bash -c "[ $rc = 0 ] || { [ $rc = 2 ] && grep -q -- '$1' '$err'; }"
	done
	check "nothing was run" [ ! -e "$T/pwned" ]
}
for option in name version description url maintainer-name maintainer-email license; do
	hostile $option "\$(touch $T/pwned)\`touch $T/pwned\`"
	hostile $option "a'b\"c; touch $T/pwned; %(touch $T/pwned) %{lua:os.execute('touch $T/pwned')} @name@"
	hostile $option $'one\nDepends: evil\n%post\ntouch '"$T/pwned"
	hostile $option "Zoë ☃"
	hostile $option "$(head -c 10240 /dev/zero | tr '\0' x)"
	hostile $option $'a\e[31mb'
done
clean
long=$(printf 'An app\nwith a line\n\n# hash\n%%post\nFoo: bar\n.\n%s' "$(head -c 10000 /dev/zero | tr '\0' y)")
run flake-ctl build --ci --from-oci "$IMAGE" --no-image -a /usr/bin/foo -o "$B" --description "$long" --maintainer-name "Zoë O'Neil \$(x) \"q\""
check "a long description of many lines" rc_is 0
check "is one field" bash -c "[ \"\$(dpkg-deb -f '$B'/*.deb Foo)\" = '' ] && dpkg-deb -f '$B'/*.deb Description | grep -q '^ Foo: bar'"
check "the maintainer is as given" [ "$(dpkg-deb -f "$B"/*.deb Maintainer)" = "Zoë O'Neil \$(x) \"q\" <Testian@testing.com>" ]
clean
run flake-ctl build --ci --builder rpmbuild --from-oci "$IMAGE" --no-image -a /usr/bin/foo -o "$B" --description "$long" --license '100% (free)'
check "rpm: the same" bash -c "[ $rc = 0 ] && rpm -qp --qf '%{DESCRIPTION}' '$B'/*noarch.rpm | grep -q '^> %post' && [ \"\$(rpm -qp --qf '%{LICENSE}' '$B'/*noarch.rpm)\" = '100% (free)' ]"
run flake-ctl build --ci --no-image --from-oci '-v' -a /usr/bin/foo -o "$B"
check "an image that looks like an option is refused" rc_is 2
run flake-ctl build --ci --no-image --from-oci "$IMAGE" -a '/usr/bin/a b' -o "$B"
check "a command with a blank is refused" rc_is 2
run flake-ctl build --ci --from-oci "$IMAGE" -a /usr/bin/foo -o "$B" -- --root /
check "register's --root is ours" rc_is 2
clean
mkdir "$T/odd \$(x) dir%"
run flake-ctl build --ci --builder rpmbuild --from-oci "$IMAGE" -a /usr/bin/foo -o "$T/odd \$(x) dir%"
check "an output directory of any name" test -f "$T/odd \$(x) dir%/testpackage-1.0.0-1.noarch.rpm"

# Failing half-way.
mkdir -p "$T/small" && mount -t tmpfs -o size=2500k tmpfs "$T/small"
run flake-ctl build --ci --from-oci "$IMAGE" -a /usr/bin/foo -o "$T/small"
check "disk full: an error" rc_is 1
check "disk full: nothing is left" [ -z "$(ls -A "$T/small")" ]
umount "$T/small"
head -c 30M /dev/urandom >"$T/tree/big"
tar -C "$T/tree" -c . | podman import - localhost/big >/dev/null 2>&1
rm "$T/tree/big"
# Of a build: has begun; whether any process still works in its directory.
has_begun() { compgen -G "$B/.flake-build*/*" >/dev/null; }
no_worker() { ! pgrep -f "$B/.flake-build" && [ -z "$(find /proc/[0-9]*/cwd -lname "$B/.flake-build*" 2>/dev/null)" ]; }
for delay in 0.3 0.8 1.5 2.5; do
	wait_for no_worker
	clean
	flake-ctl build --ci --from-oci localhost/big -a /usr/bin/foo -o "$B" >/dev/null 2>&1 &
	pid=$!
	sleep $delay
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	check "kill -9 after $delay s: no half package" bash -c "for f in '$B'/*; do case \$f in *.deb) dpkg-deb -I \$f >/dev/null;; esac || exit 1; done"
done
wait_for no_worker
run flake-ctl build --ci --from-oci "$IMAGE" -a /usr/bin/foo -o "$B"
check "the next build sweeps" [ -z "$(ls -A "$B" | grep '^\.flake')" ]
clean
flake-ctl build --ci --from-oci localhost/big -a /usr/bin/foo -o "$B" >/dev/null 2>&1 &
pid=$!
wait_for has_begun
kill -TERM $pid
wait $pid
check "SIGTERM: exit 143" [ $? = 143 ]
check "and nothing is left" empty

# A builder that fails, an overridden template, a site's builder.
mkdir -p /etc/flakes/builders/dpkg "$T/templates"
sed 's/Section: misc/Section: games/' builders/dpkg/control >/etc/flakes/builders/dpkg/control
run flake-ctl build --ci --no-image --from-oci "$IMAGE" -a /usr/bin/foo -o "$B"
check "a root's template wins" [ "$(dpkg-deb -f "$B"/*.deb Section)" = games ]
sed 's/Section: misc/Section: net/' builders/dpkg/control >"$T/templates/control"
run flake-ctl build --ci --no-image --from-oci "$IMAGE" -a /usr/bin/foo -o "$B" --template "$T/templates"
check "--template wins over it" [ "$(dpkg-deb -f "$B"/*.deb Section)" = net ]
clean
printf '#!/usr/bin/make -f\n%%:\n\tfalse\n' >/etc/flakes/builders/dpkg/rules
run flake-ctl build --ci --no-image --from-oci "$IMAGE" -a /usr/bin/foo -o "$B"
check "a failing packager fails the build" rc_is 1
check "and says why" err_has "dpkg-buildpackage failed"
check "and leaves nothing" empty
rm -rf /etc/flakes/builders/dpkg
if command -v makepkg >/dev/null; then
	cp doc/examples/builders/makepkg.lua /etc/flakes/builders/
	useradd -m packer 2>/dev/null
	cp "$T/a.oci.tar" /home/packer/a.tar
	chmod 644 /home/packer/a.tar
	# makepkg 7 asks pacman what is installed, and ends where there is none.
	run runuser -u packer -- env HOME=/home/packer PACMAN="$(command -v pacman || echo true)" flake-ctl build --builder makepkg --ci -t /home/packer/a.tar -a /usr/bin/foo -o /home/packer/out --description "It's \$(an) app"
	check "the example builder makes a package for pacman" bash -c "bsdtar -tf /home/packer/out/testpackage-1.0.0-1-any.pkg.tar | grep -q usr/share/flakes/images/foo"
	check "with its description" bash -c "bsdtar -xOf /home/packer/out/testpackage-1.0.0-1-any.pkg.tar .PKGINFO | grep -qF \"It's \\\$(an) app\""
else
	skip "the example builder" "makepkg is not to be had"
fi

clean
unset PKG_FLAKE_NAME PKG_FLAKE_DESCRIPTION PKG_FLAKE_VERSION PKG_FLAKE_URL PKG_FLAKE_MAINTAINER_NAME PKG_FLAKE_MAINTAINER_EMAIL PKG_FLAKE_LICENSE
check_python wizard_test "$B" "$IMAGE"
