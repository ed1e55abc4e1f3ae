package cli

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/pierhead/pierhead/internal/audit"
)

// tableWidth is how wide a table may be: two of them fit on a desk, one in any terminal that people read trails in.
const tableWidth = 120

// auditColumns are the table's columns: their least width, the least while following, when what will come is not known, and the
// greatest. FACTS takes what is left of a line, or the next line.
var auditColumns = [...]struct {
	name              string
	least, live, most int
}{
	{"TIME", 19, 19, 19},
	{"IDENTITY", 8, 12, 16},
	{"ADDRESS", 9, 15, 15},
	{"OPERATION", 14, 20, 22},
	{"OBJECTS", 12, 16, 20},
	{"DECISION", 8, 8, 8},
	{"STATUS", 6, 6, 6},
}

// auditTable prints entries for people: a line each, and what does not fit below it, indented.
type auditTable struct {
	out    io.Writer
	zone   *time.Location
	live   bool
	widths [len(auditColumns)]int // 0 until the header was printed
}

func (t *auditTable) print(entries ...audit.Entry) error {
	var b strings.Builder
	if t.widths[0] == 0 && len(entries) > 0 {
		t.measure(entries)
		t.header(&b)
	}
	for i := range entries {
		t.entry(&b, &entries[i])
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

// measure makes the columns as wide as the first entries need; what comes later is cut to them.
func (t *auditTable) measure(entries []audit.Entry) {
	for c, column := range auditColumns {
		t.widths[c] = column.least
		if t.live {
			t.widths[c] = column.live
		}
	}
	for i := range entries {
		for c, cell := range t.cells(&entries[i]) {
			t.widths[c] = min(max(t.widths[c], len(cell)), auditColumns[c].most)
		}
	}
}

func (t *auditTable) header(b *strings.Builder) {
	for c, column := range auditColumns {
		fmt.Fprintf(b, "%-*s  ", t.widths[c], column.name)
	}
	b.WriteString("FACTS\n")
}

func (t *auditTable) entry(b *strings.Builder, e *audit.Entry) {
	line := ""
	for c, cell := range t.cells(e) {
		line += fmt.Sprintf("%-*s  ", t.widths[c], cut(cell, t.widths[c]))
	}
	facts := auditFacts(e)
	if len(line)+len(facts) <= tableWidth {
		line += facts
		facts = ""
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	for _, more := range append(auditRemarks(e), facts) {
		t.wrap(b, more)
	}
}

// wrap prints words below an entry's second column, in as many lines as they need.
func (t *auditTable) wrap(b *strings.Builder, words string) {
	indent := t.widths[0] + 2
	for words != "" {
		room := tableWidth - indent
		part := words
		if len(words) > room {
			at := strings.LastIndexByte(words[:room+1], ' ')
			if at <= 0 {
				at = room
			}
			part = words[:at]
		}
		words = strings.TrimLeft(words[len(part):], " ")
		fmt.Fprintf(b, "%*s%s\n", indent, "", part)
	}
}

func (t *auditTable) cells(e *audit.Entry) [len(auditColumns)]string {
	who, address := e.Identity, e.Address
	for _, a := range e.Attrs {
		switch {
		case a.Key == "identity" && who == "":
			who = a.Value
		case a.Key == "address" && address == "":
			address = a.Value
		}
	}
	return [...]string{
		e.Time.In(t.zone).Format(time.DateTime), orDash(plain(who)), orDash(plain(host(address))), orDash(plain(operation(e))),
		orDash(auditObjects(e)), orDash(e.Effect), auditStatus(e),
	}
}

// operation says what was asked for: for a path that is no operation of the engine, a mark and the path, which stands whole below.
func operation(e *audit.Entry) string {
	switch {
	case e.Note != "":
		return e.Note
	case e.Operation != "":
		return e.Operation
	}
	return strings.TrimSpace("? " + e.Method + " " + e.Path)
}

// host leaves out the port of an address: it says nothing to people.
func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}

func auditStatus(e *audit.Entry) string {
	switch {
	case e.Open():
		return "open"
	case e.Result == nil || e.Result.Status == 0:
		return "-"
	}
	return strconv.Itoa(e.Result.Status)
}

func auditObjects(e *audit.Entry) string {
	var names []string
	for _, o := range e.Objects {
		names = append(names, plain(shortID(o.Name)))
	}
	if e.ObjectsMore > 0 {
		names = append(names, fmt.Sprintf("+%d", e.ObjectsMore))
	}
	return strings.Join(names, ", ")
}

// shortID cuts a full ID to the twelve digits that Docker prints.
func shortID(s string) string {
	id := strings.TrimPrefix(s, "sha256:")
	if len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:12]
	}
	return s
}

// auditFacts is what a call asked for, or what a note says.
func auditFacts(e *audit.Entry) string {
	var facts []string
	for _, f := range e.Facts {
		facts = append(facts, strings.TrimSpace(plain(f.Kind)+" "+plain(f.Value)))
	}
	if e.FactsMore > 0 {
		facts = append(facts, fmt.Sprintf("+%d", e.FactsMore))
	}
	for _, a := range e.Attrs {
		if a.Key != "identity" && a.Key != "address" {
			facts = append(facts, plain(a.Key)+" "+plain(a.Value))
		}
	}
	return strings.Join(facts, ", ")
}

// auditRemarks are the sentences below an entry: what it was when it is no known operation, why it was refused, what could not be read,
// how it failed.
func auditRemarks(e *audit.Entry) []string {
	var remarks []string
	switch {
	case e.Odd != "":
		remarks = append(remarks, "odd path "+plain(e.Method+" "+e.Path)+": "+plain(e.Odd))
	case e.Note == "" && e.Operation == "":
		remarks = append(remarks, "unknown operation "+plain(e.Method+" "+e.Path))
	}
	if e.Effect == "deny" {
		remarks = append(remarks, e.Decision+": "+plain(e.Reason))
	}
	if e.Unread != "" {
		remarks = append(remarks, "not read: "+plain(e.Unread))
	}
	if e.Result != nil && e.Result.Error != "" {
		remarks = append(remarks, "error: "+plain(e.Result.Error))
	}
	return remarks
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// plain writes everything outside printable ASCII as an escape: a name with terminal control sequences in it must not be able to hide
// the line that tells of it.
func plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= ' ' && r <= '~' {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// cut shortens plain text to width, visibly.
func cut(s string, width int) string {
	if len(s) <= width {
		return s
	}
	return s[:width-2] + ".."
}

// auditLines prints an entry a line, as JSON.
type auditLines struct{ out io.Writer }

func (l auditLines) print(entries ...audit.Entry) error {
	for i := range entries {
		line, err := entries[i].AppendJSON(nil)
		if err != nil {
			return err
		}
		if _, err := l.out.Write(line); err != nil {
			return err
		}
	}
	return nil
}
