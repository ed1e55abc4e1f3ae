#!/bin/sh
# engine.sh old|current makes sure that this kind of Docker Engine can be started by test/dockerd: "old" is Debian's package,
# "current" is built from Go modules into the cache (ten minutes on two cores, once). It starts nothing.
set -eu
here=$(dirname "$0")
# shellcheck source=test/setup/versions.sh
. "$here/versions.sh"
. "$here/build.sh"
export CGO_ENABLED=1 # runc enters namespaces in C, before Go's runtime has threads

old() {
	# Debian's package would push out another vendor's engine, so what is there is taken as it is.
	command -v dockerd >/dev/null && OLD_PACKAGES=
	# shellcheck disable=SC2086
	"$here/packages.sh" $ENGINE_PACKAGES $OLD_PACKAGES
}

current() {
	# shellcheck disable=SC2086
	"$here/packages.sh" $ENGINE_PACKAGES $CURRENT_PACKAGES
	bin=$CACHE/engines/current/bin
	build "$bin" containerd "$CONTAINERD" github.com/containerd/containerd/v2/cmd/containerd
	build "$bin" containerd-shim-runc-v2 "$CONTAINERD" github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2
	build "$bin" runc "$RUNC" github.com/opencontainers/runc -tags seccomp
	build "$bin" docker-proxy "$MOBY" github.com/moby/moby/v2/cmd/docker-proxy
	build "$bin" dockerd "$MOBY" github.com/moby/moby/v2/cmd/dockerd \
		-ldflags "-s -w -X github.com/moby/moby/v2/dockerversion.Version=$MOBY_SAYS"
}

case ${1-} in
old | current) "$1" ;;
*)
	echo "usage: engine.sh old|current" >&2
	exit 2
	;;
esac
