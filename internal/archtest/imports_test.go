package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// climbs finds imports of our own that do not go strictly down, packages that are on
// no floor, and names on a floor that no package has.
func climbs(sources []source, floors [][]string) (problems []string) {
	depth := map[string]int{}
	for i, rooms := range floors {
		for _, room := range rooms {
			depth[room] = i
		}
	}
	unseen := maps.Clone(depth)
	for _, s := range sources {
		delete(unseen, s.dir)
		from, listed := depth[s.dir]
		if !listed {
			problems = append(problems, fmt.Sprintf("%s: package %s is on no floor", s.path(), s.dir))
			continue
		}
		for _, imported := range sorted(s.imports()) {
			room, own := strings.CutPrefix(imported, module+"/")
			// An external test of a package imports the package itself.
			if !own || s.isTest() && room == s.dir {
				continue
			}
			if to, listed := depth[room]; !listed || to <= from {
				problems = append(problems, fmt.Sprintf("%s: imports %s, which is not below %s", s.path(), room, s.dir))
			}
		}
	}
	for _, room := range sorted(unseen) {
		problems = append(problems, fmt.Sprintf("%s is on a floor, but not in the house", room))
	}
	return problems
}

// guest is a foreign module that some rooms may import. A room that ends in /... stands
// for all below it too, and ... for the whole house.
type guest struct {
	path  string
	rooms []string
	files string // if not empty: only files that match one of these
	types string // what files that do not match may still import it for
}

// strays finds imports of foreign modules where they may not be.
func strays(sources []source, guests []guest) (problems []string) {
	for _, s := range sources {
		for _, imported := range sorted(s.imports()) {
			if !isForeign(imported) {
				continue
			}
			i := slices.IndexFunc(guests, func(g guest) bool { return within(imported, g.path+"/...") })
			switch {
			case i < 0:
				problems = append(problems, fmt.Sprintf("%s: imports %s, which nobody may", s.path(), imported))
			case !guests[i].admits(s, imported):
				problems = append(problems, fmt.Sprintf("%s: imports %s, which only %s may", s.path(), imported, guests[i]))
			}
		}
	}
	return problems
}

func (g guest) admits(s source, imported string) bool {
	if !slices.ContainsFunc(g.rooms, func(room string) bool { return within(s.dir, room) }) {
		return false
	}
	if g.files == "" || slices.ContainsFunc(strings.Fields(g.files), s.matches) {
		return true
	}
	return g.types != "" && slices.Equal(sorted(s.names(imported)), []string{g.types})
}

func (g guest) String() string {
	rooms := strings.Join(g.rooms, ", ")
	if g.files == "" {
		return rooms
	}
	return g.files + " in " + rooms
}

// within tells whether dir is what the pattern names, as the go command reads patterns.
func within(dir, pattern string) bool {
	if pattern == "..." {
		return true
	}
	above, below := strings.CutSuffix(pattern, "/...")
	return dir == above || below && strings.HasPrefix(dir, above+"/")
}

// isForeign tells a module's import path from one of the standard library, whose first
// element has no dot.
func isForeign(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".") && !within(imported, module+"/...")
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
