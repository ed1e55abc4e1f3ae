// Command moby writes the Docker Engine's route table to the file that it is given, read from the source of moby's routers: method
// and pattern, one a line, in the order in which the engine's mux tries them.
//
// It is a module of its own, so that moby's source is no dependency of Pierhead. It reads the source and runs none of it.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	_ "github.com/moby/moby/v2/pkg/useragent" // keeps the module's version in go.mod; of it only the source is needed
)

const module = "github.com/moby/moby/v2"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: moby FILE")
	}
	table, err := routes()
	if err == nil {
		err = os.WriteFile(os.Args[1], table, 0o644)
	}
	if err != nil {
		log.Fatal("moby: ", err)
	}
}

// routes is the whole table.
func routes() ([]byte, error) {
	dir, err := source()
	if err != nil {
		return nil, err
	}
	routers, err := order(filepath.Join(dir, "daemon", "command", "daemon.go"))
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "daemon", "server", "router")
	var table bytes.Buffer
	for _, router := range routers {
		if err := readRouter(filepath.Join(root, router), &table); err != nil {
			return nil, err
		}
	}
	return table.Bytes(), nothingMissed(root, routers)
}

// source is where the module's source lies, at the version of go.mod.
func source() (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	var info struct{ Dir string }
	if err := json.Unmarshal(out, &info); err != nil {
		return "", fmt.Errorf("read what go mod download said: %w", err)
	}
	return info.Dir, nil
}

// order is the routers' directories in the order in which buildRouters makes them.
func order(file string) ([]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	directories := importedRouters(parsed)
	var routers []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name != "buildRouters" {
			return false
		}
		if pkg, name, ok := qualifiedCall(n); ok && name == "NewRouter" {
			routers = append(routers, directories[pkg])
		}
		return true
	})
	if len(routers) == 0 || slices.Contains(routers, "") {
		return nil, fmt.Errorf("%s: buildRouters has another shape than it had", file)
	}
	return routers, nil
}

// importedRouters maps the names of a file's imports to the directories of routers.
func importedRouters(f *ast.File) map[string]string {
	directories := make(map[string]string)
	for _, spec := range f.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		dir, ok := strings.CutPrefix(path, module+"/daemon/server/router/")
		if !ok {
			continue
		}
		name := filepath.Base(path)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		directories[name] = dir
	}
	return directories
}

// readRouter adds the routes that a router's package makes.
func readRouter(dir string, table *bytes.Buffer) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := readFile(file, table); err != nil {
			return err
		}
	}
	return nil
}

func readFile(file string, table *bytes.Buffer) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var bad error
	ast.Inspect(parsed, func(n ast.Node) bool {
		if pkg, name, ok := qualifiedCall(n); ok && pkg == "router" && isRoute(name) {
			bad = errors.Join(bad, readRoute(name, n.(*ast.CallExpr), table))
		}
		return true
	})
	if bad != nil {
		return fmt.Errorf("%s: %w", file, bad)
	}
	return nil
}

// isRoute reports whether a function of package router makes a route: NewGetRoute.
func isRoute(function string) bool {
	return strings.HasPrefix(function, "New") && strings.HasSuffix(function, "Route")
}

func readRoute(function string, call *ast.CallExpr, table *bytes.Buffer) error {
	method := strings.ToUpper(strings.TrimSuffix(strings.TrimPrefix(function, "New"), "Route"))
	literal, ok := call.Args[0].(*ast.BasicLit)
	if method == "" || !ok {
		return fmt.Errorf("a route is made otherwise than with a literal path: %s", function)
	}
	path, err := strconv.Unquote(literal.Value)
	if err != nil {
		return fmt.Errorf("read %s: %w", literal.Value, err)
	}
	fmt.Fprintln(table, method, path)
	return nil
}

// qualifiedCall is a call of another package's function.
func qualifiedCall(n ast.Node) (pkg, name string, ok bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", "", false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", "", false
	}
	x, ok := selector.X.(*ast.Ident)
	if !ok {
		return "", "", false
	}
	return x.Name, selector.Sel.Name, true
}

// nothingMissed fails when there is a router that buildRouters does not name.
func nothingMissed(dir string, routers []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && !slices.Contains(routers, e.Name()) })
	if i >= 0 {
		return fmt.Errorf("router %s is made elsewhere", entries[i].Name())
	}
	return nil
}
