package audit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/policy"
)

// FuzzString holds the hand-written encoder against encoding/json: whatever a stranger sends is read back as it was, or with U+FFFD for
// what is no UTF-8, and the line is one line of printable ASCII.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", `quote " and \`, "line\nfeed\x00\x1b[31m\x7f", "\xff\xfe\xc3", "\u202e\u2028\u009b", "\U0001f600", "\xed\xa0\x80", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := appendString(nil, s, 6*len(s))
		for _, c := range line {
			if c < ' ' || c > '~' {
				t.Fatalf("byte %#x in %q", c, line)
			}
		}
		var got string
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if want := string([]rune(s)); got != want { // one U+FFFD for every bad byte, as in Go's own loop
			t.Fatalf("%q reads %q, want %q", s, got, want)
		}
	})
}

// FuzzRecord does the same for a whole record whose every field a stranger chose.
func FuzzRecord(f *testing.F) {
	f.Add("ana", "/v1.45/x", "web\n", "/ rw\xff", int64(5))
	f.Add(`","hash":"`, `"}`, "{", "\x00", int64(-1))
	f.Fuzz(func(t *testing.T, role, path, object, fact string, ns int64) {
		e := newEncoder(0, digest{})
		in := testIntent(path)
		in.Identity.Role = role
		in.Call.Objects = []engineapi.Object{{Kind: "container", Name: object}}
		in.Call.Facts = []engineapi.Fact{{Kind: "host.mount", Value: fact}}
		at := time.Unix(0, ns)
		e.intent(at, in)
		line := strings.TrimSuffix(string(e.buf), "\n")
		if len(line) > maxLine || strings.Contains(line, "\n") {
			t.Fatalf("%d bytes in more than one line, or too long", len(line))
		}
		var got Event
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if 6*len(path) <= maxPath && got.Path != string([]rune(path)) {
			t.Errorf("path %q reads %q", path, got.Path)
		}
		if !got.Time.Equal(at.Truncate(time.Microsecond)) && ns >= 0 {
			t.Errorf("time %v reads %v", at, got.Time)
		}
		if _, ok := (link{}).next(newEncoder(0, digest{}).sha, []byte(line)); !ok {
			t.Error("the record does not hold")
		}
	})
}

func TestLongFieldsAreCutVisibly(t *testing.T) {
	for name, row := range map[string]struct{ in, want string }{
		"at the bound":        {strings.Repeat("x", 8), `"xxxxxxxx"`},
		"over it":             {strings.Repeat("x", 11), `"xxxxxxxx...[+3 bytes]"`},
		"in a character":      {"xxxxxx\u20acyy", `"xxxxxx...[+5 bytes]"`},
		"without characters":  {strings.Repeat("\x80", 12), `"\ufffd...[+11 bytes]"`},
		"with escapes inside": {"\n\n\n\n\n\n\n\n\n", `"\u000a...[+8 bytes]"`},
	} {
		if got := string(appendString(nil, row.in, 8)); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

// TestARecordIsBounded is the attack of a viewer who fills the disk with refused calls: whatever they ask for, a record stays small, and
// says what it left out.
func TestARecordIsBounded(t *testing.T) {
	for name, s := range map[string]string{"long": strings.Repeat("x", 2000), "escaped": strings.Repeat("\n", 2000), "of quotes": strings.Repeat(`"`, 2000)} {
		t.Run(name, func(t *testing.T) {
			in := testIntent("/" + s)
			in.Method, in.Identity.Role, in.Identity.Door, in.Identity.Address, in.Identity.Credential.Serial = s, s, s, s, s
			in.Decision = policy.Decision{Reason: s, Grant: s}
			in.Call = &engineapi.Call{Route: &engineapi.Route{Operation: engineapi.Operation(s), Verb: engineapi.Verb(s)}, Version: s, Unread: s, Odd: s}
			var attrs []Attr
			for range 1000 {
				in.Call.Facts = append(in.Call.Facts, engineapi.Fact{Kind: s, Value: s})
				in.Call.Objects = append(in.Call.Objects, engineapi.Object{Kind: s, Name: s})
				attrs = append(attrs, Attr{s, s})
			}
			for _, write := range []func(e *encoder){
				func(e *encoder) { e.intent(time.Now(), in) },
				func(e *encoder) { e.note(time.Now(), s, attrs) },
				func(e *encoder) { e.result(time.Now(), 1, &Result{Error: s}) },
			} {
				e := newEncoder(0, digest{})
				write(&e)
				if len(e.buf) > maxLine {
					t.Errorf("a record has %d bytes, want at most %d", len(e.buf), maxLine)
				}
				var got Event
				if err := json.Unmarshal(e.buf, &got); err != nil {
					t.Fatal(err)
				}
				if len(got.Facts)+got.FactsMore != 1000*min(len(got.Facts), 1) || len(got.Objects)+got.ObjectsMore != 1000*min(len(got.Objects), 1) ||
					len(got.Attrs)+got.AttrsMore != 1000*min(len(got.Attrs), 1) {
					t.Errorf("%d facts and %d more, %d objects and %d more, %d attrs and %d more", len(got.Facts), got.FactsMore,
						len(got.Objects), got.ObjectsMore, len(got.Attrs), got.AttrsMore)
				}
			}
		})
	}
}

func TestCallIsWrittenWithoutAllocating(t *testing.T) {
	e := newEncoder(0, digest{})
	in, now := testIntent("/x"), time.Now()
	if n := testing.AllocsPerRun(100, func() {
		e.buf = e.buf[:0]
		e.result(now, e.intent(now, in), &Result{Status: 200})
	}); n > 0 {
		t.Errorf("a call allocates %v times", n)
	}
}
