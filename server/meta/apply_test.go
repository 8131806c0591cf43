package meta

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	"github.com/almadia/almadia/storage"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// topicOn is a topic with one replica of each partition, in logs from the given one on.
func topicOn(name string, id byte, firstLog storage.LogID, partitions int) *Topic {
	t := &Topic{ID: [16]byte{15: id}, Name: name, CreateTime: time.UnixMilli(1_700_000_000_000).UTC()}
	for i := range partitions {
		t.Partitions = append(t.Partitions, Partition{
			Log:      firstLog + storage.LogID(i),
			Replicas: []Replica{{Node: 1, ID: 1}},
		})
	}
	return t
}

// of is the topic at a version.
func of(t *Topic, version storage.Index) *Topic {
	t.Version = version
	return t
}

// homeless is the topic with its last partition nowhere.
func homeless(t *Topic) *Topic {
	t.Partitions[len(t.Partitions)-1].Replicas = nil
	return t
}

// changed is the command that creates a topic after a change to it.
func changed(t *Topic, change func(*metav1.CreateTopic)) *metav1.Command {
	cmd := CreateTopic(t)
	change(cmd.GetCreateTopic())
	return cmd
}

// applyAll applies commands from index 1 on and fails the test where one is refused.
func applyAll(t *testing.T, cmds ...*metav1.Command) *Image {
	t.Helper()
	im := empty()
	for i, cmd := range cmds {
		next, err := im.Apply(storage.Index(i+1), cmd)
		if err != nil {
			t.Fatalf("command %d: %v", i, err)
		}
		im = next
	}
	return im
}

func describe(im *Image) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %q, next log %d\n", im.ClusterID, im.NextLog)
	for _, br := range im.Brokers() {
		fmt.Fprintf(&b, "broker %d at %s, %s since %s\n", br.ID, br.Endpoint, br.Version, br.StartTime.Format(time.RFC3339))
	}
	for _, t := range im.Topics() {
		fmt.Fprintf(&b, "topic %s %x of version %d: %v", t.Name, t.ID[15:], t.Version, t.Partitions)
		if t.Config != (TopicConfig{}) || len(t.Labels) > 0 {
			fmt.Fprintf(&b, " %+v %v", t.Config.Effective(), t.Labels)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestApplyTranscript(t *testing.T) {
	start := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	im := applyAll(t,
		InitCluster("c1"),
		RegisterBroker(Broker{ID: 7, Endpoint: "b:1", Version: "0.1", StartTime: start}),
		RegisterBroker(Broker{ID: 2, Endpoint: "a:1", Version: "0.1", StartTime: start}),
		CreateTopic(topicOn("m", 1, 1, 2)),
		CreateTopic(topicOn("z", 2, 3, 1)),
		CreateTopic(topicOn("a", 3, 4, 1)),
		RegisterBroker(Broker{ID: 7, Endpoint: "b:2", Version: "0.2", StartTime: start.Add(time.Hour)}),
		DeleteTopic([16]byte{15: 1}, 0),
		CreateTopic(topicOn("m", 4, 5, 1)),
	)
	want := `cluster "c1", next log 6
broker 2 at a:1, 0.1 since 2024-02-29T12:00:00Z
broker 7 at b:2, 0.2 since 2024-02-29T13:00:00Z
topic a 03 of version 6: [{4 [{1 1}]}]
topic m 04 of version 9: [{5 [{1 1}]}]
topic z 02 of version 5: [{3 [{1 1}]}]
`
	if got := describe(im); got != want {
		t.Errorf("image is\n%swant\n%s", got, want)
	}
	if im.Version != 9 {
		t.Errorf("version is %d, want 9", im.Version)
	}
	if im.Topic("m") != im.TopicByID([16]byte{15: 4}) || im.TopicByID([16]byte{15: 1}) != nil || im.Topic("none") != nil {
		t.Error("lookup by name and by id disagree")
	}
	if b, ok := im.Broker(7); !ok || b.Endpoint != "b:2" {
		t.Errorf("broker 7 is %v, %v", b, ok)
	}
	if _, ok := im.Broker(1); ok {
		t.Error("there is no broker 1")
	}
}

func TestRefusedCommandsLeaveTheImage(t *testing.T) {
	base := []*metav1.Command{
		InitCluster("c1"),
		RegisterBroker(Broker{ID: 1, Endpoint: "a:1"}),
		CreateTopic(topicOn("t", 1, 1, 3)),
	}
	for _, c := range []struct {
		name string
		cmd  *metav1.Command
		want error
	}{
		{"a second id for the cluster", InitCluster("c2"), ErrClusterExists},
		{"broker 0", RegisterBroker(Broker{Endpoint: "a:1"}), ErrInvalidCommand},
		{"a topic of a name in use", CreateTopic(topicOn("t", 2, 4, 1)), ErrTopicExists},
		{"a topic of an id in use", CreateTopic(topicOn("u", 1, 4, 1)), ErrTopicExists},
		{"a topic on a log given away", CreateTopic(topicOn("u", 2, 3, 1)), ErrStale},
		{"a topic on a log beyond the next", CreateTopic(topicOn("u", 2, 5, 1)), ErrStale},
		{"a topic on the metadata log", CreateTopic(topicOn("u", 2, 0, 1)), ErrStale},
		{"a topic on one log twice", changed(topicOn("u", 2, 4, 2), func(c *metav1.CreateTopic) {
			c.Partitions[1].LogId = 4
		}), ErrStale},
		{"a topic without partitions", CreateTopic(topicOn("u", 2, 4, 0)), ErrInvalidCommand},
		{"a topic without a name", CreateTopic(topicOn("", 2, 4, 1)), ErrInvalidCommand},
		{"a topic without an id", changed(topicOn("u", 2, 4, 1), func(c *metav1.CreateTopic) {
			c.TopicId = nil
		}), ErrInvalidCommand},
		{"a partition without replicas", changed(topicOn("u", 2, 4, 1), func(c *metav1.CreateTopic) {
			c.Partitions[0].Replicas = nil
		}), ErrInvalidCommand},
		{"a replica on no node", changed(topicOn("u", 2, 4, 1), func(c *metav1.CreateTopic) {
			c.Partitions[0].Replicas[0].Node = 0
		}), ErrInvalidCommand},
		{"a replica without an id", changed(topicOn("u", 2, 4, 1), func(c *metav1.CreateTopic) {
			c.Partitions[0].Replicas[0].ReplicaId = 0
		}), ErrInvalidCommand},
		{"two replicas on a node", changed(topicOn("u", 2, 4, 1), func(c *metav1.CreateTopic) {
			c.Partitions[0].Replicas = append(c.Partitions[0].Replicas, &metav1.Replica{Node: 1, ReplicaId: 2})
		}), ErrInvalidCommand},
		{"a topic id that nobody has", DeleteTopic([16]byte{9}, 0), ErrTopicNotFound},
		{"a deletion of another version", DeleteTopic([16]byte{15: 1}, 2), ErrStale},
		{"an update of a topic that is not there", UpdateTopic(topicOn("u", 9, 4, 0), topicOn("u", 9, 4, 1)), ErrTopicNotFound},
		{"an update for another version", UpdateTopic(of(topicOn("t", 1, 1, 3), 2), topicOn("t", 1, 1, 3)), ErrStale},
		{"an update for any version", UpdateTopic(of(topicOn("t", 1, 1, 3), 0), topicOn("t", 1, 1, 3)), ErrStale},
		{"a partition more on a log given away", UpdateTopic(of(topicOn("t", 1, 1, 3), 3), topicOn("t", 1, 0, 4)), ErrStale},
		{"a partition more on a log beyond the next", UpdateTopic(of(topicOn("t", 1, 1, 3), 3), topicOn("t", 1, 2, 4)), ErrStale},
		{"a partition more without replicas", UpdateTopic(of(topicOn("t", 1, 1, 3), 3), homeless(topicOn("t", 1, 1, 4))), ErrInvalidCommand},
		{"an update of half a topic id", &metav1.Command{Command: &metav1.Command_UpdateTopic{
			UpdateTopic: &metav1.UpdateTopic{TopicId: make([]byte, 8)},
		}}, ErrInvalidCommand},
		{"half a topic id", &metav1.Command{Command: &metav1.Command_DeleteTopic{
			DeleteTopic: &metav1.DeleteTopic{TopicId: make([]byte, 8)},
		}}, ErrInvalidCommand},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := applyAll(t, base...)
			after, err := before.Apply(10, c.cmd)
			if !errors.Is(err, c.want) {
				t.Errorf("error is %v, want %v", err, c.want)
			}
			want := *before
			want.Version = 10
			if after == nil || !reflect.DeepEqual(*after, want) {
				t.Errorf("image is %+v, want %+v", after, want)
			}
		})
	}
}

// An update replaces settings and labels, and adds partitions behind those that there are;
// the name and the places of the others stay, and older images too.
func TestUpdateTopic(t *testing.T) {
	im := applyAll(t, InitCluster("c1"), CreateTopic(topicOn("t", 1, 1, 2)), CreateTopic(topicOn("u", 2, 3, 1)))
	now := im.Topic("t")
	next := *now
	next.Config = TopicConfig{RetentionTime: new(time.Hour), RetentionBytes: new(int64(7)), SegmentTime: new(time.Minute), MaxBatchBytes: new(int32(9))}
	next.Labels = map[string]string{"owner": "me"}
	next.Partitions = append(slices.Clip(next.Partitions), topicOn("", 0, 4, 2).Partitions...)
	grown, err := im.Apply(9, UpdateTopic(now, &next))
	if err != nil {
		t.Fatal(err)
	}
	next.Version = 9
	if got := grown.Topic("t"); !reflect.DeepEqual(got, &next) || got != grown.TopicByID(now.ID) || grown.NextLog != 6 {
		t.Errorf("topic is %+v, next log %d; want %+v", got, grown.NextLog, next)
	}
	if now.Version != 2 || len(now.Partitions) != 2 || now.Labels != nil || im.Topic("t") != now || grown.Topic("u") != im.Topic("u") {
		t.Errorf("the image before is %s", describe(im))
	}
	if _, err := grown.Apply(10, UpdateTopic(now, &next)); !errors.Is(err, ErrStale) {
		t.Errorf("the same update again: %v", err)
	}
	plain := *grown.Topic("t")
	plain.Config, plain.Labels = TopicConfig{}, nil
	cleared, err := grown.Apply(10, UpdateTopic(grown.Topic("t"), &plain))
	if got := cleared.Topic("t"); err != nil || got.Config != (TopicConfig{}) || got.Labels != nil || got.Version != 10 || len(got.Partitions) != 4 {
		t.Errorf("cleared: %+v, %v", got, err)
	}
	gone, err := cleared.Apply(11, DeleteTopic(now.ID, 10))
	if err != nil || gone.Topic("t") != nil {
		t.Errorf("the deletion of its version: %v", err)
	}
}

func TestNothingComesBeforeTheClusterId(t *testing.T) {
	for _, cmd := range []*metav1.Command{
		RegisterBroker(Broker{ID: 1, Endpoint: "a:1"}),
		CreateTopic(topicOn("t", 1, 1, 1)),
	} {
		if _, err := empty().Apply(1, cmd); !errors.Is(err, ErrNoCluster) {
			t.Errorf("%v: error is %v, want %v", cmd, err, ErrNoCluster)
		}
	}
	if _, err := empty().Apply(1, InitCluster("")); !errors.Is(err, ErrInvalidCommand) {
		t.Errorf("empty cluster id: error is %v, want %v", err, ErrInvalidCommand)
	}
}

func TestUnknownCommandGivesNoImage(t *testing.T) {
	// A command of a later release: field 1000 of the oneof.
	newer := protowire.AppendTag(nil, 1000, protowire.BytesType)
	newer = protowire.AppendBytes(newer, []byte("whatever"))
	cmd := &metav1.Command{}
	if err := proto.Unmarshal(newer, cmd); err != nil {
		t.Fatal(err)
	}
	if im, err := empty().Apply(1, cmd); im != nil || !errors.Is(err, ErrUnknownCommand) {
		t.Errorf("Apply gives %v, %v; want no image and %v", im, err, ErrUnknownCommand)
	}
}

// randomCommand is one that fits the image, or nearly does.
func randomCommand(r *rand.Rand, im *Image) *metav1.Command {
	switch r.IntN(12) {
	case 10, 11:
		topics := im.Topics()
		if len(topics) == 0 {
			return InitCluster("c")
		}
		now := topics[r.IntN(len(topics))]
		next := *now
		next.Config.RetentionBytes = new(r.Int64N(100))
		next.Labels = map[string]string{fmt.Sprint("l", r.IntN(5)): fmt.Sprint(r.IntN(5))}
		for i := range r.IntN(3) {
			next.Partitions = append(slices.Clip(next.Partitions), Partition{im.NextLog + storage.LogID(i), []Replica{{1, 1}}})
		}
		if r.IntN(8) == 0 {
			older := *now
			older.Version--
			now = &older
		}
		return UpdateTopic(now, &next)
	case 0:
		return InitCluster(fmt.Sprint("c", r.IntN(3)))
	case 1:
		return RegisterBroker(Broker{ID: NodeID(r.IntN(4)), Endpoint: fmt.Sprint("h:", r.IntN(9))})
	case 2, 3, 4:
		if topics := im.Topics(); len(topics) > 0 && r.IntN(5) > 0 {
			return DeleteTopic(topics[r.IntN(len(topics))].ID, 0)
		}
		return DeleteTopic([16]byte{1}, 0)
	default:
		t := topicOn(fmt.Sprint("t", r.IntN(30)), byte(r.IntN(256)), im.NextLog, 1+r.IntN(3))
		if r.IntN(8) == 0 {
			t.Partitions[0].Log--
		}
		return CreateTopic(t)
	}
}

// Equal commands make equal images, no image ever changes, and its two indexes agree: for
// random histories with everything that can be refused.
func TestApplyIsPure(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var cmds []*metav1.Command
		images, descriptions := []*Image{empty()}, []string{describe(empty())}
		for i := range 300 {
			im := images[i]
			cmd := randomCommand(r, im)
			next, err := im.Apply(storage.Index(i+1), cmd)
			if err != nil && describe(next) != descriptions[i] {
				t.Fatalf("seed %d: %v is refused and changes the image", seed, cmd)
			}
			cmds, images, descriptions = append(cmds, cmd), append(images, next), append(descriptions, describe(next))
		}
		again := empty()
		for i, cmd := range cmds {
			if describe(images[i]) != descriptions[i] {
				t.Fatalf("seed %d: image %d changed after it was made", seed, i)
			}
			again, _ = again.Apply(storage.Index(i+1), cmd)
			if !reflect.DeepEqual(again, images[i+1]) {
				t.Fatalf("seed %d: image %d differs when made again", seed, i+1)
			}
			checkIndexes(t, again)
		}
	}
}

func checkIndexes(t *testing.T, im *Image) {
	t.Helper()
	if !slices.IsSortedFunc(im.byName, func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) }) {
		t.Fatal("topics are not in the order of their names")
	}
	if len(im.byID) != len(im.byName) {
		t.Fatalf("%d topics by id, %d by name", len(im.byID), len(im.byName))
	}
	for _, topic := range im.byName {
		if im.Topic(topic.Name) != topic || im.TopicByID(topic.ID) != topic {
			t.Fatalf("topic %q is not found by name and id", topic.Name)
		}
		for _, p := range topic.Partitions {
			if p.Log == MetadataLog || p.Log >= im.NextLog {
				t.Fatalf("topic %q has log %d, next is %d", topic.Name, p.Log, im.NextLog)
			}
		}
	}
}

func BenchmarkApplyWith10000Topics(b *testing.B) {
	im, _ := empty().Apply(1, InitCluster("c"))
	for i := range 10_000 {
		topic := topicOn(fmt.Sprintf("topic-%05d", i*7919%10_000), 0, im.NextLog, 1)
		topic.ID = [16]byte{byte(i >> 8), byte(i), 1}
		im, _ = im.Apply(storage.Index(i+2), CreateTopic(topic))
	}
	cmd := CreateTopic(topicOn("topic-x", 9, im.NextLog, 1))
	for b.Loop() {
		if _, err := im.Apply(20_000, cmd); err != nil {
			b.Fatal(err)
		}
	}
}
