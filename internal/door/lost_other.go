//go:build !linux

package door

// Only Linux tells of an end while something is unread; elsewhere a peer is lost when the connection is.
const rdhup = 0
