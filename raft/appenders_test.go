package raft_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module         = "github.com/almadia/almadia"
	storagePackage = module + "/storage"
	raftPackage    = module + "/raft"
)

// guarded are the methods that change a log, and the type without which nothing can be
// appended. They are for package raft alone: what raft did not sequence is not in a log.
var guarded = map[string]bool{
	"Log.Append":    true,
	"Log.SetCommit": true,
	"Log.Trim":      true,
	"Store.Create":  true,
	"Store.Delete":  true,
	"Append":        true,
}

func TestNothingButRaftAppendsToALog(t *testing.T) {
	m := loadModule(t)
	var found []string
	for _, p := range m.packages {
		uses := m.check(t, p.ImportPath, p.parse(t, m.fset))
		switch {
		case p.ImportPath == raftPackage:
			found = uses
		case p.ImportPath == storagePackage:
		case len(uses) > 0:
			t.Errorf("package %s changes logs behind raft's back:\n\t%s", p.ImportPath, strings.Join(uses, "\n\t"))
		}
	}
	for name := range guarded {
		if !slices.ContainsFunc(found, func(use string) bool { return strings.HasSuffix(use, " "+name) }) {
			t.Errorf("package raft itself does not use %s: the check looks for the wrong thing", name)
		}
	}
}

func TestCheckOfAppendersSeesEachWayToAppend(t *testing.T) {
	m := loadModule(t)
	for name, tc := range map[string]struct{ body, want string }{
		"a call":                    {`func f(l *storage.Log) { l.SetCommit(1) }`, "Log.SetCommit"},
		"a method value":            {`func f(l *storage.Log) func(storage.Offset, storage.Index) { return l.Trim }`, "Log.Trim"},
		"a method expression":       {`var f = (*storage.Log).Trim`, "Log.Trim"},
		"an embedded log":           {`type t struct{ *storage.Log }; func f(x t) { x.SetCommit(1) }`, "Log.SetCommit"},
		"an interface":              {`type i interface{ Trim(storage.Offset, storage.Index) }; func f(l *storage.Log) { var x i = l; x.Trim(1, 1) }`, "Log.Trim through an interface"},
		"the argument of an append": {`var a storage.Append`, "Append"},
		"a log's deletion":          {`func f(s *storage.Store) { s.Delete(1, nil) }`, "Store.Delete"},
		"reading only":              {`func f(l *storage.Log) storage.Index { return l.Last() }`, ""},
		"another type's method":     {`type t struct{}; func (t) SetCommit(int) {}; func f(x t, _ storage.Index) { x.SetCommit(1) }`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			src := fmt.Sprintf("package p\nimport %q\n%s\n", storagePackage, tc.body)
			file, err := parser.ParseFile(m.fset, "p.go", src, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			uses := m.check(t, "p", []*ast.File{file})
			if tc.want == "" {
				if len(uses) > 0 {
					t.Errorf("found %q", uses)
				}
				return
			}
			if !slices.ContainsFunc(uses, func(use string) bool { return strings.HasSuffix(use, " "+tc.want) }) {
				t.Errorf("found %q, want one of %s", uses, tc.want)
			}
		})
	}
}

// goModule is the part of this module that can reach a log: every package that imports
// storage. Their imports are read from compiled export data, so that only they are
// checked from source.
type goModule struct {
	fset     *token.FileSet
	packages []goPackage
	imports  types.Importer
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath, Dir, Export string
	GoFiles, Imports        []string
}

func loadModule(t *testing.T) *goModule {
	t.Helper()
	var reach []string
	for _, p := range goList(t, module+"/...") {
		if p.ImportPath == storagePackage || slices.Contains(p.Imports, storagePackage) {
			reach = append(reach, p.ImportPath)
		}
	}
	exports := make(map[string]string)
	m := &goModule{fset: token.NewFileSet()}
	for _, p := range goList(t, append([]string{"-export", "-deps"}, reach...)...) {
		exports[p.ImportPath] = p.Export
		if slices.Contains(reach, p.ImportPath) {
			m.packages = append(m.packages, p)
		}
	}
	m.imports = importer.ForCompiler(m.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	})
	return m
}

func goList(t *testing.T, args ...string) (packages []goPackage) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Dir,Export,GoFiles,Imports"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func (p goPackage) parse(t *testing.T, fset *token.FileSet) (files []*ast.File) {
	t.Helper()
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// check type-checks a package and lists each use of something guarded, as "place name".
func (m *goModule) check(t *testing.T, path string, files []*ast.File) (uses []string) {
	t.Helper()
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object), Types: make(map[ast.Expr]types.TypeAndValue)}
	cfg := types.Config{Importer: m.imports}
	if _, err := cfg.Check(path, m.fset, files, info); err != nil {
		t.Fatal(err)
	}
	storage, err := m.imports.Import(storagePackage)
	if err != nil {
		t.Fatal(err)
	}
	for id, obj := range info.Uses {
		if name := guardedName(obj); name != "" {
			uses = append(uses, fmt.Sprint(m.fset.Position(id.Pos()), " ", name))
		}
	}
	for expr, tv := range info.Types {
		if name := guardedInterface(tv.Type, storage); name != "" {
			uses = append(uses, fmt.Sprint(m.fset.Position(expr.Pos()), " ", name, " through an interface"))
		}
	}
	slices.Sort(uses)
	return slices.Compact(uses)
}

// guardedName is the name under which an object is guarded, if it is.
func guardedName(obj types.Object) string {
	if obj.Pkg() == nil || obj.Pkg().Path() != storagePackage {
		return ""
	}
	name := obj.Name()
	switch obj := obj.(type) {
	case *types.TypeName:
	case *types.Func:
		recv := obj.Signature().Recv()
		if recv == nil {
			return ""
		}
		t := recv.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		named, ok := t.(*types.Named)
		if !ok {
			return ""
		}
		name = named.Obj().Name() + "." + name
	default:
		return ""
	}
	if !guarded[name] {
		return ""
	}
	return name
}

// guardedInterface names the guarded method that an interface demands and that a log or
// store would bring.
func guardedInterface(t types.Type, storage *types.Package) string {
	i, ok := t.Underlying().(*types.Interface)
	if !ok {
		return ""
	}
	for _, owner := range []string{"Log", "Store"} {
		if !types.Implements(types.NewPointer(storage.Scope().Lookup(owner).Type()), i) {
			continue
		}
		for k := range i.NumMethods() {
			if name := owner + "." + i.Method(k).Name(); guarded[name] {
				return name
			}
		}
	}
	return ""
}
