package server

import (
	"fmt"

	"github.com/almadia/almadia/server/api"
)

// settings are those of the broker, by name, as clients are told them. None is a secret.
func (c Config) settings() []api.Setting {
	return []api.Setting{
		setting("advertise", c.Advertise, "", "host:port told to clients; empty: the listen address"),
		setting("auto_create_topics", c.AutoCreateTopics, false, "a write to a topic that does not exist creates it, with one partition"),
		setting("data_dir", c.DataDir, "", "directory that keeps everything"),
		setting("ephemeral", c.Ephemeral, false, "all data is in memory, and gone at the end"),
		setting("http_listen", c.HTTPListen, "", "host:port for /metrics, /healthz and /readyz; empty: none"),
		setting("insecure", c.Insecure, false, "addresses that are not loopback are served without encryption and authentication"),
		setting("listen", c.Listen, DefaultListen, "host:port for gRPC clients"),
		setting("node_id", c.NodeID, defaultNodeID, "number of this broker, kept for ever"),
		setting("retention_interval", c.RetentionInterval, DefaultRetentionInterval, "how often it is looked for what topics need not keep any more"),
	}
}

func setting[T any](name string, value, byDefault T, description string) api.Setting {
	return api.Setting{Name: name, Value: fmt.Sprint(value), Default: fmt.Sprint(byDefault), Description: description}
}
