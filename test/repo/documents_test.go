package repo

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestReadmeFitsTwoScreens(t *testing.T) {
	if n := strings.Count(readFile(t, "README.md"), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, and 150 is the limit: move what is not needed before the first docker ps into docs", n)
	}
}

// markdown lists the documents, and fails when there are none.
func markdown(t *testing.T) []string {
	t.Helper()
	docs := files(t, ".md")
	if len(docs) < 5 {
		t.Fatalf("found %d documents: the guard looks in the wrong place", len(docs))
	}
	return docs
}

// link is a Markdown link's target; images are links too.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestEveryLinkResolves(t *testing.T) {
	for _, doc := range markdown(t) {
		for _, m := range link.FindAllStringSubmatch(prose(readFile(t, doc)), -1) {
			if !strings.Contains(m[1], "://") {
				checkLink(t, doc, m[1])
			}
		}
	}
}

func checkLink(t *testing.T, doc, target string) {
	t.Helper()
	file, anchor, _ := strings.Cut(target, "#")
	to := doc
	if file != "" {
		to = path.Join(path.Dir(doc), file)
	}
	if _, err := os.Stat(filepath.Join(root, to)); err != nil {
		t.Errorf("%s links to %s, which is not there", doc, target)
		return
	}
	if anchor != "" && !anchors(readFile(t, to))[anchor] {
		t.Errorf("%s links to %s, and %s has no such heading", doc, target, to)
	}
}

// anchors are a document's headings as GitHub names them: lower case, spaces to hyphens, punctuation gone.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(prose(text)) {
		heading, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !is || !strings.HasPrefix(line, "#") {
			continue
		}
		var b strings.Builder
		for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				b.WriteRune(r)
			}
		}
		all[b.String()] = true
	}
	return all
}

// prose is a document without its fenced blocks.
func prose(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		} else if !fenced {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Every page of docs is reached from its index, or nobody finds it. Decisions are found by their folder.
func TestTheIndexListsEveryPage(t *testing.T) {
	index := readFile(t, "docs/README.md")
	for _, doc := range markdown(t) {
		page, inDocs := strings.CutPrefix(doc, "docs/")
		if inDocs && page != "README.md" && !strings.HasPrefix(page, "decisions/") && !strings.Contains(index, "]("+page+")") {
			t.Errorf("docs/README.md does not link to %s", page)
		}
	}
}

// own are directories of whoever wrote a file: they exist on one machine only. The pattern is no match for itself.
var own = regexp.MustCompile(`(^|[^\w.~$}-])/(home|Users|root|work)/[\w.-]+`)

func TestNothingNamesOneMachinesDirectories(t *testing.T) {
	for _, p := range files(t) {
		text := readFile(t, p)
		if !utf8.ValidString(text) {
			continue // a binary test datum
		}
		number := 0
		for line := range strings.Lines(text) {
			number++
			if m := own.FindString(line); m != "" {
				t.Errorf("%s:%d: %q is a directory of one machine", p, number, strings.TrimSpace(m))
			}
		}
	}
}

// Terminals, diffs and grep show ASCII to everyone alike; and a letter that looks like another can't hide in it. Tests need other
// letters, to see them refused.
func TestTextIsPlainASCII(t *testing.T) {
	for _, p := range files(t, ".go", ".sh", ".md", ".yml", ".yaml", ".service") {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		number := 0
		for line := range strings.Lines(readFile(t, p)) {
			number++
			if i := strings.IndexFunc(line, func(r rune) bool { return r > unicode.MaxASCII }); i >= 0 {
				t.Errorf("%s:%d: not plain ASCII: %q; in Go strings write an escape", p, number, line[i:min(len(line), i+8)])
			}
		}
	}
}
