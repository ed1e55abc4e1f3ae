package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// format is the version of the trail's form; it changes only when an older reader could misread a newer trail.
const format = 1

// header is the first line of a segment. First and Prev are the number of the record that follows and the hash of the line before, so
// that every segment can be verified alone. It is a link of the chain without a hash of its own: the record that follows has it.
type header struct {
	Trail   int       `json:"trail"` // the format
	Segment int       `json:"segment"`
	First   uint64    `json:"first"`
	Prev    string    `json:"prev"`
	Time    time.Time `json:"time"`
}

func (h *header) line() ([]byte, error) {
	b, err := json.Marshal(h)
	return append(b, '\n'), err
}

// link is where the chain stands after a header.
func (h *header) link(sha hash.Hash, prev digest, line []byte) link {
	return link{h.First - 1, prev.follow(sha, bytes.TrimSuffix(line, []byte("\n")))}
}

func parseHeader(line []byte) (header, digest, error) {
	var h header
	var prev digest
	if err := json.Unmarshal(line, &h); err != nil {
		return h, prev, fmt.Errorf("not a header: %w", err)
	}
	if h.Trail != format {
		return h, prev, fmt.Errorf("format %d is not known here", h.Trail)
	}
	if n, err := hex.Decode(prev[:], []byte(clip(h.Prev, 2*len(prev)))); err != nil || n != len(prev) {
		return h, prev, errors.New("its previous hash is no hash")
	}
	return h, prev, nil
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

func segmentName(number int) string { return fmt.Sprintf("trail-%08d.jsonl", number) }

// segments lists the numbers of dir's segments, oldest first.
func segments(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		s, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".jsonl"), "trail-")
		if n, err := strconv.Atoi(s); ok && err == nil && e.Name() == segmentName(n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// openSegment opens a segment for reading.
func openSegment(dir string, number int) (*os.File, error) {
	return os.Open(filepath.Join(dir, segmentName(number))) //nolint:gosec // in the trail's own directory
}

// splitHash takes a line apart into what was hashed and the hash that it claims.
func splitHash(line []byte) (body []byte, claimed digest, ok bool) {
	at := len(line) - hashSize
	if at < 0 || !bytes.HasPrefix(line[at:], []byte(`,"hash":"`)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return nil, claimed, false
	}
	_, err := hex.Decode(claimed[:], line[at+len(`,"hash":"`):len(line)-len(`"}`)])
	return line[:at], claimed, err == nil
}

// seqOf reads the number that begins every record.
func seqOf(line []byte) (uint64, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 1 || end > 20 || rest[0] == '0' {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(rest[:end]), 10, 64)
	return seq, err == nil
}

// link is where a chain stands.
type link struct {
	seq  uint64
	hash digest
}

// claim reads a line's number and hash without checking them.
func claim(line []byte) (link, bool) {
	seq, ok := seqOf(line)
	_, hash, whole := splitHash(line)
	return link{seq, hash}, ok && whole
}

// next follows the chain by one line; it reports false when the line is not the next link.
func (l link) next(sha hash.Hash, line []byte) (link, bool) {
	seq, ok := seqOf(line)
	body, claimed, whole := splitHash(line)
	if !ok || !whole || seq != l.seq+1 {
		return link{}, false
	}
	return link{seq, claimed}, l.hash.follow(sha, body) == claimed
}

// tail is how a segment ends.
type tail struct {
	headed  bool   // its header, or a record of it, holds
	last    link   // the last record that holds
	end     int64  // the offset after it
	after   int64  // bytes that follow
	torn    []byte // the beginning of those
	damaged bool   // whole lines follow that do not hold: more than a write that was cut short
	claimed link   // what the line read last says of itself
	sha     hash.Hash
}

// tailWindow is how much of a segment's end is read at first: more than a crowd writes at once.
const tailWindow = 2 << 20

// readTail finds the last record of a segment that holds. It reads only the end of the file if that will do: a server has to start at
// once, and the whole is Verify's business.
func readTail(dir string, number int) (tail, error) {
	f, err := openSegment(dir, number)
	if err != nil {
		return tail{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return tail{}, err
	}
	t, err := walkTail(f, max(0, size-tailWindow), size)
	if err == nil && !t.headed {
		return walkTail(f, 0, size)
	}
	return t, err
}

// walkTail follows the chain through a segment's bytes from start to size.
func walkTail(f io.ReaderAt, start, size int64) (tail, error) {
	window := make([]byte, size-start)
	if _, err := io.ReadFull(io.NewSectionReader(f, start, size-start), window); err != nil {
		return tail{}, err
	}
	t := tail{end: start, sha: sha256.New()}
	for pos := 0; ; {
		n := bytes.IndexByte(window[pos:], '\n')
		if n < 0 {
			break
		}
		line := window[pos : pos+n]
		isHeader := start == 0 && pos == 0
		pos += n + 1
		t.read(line, isHeader, start+int64(pos))
	}
	torn := window[t.end-start:]
	t.after, t.torn = int64(len(torn)), torn[:min(len(torn), maxText)]
	return t, nil
}

// read takes one line, which ends at offset end. It is checked against what the line before it claims, not against what holds: a
// record that somebody edited must not make all that follow it look torn.
func (t *tail) read(line []byte, isHeader bool, end int64) {
	var next link
	var ok bool
	if isHeader {
		h, prev, err := parseHeader(line)
		next, ok = h.link(t.sha, prev, line), err == nil && h.First > 0
		t.claimed = next
	} else {
		next, ok = t.claimed.next(t.sha, line)
		t.claimed, _ = claim(line)
	}
	t.damaged = !ok
	if ok {
		t.headed, t.last, t.end = true, next, end
	}
}
