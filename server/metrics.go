package server

import (
	"math"
	"net/http"
	"time"

	"github.com/almadia/almadia/server/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are those of one broker; each room registers its own.
type metrics struct {
	registry    *prometheus.Registry
	api         *api.Metrics
	journalSync prometheus.Histogram
}

func newMetrics(cfg Config) metrics {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "almadia_build_info",
		Help: "Always 1; the version that runs is the label.",
	}, []string{"version"})
	build.WithLabelValues(cfg.Version).Set(1)
	free := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "almadia_data_dir_free_bytes",
		Help: "Bytes that the file system of the data directory can still take; NaN if it does not say.",
	}, func() float64 {
		n, err := cfg.FS.Free(cfg.DataDir)
		if err != nil {
			return math.NaN()
		}
		return float64(n)
	})
	sync := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "almadia_journal_sync_seconds",
		Help:    "How long the syncs of the journal took, which acknowledgements wait for.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16), // 0.1 ms to 3.3 s
	})
	registry.MustRegister(build, free, sync, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return metrics{registry, api.NewMetrics(registry), sync}
}

// synced notes a sync of the journal.
func (m metrics) synced(took time.Duration) { m.journalSync.Observe(took.Seconds()) }

func (m metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
