package repo

import (
	"go/ast"
	"go/token"
	"testing"
)

// A package-level variable that changes is shared by all servers and tests of one process, and nobody sees it in a signature. Tables
// and errors are package-level variables too: they are set where they stand, and never again.
func TestNothingChangesAGlobal(t *testing.T) {
	for _, all := range packages(sources(t)) {
		globals := map[string]bool{}
		for _, s := range all {
			if product(s) {
				addGlobals(t, s, globals)
			}
		}
		for _, s := range all {
			if product(s) {
				checkAssignments(t, s, globals)
			}
		}
	}
}

// addGlobals collects the names of a file's package-level variables, and refuses those whose type is there to be changed.
func addGlobals(t *testing.T, s source, globals map[string]bool) {
	t.Helper()
	for _, d := range s.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			for _, name := range v.Names {
				globals[name.Name] = true
			}
			if sel, ok := v.Type.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && (pkg.Name == "sync" || pkg.Name == "atomic") {
					t.Errorf("%s: a global %s.%s: its state belongs to a value that is handed on", s.at(v), pkg.Name, sel.Sel.Name)
				}
			}
		}
	}
}

func checkAssignments(t *testing.T, s source, globals map[string]bool) {
	t.Helper()
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		local := locals(f)
		for _, target := range assigned(f) {
			if id := base(target); id != nil && globals[id.Name] && !local[id.Name] {
				t.Errorf("%s: the global %s changes: hand it to whoever needs it", s.at(target), id.Name)
			}
		}
	}
}

// assigned lists what a function assigns to without declaring it.
func assigned(f *ast.FuncDecl) []ast.Expr {
	var targets []ast.Expr
	ast.Inspect(f, func(n ast.Node) bool {
		switch st := n.(type) {
		case *ast.AssignStmt:
			if st.Tok != token.DEFINE {
				targets = append(targets, st.Lhs...)
			}
		case *ast.IncDecStmt:
			targets = append(targets, st.X)
		}
		return true
	})
	return targets
}

// locals are the names that a function declares: parameters, results and variables.
func locals(f *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	add := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok {
			names[id.Name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch d := n.(type) {
		case *ast.Field:
			for _, name := range d.Names {
				add(name)
			}
		case *ast.ValueSpec:
			for _, name := range d.Names {
				add(name)
			}
		case *ast.AssignStmt:
			if d.Tok == token.DEFINE {
				for _, e := range d.Lhs {
					add(e)
				}
			}
		case *ast.RangeStmt:
			add(d.Key)
			add(d.Value)
		}
		return true
	})
	return names
}

// base is the variable in a.b[c].d.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}
