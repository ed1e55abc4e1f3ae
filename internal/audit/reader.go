package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"time"
)

// Bounds of what a Reader keeps in memory, and the rhythm of following.
const (
	maxListed = 100_000 // entries that Last returns
	maxOpen   = 10_000  // calls whose other half was not seen yet
	window    = 4096    // entries that Each holds back for their results
	block     = 256 << 10
	poll      = 200 * time.Millisecond
	patience  = time.Second // how long Follow holds a call back for its result
)

// Reader reads a trail for people: an intent and its result as one Entry. It takes no lock, and the trail may grow and roll meanwhile.
// It is for one goroutine.
type Reader struct {
	dir    string
	filter Filter
	next   cursor            // where forward reading goes on
	lines  *bufio.Reader     // over the segment at next
	open   map[string]*Entry // told without their result
}

// cursor is a place between two lines.
type cursor struct {
	segment int
	offset  int64
}

// NewReader reads what the filter wants of the trail in dir.
func NewReader(dir string, f Filter) *Reader {
	return &Reader{dir: dir, filter: f, lines: bufio.NewReaderSize(nil, maxLine), open: map[string]*Entry{}}
}

// Last returns the newest n entries, oldest first; n is 1 to 100,000. It reads backwards, no further than it needs to.
func (r *Reader) Last(n int) ([]Entry, error) {
	numbers, err := segments(r.dir)
	if err != nil || len(numbers) == 0 {
		return nil, noTrail(r.dir, err)
	}
	c := collector{filter: &r.filter, want: min(max(n, 1), maxListed), results: map[string][]byte{}}
	if !r.filter.Since.IsZero() {
		c.since = r.filter.Since.UTC().AppendFormat(nil, timeFormat)
	}
	for i := len(numbers) - 1; i >= 0 && !c.full(); i-- {
		if err := r.collect(&c, numbers[i], i == len(numbers)-1); err != nil {
			return nil, noTrail(r.dir, err)
		}
	}
	slices.Reverse(c.entries)
	for i := range c.entries {
		if e := c.entries[i]; e.Open() && len(r.open) < maxOpen {
			r.open[e.Call] = &e
		}
	}
	return c.entries, nil
}

// collect reads one segment backwards. The newest one's end is where Follow goes on.
func (r *Reader) collect(c *collector, number int, newest bool) error {
	f, err := openSegment(r.dir, number)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if newest {
		r.next = cursor{number, 0}
	}
	for line, err := range backwards(f, size) {
		if err != nil {
			return err
		}
		if newest && r.next.offset == 0 {
			r.next.offset = line.end
		}
		if c.take(line.text); c.full() {
			break
		}
	}
	return nil
}

// collector gathers entries from lines that come newest first: a result comes before its intent.
type collector struct {
	filter  *Filter
	want    int
	since   []byte // in the trail's own form; empty for the beginning
	entries []Entry
	results map[string][]byte // lines, by call
	early   bool              // a line from before since was met
}

func (c *collector) full() bool { return len(c.entries) >= c.want || c.early }

func (c *collector) take(line []byte) {
	typ, call := typeOf(line)
	if typ == "result" {
		if len(c.results) < maxOpen {
			c.results[call] = bytes.Clone(line)
		}
		return
	}
	result := c.results[call]
	delete(c.results, call)
	if c.early = typ != "" && bytes.Compare(timeOf(line), c.since) < 0; c.early {
		return
	}
	if e, ok := c.filter.parse(line); ok {
		e.Result = parseOutcome(result)
		c.entries = append(c.entries, *e)
	}
}

// located is a line and the offset after it.
type located struct {
	text []byte
	end  int64
}

// backwards yields a file's whole lines, newest first. A line is valid until the next one. What is longer than a record is passed over.
func backwards(f io.ReaderAt, size int64) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		var rest []byte // the beginning of what was read: a line whose own beginning is further up
		whole := false  // rest is known to end with a newline
		for pos := size; pos > 0; {
			n := min(block, pos)
			pos -= n
			buf := make([]byte, int(n)+len(rest))
			if _, err := f.ReadAt(buf[:n], pos); err != nil {
				yield(located{}, err)
				return
			}
			copy(buf[n:], rest)
			for {
				i := bytes.LastIndexByte(buf, '\n')
				if i < 0 {
					break
				}
				if whole && len(buf)-i <= maxLine && !yield(located{buf[i+1:], pos + int64(len(buf)) + 1}, nil) {
					return
				}
				buf, whole = buf[:i], true
			}
			if rest = buf; len(rest) > maxLine {
				rest, whole = nil, false
			}
		}
		if whole {
			yield(located{rest, int64(len(rest)) + 1}, nil)
		}
	}
}

// Each calls fn for every entry, oldest first, with bounded memory. A call that thousands of others overtook before it ended comes
// twice: open, and again with its result.
func (r *Reader) Each(fn func(*Entry) error) error {
	if err := r.start(false); err != nil {
		return err
	}
	j := joiner{reader: r, emit: fn, pending: map[string]*Entry{}}
	if err := r.forward(func(line []byte) error {
		if err := j.take(line); err != nil {
			return err
		}
		return j.flush(func(*Entry) bool { return len(j.queue) > window })
	}); err != nil {
		return err
	}
	return j.flush(func(*Entry) bool { return true })
}

// Follow calls fn for every entry from where Last ended, or from now on, until ctx ends. A call comes when it ended; one that takes
// longer than a second comes twice: open, and again with its result.
func (r *Reader) Follow(ctx context.Context, fn func(*Entry) error) error {
	if r.next.segment == 0 {
		if err := r.start(true); err != nil {
			return err
		}
	}
	j := joiner{reader: r, emit: fn, pending: map[string]*Entry{}}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if err := r.forward(j.take); err != nil {
			return err
		}
		late := time.Now().Add(-patience)
		if err := j.flush(func(e *Entry) bool { return e.Time.Before(late) }); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// start puts the cursor at the beginning or the end of the trail.
func (r *Reader) start(end bool) error {
	numbers, err := segments(r.dir)
	if err != nil || len(numbers) == 0 {
		return noTrail(r.dir, err)
	}
	r.next = cursor{segment: numbers[0]}
	if !end {
		return nil
	}
	r.next.segment = numbers[len(numbers)-1]
	return r.forward(func([]byte) error { return nil })
}

// forward calls fn for every whole line from the cursor to the end of the trail, and leaves the cursor there.
func (r *Reader) forward(fn func(line []byte) error) error {
	for {
		numbers, err := segments(r.dir) // before reading: a segment that has a follower does not grow any more
		if err != nil {
			return noTrail(r.dir, err)
		}
		if err := r.rest(fn); err != nil {
			return err
		}
		i := slices.IndexFunc(numbers, func(n int) bool { return n > r.next.segment })
		if i < 0 {
			return nil
		}
		r.next = cursor{segment: numbers[i]}
	}
}

// rest reads the cursor's segment from the cursor on.
func (r *Reader) rest(fn func(line []byte) error) error {
	f, err := openSegment(r.dir, r.next.segment)
	if err != nil {
		return noTrail(r.dir, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if _, err := f.Seek(r.next.offset, io.SeekStart); err != nil {
		return noTrail(r.dir, err)
	}
	r.lines.Reset(f)
	for {
		line, err := r.lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull): // no record; it is passed over
		case err != nil:
			return noTrail(r.dir, err)
		default:
			if err := fn(line[:len(line)-1]); err != nil {
				return err
			}
		}
		r.next.offset += int64(len(line))
	}
}

// joiner brings intents and results together while reading forward.
type joiner struct {
	reader  *Reader
	emit    func(*Entry) error
	queue   []*Entry          // in order, held back for their results
	pending map[string]*Entry // those of them that wait
}

func (j *joiner) take(line []byte) error {
	typ, call := typeOf(line)
	switch typ {
	case "result":
		return j.result(line, call)
	case "intent", "note":
		e, ok := j.reader.filter.parse(line)
		if !ok {
			return nil
		}
		j.queue = append(j.queue, e)
		if e.Open() {
			j.pending[e.Call] = e
			return nil
		}
	}
	return j.flush(func(*Entry) bool { return false })
}

func (j *joiner) result(line []byte, call string) error {
	if e := j.pending[call]; e != nil {
		e.Result = parseOutcome(line)
		delete(j.pending, call)
		return j.flush(func(*Entry) bool { return false })
	}
	e := j.reader.open[call]
	if e == nil {
		return nil
	}
	delete(j.reader.open, call)
	e.Result = parseOutcome(line)
	return j.emit(e)
}

// flush tells the entries at the head of the queue that are whole, or that are not to be waited for.
func (j *joiner) flush(hurry func(*Entry) bool) error {
	for len(j.queue) > 0 {
		e := j.queue[0]
		if e.Open() {
			if !hurry(e) {
				return nil
			}
			delete(j.pending, e.Call)
			if len(j.reader.open) < maxOpen {
				j.reader.open[e.Call] = e
			}
		}
		j.queue = j.queue[1:]
		if err := j.emit(e); err != nil {
			return err
		}
	}
	return nil
}
