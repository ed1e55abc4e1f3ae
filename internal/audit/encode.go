package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pierhead/pierhead/internal/engineapi"
	"github.com/pierhead/pierhead/internal/policy"
)

// Bounds of a record's fields, in bytes as written. A stranger chooses most of these values, so each is cut, visibly, and no record is
// longer than maxLine: a caller who is refused all day must not fill the disk.
const (
	maxWord    = 64  // identities, kinds, roles, serials, methods, versions
	maxText    = 512 // reasons, errors, values of facts
	maxPath    = 1024
	maxObjects = 1 << 10 // all of them; the one that reaches it is written out
	maxFacts   = 5 << 10 // likewise: more than engineapi lets a call have
	maxAttrs   = 5 << 10 // likewise
	maxLine    = 12 << 10
)

// hashSize is the length of `,"hash":"<64 hex>"}`, which ends every record.
const hashSize = len(`,"hash":""}`) + 2*sha256.Size

// digest is a link of the chain.
type digest [sha256.Size]byte

// follow is the link after d: SHA-256 over d and the line's own bytes.
func (d digest) follow(sha hash.Hash, body []byte) digest {
	sha.Reset()
	_, _ = sha.Write(d[:]) // a hash never fails
	_, _ = sha.Write(body)
	var next digest
	sha.Sum(next[:0])
	return next
}

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
	e.field(`,"odd":`, c.Odd, maxText)
}

func (e *encoder) objects(objects []engineapi.Object) {
	n, start := 0, len(e.buf)
	for ; n < len(objects) && len(e.buf)-start < maxObjects; n++ {
		e.element(`,"objects":[`, n)
		e.pair(`{"kind":`, objects[n].Kind, `,"name":`, objects[n].Name)
	}
	e.endList(`,"objects_more":`, n, len(objects))
}

// facts writes the facts that a call asked for. The gravest come first and what a caller asks for beyond a bound is counted by kind: both
// is engineapi's work, whose bound is below this one.
func (e *encoder) facts(facts []engineapi.Fact) {
	n, start := 0, len(e.buf)
	for ; n < len(facts) && len(e.buf)-start < maxFacts; n++ {
		e.element(`,"facts":[`, n)
		e.pair(`{"kind":`, facts[n].Kind, `,"value":`, facts[n].Value)
	}
	e.endList(`,"facts_more":`, n, len(facts))
}

// element begins the nth element of the list called name.
func (e *encoder) element(name string, n int) {
	if n > 0 {
		name = ","
	}
	e.buf = append(e.buf, name...)
}

// endList ends a list of n elements, and says how many were left out.
func (e *encoder) endList(more string, n, all int) {
	if n > 0 {
		e.buf = append(e.buf, ']')
	}
	if n < all {
		e.number(more, int64(all-n))
	}
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
	n, first := 0, len(e.buf)
	for ; n < len(attrs) && len(e.buf)-first < maxAttrs; n++ {
		e.element(`,"attrs":[`, n)
		e.pair(`{"key":`, attrs[n].Key, `,"value":`, attrs[n].Value)
	}
	e.endList(`,"attrs_more":`, n, len(attrs))
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
	e.link(e.buf[start:])
	e.buf = append(e.buf, `,"hash":"`...)
	e.buf = hex.AppendEncode(e.buf, e.chain[:])
	e.buf = append(e.buf, "\"}\n"...)
}

// link makes the chain follow a record's own bytes, as digest.follow does, without allocating.
func (e *encoder) link(body []byte) {
	e.sha.Reset()
	_, _ = e.sha.Write(e.chain[:]) // a hash never fails
	_, _ = e.sha.Write(body)
	e.sha.Sum(e.chain[:0])
}

// rechain makes the lines that nobody has taken yet follow from another link: a segment's header came before them.
func (e *encoder) rechain(from digest) {
	e.chain = from
	for rest := e.buf; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		body := rest[:end-hashSize]
		e.link(body)
		hex.Encode(rest[len(body)+len(`,"hash":"`):], e.chain[:])
		rest = rest[end+1:]
	}
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

func (e *encoder) pair(name1, value1, name2, value2 string) {
	e.buf = append(e.buf, name1...)
	e.buf = appendString(e.buf, value1, maxWord)
	e.buf = append(e.buf, name2...)
	e.buf = appendString(e.buf, value2, maxText)
	e.buf = append(e.buf, '}')
}

// appendString appends s as a JSON string in plain ASCII, cut to what takes bound bytes, with the number of those left out. Everything
// outside printable ASCII is escaped: a path with terminal control sequences or bidirectional overrides can't fool whoever reads the file.
func appendString(b []byte, s string, bound int) []byte {
	b, n := appendEscaped(append(b, '"'), s, bound)
	if n < len(s) {
		b = append(b, "...[+"...)
		b = strconv.AppendInt(b, int64(len(s)-n), 10)
		b = append(b, " bytes]"...)
	}
	return append(b, '"')
}

// appendEscaped appends at most bound bytes, and returns how much of s that was.
func appendEscaped(b []byte, s string, bound int) ([]byte, int) {
	limit := len(b) + bound
	for i := 0; i < len(s); {
		plain := i
		for most := min(len(s), i+limit-len(b)); i < most && isPlain(s[i]); {
			i++
		}
		b = append(b, s[plain:i]...)
		if i == len(s) {
			break
		}
		r, n := utf8.DecodeRuneInString(s[i:]) // invalid UTF-8 reads as U+FFFD
		whole := len(b)
		if b = appendRune(b, r); len(b) > limit {
			return b[:whole], i
		}
		i += n
	}
	return b, len(s)
}

func isPlain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

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
