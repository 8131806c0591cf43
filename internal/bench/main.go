// Command bench measures the broker beside its ceilings, in one run and in turn: what a
// raw gRPC stream carries between the same two ends, and what the disk takes when every
// write is synced. It prints ratios; a single figure of a shared machine says little.
//
//	go run ./internal/bench [-pairs 5] [-seconds 3] [-dir DIR]
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	pairs := flag.Int("pairs", 5, "how often each pair is measured")
	seconds := flag.Float64("seconds", 3, "length of one measurement")
	dir := flag.String("dir", "", "directory for data, on the disk to measure; default: a temporary one")
	flag.Parse()
	if err := run(ctx, os.Stdout, *dir, *pairs, time.Duration(*seconds*float64(time.Second))); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A meter moves bytes for about d and says how many it moved.
type meter func(ctx context.Context, d time.Duration) (bytes int64, err error)

// A comparison is ours beside a ceiling.
type comparison struct {
	name          string
	ours, ceiling meter
}

func run(ctx context.Context, out io.Writer, dir string, pairs int, d time.Duration) error {
	dir, err := os.MkdirTemp(dir, "almadia-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	raw, err := startRaw()
	if err != nil {
		return err
	}
	defer raw.stop()
	ours, err := startOurs(ctx, dir)
	if err != nil {
		return err
	}
	defer ours.stop()
	disk, err := openDisk(dir)
	if err != nil {
		return err
	}
	defer disk.close()

	fmt.Fprintf(out, "%s, %d cores; %d pairs of %v, in turn; batches of 128 KiB, records of 1 KiB; MB/s are 10^6 bytes of payload\n\n",
		runtime.Version(), runtime.NumCPU(), pairs, d)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\tours MB/s\tceiling\tMB/s\tratio\tmin\tmax\t")
	for _, c := range []struct {
		ceilingName string
		comparison
	}{
		{"raw gRPC stream", comparison{"produce, 1 partition", ours.produce(1), raw.upload}},
		{"raw gRPC stream", comparison{"produce, 8 partitions", ours.produce(8), raw.upload}},
		{"raw gRPC stream", comparison{"produce by stream, 1 partition", ours.produceStream(1), raw.upload}},
		{"raw gRPC stream", comparison{"produce by stream, 8 partitions", ours.produceStream(8), raw.upload}},
		{"disk, synced", comparison{"produce, 1 partition", ours.produce(1), disk.write}},
		{"disk, synced", comparison{"produce, 8 partitions", ours.produce(8), disk.write}},
		{"raw gRPC stream", comparison{"fetch, BATCHES", ours.fetch, raw.download}},
		{"raw gRPC stream", comparison{"tail, BATCHES", ours.tail(false), raw.download}},
		{"raw gRPC stream", comparison{"tail, RECORDS", ours.tail(true), raw.download}},
		{"raw gRPC stream", comparison{"consume, BATCHES", ours.consume(false), raw.download}},
		{"raw gRPC stream", comparison{"consume, RECORDS", ours.consume(true), raw.download}},
	} {
		m, err := c.measure(ctx, pairs, d)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%.0f\t%.2f\t%.2f\t%.2f\t\n", c.name, median(m.ours), c.ceilingName, median(m.ceiling),
			median(m.ratios), slices.Min(m.ratios), slices.Max(m.ratios))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := ours.latency(ctx, out, d); err != nil {
		return err
	}
	return ours.delivery(ctx, out, d)
}

// figures are MB/s, and ours divided by the ceiling, pair by pair.
type figures struct{ ours, ceiling, ratios []float64 }

// measure runs the two in turn, after a warm-up of each.
func (c comparison) measure(ctx context.Context, pairs int, d time.Duration) (figures, error) {
	var f figures
	for pair := range pairs + 1 {
		ours, err := rate(ctx, c.ours, d)
		if err != nil {
			return f, err
		}
		ceiling, err := rate(ctx, c.ceiling, d)
		if err != nil {
			return f, err
		}
		if pair == 0 {
			continue
		}
		f.ours = append(f.ours, ours)
		f.ceiling = append(f.ceiling, ceiling)
		f.ratios = append(f.ratios, ours/ceiling)
	}
	return f, nil
}

func rate(ctx context.Context, m meter, d time.Duration) (float64, error) {
	began := time.Now()
	n, err := m(ctx, d)
	return float64(n) / 1e6 / time.Since(began).Seconds(), err
}

// median of a list, which it leaves alone.
func median[T cmp.Ordered](of []T) T { return quantile(of, 0.5) }

func quantile[T cmp.Ordered](of []T, q float64) T {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
