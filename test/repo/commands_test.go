package repo

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pierhead/pierhead/internal/cli"
)

// mention is "pierhead" where it is typed: at the start of code, after a prompt, a pipe, sudo or a path.
var mention = regexp.MustCompile(`(?:^|[$#|;&(] *|sudo |bin/)pierhead +([a-z][^|;&#)>\n]*)`)

// inline is code inside a sentence.
var inline = regexp.MustCompile("`([^`\n]+)`")

// What the documents tell people to type exists, flags included.
func TestEveryCommandInTheDocumentsExists(t *testing.T) {
	seen := 0
	for _, doc := range markdown(t) {
		if doc == "CHANGELOG.md" || strings.HasPrefix(doc, "docs/decisions/") {
			continue // they speak of other times
		}
		for _, code := range codeOf(readFile(t, doc)) {
			for _, m := range mention.FindAllStringSubmatch(code, -1) {
				seen++
				checkCommand(t, doc, m[1])
			}
		}
	}
	if seen < 10 {
		t.Errorf("found %d commands in the documents: the guard looks in the wrong place", seen)
	}
}

// A hint gives the exact next command, so that command exists.
func TestEveryCommandInAHintExists(t *testing.T) {
	hint := regexp.MustCompile(`(?:^|[:,(] |with )pierhead +([a-z][^,;)]*)`)
	for _, s := range sources(t) {
		if !product(s) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "WithHint" {
				return true
			}
			for _, m := range hint.FindAllStringSubmatch(literal(call.Args[0]), -1) {
				checkCommand(t, s.at(call), m[1])
			}
			return true
		})
	}
}

// literal is the value of a string literal, and empty for anything else.
func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return value
}

// codeOf lists a document's lines of code: fenced, indented, and inside sentences. Lines that end in a backslash go on.
func codeOf(text string) []string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	var code []string
	fenced := false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			fenced = !fenced
		case fenced || strings.HasPrefix(line, "    "):
			code = append(code, trimmed)
		default:
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				code = append(code, m[1])
			}
		}
	}
	return code
}

// checkCommand follows the words after "pierhead" through the help of the real program.
func checkCommand(t *testing.T, where, line string) {
	t.Helper()
	words := strings.Fields(line)
	var path []string
	page := help(t, path)
	for len(words) > 0 && slices.Contains(subcommands(page), words[0]) {
		path = append(path, words[0])
		words = words[1:]
		page = help(t, path)
	}
	typed := "pierhead " + strings.TrimSpace(line)
	if len(path) == 0 && words[0] != "help" && words[0] != "version" {
		t.Errorf("%s: %q: there is no such command", where, typed)
		return
	}
	if len(words) > 0 && isWord(words[0]) && !takesArguments(page) && len(path) > 0 {
		t.Errorf("%s: %q: pierhead %s has no command %q", where, typed, strings.Join(path, " "), words[0])
	}
	for _, word := range words {
		flag, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(flag, "--") && !strings.Contains(page, flag+" ") && !strings.Contains(page, flag+"\n") {
			t.Errorf("%s: %q: pierhead %s has no flag %s", where, typed, strings.Join(path, " "), flag)
		}
	}
}

func isWord(s string) bool { return regexp.MustCompile(`^[a-z][a-z-]*$`).MatchString(s) }

// help is what the program prints about a command.
func help(t *testing.T, path []string) string {
	t.Helper()
	var out, errs strings.Builder
	args := append(slices.Clone(path), "--help")
	if cli.Run(t.Context(), args, strings.NewReader(""), &out, &errs) != 0 {
		return ""
	}
	return out.String()
}

// subcommands are the names that a help page lists.
func subcommands(page string) []string {
	_, list, found := strings.Cut(page, "Available Commands:\n")
	if !found {
		return nil
	}
	var names []string
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			break
		}
		names = append(names, name)
	}
	return names
}

var argument = regexp.MustCompile(`(?m)^  pierhead [a-z ]*[A-Z<\[(]`)

// takesArguments says whether the usage line has a place for an argument other than flags.
func takesArguments(page string) bool {
	_, usage, found := strings.Cut(page, "Usage:\n")
	if !found {
		return false
	}
	first, _, _ := strings.Cut(usage, "\n")
	first = strings.NewReplacer("[flags]", "", "[command]", "").Replace(first)
	return argument.MatchString(first)
}
