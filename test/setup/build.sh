# Builds Go programs into the cache, once per version. Sourced by the scripts beside it.
# shellcheck shell=sh

# build BIN NAME VERSION PACKAGE [FLAG...] installs PACKAGE@VERSION as BIN/NAME.
build() {
	bin=$1 name=$2 version=$3 package=$4
	shift 4
	built "$bin" "$name" "$version" && return
	work=$(mktemp -d)
	GOBIN=$work nice go install -trimpath "$@" "$package@$version"
	keep "$work/${package##*/}" "$bin" "$name" "$version"
	rm -rf "$work"
}

# built BIN NAME VERSION succeeds when the cache has it, and says what is about to take time when not.
built() {
	[ -x "$1/$2" ] && [ "$(cat "$1/.$2.version" 2>/dev/null)" = "$3" ] && return
	echo "setup: building $2 $3" >&2
	return 1
}

# keep FILE BIN NAME VERSION puts a built program into the cache, all of it or nothing.
keep() {
	mkdir -p "$2"
	cp "$1" "$2/.$3.new"
	mv "$2/.$3.new" "$2/$3"
	echo "$4" >"$2/.$3.version"
}
