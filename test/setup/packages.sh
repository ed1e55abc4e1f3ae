#!/bin/sh
# packages.sh PACKAGE... installs the Debian packages that are missing, and starts none of their services.
# It ends with 3 when it cannot, after saying what to install.
set -eu

missing() {
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s ' "$package"
	done
}

cannot() {
	echo "setup: error: $1" >&2
	echo "setup: hint: $2" >&2
	exit 3
}

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
	cannot "this system has no apt-get" "install the equivalents of: $*"

wanted=$(missing "$@")
[ -n "$wanted" ] || exit 0
[ "$(id -u)" = 0 ] ||
	cannot "missing packages: $wanted" "sudo apt-get install --no-install-recommends $wanted"

# A package's service must not start: the machine keeps the engines that it had. invoke-rc.d asks policy-rc.d, and 101 forbids.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
fi

echo "setup: installing $wanted" >&2
install() {
	# shellcheck disable=SC2086 # the list is split on purpose; --no-remove, so that nothing of the machine's own goes
	DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-remove --no-install-recommends $wanted >&2
}
# The package lists are fetched only when those at hand won't do.
install || { apt-get update -qq >&2 && install; } ||
	cannot "apt-get could not install: $wanted" "see its words above; then run this again"

# Nor may it start with the next boot.
case " $wanted" in *" docker.io "*)
	if command -v systemctl >/dev/null; then
		systemctl disable -q docker.service docker.socket containerd.service >&2 || true
	fi
	;;
esac
