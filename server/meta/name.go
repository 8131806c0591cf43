package meta

import (
	"errors"
	"fmt"
	"strings"
)

// maxNameBytes is Kafka's: a name and a partition number made a file name there.
const maxNameBytes = 249

// internalPrefix begins the names of the system's own topics.
const internalPrefix = "__"

// ErrInternalName: the name is well formed, and the system's own.
var ErrInternalName = errors.New(`names that begin with "__" belong to the system`)

// NameError tells why a topic name is not well formed.
type NameError struct{ Problem string }

func (e *NameError) Error() string { return "topic name " + e.Problem }

// CheckName checks the name of a topic: 1 to 249 of [a-zA-Z0-9._-], not "." or "..". The
// error is a *NameError, or ErrInternalName for a well-formed name that only the system may use.
func CheckName(name string) error {
	switch {
	case name == "":
		return &NameError{"is empty"}
	case len(name) > maxNameBytes:
		return &NameError{fmt.Sprintf("has %d bytes, at most %d are allowed", len(name), maxNameBytes)}
	case name == "." || name == "..":
		return &NameError{fmt.Sprintf("must not be %q", name)}
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return &NameError{fmt.Sprintf("has %q at byte %d; letters, digits, '.', '_' and '-' are allowed", name[i:i+1], i)}
		}
	}
	if strings.HasPrefix(name, internalPrefix) {
		return ErrInternalName
	}
	return nil
}

func nameByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
		b == '.' || b == '_' || b == '-'
}
