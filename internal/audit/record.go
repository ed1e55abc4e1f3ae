package audit

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is an intent or a note, as read back. Its JSON is the trail's own form; fields only ever grow.
type Event struct {
	Seq         uint64    `json:"seq"`
	Time        time.Time `json:"time"`
	Type        string    `json:"type"` // intent or note
	Call        string    `json:"call,omitempty"`
	Identity    string    `json:"identity,omitempty"`
	Kind        string    `json:"kind,omitempty"`
	Role        string    `json:"role,omitempty"`
	Door        string    `json:"door,omitempty"`
	Address     string    `json:"address,omitempty"`
	Serial      string    `json:"serial,omitempty"`
	Operation   string    `json:"operation,omitempty"`
	Verb        string    `json:"verb,omitempty"`
	Version     string    `json:"version,omitempty"`
	Objects     []Object  `json:"objects,omitempty"`
	ObjectsMore int       `json:"objects_more,omitempty"`
	Facts       []Fact    `json:"facts,omitempty"`
	FactsMore   int       `json:"facts_more,omitempty"`
	Unread      string    `json:"unread,omitempty"`
	Odd         string    `json:"odd,omitempty"`
	Method      string    `json:"method,omitempty"`
	Path        string    `json:"path,omitempty"`
	Effect      string    `json:"effect,omitempty"` // allow or deny
	Decision    string    `json:"decision,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Grant       string    `json:"grant,omitempty"`
	Redact      bool      `json:"redact,omitempty"`
	Note        string    `json:"note,omitempty"`
	Attrs       []Attr    `json:"attrs,omitempty"`
	AttrsMore   int       `json:"attrs_more,omitempty"`
}

// Object is one thing that a call touched.
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Fact is one thing that a call asked for.
type Fact struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// Outcome is how a call ended, as read back.
type Outcome struct {
	Time       time.Time `json:"time"`
	Call       string    `json:"call,omitempty"`
	Status     int       `json:"status"`
	BytesIn    int64     `json:"bytes_in"`
	BytesOut   int64     `json:"bytes_out"`
	DurationMS float64   `json:"duration_ms"`
	Error      string    `json:"error,omitempty"`
}

// Entry is an event together with its result: what people read.
type Entry struct {
	Event
	Result *Outcome `json:"result,omitempty"` // nil for a refusal, a note, and a call that has not ended
}

// Open reports whether a result is still to come.
func (e *Entry) Open() bool { return e.Result == nil && e.Type == "intent" && e.Effect == "allow" }

// Filter says which entries are wanted; the zero Filter wants all.
type Filter struct {
	Identity  string    // exactly
	Operation string    // an operation (ContainerCreate), a verb (container.create), or a note's kind
	Object    string    // the name of an object, as the caller wrote it, or its beginning when it is an ID
	Denied    bool      // refusals only
	Decision  string    // the one refusal of that name: d-7f3a
	Since     time.Time // from then on; zero for the beginning
	Until     time.Time // before then; zero for the end
	Text      string    // anywhere in the record, case ignored
}

// parse decodes a line that the filter wants; ok is false for one that it doesn't, and for what is no event.
func (f *Filter) parse(line []byte) (e *Entry, ok bool) {
	if !f.mayMatch(line) {
		return nil, false
	}
	e = new(Entry)
	if json.Unmarshal(line, &e.Event) != nil || e.Seq == 0 || !f.matches(&e.Event) {
		return nil, false
	}
	return e, true
}

// mayMatch looks at the bytes first: decoding is the dear part of reading.
func (f *Filter) mayMatch(line []byte) bool {
	if f.Identity != "" && !bytes.Contains(line, quoted(f.Identity)) {
		return false
	}
	if f.Decision != "" && !bytes.Contains(line, quoted(f.Decision)) {
		return false
	}
	if f.Denied && !bytes.Contains(line, []byte(`"effect":"deny"`)) {
		return false
	}
	text := quoted(f.Text)
	return bytes.Contains(bytes.ToLower(line), bytes.ToLower(text[1:len(text)-1]))
}

func quoted(s string) []byte { return appendString(nil, s, math.MaxInt32) }

func (f *Filter) matches(e *Event) bool {
	switch {
	case f.Denied && e.Effect != "deny",
		f.Decision != "" && e.Decision != f.Decision,
		f.Identity != "" && e.Identity != f.Identity && !e.hasAttr("identity", f.Identity),
		f.Operation != "" && !e.hasOperation(f.Operation),
		f.Object != "" && !e.hasObject(f.Object),
		!f.Since.IsZero() && e.Time.Before(f.Since),
		!f.Until.IsZero() && !e.Time.Before(f.Until):
		return false
	}
	return true
}

func (e *Event) hasAttr(key, value string) bool {
	for _, a := range e.Attrs {
		if a.Key == key && a.Value == value {
			return true
		}
	}
	return false
}

func (e *Event) hasOperation(name string) bool {
	return strings.EqualFold(e.Operation, name) || strings.EqualFold(e.Verb, name) || strings.EqualFold(e.Note, name)
}

// minID is the shortest beginning of an ID that Docker itself prints.
const minID = 12

func (e *Event) hasObject(name string) bool {
	for _, o := range e.Objects {
		switch {
		case o.Name == name,
			len(name) >= minID && strings.HasPrefix(o.Name, name),
			len(o.Name) >= minID && strings.HasPrefix(name, o.Name):
			return true
		}
	}
	return false
}

// typeOf reads a line's type, and for a result its call, without decoding it.
func typeOf(line []byte) (typ, call string) {
	_, rest, _ := bytes.Cut(line[:min(len(line), 160)], []byte(`"type":"`))
	name, rest, ok := bytes.Cut(rest, []byte(`"`))
	if !ok {
		return "", ""
	}
	rest, ok = bytes.CutPrefix(rest, []byte(`,"call":"`))
	id, _, found := bytes.Cut(rest, []byte(`"`))
	if !ok || !found {
		return string(name), ""
	}
	return string(name), string(id)
}

// timeFormat is how a record says its time. Its width is fixed, so that times compare as bytes.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// timeOf reads a line's time in that form, without decoding it.
func timeOf(line []byte) []byte {
	_, rest, _ := bytes.Cut(line[:min(len(line), 80)], []byte(`"time":"`))
	return rest[:min(len(rest), len(timeFormat))]
}

// parseOutcome decodes a result; it is nil for what is none.
func parseOutcome(line []byte) *Outcome {
	var o Outcome
	if json.Unmarshal(line, &o) != nil {
		return nil
	}
	o.Call = "" // the entry has it
	return &o
}

// AppendJSON appends the entry as one line of JSON in plain ASCII, as the trail itself is: it may be printed to a terminal.
func (e *Entry) AppendJSON(b []byte) ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return b, err
	}
	for _, r := range string(text) { // whatever is not ASCII stands inside a string
		if r < 0x7f {
			b = utf8.AppendRune(b, r)
		} else {
			b = appendRune(b, r)
		}
	}
	return append(b, '\n'), nil
}
