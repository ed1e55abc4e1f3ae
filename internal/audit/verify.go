package audit

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/pierhead/pierhead/internal/problem"
)

// maxFindings bounds a report: a file of garbage has a finding in every line.
const maxFindings = 100

// Report is what Verify found.
type Report struct {
	Segments int       `json:"segments"`
	Records  uint64    `json:"records"` // that hold
	Bytes    int64     `json:"bytes"`
	First    uint64    `json:"first"` // sequence numbers
	Last     uint64    `json:"last"`
	Torn     int64     `json:"torn"` // bytes of a write that has not ended, or never will: no fault by itself
	Findings []Finding `json:"findings,omitempty"`
	More     int       `json:"more,omitempty"` // findings beyond the bound
}

// Clean reports whether nothing was found.
func (r *Report) Clean() bool { return len(r.Findings) == 0 }

// Finding is one place where the trail does not hold.
type Finding struct {
	Segment string `json:"segment"`
	Line    int    `json:"line"` // from 1, which is the header; 0 for the segment as a whole
	Seq     uint64 `json:"seq"`  // of the record; 0 where there is none
	Problem string `json:"problem"`
}

// String is the finding for people.
func (f Finding) String() string {
	where := f.Segment
	if f.Line > 0 {
		where += fmt.Sprintf(" line %d", f.Line)
	}
	if f.Seq > 0 {
		where += fmt.Sprintf(", record %d", f.Seq)
	}
	return where + ": " + f.Problem
}

// Verify follows the whole chain and reports every record that was edited, dropped, reordered or cut. It needs no lock, and may run
// while a server writes. What it can't see is a trail that was replaced as a whole, or cut off at its end between two records.
func Verify(dir string) (Report, error) {
	numbers, err := segments(dir)
	if err != nil || len(numbers) == 0 {
		return Report{}, noTrail(dir, err)
	}
	v := verifier{sha: sha256.New(), lines: bufio.NewReaderSize(nil, maxLine)}
	for i, n := range numbers {
		if err := v.segment(dir, n, i == len(numbers)-1); err != nil {
			return v.report, err
		}
	}
	v.report.Last = v.at.seq
	return v.report, nil
}

func noTrail(dir string, err error) error {
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return problem.New(problem.NotFound, "there is no trail in %s", dir).
			WithHint("name the server's state directory: pierhead audit --state DIR")
	}
	p := problem.Wrap(err, problem.Unavailable, "the trail can't be read")
	if errors.Is(err, os.ErrPermission) {
		return p.WithHint("read it as the user that the server runs as, or as root")
	}
	return p
}

// verifier follows a chain.
type verifier struct {
	report  Report
	sha     hash.Hash
	lines   *bufio.Reader
	at      link // where the chain stands
	unknown bool // at's hash was in a record that is gone, so that the next can't be checked against it
	number  int  // the segment being read
	line    int
}

func (v *verifier) find(seq uint64, format string, args ...any) {
	if len(v.report.Findings) >= maxFindings {
		v.report.More++
		return
	}
	v.report.Findings = append(v.report.Findings, Finding{segmentName(v.number), v.line, seq, fmt.Sprintf(format, args...)})
}

func (v *verifier) segment(dir string, number int, newest bool) error {
	f, err := openSegment(dir, number)
	if err != nil {
		return noTrail(dir, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	v.lines.Reset(f)
	if gap := number - v.number - 1; gap > 0 {
		v.line = 0
		was := v.number
		v.number = number
		v.find(0, "the %s before it, from %s on, %s missing", plural(gap, "segment"), segmentName(was+1), isAre(gap))
	}
	v.number, v.line = number, 0
	v.report.Segments++
	return v.read(newest)
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// read checks a segment's lines, from the header to the end.
func (v *verifier) read(newest bool) error {
	for {
		line, err := v.lines.ReadSlice('\n')
		v.line++
		v.report.Bytes += int64(len(line))
		switch {
		case err == nil:
			v.check(line[:len(line)-1])
		case errors.Is(err, io.EOF):
			v.end(line, newest)
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			v.find(0, "longer than any record")
			if err := v.skip(); err != nil {
				return err
			}
		default:
			return noTrail("", err)
		}
	}
}

// skip passes over the rest of a line.
func (v *verifier) skip() error {
	for {
		line, err := v.lines.ReadSlice('\n')
		v.report.Bytes += int64(len(line))
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return noTrail("", err)
		}
	}
}

// end judges what follows the last whole line.
func (v *verifier) end(rest []byte, newest bool) {
	switch {
	case newest:
		v.report.Torn = int64(len(rest))
	case v.line == 1:
		v.find(0, "it is cut off before its first record")
	case len(rest) > 0:
		v.find(0, "it is cut off in the middle of a record")
	}
}

func (v *verifier) check(line []byte) {
	if v.line == 1 {
		v.header(line)
		return
	}
	next, ok := v.at.next(v.sha, line)
	claimed, whole := claim(line)
	switch {
	case ok:
		v.at = next
		v.report.Records++
	case !whole:
		v.find(v.at.seq+1, "it was edited or damaged, and is no record any more")
		v.at, v.unknown = link{seq: v.at.seq + 1}, true
		return
	case claimed.seq <= v.at.seq:
		v.find(claimed.seq, "it stands behind record %d: reordered or repeated", v.at.seq)
		return
	case claimed.seq > v.at.seq+1:
		v.find(claimed.seq, "%s missing before it", span(v.at.seq+1, claimed.seq-1))
		v.at = claimed
	default:
		if !v.unknown {
			v.find(claimed.seq, "its hash does not follow: it was edited, or %s", v.before())
		}
		v.at = claimed
	}
	v.unknown = false
}

func (v *verifier) before() string {
	if v.line == 2 {
		return "the header"
	}
	return "the one before it"
}

func span(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("record %d is", from)
	}
	return fmt.Sprintf("records %d to %d are", from, to)
}

// header compares what a segment says of itself with where the chain stands.
func (v *verifier) header(line []byte) {
	h, prev, err := parseHeader(line)
	if err != nil || h.First == 0 || h.Segment != v.number {
		v.find(0, "its header was edited or damaged")
		v.unknown = true
		return
	}
	first := v.report.Segments == 1
	said := link{h.First - 1, prev}
	switch {
	case first:
		v.report.First = h.First
		if h.Segment == 1 && said != (link{}) {
			v.find(0, "its header was edited: the first segment does not begin with record 1")
		}
	case said.seq > v.at.seq:
		v.find(0, "%s missing before it", span(v.at.seq+1, said.seq))
	case said.seq < v.at.seq:
		v.find(0, "it begins with record %d, which the segment before it has", h.First)
	case said.hash != v.at.hash && !v.unknown:
		v.find(0, "it does not follow from the segment before it: one of them was edited")
	}
	v.at, v.unknown = h.link(v.sha, prev, line), false
}
