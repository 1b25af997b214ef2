# Signatures of images and bundles, whatever the system's policy says.
# shellcheck shell=bash
if ! command -v minisign >/dev/null || ! command -v gpg >/dev/null; then
	skip "signatures" "minisign or gpg is not installed"
	return
fi
start_registry
S=$T/signatures
mkdir -p "$S/lookaside" /etc/containers/registries.d
export GNUPGHOME=$S/gpg
mkdir -m 700 "$GNUPGHOME"
new_key() { gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "$1" ed25519 sign never 2>/dev/null; }
new_key signer@example.org
new_key other@example.org
gpg --armor --export signer@example.org >"$S/signer.asc"
gpg --export other@example.org >"$S/other.gpg"
minisign -G -f -W -p "$S/mini.pub" -s "$S/mini.key" >/dev/null
minisign -G -f -W -p "$S/mini2.pub" -s "$S/mini2.key" >/dev/null

# version N: an image that differs from all others, as localhost/v:N.
version() {
	printf 'FROM %s\nLABEL v=%s\n' "$IMAGE" "$1" >"$T/Containerfile"
	podman build -q -t "localhost/v:$1" -f "$T/Containerfile" "$T" >/dev/null 2>&1
}
# push N NAME OPTION…: as NAME into the registry, and not in the store any more.
push() {
	version "$1"
	podman push -q "${@:3}" "localhost/v:$1" "$REGISTRY/$2" >/dev/null 2>&1
	podman rmi -f "localhost/v:$1" >/dev/null 2>&1
}
label() { podman image inspect -f '{{.Labels.v}}' "$1" 2>/dev/null; }
has_label() { [ "$(label "$1")" = "$2" ]; }

# 1. GPG, its signatures in a lookaside.
run flake-ctl podman register --container "$REGISTRY/app:1" --app /usr/bin/fsigned --target /bin/echo --opt "--net none" \
	--require-signature "$S/signer.asc"
check "register --require-signature" rc_is 0
check "says that podman knows of no lookaside" err_has "no lookaside is set for $REGISTRY"
run flake-ctl doctor fsigned
check "so does doctor" out_has "in a file of /etc/containers/registries.d: docker: {$REGISTRY: {lookaside:"
printf 'docker:\n  %s:\n    lookaside: file://%s\n' "$REGISTRY" "$S/lookaside" >/etc/containers/registries.d/test.yaml
run flake-ctl doctor fsigned
check "until it is set" bash -c "! grep -q lookaside '$out'"
push one app:1
run flake-ctl podman pull --uri "$REGISTRY/app:1"
check "an image without signature is not pulled" rc_is 125
check "for that reason" err_has "A signature was required"
check "and is not here" bash -c "! podman image exists $REGISTRY/app:1"
run fsigned x
check "nor does a launch pull it" rc_is 125
check "whatever the system's policy says" grep -q insecureAcceptAnything /etc/containers/policy.json
push two app:1 --sign-by other@example.org
run flake-ctl podman pull --uri "$REGISTRY/app:1"
check "nor one that somebody else has signed" rc_is 125
push three app:1 --sign-by signer@example.org
run fsigned launched
check "a launch pulls what is signed" out_is launched
run flake-ctl podman pull --uri "$REGISTRY/app:1"
check "so does pull" rc_is 0
push four app:1
run flake-ctl podman update fsigned
check "update refuses a newer one without signature" rc_is 1
check "and says why" err_has "A signature was required"
check "the old one stays" has_label "$REGISTRY/app:1" three
run flake-ctl podman update --all
check "also among all others" has_label "$REGISTRY/app:1" three
push five app:1 --sign-by signer@example.org
run flake-ctl podman update fsigned
check "update takes a signed one" has_label "$REGISTRY/app:1" five
version six
podman tag localhost/v:six "$REGISTRY/app:2"
podman save -q --format docker-archive -o "$T/six.tar" localhost/v:six
podman rmi -f localhost/v:six >/dev/null
python3 - "$T/six.tar" "$REGISTRY/app:1" <<'P'
import io, json, sys, tarfile
src = tarfile.open(sys.argv[1])
with tarfile.open(sys.argv[1] + ".evil", "w") as out:
    for m in src:
        data = src.extractfile(m).read() if m.isreg() else b""
        if m.name == "manifest.json":
            d = json.loads(data)
            d[0]["RepoTags"] = [sys.argv[2]]
            data = json.dumps(d).encode()
            m.size = len(data)
        out.addfile(m, io.BytesIO(data) if m.isreg() else None)
P
run flake-ctl podman load --oci "$T/six.tar.evil"
check "an archive that takes the image's name is loaded in vain" rc_is 1
check "which is said" err_has "flake 'fsigned' demands that image '$REGISTRY/app:1' is signed"
check "and the image is what it was" has_label "$REGISTRY/app:1" five
run flake-ctl podman pull --uri "docker-archive:$T/six.tar.evil"
check "so is one that is pulled" has_label "$REGISTRY/app:1" five
run fsigned still
check "the flake runs" out_is still

# A second flake of the image, with a demand of its own.
run flake-ctl podman register --container "$REGISTRY/app:1" --app /usr/bin/fmore --target /bin/echo \
	--require-signature "$S/other.gpg"
check "an image that is here was not checked, which is said" err_has "was not checked"
push seven app:1 --sign-by signer@example.org
run flake-ctl podman pull --uri "$REGISTRY/app:1"
check "one image has to please all flakes that have it" has_label "$REGISTRY/app:1" five
flake-ctl podman remove --app /usr/bin/fmore
run flake-ctl podman pull --uri "$REGISTRY/app:1"
check "which are there" has_label "$REGISTRY/app:1" seven

# 2. sigstore: signed by podman itself, where it can; else doctor must say so.
cat >"$S/ec.pub" <<'PEM'
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/ROYu41YhF/fZq7zDoTjE2kwd3eu
ztPciag9mvLMfPRHRQW4jQ7btBrCohOdy9Wq/6fidJFDJAqr5yvdfDbFfA==
-----END PUBLIC KEY-----
PEM
echo pass >"$S/pass"
cosign=$S/ec.pub
if skopeo generate-sigstore-key --help >/dev/null 2>&1 &&
	skopeo generate-sigstore-key --output-prefix "$S/cosign" --passphrase-file "$S/pass" >/dev/null 2>&1; then
	cosign=$S/cosign.pub
fi
run flake-ctl podman register --force --container "$REGISTRY/sig:1" --app /usr/bin/fsig --target /bin/echo --opt "--net none" \
	--require-signature "$cosign"
check "a sigstore key is taken" rc_is 0
check "and what podman would not find is said" err_has "use-sigstore-attachments is not set for $REGISTRY"
run flake-ctl doctor fsig
check "doctor calls it serious" rc_is 1
printf '    use-sigstore-attachments: true\n' >>/etc/containers/registries.d/test.yaml
run flake-ctl doctor fsig
if [ "$cosign" != "$S/ec.pub" ] && push one sig:1 --sign-by-sigstore-private-key "$S/cosign.private" --sign-passphrase-file "$S/pass" &&
	skopeo inspect --raw "docker://$REGISTRY/sig:$(skopeo inspect -f '{{.Digest}}' "docker://$REGISTRY/sig:1" | tr : -).sig" >/dev/null 2>&1; then
	check "nothing is missing then" bash -c "! grep -qE 'attachments|does not check' '$out'"
	run fsig works
	check "a launch pulls what sigstore has signed" out_is works
	push two sig:1
	run flake-ctl podman update fsig
	check "and update nothing else" has_label "$REGISTRY/sig:1" one
	skopeo copy -q "docker://$REGISTRY/sig:1" "docker://$REGISTRY/sig:2"
else
	check "this podman checks no sigstore signature, which doctor names" out_has "which this podman does not check"
	push one sig:1
	run fsig works
	check "so that nothing is pulled" rc_is 125
fi
check "what was tried is gone" bash -c "! podman images -a --format '{{.Id}}' | grep -q ^dc570f145a7f"
flake-ctl podman remove --app /usr/bin/fsig

# 3. Bundles.
flake fbundle /bin/echo
run flake-ctl podman export --bundle --sign "$S/mini.key" fbundle "$S/mini.flake"
check "export --sign with minisign" [ -s "$S/mini.flake.minisig" ]
run flake-ctl podman export --bundle --sign signer@example.org fbundle "$S/gpg.flake"
check "export --sign with GPG" [ -s "$S/gpg.flake.sig" ]
run flake-ctl podman export --sign "$S/mini.key" fbundle "$S/image"
check "also of an image" minisign -V -q -p "$S/mini.pub" -m "$S/image"
run flake-ctl podman export --bundle --sign nobody@example.org fbundle "$S/none.flake"
check "without the key nothing is written" bash -c "[ $rc = 1 ] && ! ls '$S'/none.flake* 2>/dev/null"
flake-ctl podman export --bundle fbundle "$S/plain.flake" 2>/dev/null
flake-ctl podman remove --app /usr/bin/fbundle
for key in mini2.pub other.gpg; do
	run flake-ctl import --require-signature "$S/$key" "$S/mini.flake"
	check "a bundle needs a signature of $key if that is asked for" rc_is 1
	run flake-ctl import --require-signature "$S/$key" "$S/gpg.flake"
	check "of another kind, too" rc_is 1
	check "nothing of it is there" [ ! -e /usr/share/flakes/fbundle.yaml ]
done
run flake-ctl import --require-signature "$S/mini.pub" "$S/plain.flake"
check "a bundle without any is refused" err_has "plain.flake.minisig"
run flake-ctl import --require-signature "$S/mini.pub" "$S/mini.flake"
check "a signed one is imported" rc_is 0
run fbundle works
check "and runs" out_is works
run flake-ctl import --force "$S/plain.flake"
check "the flake goes on demanding it" err_has "flake 'fbundle' demands a signature"
run flake-ctl import --force "$S/mini.flake"
check "takes what is signed" rc_is 0
run flake-ctl import --force "$S/plain.flake"
check "and still demands it then" rc_is 1
cp "$S/mini.flake" "$S/bad.flake"
cp "$S/mini.flake.minisig" "$S/bad.flake.minisig"
printf 'x' | dd of="$S/bad.flake" bs=1 seek=1500000 conv=notrunc 2>/dev/null
run flake-ctl import --force "$S/bad.flake"
check "a changed byte is noticed" err_has "not of the key"
run flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/fbundle --target /bin/echo --require-signature "$S/signer.asc"
check "another key is another demand" rc_is 0
run flake-ctl import --force "$S/mini.flake"
check "which that signature does not meet" err_has "mini.flake.sig"
run flake-ctl import --force "$S/gpg.flake"
check "and that of GPG does" rc_is 0
cp "$S/gpg.flake" "$S/old.flake"
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --faked-system-time 20200101T000000 \
	--quick-generate-key old@example.org ed25519 sign 1d 2>/dev/null
gpg --batch --quiet --faked-system-time 20200101T000100 --local-user old@example.org --detach-sign "$S/old.flake" 2>/dev/null
gpg --armor --export old@example.org >"$S/old.asc"
run flake-ctl import --force --require-signature "$S/old.asc" "$S/old.flake"
check "a key that has expired is none" bash -c "[ -s '$S/old.flake.sig' ] && [ $rc = 1 ]"
run flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/fbundle --target /bin/echo --require-signature "$S/ec.pub"
run flake-ctl import --force "$S/gpg.flake"
check "who has a key for images only takes no bundle" err_has "has no key for bundles"
run flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/fbundle --target /bin/echo
check "what is demanded no more is said" err_has "demands no signatures any more"

# Another flake's image comes in a bundle that it would take.
flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/fother --target /bin/echo --require-signature "$S/mini2.pub"
run flake-ctl import --force --yes "$S/gpg.flake"
check "nor is another flake's image replaced, which demands a signature" err_has "flake 'fother' demands a signature"
flake-ctl podman remove --app /usr/bin/fother

# A bundle that others can change while it is looked at: a copy is.
install -m 666 "$S/mini.flake" "$S/mini.flake.minisig" /tmp/
run flake-ctl import --force --require-signature "$S/mini.pub" /tmp/mini.flake
check "a bundle that others can write is read once" rc_is 0

# The system's policy rules what comes without a flake's demand, and nothing that goes out.
cp /etc/containers/policy.json "$S/policy.json"
echo '{"default":[{"type":"reject"}]}' >/etc/containers/policy.json
run flake-ctl podman export --bundle fbundle "$S/strict.flake"
check "export works under a policy that rejects all" rc_is 0
# Under all of its names: what is in the store needs no loading.
id=$(podman image inspect --format '{{.Id}}' "$IMAGE")
flake-ctl podman remove --container "$IMAGE"
run podman rmi --force "$id"
run flake-ctl import "$S/plain.flake"
check "import of what nobody demands does not" err_has "the system's policy rejects it"
run flake-ctl import --require-signature "$S/mini.pub" "$S/mini.flake"
check "that of what is signed as demanded does" rc_is 0
push eight app:1 --sign-by signer@example.org
podman rmi -f "$REGISTRY/app:1" >/dev/null
run fsigned works
check "as does a pull that the flake's policy allows" out_is works
cp "$S/policy.json" /etc/containers/policy.json
for f in fbundle fsigned; do flake-ctl podman remove --app "/usr/bin/$f"; done
podman image exists "$IMAGE" || make_image
rm -rf /etc/containers/registries.d /tmp/mini.flake*
gpgconf --kill all
unset GNUPGHOME
