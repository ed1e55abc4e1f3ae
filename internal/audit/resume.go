package audit

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
)

// resume takes up the trail where it ends, whatever state a kill or a power cut left the end in.
func (t *Trail) resume() error {
	numbers, err := segments(t.dir)
	if err != nil {
		return err
	}
	newest, end, err := t.lastTail(numbers)
	if err != nil {
		return err
	}
	h, known, err := readHead(t.head)
	if err != nil && !errors.Is(err, errHead) {
		return err
	}
	if known.seq > end.last.seq {
		return t.resumeLost(numbers, newest, end.last, h, known)
	}
	t.begin(end.last)
	t.noteHead(err)
	if newest.headed && !newest.damaged {
		return t.reopen(last(numbers), newest)
	}
	number := max(1, last(numbers))
	t.noteTorn(number, newest)
	if newest.damaged { // left as it is: it may be evidence
		number++
	}
	return t.startSegment(number)
}

// begin takes up the chain at a link.
func (t *Trail) begin(at link) {
	t.enc = newEncoder(at.seq, at.hash)
	t.written, t.synced = at, at
	t.crowd.cover(at.seq)
}

// resumeLost goes on behind the last record that the head knows of, in a new segment: no number is given twice, so that the names of
// calls stay unique and Verify shows the gap for ever.
func (t *Trail) resumeLost(numbers []int, newest tail, found link, h head, known link) error {
	t.begin(known)
	t.noteTorn(last(numbers), newest)
	t.noteLost(found.seq+1, known.seq)
	return t.startSegment(max(last(numbers), h.Segment) + 1)
}

// last is the newest segment's number; 0 when there is none.
func last(numbers []int) int {
	if len(numbers) == 0 {
		return 0
	}
	return numbers[len(numbers)-1]
}

// noteHead says that the head could not be understood. It is written anew soon; a trail without its end would go unnoticed this once.
func (t *Trail) noteHead(err error) {
	if err != nil {
		t.enc.note(t.now(), "trail.headless", []Attr{{"because", err.Error()}})
		t.wake()
	}
}

// lastTail reads the newest segment's tail, and the tail that holds the chain's end: the same, unless the newest has no record and no
// header that holds.
func (t *Trail) lastTail(numbers []int) (newest, end tail, err error) {
	for i := len(numbers) - 1; i >= 0; i-- {
		read, err := readTail(t.dir, numbers[i])
		if err != nil {
			return tail{}, tail{}, err
		}
		if i == len(numbers)-1 {
			newest = read
		}
		if read.headed {
			return newest, read, nil
		}
	}
	return newest, tail{}, nil
}

// reopen goes on in segment number, without what follows its last whole record.
func (t *Trail) reopen(number int, end tail) error {
	f, err := t.open(t.path(number), os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	t.file, t.segment, t.offset = f, number, end.end
	t.noteTorn(number, end)
	if end.after > 0 {
		err = f.Truncate(end.end)
	}
	// A killed server's last records may be in memory only.
	if err = errors.Join(err, f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// noteTorn says what was found behind the last record that holds.
func (t *Trail) noteTorn(number int, end tail) {
	if end.after == 0 {
		return
	}
	kind := "trail.torn"
	if end.damaged {
		kind = "trail.damaged"
	}
	t.enc.note(t.now(), kind, []Attr{
		{"segment", segmentName(number)},
		{"offset", strconv.FormatInt(end.end, 10)},
		{"bytes", strconv.FormatInt(end.after, 10)},
		{"text", string(end.torn)},
	})
	t.wake()
}

// startSegment begins segment number behind the last written record, and turns to it. The caller holds syncing and writing.
func (t *Trail) startSegment(number int) error {
	at := t.written
	h := header{Trail: format, Segment: number, First: at.seq + 1, Prev: hex.EncodeToString(at.hash[:]), Time: t.now().UTC()}
	line, err := h.line()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.dir, 0o700); err != nil { // somebody may have removed it while it was in use
		return err
	}
	name := t.path(number)
	f, err := t.open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := establish(f, line, t.dir); err != nil {
		return errors.Join(err, f.Close(), os.Remove(name))
	}
	if t.file != nil {
		_ = t.file.Close() // it was synced, or given up
	}
	t.file, t.segment, t.offset = f, number, int64(len(line))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written = h.link(t.enc.sha, at.hash, line)
	t.enc.rechain(t.written.hash)
	return nil
}

// path is where a segment lies.
func (t *Trail) path(number int) string { return filepath.Join(t.dir, segmentName(number)) }

func establish(f File, line []byte, dir string) error {
	if _, err := f.WriteAt(line, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(dir)
}
