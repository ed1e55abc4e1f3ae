#!/bin/sh
# plugins.sh builds the docker CLI's plugins buildx and compose into the cache, for a DOCKER_CONFIG of the tests' own.
set -eu
here=$(dirname "$0")
# shellcheck source=test/setup/versions.sh
. "$here/versions.sh"
. "$here/build.sh"
plugins=$CACHE/plugins
export CGO_ENABLED=0 # so that no C compiler is needed

build "$plugins" docker-buildx "$BUILDX" github.com/docker/buildx/cmd/buildx \
	-ldflags "-s -w -X github.com/docker/buildx/version.Version=$BUILDX"

# Compose's go.mod holds replacements, which "go install" refuses; a module that requires it does not.
if ! built "$plugins" docker-compose "$COMPOSE"; then
	work=$(mktemp -d)
	(
		cd "$work"
		go mod init compose >/dev/null 2>&1
		go get "github.com/docker/compose/v5/cmd@$COMPOSE" 2>get.log || { cat get.log >&2 && exit 1; }
		nice go build -mod=mod -trimpath -ldflags "-s -w -X github.com/docker/compose/v5/internal.Version=$COMPOSE" \
			-o docker-compose github.com/docker/compose/v5/cmd
	)
	keep "$work/docker-compose" "$plugins" docker-compose "$COMPOSE"
	rm -rf "$work"
fi
