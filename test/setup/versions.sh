# What the tests run against, pinned in this one place. Sourced by the scripts beside it.
# shellcheck shell=sh disable=SC2034

# What an engine needs beside itself: its images, its firewall, its bridge, and ps for "docker top".
ENGINE_PACKAGES="busybox-static iptables iproute2 procps"

# The old engine: whatever docker.io Debian ships (20.10.24, API 1.41, on bookworm).
OLD_PACKAGES="docker.io"

# The current engine: moby v2 from its Go modules (API 1.56), with what it starts.
MOBY=v2.0.0-beta.24
MOBY_SAYS=29.9.3
CONTAINERD=v2.4.2
RUNC=v1.5.2 # Debian's 1.1.5 lacks the time namespace that moby v2 asks for
CURRENT_PACKAGES="gcc libc6-dev pkg-config libseccomp-dev"

# Plugins of the docker CLI.
BUILDX=v0.38.2
COMPOSE=v5.6.0

# Where built things are kept. The Go side is CacheDir in test/dockerd.
CACHE=${PIERHEAD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pierhead}
