package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/policy"
)

// Bounds of a record's fields, in bytes before escaping. A stranger chooses most of these values, so each is cut, visibly, and no
// record is longer than maxLine.
const (
	maxWord    = 64  // identities, kinds, roles, serials, methods, versions
	maxText    = 512 // reasons, errors, values of facts
	maxPath    = 1024
	maxObjects = 32
	maxFacts   = 128
	maxAttrs   = 32
	maxLine    = 1 << 20
)

// hashSize is the length of `,"hash":"<64 hex>"}`, which ends every record.
const hashSize = len(`,"hash":""}`) + 2*sha256.Size

// digest is a link of the chain.
type digest = [sha256.Size]byte

// encoder turns events into chained lines. It is written by hand because every call pays for it: no reflection, no allocation.
type encoder struct {
	buf    []byte // whole lines that nobody has taken yet
	seq    uint64 // of the last record
	chain  digest // hash of the last record
	sha    hash.Hash
	second int64  // what stamp says, in Unix seconds
	stamp  []byte // "2006-01-02T15:04:05"
}

func newEncoder(seq uint64, chain digest) encoder {
	return encoder{seq: seq, chain: chain, sha: sha256.New()}
}

// intent appends an intent and returns its sequence number.
func (e *encoder) intent(now time.Time, in *Intent) uint64 {
	start := e.open(now, `"intent","call":"c-`)
	e.buf = strconv.AppendUint(e.buf, e.seq, 16)
	e.buf = append(e.buf, '"')
	id := &in.Identity
	e.field(`,"identity":`, id.Name.String(), maxWord)
	e.field(`,"kind":`, id.Kind.String(), maxWord)
	e.field(`,"role":`, id.Role, maxWord)
	e.field(`,"door":`, id.Door, maxWord)
	e.field(`,"address":`, id.Address, maxWord)
	e.field(`,"serial":`, id.Credential.Serial, maxWord)
	if in.Call != nil {
		e.call(in.Call)
	}
	e.field(`,"method":`, in.Method, maxWord)
	e.field(`,"path":`, in.Path, maxPath)
	e.decision(&in.Decision)
	e.seal(start)
	return e.seq
}

func (e *encoder) call(c *engineapi.Call) {
	if c.Route != nil {
		e.field(`,"operation":`, string(c.Route.Operation), maxWord)
		e.field(`,"verb":`, string(c.Route.Verb), maxWord)
	}
	e.field(`,"version":`, c.Version, maxWord)
	e.objects(c.Objects)
	e.facts(c.Facts)
	e.field(`,"unread":`, c.Unread, maxText)
}

func (e *encoder) objects(objects []engineapi.Object) {
	if len(objects) == 0 {
		return
	}
	sep := `,"objects":[`
	for i := range objects[:min(len(objects), maxObjects)] {
		e.pair(sep, `{"kind":`, objects[i].Kind, `,"name":`, objects[i].Name)
		sep = ","
	}
	e.buf = append(e.buf, ']')
	if more := len(objects) - maxObjects; more > 0 {
		e.number(`,"objects_more":`, int64(more))
	}
}

// facts writes the facts that a call asked for. Those over the bound are still counted by kind: otherwise a mount of / could be hidden
// behind a hundred harmless labels.
func (e *encoder) facts(facts []engineapi.Fact) {
	if len(facts) == 0 {
		return
	}
	sep := `,"facts":[`
	for i := range facts[:min(len(facts), maxFacts)] {
		e.pair(sep, `{"kind":`, facts[i].Kind, `,"value":`, facts[i].Value)
		sep = ","
	}
	e.buf = append(e.buf, ']')
	if len(facts) > maxFacts {
		e.factsMore(facts[maxFacts:])
	}
}

func (e *encoder) factsMore(facts []engineapi.Fact) {
	counts := map[string]int{}
	for i := range facts {
		counts[facts[i].Kind]++
	}
	kinds := make([]string, 0, len(counts))
	for kind := range counts {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	sep := `,"facts_more":[`
	for _, kind := range kinds[:min(len(kinds), maxFacts)] {
		e.buf = append(e.buf, sep...)
		e.buf = append(e.buf, `{"kind":`...)
		e.buf = appendString(e.buf, kind, maxWord)
		e.number(`,"count":`, int64(counts[kind]))
		e.buf = append(e.buf, '}')
		sep = ","
	}
	e.buf = append(e.buf, ']')
}

// decision writes the answer; a refusal gets the number by which people ask for its explanation.
func (e *encoder) decision(d *policy.Decision) {
	e.field(`,"effect":`, d.Effect.String(), maxWord)
	if d.Effect != policy.Allow {
		e.buf = append(e.buf, `,"decision":"d-`...)
		e.buf = strconv.AppendUint(e.buf, e.seq, 16)
		e.buf = append(e.buf, '"')
	}
	e.field(`,"reason":`, d.Reason, maxText)
	e.field(`,"grant":`, d.Grant, maxText)
	if d.Redact {
		e.buf = append(e.buf, `,"redact":true`...)
	}
}

// result appends how the call with sequence number call ended.
func (e *encoder) result(now time.Time, call uint64, r *Result) {
	start := e.open(now, `"result","call":"c-`)
	e.buf = strconv.AppendUint(e.buf, call, 16)
	e.buf = append(e.buf, '"')
	e.number(`,"status":`, int64(r.Status))
	e.number(`,"bytes_in":`, r.In)
	e.number(`,"bytes_out":`, r.Out)
	us := max(r.Duration.Microseconds(), 0)
	e.number(`,"duration_ms":`, us/1000)
	e.buf = append(e.buf, '.')
	e.digits(int(us%1000), 3)
	e.field(`,"error":`, r.Error, maxText)
	e.seal(start)
}

// note appends what is not a call, and returns its sequence number.
func (e *encoder) note(now time.Time, kind string, attrs []Attr) uint64 {
	start := e.open(now, `"note"`)
	e.field(`,"note":`, kind, maxWord)
	sep := `,"attrs":[`
	for _, a := range attrs[:min(len(attrs), maxAttrs)] {
		e.pair(sep, `{"key":`, a.Key, `,"value":`, a.Value)
		sep = ","
	}
	if len(attrs) > 0 {
		e.buf = append(e.buf, ']')
	}
	e.seal(start)
	return e.seq
}

// open begins a record and returns where it starts; seal ends it.
func (e *encoder) open(now time.Time, typ string) int {
	start := len(e.buf)
	e.seq++
	e.buf = append(e.buf, `{"seq":`...)
	e.buf = strconv.AppendUint(e.buf, e.seq, 10)
	e.buf = append(e.buf, `,"time":"`...)
	e.time(now)
	e.buf = append(e.buf, `","type":`...)
	e.buf = append(e.buf, typ...)
	return start
}

// seal chains the record that began at start: SHA-256 over the hash before it and the record's own bytes.
func (e *encoder) seal(start int) {
	e.sha.Reset()
	_, _ = e.sha.Write(e.chain[:]) // a hash never fails
	_, _ = e.sha.Write(e.buf[start:])
	e.sha.Sum(e.chain[:0])
	e.buf = append(e.buf, `,"hash":"`...)
	e.buf = hex.AppendEncode(e.buf, e.chain[:])
	e.buf = append(e.buf, "\"}\n"...)
}

// time appends RFC 3339 in UTC with microseconds. The part down to the second is kept: formatting it costs as much as the rest of a
// record.
func (e *encoder) time(now time.Time) {
	if s := now.Unix(); s != e.second || len(e.stamp) == 0 {
		e.second = s
		e.stamp = now.UTC().AppendFormat(e.stamp[:0], "2006-01-02T15:04:05")
	}
	e.buf = append(e.buf, e.stamp...)
	e.buf = append(e.buf, '.')
	e.digits(now.Nanosecond()/1000, 6)
	e.buf = append(e.buf, 'Z')
}

func (e *encoder) digits(n, width int) {
	for div := pow10(width - 1); div > 0; div /= 10 {
		e.buf = append(e.buf, byte('0'+n/div%10))
	}
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

func (e *encoder) number(name string, n int64) {
	e.buf = append(e.buf, name...)
	e.buf = strconv.AppendInt(e.buf, n, 10)
}

// field appends a member unless it is empty; name comes with its comma, quotes and colon.
func (e *encoder) field(name, value string, bound int) {
	if value == "" {
		return
	}
	e.buf = append(e.buf, name...)
	e.buf = appendString(e.buf, value, bound)
}

func (e *encoder) pair(sep, name1, value1, name2, value2 string) {
	e.buf = append(e.buf, sep...)
	e.buf = append(e.buf, name1...)
	e.buf = appendString(e.buf, value1, maxWord)
	e.buf = append(e.buf, name2...)
	e.buf = appendString(e.buf, value2, maxText)
	e.buf = append(e.buf, '}')
}

// appendString appends s as a JSON string in plain ASCII, cut to bound bytes with the number of those left out. Everything outside
// printable ASCII is escaped: a path with terminal control sequences or bidirectional overrides can't fool whoever reads the file.
func appendString(b []byte, s string, bound int) []byte {
	b = append(b, '"')
	if len(s) <= bound {
		return append(appendEscaped(b, s), '"')
	}
	cut := bound
	for cut > bound-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	b = appendEscaped(b, s[:cut])
	b = append(b, "...[+"...)
	b = strconv.AppendInt(b, int64(len(s)-cut), 10)
	return append(b, ` bytes]"`...)
}

func appendEscaped(b []byte, s string) []byte {
	plain := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[plain:i]...)
		r, n := utf8.DecodeRuneInString(s[i:]) // invalid UTF-8 reads as U+FFFD
		b = appendRune(b, r)
		i += n
		plain = i
	}
	return append(b, s[plain:]...)
}

func appendRune(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r > 0xffff: // RFC 8259 section 7: a pair of surrogates
		r -= 0x10000
		return appendUnit(appendUnit(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendUnit(b, r)
}

func appendUnit(b []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
