#!/bin/sh
# Process 1 of an engine's own mount, process, network and IPC namespaces. Arguments: the bridge, then dockerd and its own
# arguments. When this process ends, the kernel ends every process, mount, bridge and firewall rule of the engine with it.
set -eu
bridge=$1
shift

mount --make-rprivate /
mount -t proc proc /proc
# The host's /run has the sockets of its containerd and systemd, which dockerd would use if it saw them.
mount -t tmpfs tmpfs /run

ip link set lo up
ip link add "$bridge" type bridge
ip address add 10.210.0.1/24 dev "$bridge"
ip link set "$bridge" up

# dockerd takes inherited listeners only under its own process id (sd_listen_fds(3)). This shell stays, because process 1
# has to reap what containers leave behind.
sh -c 'LISTEN_PID=$$ exec "$0" "$@"' "$@" &
wait $!
