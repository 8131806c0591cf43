package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/almadia/almadia/storage/vfs"
)

// defaultNodeID is that of a broker that is alone.
const defaultNodeID uint64 = 1

// DefaultListen is the address for clients.
const DefaultListen = "127.0.0.1:4610"

// Config is all that can be set of a broker.
type Config struct {
	// DataDir keeps everything; it is made if it is missing. Required, unless Ephemeral.
	DataDir string
	// Listen is the "host:port" for gRPC clients. Default: DefaultListen. Port 0 takes a free
	// one, see Server.Addr.
	Listen string
	// Advertise is the "host:port" told to clients. Default: the address listened on, by
	// host name where that is all addresses.
	Advertise string
	// HTTPListen is the "host:port" for /metrics, /healthz and /readyz; empty: none.
	HTTPListen string
	// NodeID is the number of this broker for ever, 1 to 2^31-1. Default: 1.
	NodeID uint64
	// Insecure allows addresses that are not loopback, where everybody who can reach them
	// may do everything.
	Insecure bool
	// AutoCreateTopics makes a write to a topic that does not exist create it, with one
	// partition.
	AutoCreateTopics bool
	// RetentionInterval is how often it is looked for what topics need not keep any more. The
	// first look comes so long after the start. Default: 10 s.
	RetentionInterval time.Duration
	// Ephemeral keeps the data in memory; nothing is left after the end.
	Ephemeral bool
	// Logger takes the log. Default: none.
	Logger *slog.Logger
	// Version of the software, told to clients. Default: "unknown".
	Version string

	// FS holds DataDir. Default: the system's. For tests.
	FS vfs.FS
	// TailHeartbeat bounds the silence of streams that push. Default: 10 s. For tests.
	TailHeartbeat time.Duration
	// Clock tells the time, and how much of it has passed since some moment: the first may be
	// set, the second only goes on. Default: the system's. For tests.
	Clock func() (now time.Time, elapsed time.Duration)
}

// DefaultRetentionInterval is short beside any age that somebody keeps records for.
const DefaultRetentionInterval = 10 * time.Second

// systemClock is the clock of the system, measured from here on.
func systemClock() func() (time.Time, time.Duration) {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now, now.Sub(start) // by the monotonic clock
	}
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	c.Listen = cmp.Or(c.Listen, DefaultListen)
	c.NodeID = cmp.Or(c.NodeID, defaultNodeID)
	c.Version = cmp.Or(c.Version, "unknown")
	c.RetentionInterval = cmp.Or(c.RetentionInterval, DefaultRetentionInterval)
	if c.Clock == nil {
		c.Clock = systemClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.FS == nil {
		c.FS = vfs.OS
	}
	if c.Ephemeral {
		c.FS, c.DataDir = vfs.NewMem(), "/ephemeral"
	}
	return c
}

// validate checks everything that can be wrong before anything is done. The errors say what
// helps.
func (c Config) validate() error {
	if c.DataDir == "" {
		return errors.New("no data directory: give one with --data-dir, or keep everything in memory with --ephemeral")
	}
	if c.NodeID > math.MaxInt32 {
		return fmt.Errorf("node id %d is out of range: --node-id takes 1 to %d", c.NodeID, math.MaxInt32)
	}
	if err := c.validateListen("--listen", c.Listen); err != nil {
		return err
	}
	if c.HTTPListen != "" {
		if err := c.validateListen("--http-listen", c.HTTPListen); err != nil {
			return err
		}
	}
	if c.RetentionInterval < 0 {
		return fmt.Errorf("retention interval %v is out of range: --retention-interval takes a duration above 0", c.RetentionInterval)
	}
	if c.Advertise != "" {
		if host, _, err := net.SplitHostPort(c.Advertise); err != nil || host == "" {
			return fmt.Errorf("%q is no address for clients: --advertise takes host:port", c.Advertise)
		}
	}
	return nil
}

func (c Config) validateListen(flag, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is no address to listen on: %s takes host:port", addr, flag)
	}
	if !loopback(host) && !c.Insecure {
		return fmt.Errorf("%s %s can be reached from other machines, and there is neither encryption nor authentication: "+
			"listen on 127.0.0.1, or accept that with --insecure", flag, addr)
	}
	return nil
}

// loopback tells whether only this machine reaches a host. A name other than localhost might
// mean anything by the time it is looked up.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// endpoint is the address for clients of a broker that listens on addr.
func (c Config) endpoint(addr net.Addr) string {
	if c.Advertise != "" {
		return c.Advertise
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return addr.String()
	}
	host, err := os.Hostname()
	if err != nil {
		return addr.String()
	}
	return net.JoinHostPort(host, fmt.Sprint(at.Port()))
}
