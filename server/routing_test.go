package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"google.golang.org/protobuf/proto"
)

// watch is an open WatchRouting.
type watch struct {
	almadiav1.ClusterService_WatchRoutingClient
}

func (r *rig) watch(t *testing.T, topics ...string) *watch {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	stream, err := r.cluster.WatchRouting(ctx, &almadiav1.WatchRoutingRequest{Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	return &watch{stream}
}

// next is the next message that is no heartbeat.
func (w *watch) next(t *testing.T) *almadiav1.Routing {
	t.Helper()
	for {
		resp, err := w.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if proto.Size(resp) > 0 {
			return resp.Routing
		}
	}
}

// until takes in messages until a route fulfils a condition.
func (w *watch) until(t *testing.T, topic string, ok func(*almadiav1.TopicRoute) bool) *almadiav1.Routing {
	t.Helper()
	for {
		news := w.next(t)
		for _, route := range news.Topics {
			if route.Topic != topic {
				t.Fatalf("told of topic %q, of which nothing is new", route.Topic)
			}
			if ok(route) {
				return news
			}
		}
	}
}

func routed(routes *almadiav1.Routing) string {
	var b strings.Builder
	for _, route := range routes.Topics {
		fmt.Fprintf(&b, "%s %v", route.Topic, route.LeaderIds)
		if route.Error != nil {
			fmt.Fprintf(&b, " %v", route.Error.Reason)
		}
		b.WriteString("; ")
	}
	for _, broker := range routes.Brokers {
		fmt.Fprintf(&b, "broker %d", broker.Id)
	}
	return b.String()
}

func TestGetRouting(t *testing.T) {
	r := start(t)
	created := r.create(t, "a", 3)
	r.create(t, "b", 1)
	resp, err := r.cluster.GetRouting(t.Context(), &almadiav1.GetRoutingRequest{Topics: []string{"b", "nope", "a"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := routed(resp.Routing), "b [1]; nope [] ERROR_REASON_TOPIC_NOT_FOUND; a [1 1 1]; broker 1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	a := resp.Routing.Topics[2]
	if string(a.TopicId) != string(created.TopicId) || resp.Routing.Brokers[0].Endpoint != r.Addr() {
		t.Errorf("%v", resp)
	}
	for i, epoch := range a.LeaderEpochs {
		if epoch != created.Partitions[i].Leader.LeaderEpoch {
			t.Errorf("partition %d is led in epoch %d, want %d", i, epoch, created.Partitions[i].Leader.LeaderEpoch)
		}
	}
}

// Everything first, then what changes and nothing else: a topic that is made, grows, goes.
func TestWatchRoutingPushesChanges(t *testing.T) {
	r := start(t)
	r.create(t, "a", 2)
	w := r.watch(t, "a", "later")
	if got, want := routed(w.next(t)), "a [1 1]; later [] ERROR_REASON_TOPIC_NOT_FOUND; broker 1"; got != want {
		t.Fatalf("first %s, want %s", got, want)
	}
	led := func(n int) func(*almadiav1.TopicRoute) bool {
		return func(route *almadiav1.TopicRoute) bool {
			for _, id := range route.LeaderIds {
				if id != 1 {
					return false
				}
			}
			return len(route.LeaderIds) == n
		}
	}
	r.create(t, "other", 1) // nobody is told
	r.create(t, "later", 1)
	if news := w.until(t, "later", led(1)); len(news.Brokers) != 1 || news.Brokers[0].Endpoint != r.Addr() {
		t.Errorf("led by one that is not told: %v", news)
	}
	r.values(t, "a", 0, "x") // no change
	r.update(t, &almadiav1.Topic{Name: "a", PartitionCount: 4})
	w.until(t, "a", led(4))
	if _, err := r.topic.DeleteTopic(t.Context(), &almadiav1.DeleteTopicRequest{Topic: "later"}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "later", func(route *almadiav1.TopicRoute) bool { return route.Error.GetReason() == noTopic })
}

func TestWatchRoutingIsNeverSilentAndEndsWithTheBroker(t *testing.T) {
	r := start(t, func(c *server.Config) { c.TailHeartbeat = 5 * time.Millisecond })
	r.create(t, "a", 1)
	w := r.watch(t, "a")
	w.next(t)
	for range 5 {
		if resp, err := w.Recv(); err != nil || proto.Size(resp) != 0 {
			t.Fatalf("%v, %v", resp, err)
		}
	}
	go r.Stop(t.Context())
	for {
		if _, err := w.Recv(); err != nil {
			refused(t, w.Trailer(), err, notReady)
			return
		}
	}
}

func TestGetConfig(t *testing.T) {
	r := start(t, func(c *server.Config) { c.NodeID, c.HTTPListen, c.RetentionInterval = 7, "127.0.0.1:0", time.Minute })
	resp, err := r.cluster.GetConfig(t.Context(), &almadiav1.GetConfigRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range resp.Entries {
		fmt.Fprintf(&b, "%s = %q (%q)\n", e.Name, e.Value, e.DefaultValue)
		if e.Description == "" {
			t.Errorf("%s is not described", e.Name)
		}
	}
	want := `advertise = "" ("")
auto_create_topics = "false" ("false")
data_dir = "/data" ("")
ephemeral = "false" ("false")
http_listen = "127.0.0.1:0" ("")
insecure = "false" ("false")
listen = "127.0.0.1:0" ("127.0.0.1:4610")
node_id = "7" ("1")
retention_interval = "1m0s" ("10s")
`
	if b.String() != want {
		t.Errorf("the settings are\n%swant\n%s", b.String(), want)
	}
}
