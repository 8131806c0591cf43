package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/compress"
	"github.com/almadia/almadia/storage/vfs"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
)

func logCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "log", Short: "Read segments and data directories offline; changes nothing"}
	c.AddCommand(logDump(g), logVerify(g))
	return c
}

func logDump(g *globals) *cobra.Command {
	var records bool
	c := &cobra.Command{
		Use:   "dump PATH...",
		Short: "Show the frames of a segment file, or the logs of a data directory",
		Example: `  almadia log dump .cache/dev
  almadia log dump --records .cache/dev/logs/1-1/00000000000000000000-1.seg`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error {
			return eachPath(paths,
				func(segment string) error { return dumpSegment(g, c.OutOrStdout(), segment, records) },
				func(dir string) error { return dumpDirectory(g, c.OutOrStdout(), dir) })
		},
	}
	c.Flags().BoolVar(&records, "records", false, "show the records of each frame too")
	g.formatFlag(c)
	return c
}

func logVerify(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "verify PATH...",
		Short: "Check every frame of a segment file or a data directory; exit code 1 if one is damaged",
		Example: `  almadia log verify .cache/dev
  almadia log verify --format json .cache/dev`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error {
			return eachPath(paths,
				func(segment string) error { return verifySegment(g, c.OutOrStdout(), segment) },
				func(dir string) error { return verifyDirectory(g, c.OutOrStdout(), dir) })
		},
	}
	g.formatFlag(c)
	return c
}

// eachPath goes on past what fails, so that one run names all damage.
func eachPath(paths []string, segment, directory func(string) error) error {
	var failed []error
	for _, path := range paths {
		info, err := vfs.OS.Stat(path)
		switch {
		case err != nil:
			failed = append(failed, err)
		case info.IsDir():
			failed = append(failed, directory(path))
		default:
			failed = append(failed, segment(path))
		}
	}
	return errors.Join(failed...)
}

func dumpSegment(g *globals, out io.Writer, path string, records bool) error {
	shape := segmentJSON{Path: path, Frames: []frameJSON{}}
	h, err := storage.ScanSegment(vfs.OS, path, func(pos int64, h batch.Header, frame []byte) error {
		shape.Frames = append(shape.Frames, frameShape(pos, h))
		f := &shape.Frames[len(shape.Frames)-1]
		if !records || h.Kind != batch.Records {
			return nil
		}
		set, err := decodeFrame(frame, h)
		for _, r := range set {
			f.Records = append(f.Records, printedRecord(r))
		}
		if bad, ok := errors.AsType[*compress.BatchError](err); ok { // of its writer, not of the file
			f.Unreadable = bad.Error()
			return nil
		}
		return err
	})
	shape.Log, shape.Replica, shape.Segment = uint64(h.Log), uint64(h.Replica), uint64(h.Number)
	shape.BaseOffset, shape.BaseIndex = int64(h.BaseOffset), uint64(h.BaseIndex)
	show := printSegment
	if g.json() {
		show = func(out io.Writer, s segmentJSON) error { return writeJSON(out, s) }
	}
	if e := show(out, shape); err == nil {
		err = e
	}
	return damaged(err)
}

func printSegment(out io.Writer, s segmentJSON) error {
	if s.Segment != 0 {
		fmt.Fprintf(out, "%s: log %d, replica %d, segment %d, from offset %d, index %d\n", s.Path, s.Log, s.Replica, s.Segment, s.BaseOffset, s.BaseIndex)
	}
	w := newTable(out, "POSITION", "INDEX", "TERM", "KIND", "OFFSET", "RECORDS", "BYTES", "CODEC", "APPENDED", "CHAIN")
	for _, f := range s.Frames {
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%d\t%d\t%d\t%s\t%s\t%s<%s\n", f.Position, f.Index, f.Term, f.Kind, f.BaseOffset,
			f.Count, f.SizeBytes, f.Codec, f.Appended, f.PrevCRC, f.HeadCRC)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range s.Frames {
		for _, r := range f.Records {
			fmt.Fprintf(out, "%d\t%s\t%q\t%q\n", r.Offset, r.Timestamp, r.keyOf(), r.valueOf())
		}
		if f.Unreadable != "" {
			fmt.Fprintln(out, f.Unreadable)
		}
	}
	return nil
}

// decodeFrame gives the records of a frame as a reader would get them.
func decodeFrame(frame []byte, h batch.Header) ([]*almadiav1.LogRecord, error) {
	if h.Codec != batch.None {
		buffer, plain, header, err := compress.Expand(frame, h)
		if err != nil {
			return nil, err
		}
		defer buffer.Release()
		frame, h = plain, header
	}
	spliced, _, _, _, err := batch.Splice{}.Append(nil, frame, h, h.BaseOffset, math.MaxInt, 0)
	if err != nil {
		return nil, err
	}
	var set almadiav1.RecordSet
	if err := proto.Unmarshal(spliced, &set); err != nil {
		return nil, fmt.Errorf("decode the records at offset %d: %w", h.BaseOffset, err)
	}
	return set.Records, nil
}

func kindName(k batch.Kind) string {
	switch k {
	case batch.Records:
		return "records"
	case batch.Noop:
		return "noop"
	case batch.Conf:
		return "conf"
	case batch.Trim:
		return "trim"
	}
	return fmt.Sprintf("kind %d", k)
}

func inspect(dir string) (*storage.Inspection, error) {
	in, err := storage.Inspect(storage.Config{FS: vfs.OS, Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if errors.Is(err, storage.ErrLocked) {
		return nil, &failure{what: err.Error(), fix: "stop the broker first", exit: exitFailed}
	}
	return in, damaged(err)
}

func dumpDirectory(g *globals, out io.Writer, dir string) error {
	in, err := inspect(dir)
	if err != nil {
		return err
	}
	if g.json() {
		return writeJSON(out, directoryShape(dir, in))
	}
	fmt.Fprintf(out, "%s: directory %x, %d starts, clean: %t, checkpoint %d, journal to %d\n\n",
		dir, in.DirectoryID, in.Starts, in.CleanShutdown, in.Checkpoint, in.Journal)
	w := newTable(out, "LOG", "REPLICA", "TERM", "COMMIT", "INDEXES", "OFFSETS", "SEGMENTS", "DAMAGE")
	for _, l := range in.Logs {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d-%d\t%d-%d\t%d\t%d\n", l.ID, l.Replica, l.Hard.Term, l.Hard.Commit,
			l.First, l.Last, l.Start, l.End, len(l.Segments), len(l.Damage))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	w = newTable(out, "SEGMENT", "OFFSETS", "INDEXES", "BYTES", "IN JOURNAL")
	for _, l := range in.Logs {
		for _, s := range l.Segments {
			fmt.Fprintf(w, "%s\t%d-%d\t%d-%d\t%d\t%d\n", s.File, s.BaseOffset, s.NextOffset, s.First, s.Last, s.Bytes, s.Journaled)
		}
	}
	return w.Flush()
}

func verifySegment(g *globals, out io.Writer, path string) error {
	v := verifiedJSON{Path: path, Damage: []damageJSON{}}
	_, err := storage.ScanSegment(vfs.OS, path, func(_ int64, h batch.Header, _ []byte) error {
		v.Frames++
		v.Records += int64(h.RecordCount)
		return nil
	})
	v.Sound = err == nil
	switch {
	case g.json() && errors.Is(err, storage.ErrCorrupt):
		v.Damage = append(v.Damage, damageJSON{File: path, Error: err.Error()})
		return errors.Join(damaged(err), writeJSON(out, v))
	case err != nil:
		return damaged(err)
	case g.json():
		return writeJSON(out, v)
	}
	_, err = fmt.Fprintf(out, "%s: sound, %d frames, %d records\n", path, v.Frames, v.Records)
	return err
}

func verifyDirectory(g *globals, out io.Writer, dir string) error {
	in, err := inspect(dir)
	if err != nil {
		return err
	}
	v := verifiedJSON{Path: dir, Logs: len(in.Logs), Damage: []damageJSON{}}
	for _, l := range in.Logs {
		v.Records += int64(l.End - l.Start)
		for _, d := range l.Damage {
			id := uint64(l.ID)
			v.Damage = append(v.Damage, damageJSON{Log: &id, File: d.File, Position: &d.Pos, Error: d.Err.Error()})
		}
	}
	v.Sound = len(v.Damage) == 0
	if g.json() {
		err = writeJSON(out, v)
	} else {
		err = printVerified(out, v)
	}
	if !v.Sound {
		err = errors.Join(&failure{what: fmt.Sprintf("%s: %d damaged places", dir, len(v.Damage)), exit: exitFailed}, err)
	}
	return err
}

func printVerified(out io.Writer, v verifiedJSON) error {
	for _, d := range v.Damage {
		fmt.Fprintf(out, "log %d: %s\n", *d.Log, d.Error)
	}
	if !v.Sound {
		return nil
	}
	_, err := fmt.Fprintf(out, "%s: sound, %d logs, %d records\n", v.Path, v.Logs, v.Records)
	return err
}

// damaged says what else to know of bytes that are not what was written.
func damaged(err error) error {
	if errors.Is(err, storage.ErrCorrupt) {
		return &failure{what: err.Error(), fix: "a segment still in use may end within a frame: verify its data directory, which knows where it ends", exit: exitFailed}
	}
	return err
}
