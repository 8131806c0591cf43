package badinput

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	diskDir        = "/data"
	diskPartitions = 2
	diskRecords    = 600 // of each partition, in several segments
	// diskFiles has it at least: identity, a checkpoint, the journal, that of the metadata, three
	// segments and two indexes of each partition.
	diskFiles = 4 + diskPartitions*5
)

// damageCases damage each file of a data directory in turn, of a broker that was stopped and
// of one that died, and start a broker on what is left.
func damageCases() (list []testCase) {
	for _, d := range []struct {
		name   string
		damage func(t *testing.T, disk *vfs.Mem, file string, kin []string)
	}{
		{"empty", func(t *testing.T, disk *vfs.Mem, file string, _ []string) { resize(t, disk, file, 0) }},
		{"cut off in the middle", func(t *testing.T, disk *vfs.Mem, file string, _ []string) {
			resize(t, disk, file, int64(len(used(t, disk, file))/2))
		}},
		{"one byte short", func(t *testing.T, disk *vfs.Mem, file string, _ []string) {
			resize(t, disk, file, int64(max(0, len(used(t, disk, file))-1)))
		}},
		{"a bit flipped at the start", func(t *testing.T, disk *vfs.Mem, file string, _ []string) { flip(t, disk, file, 0) }},
		{"a bit flipped in the middle", func(t *testing.T, disk *vfs.Mem, file string, _ []string) {
			flip(t, disk, file, int64(len(used(t, disk, file))/2))
		}},
		{"another of its kind", func(t *testing.T, disk *vfs.Mem, file string, kin []string) {
			copyFile(t, disk, kin[0], file)
		}},
		{"cannot be opened", nil},
	} {
		for _, died := range []bool{true, false} {
			if raceDetector && !died {
				break
			}
			name := d.name
			if died {
				name += ", after a crash"
			}
			list = append(list, testCase{"damaged-files", name, func(t *testing.T, b *broker) {
				image := b.images[died]
				if image.Mem == nil {
					image = newImage(t, died)
					b.images[died] = image
				}
				files := image.files
				if raceDetector {
					files = files[len(files)-4:] // what runs at once is the same whatever is damaged
				}
				for _, file := range files {
					kin := kinOf(file, image.files)
					if d.name == "another of its kind" && len(kin) == 0 {
						continue
					}
					disk := image.Clone()
					if d.damage == nil {
						checkDamaged(t, locked(disk, file), file, true)
						continue
					}
					d.damage(t, disk, file, kin)
					checkDamaged(t, disk, file, !inPartition(file))
				}
			}})
		}
	}
	return list
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// locked is a disk with a file that nobody may open.
func locked(disk *vfs.Mem, file string) vfs.FS {
	return vfs.WithHook(disk, func(op vfs.Op) error {
		if op.Name == file && (op.Kind == vfs.OpOpen || op.Kind == vfs.OpCreate) {
			return &fs.PathError{Op: "open", Path: file, Err: fs.ErrPermission}
		}
		return nil
	})
}

// image is the disk of a broker that does not run any more.
type image struct {
	*vfs.Mem
	files []string // that hold something, but for the lock
}

// newImage is what a broker leaves that was written to.
func newImage(t *testing.T, died bool) image {
	t.Helper()
	disk := vfs.NewMem()
	b, err := startOn(t, disk)
	must(t, err)
	b.create(t, &almadiav1.Topic{Name: demo, PartitionCount: diskPartitions, Config: &almadiav1.TopicConfig{SegmentBytes: ptr(int32(64 << 10))}})
	for p := range int32(diskPartitions) {
		for first := 0; first < diskRecords; first += 50 {
			in := &almadiav1.ProduceRequest{Topic: demo, Partition: &p}
			for i := first; i < first+50; i++ {
				in.Records = append(in.Records, &almadiav1.LogRecord{ValueText: ptr(stored(p, int64(i)))})
			}
			_, err := almadiav1.NewProduceServiceClient(b.other).Produce(t.Context(), in)
			must(t, err)
		}
	}
	for began := time.Now(); died; {
		// What was acknowledged is in the journal; the segments are written behind it.
		crashed := disk.Clone()
		files := filesOf(t, crashed)
		if len(files) >= diskFiles {
			b.stop(t)
			return image{crashed, files}
		}
		if time.Since(began) > limit {
			t.Fatalf("the disk has only %v", files)
		}
		time.Sleep(time.Millisecond)
	}
	b.stop(t)
	return image{disk, filesOf(t, disk)}
}

// stored is the value of a record on the disk.
func stored(partition int32, offset int64) string {
	return fmt.Sprintf("%d/%d: %s", partition, offset, strings.Repeat("as it was ", 30))
}

// startOn starts a broker on a disk.
func startOn(t *testing.T, disk vfs.FS) (*broker, error) {
	t.Helper()
	b := &broker{dir: diskDir, log: &syncLog{}}
	var err error
	b.Server, err = server.New(server.Config{DataDir: diskDir, FS: disk, Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(b.log, nil))})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := b.Start(ctx); err != nil {
		return b, err
	}
	b.other = dial(t, b.Addr())
	return b, nil
}

// filesOf are the files of a disk that hold something, but for the lock.
func filesOf(t *testing.T, disk *vfs.Mem) (list []string) {
	t.Helper()
	var walk func(dir string)
	walk = func(dir string) {
		names, err := disk.ReadDir(dir)
		must(t, err)
		for _, name := range names {
			at := path.Join(dir, name)
			info, err := disk.Stat(at)
			must(t, err)
			switch {
			case info.IsDir():
				walk(at)
			case len(used(t, disk, at)) > 0:
				list = append(list, at)
			}
		}
	}
	walk(diskDir)
	return list
}

// kinOf are the other files of the same kind, the last ones first: those of other logs.
func kinOf(file string, files []string) (kin []string) {
	for _, f := range files {
		if f != file && path.Ext(f) == path.Ext(file) && strings.HasPrefix(path.Base(f), path.Base(file)[:1]) {
			kin = append([]string{f}, kin...)
		}
	}
	return kin
}

// used is the content of a file without the zeros at its end.
func used(t *testing.T, disk *vfs.Mem, file string) []byte {
	t.Helper()
	f, err := disk.OpenFile(file, os.O_RDONLY)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	const most, page = 1 << 20, 4 << 10 // of a file of the journal
	b := make([]byte, min(size, most))
	if n, err := f.ReadAt(b, 0); n < len(b) {
		t.Fatal(err)
	}
	for zeros := make([]byte, page); bytes.HasSuffix(b, zeros); {
		b = b[:len(b)-page]
	}
	return bytes.TrimRight(b, "\x00")
}

func change(t *testing.T, disk *vfs.Mem, file string, change func(vfs.File) error) {
	t.Helper()
	f, err := disk.OpenFile(file, os.O_RDWR)
	must(t, err)
	must(t, change(f), f.Close())
}

func resize(t *testing.T, disk *vfs.Mem, file string, size int64) {
	t.Helper()
	change(t, disk, file, func(f vfs.File) error { return f.Truncate(size) })
}

func flip(t *testing.T, disk *vfs.Mem, file string, at int64) {
	t.Helper()
	change(t, disk, file, func(f vfs.File) error {
		b := make([]byte, 1)
		_, err := f.ReadAt(b, at)
		b[0] ^= 1 << 3
		_, writeErr := f.WriteAt(b, at)
		return errors.Join(err, writeErr)
	})
}

func copyFile(t *testing.T, disk *vfs.Mem, from, to string) {
	t.Helper()
	b := used(t, disk, from)
	change(t, disk, to, func(f vfs.File) error {
		size, err := f.Size()
		if path.Ext(to) != ".journal" { // those have all the same length
			size = int64(len(b))
		}
		_, writeErr := f.WriteAt(b, 0)
		return errors.Join(err, writeErr, f.Truncate(size))
	})
}

// checkDamaged starts a broker where a file is damaged. If it may end by that, it says why. As
// long as it serves, every record is right, or missed with an error, and no other partition is
// concerned.
func checkDamaged(t *testing.T, disk vfs.FS, file string, mayEnd bool) {
	t.Helper()
	b, err := startOn(t, disk)
	if err != nil {
		if !mayEnd || !strings.Contains(err.Error(), diskDir) {
			t.Errorf("%s: the broker does not start: %v", file, err)
		}
	} else {
		if whole := b.checkServed(t, file); whole < diskPartitions-1 && !mayEnd {
			t.Errorf("%s: more than one partition is concerned\n%s", file, b.log)
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_ = b.Stop(ctx) // where the damage lies it may have failed by now
	}
	if strings.Contains(b.log.String(), "panic") {
		t.Errorf("%s: the broker panics\n%s", file, b.log)
	}
	if _, err := disk.Stat(file); err != nil && strings.Contains(file, "/logs/") {
		t.Errorf("%s: is removed: %v", file, err)
	}
}

// inPartition tells whether a file is of a partition, and not of the metadata.
func inPartition(file string) bool {
	return strings.Contains(file, "/logs/") && !strings.Contains(file, "/logs/0-")
}

// checkServed reads all partitions, and tells how many are whole.
func (b *broker) checkServed(t *testing.T, file string) (whole int) {
	t.Helper()
	for p := range int32(diskPartitions) {
		n, err := b.readStored(t, p)
		switch code := status.Code(err); {
		case err == nil && n == diskRecords:
			whole++
		case err == nil:
			t.Errorf("%s: partition %d has %d records and no error", file, p, n)
		case code != codes.DataLoss && code != codes.Unavailable:
			t.Errorf("%s: partition %d ends with %v", file, p, err)
		}
	}
	return whole
}

// readStored reads a partition up to its end, or an error, and counts the records.
func (b *broker) readStored(t *testing.T, partition int32) (n int64, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for began := time.Now(); ; {
		resp, err := almadiav1.NewFetchServiceClient(b.other).Fetch(ctx, &almadiav1.FetchRequest{
			Partitions: []*almadiav1.PartitionPosition{from(demo, partition, atOffset(n))}})
		if time.Since(began) < endLimit && detailOf(err).GetReason() == almadiav1.ErrorReason_ERROR_REASON_NO_LEADER {
			continue // a start waits no longer for the others once one has failed
		}
		if err != nil || len(resp.Partitions) == 0 {
			return n, err
		}
		for _, r := range resp.Partitions[0].Records {
			if r.GetOffset() != n || string(r.Value) != stored(partition, n) {
				t.Fatalf("partition %d has at %d\n%v", partition, n, r)
			}
			n++
		}
	}
}
