# flake-studio against the real podman, dpkg, rpm and git.
# shellcheck shell=bash disable=SC2016,SC2034,SC2030,SC2031
S=$T/studio
mkdir -p "$S"
SEVEN=(--version 1.0.0 --description "It's \$(here)" --url example.com --maintainer-name "Ann O'Nym"
	--maintainer-email ann@example.org --license MIT)
unset "${!PKG_FLAKE_@}"
echo 'ID=debian' >/etc/os-release
rm -rf /etc/flakes/builders
# at DIRECTORY COMMAND…: runs it there.
at() {
	cd "$1" || exit 1
	run timeout $PATIENCE "${@:2}"
	cd "$ROOT" || exit 1
}
id_of() { podman image inspect --format '{{.Id}}' "$1" 2>/dev/null; }
files() { find "$1" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs; }
stamps() { find "$1" -type f -printf '%f %T@\n' | sort; }

run flake-studio about
check "about" out_is "Make packages of applications in projects;TOOL"
run flake-studio --help
check "help" out_has "flake-studio VERB"
run flake-ctl help
check "flake-ctl help has it" out_has "studio "
run bash -c '. /usr/share/bash-completion/completions/flake-ctl; COMP_WORDS=(flake-studio build --k); COMP_CWORD=2; _flake_ctl; echo "${COMPREPLY[@]}"'
check "bash completes its options" out_has --keep

# new, from elsewhere than a terminal.
at "$S" flake-studio new app
check "new without values: exit 2" rc_is 2
check "says all that is missing" bash -c "grep -q -- --version '$err' && grep -q -- --license '$err' && grep -q -- --maintainer-email '$err'"
check "makes nothing" [ -z "$(ls -A "$S")" ]
for name in '' -x 'a b' '../up' 'a/b' '$(id)' "q'q" 'a;b' $'n\nl' 'Ä'; do
	at "$S" flake-studio new "$name" "${SEVEN[@]}"
	check "the name '${name//$'\n'/\\n}' is refused" rc_is 2
done
check "and nothing made of them" [ -z "$(ls -A "$S")" ]
mkdir -p /root/.flakes/package
printf 'license: MIT\nmaintainer-name: Ann\nmaintainer-email: ann@example.org\n' >/root/.flakes/package/options.yaml
printf '#!/bin/sh\n# my own\n' >/root/.flakes/package/build.sh
at "$S" env PKG_FLAKE_VERSION=3.0 flake-studio new elsewhere --description Here
check "values come from environment and ~/.flakes" rc_is 0
check "and are the project's own then" bash -c "grep -q 'license: MIT' '$S/elsewhere/src/options.yaml' && grep -q '3.0' '$S/elsewhere/src/options.yaml'"
check "~/.flakes/package/build.sh is its build.sh" grep -q "my own" "$S/elsewhere/src/build.sh"
check "mode 0755" [ "$(stat -c %a "$S/elsewhere/src/build.sh")" = 755 ]
rm -rf /root/.flakes "$S/elsewhere"
at "$S" flake-studio new app "${SEVEN[@]}"
check "new" rc_is 0
P=$S/app
check "makes the layout" [ "$(files "$P") / $(files "$P/src") / $(files "$P/.flakes")" = ".dockerignore .flakes .gitignore .staging out src / build.sh flake.yaml options.yaml / package studio" ]
echo mine >"$P/src/options.yaml.mine"
at "$S" flake-studio new app "${SEVEN[@]}" --version 9
check "new clobbers nothing: exit 1" rc_is 1
check "and says why" err_has "there already"
check "all is as it was" grep -q 1.0.0 "$P/src/options.yaml"
rm "$P/src/options.yaml.mine"
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
git -C "$P" init -q && git -C "$P" add -A && git -C "$P" commit -qm one

# build.
at "$P" flake-studio build
check "build without a Dockerfile: exit 1" rc_is 1
check "says what is missing" err_has "there is no src/Dockerfile"
cat >"$P/src/Dockerfile" <<DOCKER
FROM $IMAGE
RUN mkdir -p /usr/bin && printf '#!/bin/sh\necho "app one: \$*"\n' >/usr/bin/app && chmod 755 /usr/bin/app
DOCKER
mkdir -p "$P/src/deep"
touch "$P/src/deep/.keep"
at "$P/src/deep" flake-studio build
check "build from a sub-directory" rc_is 0
check "leaves packages in out/" [ "$(files "$P/out")" = "app_1.0.0.dsc app_1.0.0.tar.gz app_1.0.0_all.deb app_1.0.0_amd64.buildinfo app_1.0.0_amd64.changes" ]
check "prints their paths last" bash -c "tail -n 1 '$out' | grep -qx '$P/out/.*changes'"
check "shows build.sh's output" out_has "COMMIT localhost/app.flake"
for step in '\[1/4\] check: app 1.0.0' '\[2/4\] image: [0-9a-f]{12}' '\[3/4\] bundle: done' '\[4/4\] package: 5 files'; do
	check "shows the step and its time: $step" grep -qE "^$step.* \([0-9.]+ s\)$" "$err"
done
check "the image is gone" [ -z "$(id_of localhost/app.flake)" ]
check "no container is left" [ -z "$(podman ps -aq)" ]
git -C "$P" add -A && git -C "$P" commit -qm two
at "$P" git status --porcelain --ignored
check "git sees no result" out_is $'!! .flakes/studio/lock\n!! .flakes/studio/state.yaml\n!! .staging/\n!! out/'
stamps "$P/out" >"$T/stamps"
at "$P" flake-studio build
check "a second build has nothing to do" bash -c "grep -q '3/4. bundle: nothing to do' '$err' && grep -q '4/4. package: nothing to do' '$err'"
check "and still says where the packages are" out_has "$P/out/app_1.0.0_all.deb"
stamps "$P/out" >"$out"
check "and changes nothing" cmp "$T/stamps" "$out"
git clone -q "$P" "$S/cloned"
at "$S/cloned" flake-studio build
check "a clone is a project" rc_is 0
check "and makes the same package" cmp "$P/out/app_1.0.0_all.deb" "$S/cloned/out/app_1.0.0_all.deb"
chmod -R g+w "$S/cloned" && chown -R nobody:nogroup "$S/cloned"
at "$S/cloned" git status
at "$S/cloned" flake-studio build
check "a checkout of others, that a group can write to, builds" rc_is 0
at "$S/cloned/src" flake-studio clean
check "from below, too" rc_is 0
chown root:root "$S/cloned/src"
at "$S/cloned/src" env -u SUDO_UID flake-studio build
check "but a stranger's project above an own directory is refused" err_has "it belongs to user"
rm -rf "$S/cloned"

# What has changed is built.
sed -i 's/one/two/' "$P/src/Dockerfile"
at "$P" flake-studio build
check "a changed image: bundle and package" bash -c "grep -q '3/4. bundle: done' '$err' && grep -q '4/4. package: 5 files' '$err'"
sed -i 's/^version.*/version: 1.1.0/' "$P/src/options.yaml"
at "$P" flake-studio build
check "a changed option" test -f "$P/out/app_1.1.0_all.deb"
mkdir -p "$P/src/flake.d"
echo 'container: {runtime: {podman: ["--net none"]}}' >"$P/src/flake.d/10-net.yaml"
at "$P" flake-studio build
check "a new file in flake.d" grep -q '3/4. bundle: done' "$err"
check "is in the package" bash -c "dpkg-deb -c '$P/out/app_1.1.0_all.deb' | grep -c 'flakes/app.d/10-net.yaml' >/dev/null"
rm "$P/out/app_1.1.0_all.deb"
at "$P" flake-studio build
check "a package that is gone is made again, from the same bundle" bash -c "grep -q '3/4. bundle: nothing' '$err' && [ -f '$P/out/app_1.1.0_all.deb' ]"
at "$P" flake-studio build --format rpmbuild
check "--format rpmbuild" test -f "$P/out/app-1.1.0-1.noarch.rpm"
check "takes the same bundle" grep -q '3/4. bundle: nothing' "$err"
at "$P" flake-studio build --format none
check "an unknown format is wrong usage" rc_is 2
check "that names those there are" err_has "dpkg, rpmbuild"

# The store.
at "$P" flake-studio build --keep
check "--keep keeps the image" [ -n "$(id_of localhost/app.flake)" ]
at "$P" flake-studio build
check "an image that was there before stays" [ -n "$(id_of localhost/app.flake)" ]
podman rmi localhost/app.flake >/dev/null
printf '#!/bin/sh\nexec podman tag %s "$1"\n' "$IMAGE" >"$P/src/build.sh"
at "$P" flake-studio build
check "of an image that others have only the name goes" [ -n "$(id_of "$IMAGE")" -a -z "$(id_of localhost/app.flake)" ]
flake-ctl podman register --container localhost/app.flake --app /usr/bin/user >/dev/null 2>&1
at "$P" flake-studio build
check "an image of a registered flake stays" [ -n "$(id_of localhost/app.flake)" ]
flake-ctl podman remove --app /usr/bin/user
podman untag "$IMAGE" localhost/app.flake

# Broken build.sh.
stamps "$P/out" >"$T/stamps"
printf '#!/bin/sh\necho halfway; exit 5\n' >"$P/src/build.sh"
at "$P" flake-studio build
check "build.sh fails: exit 1" rc_is 1
check "with its status" err_has "src/build.sh failed (exit status 5)"
check "its output is shown" out_has halfway
printf 'echo no interpreter\n' >"$P/src/build.sh"
at "$P" flake-studio build
check "build.sh without #! is refused, with its line" err_has "src/build.sh:1: must begin with #!"
printf '#!/bin/sh\n' >"$P/src/build.sh"
at "$P" flake-studio build
check "build.sh that makes no image" err_has "no image localhost/app.flake"
git -C "$P" checkout -q src/build.sh
chmod 644 "$P/src/build.sh"
at "$P" flake-studio build
check "build.sh that is not executable" err_has "chmod 755"
chmod 755 "$P/src/build.sh"
printf 'version: 1.0\nname: app\nlicense: [x\n' >"$S/broken"
cp "$P/src/options.yaml" "$T/options" && cp "$S/broken" "$P/src/options.yaml"
at "$P" flake-studio build
check "a broken options.yaml, with its line" err_has "src/options.yaml:4"
cp "$T/options" "$P/src/options.yaml" && rm "$S/broken"
stamps "$P/out" >"$out"
check "nothing in out/ has changed" cmp "$T/stamps" "$out"

# The package works.
at "$P" flake-studio build
run dpkg --force-depends -i "$P/out/app_1.1.0_all.deb"
check "the package can be installed" rc_is 0
run app "it's" '$(x)'
check "its command runs" out_is "app two: it's \$(x)"
at "$P" flake-studio build
check "a build leaves the installed image alone" rc_is 0
run app again
check "its command still runs" out_is "app two: again"
run dpkg -P --force-depends app
check "and it goes again" [ ! -e /usr/bin/app ]
run rpm -qp --requires "$P/out/app-1.1.0-1.noarch.rpm"
check "the rpm needs the pilot" out_has podman-pilot

# init in a directory that is in use; odd names of directories.
O="$S/it's a \$(dir) \"ä\""
mkdir -p "$O/src"
echo 'mine' >"$O/README" && echo '*.o' >"$O/.gitignore" && echo "FROM $IMAGE" >"$O/Dockerfile"
at "$O" flake-studio init "${SEVEN[@]}"
check "init: a name that cannot be asked for is missing" err_has "--name is missing"
check "nothing is made" [ "$(files "$O")" = ".gitignore Dockerfile README src" ]
at "$O" flake-studio init --name odd "${SEVEN[@]}"
check "init" rc_is 0
check "keeps what is there" bash -c "cd \"\$1\" && grep -qx mine README && head -n 1 .gitignore | grep -qxF '*.o' && grep -q /out/ .gitignore" - "$O"
sed -i 's,target_app_path.*,target_app_path: /bin/echo,' "$O/src/flake.yaml"
at "$O/src" flake-studio build
check "builds there" rc_is 0
check "the package is there" test -f "$O/out/odd_1.0.0_all.deb"
at "$O/src" flake-studio build
check "results are no input of the image" grep -q '3/4. bundle: nothing' "$err"
mkdir -p "$S/a:b" && at "$S/a:b" flake-studio init --name colon "${SEVEN[@]}"
at "$S/a:b" flake-studio build
check "a colon in the path is said before anything is built" err_has "there is a colon in its name"

# clean.
at "$P/src" flake-studio clean
check "clean" rc_is 0
check "removes results only" [ "$(files "$P")" = ".dockerignore .flakes .git .gitignore src" ]
at "$P" git status --porcelain
check "and nothing that git knows" bash -c "! grep -q '^ D' '$out'"
at "$S" flake-studio clean
check "outside of a project: exit 1" rc_is 1
check "with the remedy" err_has "flake-studio new NAME or init"

# On a terminal.
at "$P" flake-studio build
cat >"$P/src/build.sh" <<'SH'
#!/bin/sh
if [ -f wait ]; then
	echo waiting
	exec sleep 3600
fi
exec podman build --file src/Dockerfile --build-arg "x=$(date +%N)" --tag "$1" --timestamp 1 --annotation "x=$(date +%N)" src
SH
touch "$P/wait"
mkdir "$T/wizard"
check_python studio_test "$T/wizard" "$P"
check "no image and no scratch directory is left" [ -z "$(id_of localhost/app.flake)" -a -z "$(ls -d "$P"/out/.flake-build* /tmp/flake-studio* 2>/dev/null)" ]
rm -f "$P/wait"
at "$P" flake-studio build
check "the next build is whole" test -f "$P/out/app_1.1.0_all.deb"
rm -rf "$S" "$T/wizard"
