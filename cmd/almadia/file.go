package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a configuration file.
const maxFileBytes = 1 << 20

// fromFile gives flags the values that a configuration file has for them. The error names
// everything that is wrong with the file, with lines.
func fromFile(flags *pflag.FlagSet, path string) error {
	pairs, err := readPairs(path)
	if err != nil {
		return misconfigured(err)
	}
	byKey := map[string]*pflag.Flag{}
	known := map[string]bool{}
	flags.VisitAll(func(f *pflag.Flag) {
		if marked(f, inFile) {
			byKey[key(f)], known[key(f)] = f, true
		}
	})
	var wrong []error
	seen := map[string]int{}
	for _, p := range pairs {
		if err := p.give(flags, byKey[p.key.Value], path, seen[p.key.Value], keysOf(known)); err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", path, p.key.Line, err))
		}
		seen[p.key.Value] = p.key.Line
	}
	if len(wrong) > 0 {
		return &failure{what: errors.Join(wrong...).Error(), fix: "see almadia broker config example", exit: exitUsage}
	}
	return nil
}

// pair is one line of a configuration file.
type pair struct{ key, value *yaml.Node }

// give sets the flag f, nil if there is none of the key's name. before is the line that had
// the key already, 0 if none had.
func (p pair) give(flags *pflag.FlagSet, f *pflag.Flag, path string, before int, known []string) error {
	switch {
	case f == nil:
		if meant := nearest(p.key.Value, known); meant != "" {
			return fmt.Errorf("there is no setting %q; did you mean %s?", p.key.Value, meant)
		}
		return fmt.Errorf("there is no setting %q", p.key.Value)
	case before != 0:
		return fmt.Errorf("%s is set in line %d already", p.key.Value, before)
	case p.value.Kind != yaml.ScalarNode:
		return fmt.Errorf("%s takes a single value: %s", p.key.Value, wanted(f.Value))
	case p.value.ShortTag() == "!!null":
		return fmt.Errorf("%s has no value; give it one, or leave it out", p.key.Value)
	}
	if err := give(flags, f, p.value.Value, fmt.Sprintf("file %s:%d", path, p.key.Line)); err != nil {
		return fmt.Errorf("%s: %w", p.key.Value, err)
	}
	return nil
}

// readPairs reads a file of settings. An empty one has none.
func readPairs(path string) ([]pair, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return nil, fmt.Errorf("%s: one document is wanted; there is another behind it", path)
	}
	top := doc.Content[0]
	if top.ShortTag() == "!!null" {
		return nil, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: lines of the form `key: value` are wanted", path, top.Line)
	}
	var pairs []pair
	for i := 0; i < len(top.Content); i += 2 {
		pairs = append(pairs, pair{top.Content[i], top.Content[i+1]})
	}
	return pairs, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	err = errors.Join(err, f.Close())
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("%s: no configuration has more than %d bytes", path, maxFileBytes)
	}
	return text, err
}
