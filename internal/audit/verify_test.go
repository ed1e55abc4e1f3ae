package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/problem"
)

// tamper is a trail of several segments, held as lines, so that a test can change it.
type tamper struct {
	dir      string
	segments [][][]byte
}

// tamperable makes a trail of three segments with ten records each.
func tamperable(t *testing.T) *tamper {
	t.Helper()
	dir := t.TempDir()
	disk := &faultyDisk{faults: faults{noSync: true}}
	trail := openTrail(t, Config{Dir: dir, OpenFile: disk.open})
	for i := range 30 {
		if i%10 == 0 {
			trail.size = 1 << 20
		}
		if i%10 == 9 {
			trail.size = 1 // the next fsync rolls
		}
		begin(t, trail, testIntent(fmt.Sprintf("/call/%d", i+1)), Durable)
	}
	closeTrail(t, trail)
	tam := &tamper{dir: dir}
	for n := 1; n <= 3; n++ {
		b, err := os.ReadFile(filepath.Join(dir, segmentName(n)))
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.SplitAfter(b, []byte("\n"))
		tam.segments = append(tam.segments, lines[:len(lines)-1])
	}
	clean(t, dir)
	return tam
}

func (tam *tamper) write(t *testing.T) {
	t.Helper()
	for i, lines := range tam.segments {
		name := filepath.Join(tam.dir, segmentName(i+1))
		if lines == nil {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(name, bytes.Join(lines, nil), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func replaceIn(line []byte, old, with string) []byte {
	return bytes.Replace(line, []byte(old), []byte(with), 1)
}

func TestVerifyNamesWhatWasDone(t *testing.T) {
	// In segment i, line 0 is the header and line j is record 10*i+j.
	for name, row := range map[string]struct {
		do   func(s [][][]byte)
		want string
	}{
		"edited record": {
			func(s [][][]byte) { s[1][5] = replaceIn(s[1][5], "/call/15", "/call/99") },
			"trail-00000002.jsonl line 6, record 15: its hash does not follow: it was edited, or the one before it",
		},
		"edited record with its own hash made anew": {
			func(s [][][]byte) { s[1][5] = rehash(s[1][4], replaceIn(s[1][5], "/call/15", "/call/99")) },
			"trail-00000002.jsonl line 7, record 16: its hash does not follow: it was edited, or the one before it",
		},
		"edited hash": {
			func(s [][][]byte) { s[0][2][len(s[0][2])-4] = 'x' },
			"trail-00000001.jsonl line 3, record 2: it was edited or damaged, and is no record any more",
		},
		"one bit in the last record": {
			func(s [][][]byte) { s[2][10][20] ^= 1 },
			"trail-00000003.jsonl line 11, record 30: its hash does not follow: it was edited, or the one before it",
		},
		"garbage in place of a record": {
			func(s [][][]byte) { s[1][5] = []byte("\x00\x00\x00\n") },
			"trail-00000002.jsonl line 6, record 15: it was edited or damaged, and is no record any more",
		},
		"longer than any record": {
			func(s [][][]byte) { s[1][5] = append(bytes.Repeat([]byte("x"), 3*maxLine), '\n') },
			"trail-00000002.jsonl line 6: longer than any record",
		},
		"dropped record": {
			func(s [][][]byte) { s[1] = slices.Delete(s[1], 5, 6) },
			"trail-00000002.jsonl line 6, record 16: record 15 is missing before it",
		},
		"dropped records": {
			func(s [][][]byte) { s[1] = slices.Delete(s[1], 5, 8) },
			"trail-00000002.jsonl line 6, record 18: records 15 to 17 are missing before it",
		},
		"dropped end of a segment": {
			func(s [][][]byte) { s[1] = s[1][:9] },
			"trail-00000003.jsonl line 1: records 19 to 20 are missing before it",
		},
		"dropped beginning of a segment": {
			func(s [][][]byte) { s[1] = slices.Delete(s[1], 1, 3) },
			"trail-00000002.jsonl line 2, record 13: records 11 to 12 are missing before it",
		},
		"reordered records": {
			func(s [][][]byte) { s[1][5], s[1][6] = s[1][6], s[1][5] },
			"trail-00000002.jsonl line 7, record 15: it stands behind record 16: reordered or repeated",
		},
		"repeated record": {
			func(s [][][]byte) { s[1] = slices.Insert(s[1], 5, s[1][5]) },
			"trail-00000002.jsonl line 7, record 15: it stands behind record 15: reordered or repeated",
		},
		"inserted record": {
			func(s [][][]byte) { s[1] = slices.Insert(s[1], 5, rehash(s[1][4], s[1][5])) },
			"trail-00000002.jsonl line 7, record 15: it stands behind record 15: reordered or repeated",
		},
		"cut in the middle of an older segment": {
			func(s [][][]byte) { s[1][10] = s[1][10][:20] },
			"trail-00000002.jsonl line 11: it is cut off in the middle of a record",
		},
		"dropped segment": {
			func(s [][][]byte) { s[1] = nil },
			"trail-00000003.jsonl: the segment before it, from trail-00000002.jsonl on, is missing",
		},
		"dropped first segment": {
			func(s [][][]byte) { s[0] = nil },
			"trail-00000002.jsonl: the segment before it, from trail-00000001.jsonl on, is missing",
		},
		"emptied segment": {
			func(s [][][]byte) { s[1] = [][]byte{} },
			"trail-00000002.jsonl line 1: it is cut off before its first record",
		},
		"swapped segments": {
			func(s [][][]byte) { s[1], s[2] = s[2], s[1] },
			"trail-00000002.jsonl line 1: its header was edited or damaged",
		},
		"edited header": {
			func(s [][][]byte) { s[1][0] = replaceIn(s[1][0], `"first":11`, `"first":12`) },
			"trail-00000002.jsonl line 1: record 11 is missing before it",
		},
		"edited time of a header": {
			func(s [][][]byte) { s[1][0] = replaceIn(s[1][0], `"time":"20`, `"time":"10`) },
			"trail-00000002.jsonl line 2, record 11: its hash does not follow: it was edited, or the header",
		},
		"member added to the first header": {
			func(s [][][]byte) { s[0][0] = replaceIn(s[0][0], `"time":`, `"by":"nobody","time":`) },
			"trail-00000001.jsonl line 2, record 1: its hash does not follow: it was edited, or the header",
		},
		"edited time of a header without records": {
			func(s [][][]byte) { s[1] = [][]byte{replaceIn(s[1][0], `"time":"20`, `"time":"10`)} },
			"trail-00000003.jsonl line 1: records 11 to 20 are missing before it",
		},
		"header that forgets the past": {
			func(s [][][]byte) { s[0][0] = replaceIn(s[0][0], `"first":1`, `"first":5`) },
			"trail-00000001.jsonl line 1: its header was edited: the first segment does not begin with record 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tam := tamperable(t)
			row.do(tam.segments)
			tam.write(t)
			report, err := Verify(tam.dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				got = append(got, f.String())
			}
			if !slices.Contains(got, row.want) {
				t.Errorf("found:\n%s\nwant:\n%s", strings.Join(got, "\n"), row.want)
			}
			if len(got) > 13 { // two segments swapped: one finding for every record of the second
				t.Errorf("one change makes %d findings: %q", len(got), got)
			}
		})
	}
}

// rehash is what somebody does who edits a record and knows how the chain works: line's hash is made to follow from before.
func rehash(before, line []byte) []byte {
	at, _ := claim(bytes.TrimSuffix(before, []byte("\n")))
	body, _, _ := splitHash(bytes.TrimSuffix(line, []byte("\n")))
	e := newEncoder(at.seq, at.hash)
	e.buf = slices.Clone(body)
	e.seal(0)
	return e.buf
}

func TestVerifyOfGarbageIsBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), bytes.Repeat([]byte("no\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := Verify(dir)
	if err != nil || len(report.Findings) != maxFindings || report.More != 900 {
		t.Errorf("%d findings and %d more, %v", len(report.Findings), report.More, err)
	}
}

func TestVerifyWithoutATrail(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if _, err := Verify(dir); problem.KindOf(err) != problem.NotFound {
			t.Errorf("Verify(%s) = %v, want not found", dir, err)
		}
	}
}
