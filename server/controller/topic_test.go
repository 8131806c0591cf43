package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
)

// play runs a test with a broker on an empty disk.
func play(t *testing.T, f func(t *testing.T, b *broker)) {
	synctest.Test(t, func(t *testing.T) {
		b, err := start(t, vfs.NewMem())
		if err != nil {
			t.Fatal(err)
		}
		f(t, b)
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

func names(im *meta.Image) (out []string) {
	for _, t := range im.Topics() {
		out = append(out, t.Name)
	}
	return out
}

func TestCreateTopic(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		config := meta.TopicConfig{MaxRecordBytes: new(int32(2 << 20))}
		topic, err := b.create(Spec{Name: "a", Partitions: 3, Config: config})
		if err != nil {
			t.Fatal(err)
		}
		if topic != b.machine.Image().Topic("a") || topic.ID == [16]byte{} || len(topic.Partitions) != 3 ||
			topic.Config.Effective() != config.Effective() || !topic.CreateTime.Equal(time.Now()) {
			t.Errorf("created %+v", topic)
		}
		for i, p := range topic.Partitions {
			if want := (meta.Replica{Node: 1, ID: 1}); p.Log != storage.LogID(i+1) || !slices.Equal(p.Replicas, []meta.Replica{want}) {
				t.Errorf("partition %d is placed at %+v", i, p)
			}
			// Ready when CreateTopic returns: the first write needs no retry.
			if at, err := b.write(topic, i, "x"); at != 0 || err != nil {
				t.Errorf("write to partition %d: %d, %v", i, at, err)
			}
		}
		second, err := b.create(Spec{Name: "b", Partitions: 1, ReplicationFactor: 1})
		if err != nil || second.Partitions[0].Log != 4 || second.ID == topic.ID {
			t.Errorf("the second topic is %+v, %v", second, err)
		}
	})
}

func TestCreateTopicErrors(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		if _, err := b.create(Spec{Name: "a", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		version := b.machine.Image().Version
		field := func(name string) func(error) bool {
			return func(err error) bool {
				var field *FieldError
				return errors.As(err, &field) && field.Field == name
			}
		}
		is := func(target error) func(error) bool {
			return func(err error) bool { return errors.Is(err, target) }
		}
		for _, c := range []struct {
			spec Spec
			is   func(error) bool
		}{
			{Spec{Name: "a", Partitions: 1}, is(meta.ErrTopicExists)},
			{Spec{Name: "a", Partitions: 1, ValidateOnly: true}, is(meta.ErrTopicExists)},
			{Spec{Name: "b/", Partitions: 1}, field("name")},
			{Spec{Name: "__b", Partitions: 1}, is(meta.ErrInternalName)},
			{Spec{Name: "b"}, field("partition_count")},
			{Spec{Name: "b", Partitions: 1, ReplicationFactor: 3}, field("replication_factor")},
			{Spec{Name: "b", Partitions: MaxPartitions}, is(ErrFull)}, // on top of a's
		} {
			if _, err := b.create(c.spec); !c.is(err) {
				t.Errorf("%+v gives %v", c.spec, err)
			}
		}
		if im := b.machine.Image(); im.Version != version {
			t.Error("a refused creation was written")
		}
		if _, err := b.create(Spec{Name: "b", Partitions: MaxPartitions - 1, ValidateOnly: true}); err != nil {
			t.Errorf("the last partitions that fit: %v", err)
		}
	})
}

func TestValidateOnly(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		before := b.machine.Image()
		topic, err := b.create(Spec{Name: "a", Partitions: 2, ValidateOnly: true})
		if err != nil || topic.Name != "a" || len(topic.Partitions) != 2 || topic.Partitions[1].Replicas[0].Node != 1 {
			t.Errorf("it would be %+v, %v", topic, err)
		}
		if b.machine.Image() != before {
			t.Error("something was written")
		}
	})
}

func TestCreationsAtOnce(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		const topics, tries = 20, 3
		results := make(chan error, topics*tries)
		err := b.call(func() error {
			for i := range topics * tries {
				go func() {
					_, err := b.controller.CreateTopic(b.ctx, Spec{Name: fmt.Sprint("t", i%topics), Partitions: 2})
					results <- err
				}()
			}
			created := 0
			for range topics * tries {
				switch err := <-results; {
				case err == nil:
					created++
				case !errors.Is(err, meta.ErrTopicExists):
					return err
				}
			}
			if created != topics {
				return fmt.Errorf("%d creations succeeded, want %d", created, topics)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if im := b.machine.Image(); len(im.Topics()) != topics || im.NextLog != 1+2*topics {
			t.Errorf("topics %v, next log %d", names(im), im.NextLog)
		}
	})
}

func TestDeleteTopic(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		old, err := b.create(Spec{Name: "a", Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.write(old, 0, "old"); err != nil {
			t.Fatal(err)
		}
		if err := b.delete("a"); err != nil {
			t.Fatal(err)
		}
		if b.machine.Image().Topic("a") != nil {
			t.Error("the topic is there after its deletion")
		}
		if err := b.delete("a"); !errors.Is(err, meta.ErrTopicNotFound) {
			t.Errorf("a second deletion: %v", err)
		}
		if err := b.delete("__a"); !errors.Is(err, meta.ErrInternalName) {
			t.Errorf("an internal name: %v", err)
		}
		var field *FieldError
		if err := b.delete("a/b"); !errors.As(err, &field) {
			t.Errorf("a malformed name: %v", err)
		}
		anew, err := b.create(Spec{Name: "a", Partitions: 1})
		if err != nil || anew.ID == old.ID || anew.Partitions[0].Log != 3 {
			t.Fatalf("made anew: %+v, %v", anew, err)
		}
		if at, err := b.write(anew, 0, "new"); at != 0 || err != nil {
			t.Errorf("its first write: %d, %v", at, err)
		}
		var logs []storage.LogID
		for _, l := range b.store.Logs() {
			logs = append(logs, l.ID())
		}
		if want := []storage.LogID{0, 3}; !slices.Equal(logs, want) {
			t.Errorf("the store has logs %v, want %v", logs, want)
		}
	})
}

// The deadline passes before the leaders are there: the topic exists, so the error must not
// say that nothing was done.
func TestCreateTopicThatIsNotReadyInTime(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		b.held = true
		ctx, cancel := context.WithCancelCause(b.ctx)
		late := errors.New("too late")
		done := b.begin(ctx, Spec{Name: "a", Partitions: 1})
		for b.turn() {
			synctest.Wait()
		}
		cancel(late)
		err := <-done
		if !errors.Is(err, raft.ErrUnknown) || !errors.Is(err, late) || errors.Is(err, meta.ErrNotReady) {
			t.Errorf("error is %v", err)
		}
		if b.machine.Image().Topic("a") == nil {
			t.Error("the topic is not there")
		}
		b.held = false
		if at, err := b.write(b.await("a"), 0, "x"); at != 0 || err != nil {
			t.Errorf("once it is ready: %d, %v", at, err)
		}
	})
}

// begin starts a creation that the test drives.
func (b *broker) begin(ctx context.Context, spec Spec) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := b.controller.CreateTopic(ctx, spec)
		done <- err
	}()
	synctest.Wait()
	return done
}

// A creation is given up while it is being written; the next one is placed on the image
// without it, and is then behind it in the log after all.
func TestCreationBehindOneOfUnknownOutcome(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		ctx, cancel := context.WithCancel(b.ctx)
		first := b.begin(ctx, Spec{Name: "a", Partitions: 2})
		b.host.Turn() // taken and written, not yet applied
		cancel()
		if err := <-first; !errors.Is(err, raft.ErrUnknown) {
			t.Errorf("the creation that was given up: %v", err)
		}
		if b.machine.Image().Topic("a") != nil {
			t.Fatal("it is applied already")
		}
		topic, err := b.create(Spec{Name: "b", Partitions: 1})
		if err != nil || topic.Partitions[0].Log != 3 {
			t.Errorf("the next one: %+v, %v", topic, err)
		}
		if got := names(b.machine.Image()); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("topics are %v", got)
		}
	})
}

// await drives the broker until the partitions of a topic are ready.
func (b *broker) await(name string) *meta.Topic {
	b.t.Helper()
	topic := b.machine.Image().Topic(name)
	if err := b.call(func() error { return b.set.Await(b.ctx, topic) }); err != nil {
		b.t.Fatal(err)
	}
	return topic
}

func TestNothingIsDecidedWithoutALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(meta.NewMachine(func(*meta.Image) {}), nil, time.Now, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, create := c.CreateTopic(ctx, Spec{Name: "a", Partitions: 1})
		for _, err := range []error{
			create,
			c.DeleteTopic(ctx, "a", ""),
			c.EnsureCluster(ctx, "c"),
			c.RegisterBroker(ctx, meta.Broker{ID: 1, Endpoint: "a:1"}),
		} {
			if !errors.Is(err, meta.ErrNotReady) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, raft.ErrUnknown) {
				t.Errorf("error is %v", err)
			}
		}
	})
}

func TestRegisterBroker(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		for _, c := range []struct {
			broker meta.Broker
			field  string
		}{
			{meta.Broker{ID: 0, Endpoint: "a:1"}, "id"},
			{meta.Broker{ID: 1 << 31, Endpoint: "a:1"}, "id"},
			{meta.Broker{ID: 1}, "endpoint"},
		} {
			var field *FieldError
			err := b.controller.RegisterBroker(b.ctx, c.broker)
			if !errors.As(err, &field) || field.Field != c.field {
				t.Errorf("%+v gives %v", c.broker, err)
			}
		}
		if got := b.machine.Image().Brokers(); len(got) != 1 || got[0].Endpoint != "localhost:4610" {
			t.Errorf("brokers are %+v", got)
		}
	})
}
