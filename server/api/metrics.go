package api

import (
	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// Metrics are those of the calls: the families that the gRPC middleware names, and the
// records that went in and out.
type Metrics struct {
	calls           *grpcprom.ServerMetrics
	producedRecords prometheus.Counter
	producedBytes   prometheus.Counter
	fetchedBytes    prometheus.Counter
	reads           prometheus.Counter
}

// NewMetrics makes them and registers them, unless to is nil. It panics if there are such
// metrics already.
func NewMetrics(to prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls: grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram()),
		producedRecords: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "almadia_produced_records_total",
			Help: "Records acknowledged.",
		}),
		producedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "almadia_produced_bytes_total",
			Help: "Encoded bytes of the records acknowledged.",
		}),
		fetchedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "almadia_fetched_bytes_total",
			Help: "Bytes of the responses that carried records.",
		}),
		reads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "almadia_reads_total",
			Help: "Reads of a partition by Fetch, Consume and Tail. A reader that has caught up makes none.",
		}),
	}
	if to != nil {
		to.MustRegister(m.calls, m.producedRecords, m.producedBytes, m.fetchedBytes, m.reads)
	}
	return m
}

func (m *Metrics) unary() grpc.UnaryServerInterceptor   { return m.calls.UnaryServerInterceptor() }
func (m *Metrics) stream() grpc.StreamServerInterceptor { return m.calls.StreamServerInterceptor() }

func (m *Metrics) produced(records, bytes int) {
	m.producedRecords.Add(float64(records))
	m.producedBytes.Add(float64(bytes))
}

func (m *Metrics) fetched(bytes int) { m.fetchedBytes.Add(float64(bytes)) }

func (m *Metrics) read() { m.reads.Inc() }
