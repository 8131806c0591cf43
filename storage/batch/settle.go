package batch

import "fmt"

// Settle checks a RecordSet that was compressed on its way in, so that nobody looked at
// it there: it must have that many records, each of which every decoder can read. It
// returns the set in the form of stored records (see the package comment): as it is, if it
// keeps those rules; else a copy, no larger, in which the records that bend them are
// written as AppendTo writes them. The error says what is wrong with the set.
func Settle(set []byte, count uint32) ([]byte, error) {
	found, bent := uint32(0), false
	for rest := set; len(rest) > 0; found++ {
		body, size, ok := hop(rest)
		if !ok {
			return nil, fmt.Errorf("it is no RecordSet after %d records", found)
		}
		var r Record
		if err := r.scan(body); err != nil {
			return nil, err.in(fmt.Sprintf("record %d", found))
		}
		bent = bent || r.quirks&^hasOffset != 0
		rest = rest[size:]
	}
	switch {
	case found != count:
		return nil, fmt.Errorf("it has %d records, not %d", found, count)
	case bent:
		return straighten(set), nil
	}
	return set, nil
}

// straighten writes the records of a sound set anew.
func straighten(set []byte) []byte {
	out := make([]byte, 0, len(set))
	for len(set) > 0 {
		body, size, _ := hop(set)
		var r Record
		_ = r.scan(body) // it was sound before
		r.settle()
		out = r.AppendTo(out, 0)
		set = set[size:]
	}
	return out
}
