# SPDX-License-Identifier: MIT
# Sourced by the scripts here, which run in the top directory of the sources.

die() {
	echo "packaging: $*" >&2
	exit 1
}

# The sources may belong to somebody else than to who builds them.
git_here() {
	git -c safe.directory="$PWD" "$@"
}

# The date of everything in the packages: of the newest commit, in a tarball too.
source_epoch() {
	if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
		echo "$SOURCE_DATE_EPOCH"
	elif [ -e .git ]; then
		git_here log -1 --format=%ct
	else
		grep -x '[0-9]*' packaging/epoch || stat -c %Y NEWS.md
	fi
}

# present: the packages of this tree.
present() {
	while read -r word name how file; do
		[ "$word" = package ] || continue
		[ "$how" != if ] || [ -e "$file" ] || continue
		echo "$name"
	done <packaging/manifest
}

# lua_packages COLUMN: packages (2: Debian's, 3: rpm's) of the Lua modules that our Lua requires.
lua_packages() {
	grep -rhoE --include='*.lua' "require *[(]? *[\"'][A-Za-z0-9_.]+" lua runtimes \
		$([ ! -d builders ] || echo builders) | sed "s/.*[\"']//; s/[.].*//" | sort -u |
		while read -r module; do
			case $module in
			flake | shipped | runtimes | builders | commands) continue ;;
			esac
			awk -v m="$module" -v c="$1" '$1 == m {print $c; found = 1} END {exit !found}' \
				packaging/lua-packages || die "no package known for the Lua module $module"
		done
}

# What release the packages are for: Ubuntu's tools want a name of theirs.
distribution() (
	ID= ID_LIKE= VERSION_CODENAME= UBUNTU_CODENAME=
	[ ! -r /etc/os-release ] || . /etc/os-release
	case " $ID $ID_LIKE " in
	*" ubuntu "*) echo "${UBUNTU_CODENAME:-${VERSION_CODENAME:-unstable}}" ;;
	*) echo unstable ;;
	esac
)

# Who publishes. A comma stands between two of them, unless it is in quotes (dpkg 1.23 refuses it).
maintainer() {
	if [ -z "${DEBFULLNAME:-}" ] || [ -z "${DEBEMAIL:-}" ]; then
		cat packaging/maintainer
		return
	fi
	case $DEBFULLNAME in
	*[\<\>\"]*) die "DEBFULLNAME must not hold < > or double quotes: $DEBFULLNAME" ;;
	*,*) printf '"%s" <%s>\n' "$DEBFULLNAME" "$DEBEMAIL" ;;
	*) printf '%s <%s>\n' "$DEBFULLNAME" "$DEBEMAIL" ;;
	esac
}
