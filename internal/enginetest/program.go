package enginetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// program is what a container or exec runs: nothing real, but a few commands whose input and output a test can foretell.
//
//	echo WORDS   prints the words and exits
//	cat          prints its input until that ends
//	sink         reads its input until that ends, then prints the number of bytes
//	bulk N       prints N bytes (Pattern) and exits
//	exit N       exits with that code
//
// Everything else waits until it is stopped.
type program struct{ args []string }

// name is the command's.
func (p program) name() string {
	if len(p.args) == 0 {
		return ""
	}
	return p.args[0]
}

// reads says whether the program takes its input until that ends.
func (p program) reads() bool { return p.name() == "cat" || p.name() == "sink" }

// run runs it to its end and returns the exit code; stopped when it was ctx that ended it.
func (p program) run(ctx context.Context, in io.Reader, out io.Writer) (code int, stopped bool) {
	arg := strings.Join(p.args[min(1, len(p.args)):], " ")
	var err error
	switch p.name() {
	case "echo":
		_, err = fmt.Fprintln(out, arg)
	case "cat":
		_, err = io.Copy(out, in)
	case "sink":
		var n int64
		if n, err = io.Copy(io.Discard, in); err == nil {
			_, err = fmt.Fprintln(out, n)
		}
	case "bulk":
		var n int64
		if n, err = strconv.ParseInt(arg, 10, 64); err == nil {
			_, err = io.Copy(out, Pattern(n))
		}
	case "exit":
		code, err = strconv.Atoi(arg)
	default:
		<-ctx.Done()
		return 137, true
	}
	if err != nil {
		return 1, false
	}
	return code, false
}

// Pattern is n bytes that every bulk answer of the engine consists of: no two 8-byte words within 64 MiB are alike, so that lost,
// doubled and swapped pieces show in a digest.
func Pattern(n int64) io.Reader { return io.LimitReader(&pattern{}, n) }

type pattern struct{ at uint64 }

// Read fills p.
func (s *pattern) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], (s.at/8)*0x9E3779B97F4A7C15)
		c := copy(p[n:], word[s.at%8:])
		n += c
		s.at += uint64(c) //nolint:gosec // at most 8
	}
	return len(p), nil
}

// framer multiplexes standard output as Docker does: 8 bytes of head (stream, length) before each piece.
type framer struct{ w io.Writer }

// Write sends one frame.
func (f framer) Write(p []byte) (int, error) {
	frame := make([]byte, 8+len(p))
	frame[0] = 1                                           // standard output
	binary.BigEndian.PutUint32(frame[4:8], uint32(len(p))) //nolint:gosec // io.Copy's pieces are small
	copy(frame[8:], p)
	n, err := f.w.Write(frame)
	return max(0, n-8), err
}
