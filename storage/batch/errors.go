package batch

import (
	"errors"
	"fmt"
)

// Errors of this package. A *FieldError tells of a request that breaks a rule.
var (
	// ErrShort: the bytes end before the header, or frame, does.
	ErrShort = errors.New("frame is cut short")
	// ErrCorrupt: the bytes are no frame, or fail a checksum.
	ErrCorrupt = errors.New("frame is corrupt")
)

// corrupt is an ErrCorrupt that says what is wrong.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// VersionError: a segment file of a format that this program does not know yet.
type VersionError struct{ Version uint32 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("segment has format version %d; this program knows up to %d", e.Version, FormatVersion)
}

// CodecError: a batch is compressed with a codec that there is not.
type CodecError struct{ Codec int32 }

func (e *CodecError) Error() string { return fmt.Sprintf("batch.codec: there is no codec %d", e.Codec) }

// FieldError names the field of a request that breaks a rule, and the rule. Field is a
// path as in "records[3].key_text".
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// in is the same error told from outside of the message at path.
func (e *FieldError) in(path string) *FieldError {
	if e.Field != "" {
		path += "." + e.Field
	}
	return &FieldError{path, e.Problem}
}

// Problems that many fields share.
const (
	malformed   = "is not well-formed protobuf"
	wrongType   = "has the wrong wire type"
	notUTF8     = "is not valid UTF-8"
	notYet      = "is not supported yet"
	notTogether = "is set together with "
)
