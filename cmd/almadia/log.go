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

func logCommand() *cobra.Command {
	c := &cobra.Command{Use: "log", Short: "Read segments and data directories offline; changes nothing"}
	c.AddCommand(logDump(), logVerify())
	return c
}

func logDump() *cobra.Command {
	var records bool
	c := &cobra.Command{
		Use:   "dump PATH...",
		Short: "Show the frames of a segment file, or the logs of a data directory",
		Example: `  almadia log dump .cache/dev
  almadia log dump --records .cache/dev/logs/1-1/00000000000000000000-1.seg`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error {
			return eachPath(paths,
				func(segment string) error { return dumpSegment(c.OutOrStdout(), segment, records) },
				func(dir string) error { return dumpDirectory(c.OutOrStdout(), dir) })
		},
	}
	c.Flags().BoolVar(&records, "records", false, "show the records of each frame too")
	return c
}

func logVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify PATH...",
		Short: "Check every frame of a segment file or a data directory; exit code 1 if one is damaged",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error {
			return eachPath(paths,
				func(segment string) error { return verifySegment(c.OutOrStdout(), segment) },
				func(dir string) error { return verifyDirectory(c.OutOrStdout(), dir) })
		},
	}
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

func dumpSegment(out io.Writer, path string, records bool) error {
	w := newTable(out, "POSITION", "INDEX", "TERM", "KIND", "OFFSET", "RECORDS", "BYTES", "CODEC", "APPENDED", "CHAIN")
	var all []*almadiav1.LogRecord
	var lost []error
	h, err := storage.ScanSegment(vfs.OS, path, func(pos int64, h batch.Header, frame []byte) error {
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%d\t%d\t%d\t%v\t%s\t%08x<%08x\n", pos, h.Index, h.Term, kindName(h.Kind), h.BaseOffset,
			h.RecordCount, h.Size, h.Codec, formatMillis(h.AppendTime), h.PrevCRC, h.HeadCRC)
		if !records || h.Kind != batch.Records {
			return nil
		}
		set, err := decodeFrame(frame, h)
		all = append(all, set...)
		if bad, ok := errors.AsType[*compress.BatchError](err); ok { // of its writer, not of the file
			lost = append(lost, bad)
			return nil
		}
		return err
	})
	if h.Number != 0 {
		fmt.Fprintf(out, "%s: log %d, replica %d, segment %d, from offset %d, index %d\n", path, h.Log, h.Replica, h.Number, h.BaseOffset, h.BaseIndex)
	}
	if e := w.Flush(); err == nil {
		err = e
	}
	for _, r := range all {
		fmt.Fprintf(out, "%d\t%s\t%q\t%q\n", r.GetOffset(), formatMillis(r.TimestampMs), r.Key, r.Value)
	}
	for _, bad := range lost {
		fmt.Fprintln(out, bad)
	}
	return damaged(err)
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

func dumpDirectory(out io.Writer, dir string) error {
	in, err := inspect(dir)
	if err != nil {
		return err
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

func verifySegment(out io.Writer, path string) error {
	frames, offsets := 0, 0
	_, err := storage.ScanSegment(vfs.OS, path, func(_ int64, h batch.Header, frame []byte) error {
		frames++
		offsets += int(h.OffsetCount)
		return nil
	})
	if err != nil {
		return damaged(err)
	}
	_, err = fmt.Fprintf(out, "%s: sound, %d frames, %d records\n", path, frames, offsets)
	return err
}

func verifyDirectory(out io.Writer, dir string) error {
	in, err := inspect(dir)
	if err != nil {
		return err
	}
	records, damages := int64(0), 0
	for _, l := range in.Logs {
		records += int64(l.End - l.Start)
		for _, d := range l.Damage {
			damages++
			fmt.Fprintf(out, "log %d: %v\n", l.ID, d.Err)
		}
	}
	if damages > 0 {
		return &failure{what: fmt.Sprintf("%s: %d damaged places", dir, damages), exit: exitFailed}
	}
	_, err = fmt.Fprintf(out, "%s: sound, %d logs, %d records\n", dir, len(in.Logs), records)
	return err
}

// damaged says what else to know of bytes that are not what was written.
func damaged(err error) error {
	if errors.Is(err, storage.ErrCorrupt) {
		return &failure{what: err.Error(), fix: "a segment still in use may end within a frame: verify its data directory, which knows where it ends", exit: exitFailed}
	}
	return err
}
