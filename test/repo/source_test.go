// Package repo guards the repository itself: who imports whom, what a package owes its reader, and that the documents say what is
// true. It reads the sources as they lie, for every system at once, and needs neither engine nor network. What it finds it reports
// with the reason of the rule, so that whoever meets it knows what to change.
package repo

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the repository's top, seen from this package's directory.
const root = "../.."

// module is the path that begins every import of our own.
const module = "github.com/pierhead/pierhead/"

// source is one parsed Go file.
type source struct {
	path string // from the repository's top, with slashes
	set  *token.FileSet
	file *ast.File
}

func (s source) dir() string { return path.Dir(s.path) }

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// at is a position as editors take it.
func (s source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.set.Position(n.Pos()).Line)
}

// imports are the paths that the file imports.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

// members walks over every use of a package's member, as in os.Exit, under whatever name the file imports it.
func (s source) members(visit func(pkg, member string, n ast.Node)) {
	names := map[string]string{}
	for _, spec := range s.file.Imports {
		p := strings.Trim(spec.Path.Value, `"`)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && names[x.Name] != "" {
				visit(names[x.Name], sel.Sel.Name, n)
			}
		}
		return true
	})
}

// sources parses every Go file of the main module, whatever system its build tags name.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	set := token.NewFileSet()
	for _, p := range files(t, ".go") {
		if nested(p) {
			continue
		}
		file, err := parser.ParseFile(set, filepath.Join(root, p), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{p, set, file})
	}
	if len(all) < 20 {
		t.Fatalf("found %d Go files: the guards look in the wrong place", len(all))
	}
	return all
}

// nested says whether a file belongs to a module of its own, inside ours.
func nested(p string) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(root, dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// files lists the repository's own files with one of the endings, or all of them; what git ignores is left out.
func files(t *testing.T, endings ...string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() && (rel == ".git" || rel == ".cache" || rel == "bin") {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && (len(endings) == 0 || slices.Contains(endings, path.Ext(rel))) {
			all = append(all, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readFile(t *testing.T, p string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, p))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// packages groups the sources by directory.
func packages(all []source) map[string][]source {
	byDir := map[string][]source{}
	for _, s := range all {
		byDir[s.dir()] = append(byDir[s.dir()], s)
	}
	return byDir
}
