package raft

import (
	"github.com/almadia/almadia/storage"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a host, of all its replicas together.
type metrics struct {
	replicas, leaders    prometheus.Gauge
	quarantined          prometheus.Counter
	appends, appendBytes prometheus.Counter
	applied              prometheus.Counter
	unsent               prometheus.Counter
	refused, unknown     prometheus.Counter
}

// newMetrics registers them, unless with nil.
func newMetrics(to prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "almadia", Subsystem: "raft", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "almadia", Subsystem: "raft", Name: name, Help: help})
	}
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "almadia", Subsystem: "raft", Name: "proposals_failed_total",
		Help: "Proposals that were not committed, by what is known of them: not_proposed (certainly not written) or unknown.",
	}, []string{"outcome"})
	m := &metrics{
		replicas:    gauge("replicas", "Replicas on this broker."),
		leaders:     gauge("leaders", "Replicas on this broker that lead."),
		quarantined: counter("quarantined_total", "Replicas stopped because of a panic, or of a log that takes no more."),
		appends:     counter("appends_total", "Appends to logs: each is durable whole or not at all."),
		appendBytes: counter("append_bytes_total", "Bytes of frames appended to logs."),
		applied:     counter("applied_entries_total", "Committed entries given to the state machines."),
		unsent:      counter("messages_unsent_total", "Messages for replicas on other brokers that could not be sent."),
		refused:     failed.WithLabelValues("not_proposed"),
		unknown:     failed.WithLabelValues("unknown"),
	}
	if to != nil {
		to.MustRegister(m.replicas, m.leaders, m.quarantined, m.appends, m.appendBytes, m.applied, m.unsent, failed)
	}
	return m
}

// led counts a change of leadership.
func (m *metrics) led(before, after Leadership) {
	switch {
	case after.Leading && !before.Leading:
		m.leaders.Inc()
	case before.Leading && !after.Leading:
		m.leaders.Dec()
	}
}

// appending counts an append.
func (m *metrics) appending(a storage.Append) {
	n := 0
	for _, f := range a.Frames {
		n += len(f.Bytes)
	}
	m.appends.Inc()
	m.appendBytes.Add(float64(n))
}
