package repo

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// product says whether a file is part of what people run.
func product(s source) bool { return !s.isTest() && !testOnly(s.dir()) }

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for dir, all := range packages(sources(t)) {
		doc := packageDoc(all)
		name := all[0].file.Name.Name
		begins := "Package " + name + " "
		if name == "main" {
			begins = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(doc, begins) {
			t.Errorf("%s: its package comment begins %.30q and should begin %q: a package is a role, and says which", dir, doc, begins)
		}
		if strings.HasPrefix(dir, "internal/") && sentences(doc) < 3 {
			t.Errorf("%s: its package comment has %d sentences: say what it is for, what it promises and what it refuses", dir, sentences(doc))
		}
	}
}

// packageDoc is the text of the one file that has the package's comment; generated and system files needn't.
func packageDoc(all []source) string {
	for _, s := range all {
		if s.file.Doc != nil && len(strings.TrimSpace(s.file.Doc.Text())) > 0 {
			return strings.TrimSpace(s.file.Doc.Text())
		}
	}
	return ""
}

var sentenceEnd = regexp.MustCompile(`[.:;](\s|$)`)

func sentences(doc string) int { return len(sentenceEnd.FindAllString(doc, -1)) }

func TestPackagesAreNamedForTheirRole(t *testing.T) {
	for dir := range packages(sources(t)) {
		if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "types", "misc", "shared"}, path.Base(dir)) {
			t.Errorf("%s: a package is a role, and %q is none", dir, path.Base(dir))
		}
	}
}

func TestNoPackageIsEmpty(t *testing.T) {
	for dir, all := range packages(sources(t)) {
		declarations := 0
		for _, s := range all {
			declarations += len(s.file.Decls)
		}
		if declarations == 0 {
			t.Errorf("%s declares nothing: a package appears when its first real code does", dir)
		}
	}
}

func TestNothingHappensInInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: nothing happens in init: who builds the program decides when", s.at(f))
			}
		}
	}
}

func TestOnlyCmdExits(t *testing.T) {
	for _, s := range sources(t) {
		if !product(s) || s.dir() == "cmd/pierhead" {
			continue
		}
		s.members(func(pkg, member string, n ast.Node) {
			exits := pkg == "os" && member == "Exit" || pkg == "log" && strings.HasPrefix(member, "Fatal") ||
				pkg == "syscall" && (member == "Exit" || member == "Exec") || pkg == "runtime" && member == "Goexit"
			if exits {
				t.Errorf("%s: %s.%s: only cmd exits; return the error, or what is deferred never runs", s.at(n), pkg, member)
			}
		})
	}
}

func TestOnlyTheCommandPrints(t *testing.T) {
	for _, s := range sources(t) {
		if !product(s) || s.dir() == "cmd/pierhead" || s.dir() == "internal/cli" {
			continue
		}
		s.members(func(pkg, member string, n ast.Node) {
			prints := pkg == "fmt" && slices.Contains([]string{"Print", "Printf", "Println"}, member) ||
				pkg == "os" && slices.Contains([]string{"Stdout", "Stderr", "Stdin"}, member) || pkg == "log"
			if prints {
				t.Errorf("%s: %s.%s: only cli and cmd print: stdout is the answer to a person", s.at(n), pkg, member)
			}
		})
	}
}

// In a bubble of testing/synctest a sleep takes no time and ends exactly when it says; anywhere else in a test it is a guess.
func TestTestsDoNotSleep(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isTest() || slices.Contains(s.imports(), "testing/synctest") {
			continue
		}
		s.members(func(pkg, member string, n ast.Node) {
			if pkg == "time" && member == "Sleep" {
				t.Errorf("%s: tests don't sleep: wait for what should happen, with a bound, or use testing/synctest", s.at(n))
			}
		})
	}
}

// A skipped test proves nothing; one that skips without a reason says not even that.
func TestSkipsHaveAReason(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if ok && (sel.Sel.Name == "SkipNow" || sel.Sel.Name == "Skip" && len(call.Args) == 0) {
				t.Errorf("%s: a test is skipped without a reason", s.at(call))
			}
			return true
		})
	}
}
