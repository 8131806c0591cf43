package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
)

func (b *broker) update(change Change) (t *meta.Topic, err error) {
	err = b.call(func() error {
		t, err = b.controller.UpdateTopic(b.ctx, change)
		return err
	})
	return t, err
}

// to is an edit that cannot fail.
func to(edit func(*Draft)) func(*Draft) error {
	return func(d *Draft) error {
		edit(d)
		return nil
	}
}

func grow(n int32) func(*Draft) error { return to(func(d *Draft) { d.Partitions = n }) }

func TestUpdateTopic(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		old, err := b.create(Spec{Name: "a", Partitions: 2, Labels: map[string]string{"owner": "me"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.create(Spec{Name: "b", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.write(old, 1, "kept"); err != nil {
			t.Fatal(err)
		}
		topic, err := b.update(Change{Name: "a", Etag: old.Etag(), Edit: to(func(d *Draft) {
			if d.Partitions != 2 || d.Labels["owner"] != "me" || d.ReplicationFactor != 1 {
				t.Errorf("the draft is %+v", d)
			}
			d.Partitions = 4
			d.Config.RetentionTime = new(time.Hour)
			d.Labels["team"] = "x"
		})})
		if err != nil {
			t.Fatal(err)
		}
		if topic != b.machine.Image().Topic("a") || topic.ID != old.ID || topic.Etag() == old.Etag() || len(topic.Labels) != 2 ||
			topic.Config.Effective().RetentionTime != time.Hour || !topic.CreateTime.Equal(old.CreateTime) || len(old.Labels) != 1 {
			t.Errorf("updated to %+v", topic)
		}
		for i, want := range []storage.LogID{1, 2, 4, 5} {
			if topic.Partitions[i].Log != want {
				t.Errorf("partition %d is log %d, want %d", i, topic.Partitions[i].Log, want)
			}
		}
		// Ready when UpdateTopic returns.
		if at, err := b.write(topic, 3, "x"); at != 0 || err != nil {
			t.Errorf("write to a new partition: %d, %v", at, err)
		}
		if got, err := b.read(topic, 1, 0); got != "kept" || err != nil {
			t.Errorf("an old partition holds %q, %v", got, err)
		}
	})
}

func TestUpdateTopicThatChangesNothing(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		old, err := b.create(Spec{Name: "a", Partitions: 2, Config: meta.TopicConfig{RetentionBytes: new(int64(5))}})
		if err != nil {
			t.Fatal(err)
		}
		before := b.machine.Image()
		for what, change := range map[string]Change{
			"nothing":        {Name: "a", Edit: to(func(*Draft) {})},
			"the same":       {Name: "a", Edit: to(func(d *Draft) { d.Config.RetentionBytes, d.Labels = new(int64(5)), map[string]string{} })},
			"only validated": {Name: "a", Edit: grow(3), ValidateOnly: true},
		} {
			topic, err := b.update(change)
			if err != nil || b.machine.Image() != before || topic.Etag() != old.Etag() {
				t.Errorf("%s: %+v, %v", what, topic, err)
			}
			if change.ValidateOnly && len(topic.Partitions) != 3 {
				t.Errorf("%s: it would have %d partitions", what, len(topic.Partitions))
			}
		}
	})
}

func TestUpdateTopicErrors(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		old, err := b.create(Spec{Name: "a", Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.update(Change{Name: "a", Edit: grow(3)}); err != nil {
			t.Fatal(err)
		}
		before := b.machine.Image()
		field := func(name string) func(error) bool {
			return func(err error) bool {
				var field *FieldError
				return errors.As(err, &field) && field.Field == name
			}
		}
		is := func(target error) func(error) bool {
			return func(err error) bool { return errors.Is(err, target) }
		}
		mine := errors.New("no")
		labels := func(key, value string) func(*Draft) error {
			return to(func(d *Draft) { d.Labels = map[string]string{key: value} })
		}
		for what, c := range map[string]struct {
			change Change
			is     func(error) bool
		}{
			"no such topic":          {Change{Name: "x", Edit: grow(3)}, is(meta.ErrTopicNotFound)},
			"no name":                {Change{Name: "a/", Edit: grow(3)}, field("name")},
			"a name of the system":   {Change{Name: "__a", Edit: grow(3)}, is(meta.ErrInternalName)},
			"an etag of before":      {Change{Name: "a", Etag: old.Etag(), Edit: grow(9)}, is(ErrEtag)},
			"an etag of nobody":      {Change{Name: "a", Etag: "?", Edit: grow(9)}, is(ErrEtag)},
			"fewer partitions":       {Change{Name: "a", Edit: grow(2)}, field("partition_count")},
			"no partitions":          {Change{Name: "a", Edit: grow(0)}, field("partition_count")},
			"10,001 partitions":      {Change{Name: "a", Edit: grow(MaxPartitions + 1)}, field("partition_count")},
			"a setting out of range": {Change{Name: "a", Edit: to(func(d *Draft) { d.Config.RetentionBytes = new(int64(-1)) })}, func(err error) bool { return errors.As(err, new(*meta.ConfigError)) }},
			"a label without a key":  {Change{Name: "a", Edit: labels("", "x")}, field("labels")},
			"a key with a blank":     {Change{Name: "a", Edit: labels("a b", "x")}, field("labels")},
			"a key of 64 bytes":      {Change{Name: "a", Edit: labels(strings.Repeat("k", 64), "x")}, field("labels")},
			"a value of 256 bytes":   {Change{Name: "a", Edit: labels("k", strings.Repeat("v", 256))}, field("labels")},
			"33 labels": {Change{Name: "a", Edit: to(func(d *Draft) {
				d.Labels = map[string]string{}
				for i := range 33 {
					d.Labels[fmt.Sprint(i)] = ""
				}
			})}, field("labels")},
			"an edit that fails": {Change{Name: "a", Edit: func(*Draft) error { return mine }}, is(mine)},
		} {
			if topic, err := b.update(c.change); !c.is(err) || topic != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if b.machine.Image() != before {
			t.Error("a refused change was written")
		}
		if _, err := b.create(Spec{Name: "b", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.update(Change{Name: "a", Edit: grow(MaxPartitions)}); !errors.Is(err, ErrFull) {
			t.Errorf("more than the cluster may hold: %v", err)
		}
		if _, err := b.update(Change{Name: "a", Edit: grow(MaxPartitions - 1), ValidateOnly: true}); err != nil {
			t.Errorf("the last one that fits: %v", err)
		}
	})
}

// Changes at once are made one after the other, each on what the one before left.
func TestUpdatesAtOnce(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		if _, err := b.create(Spec{Name: "a", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		const updates = 20
		results := make(chan error, updates)
		err := b.call(func() error {
			for i := range updates {
				go func() {
					_, err := b.controller.UpdateTopic(b.ctx, Change{Name: "a", Edit: to(func(d *Draft) {
						d.Partitions++
						if d.Labels == nil {
							d.Labels = map[string]string{}
						}
						d.Labels[fmt.Sprint(i)] = ""
					})})
					results <- err
				}()
			}
			var errs []error
			for range updates {
				errs = append(errs, <-results)
			}
			return errors.Join(errs...)
		})
		topic := b.machine.Image().Topic("a")
		if err != nil || len(topic.Partitions) != 1+updates || len(topic.Labels) != updates {
			t.Errorf("%v; %d partitions, labels %v", err, len(topic.Partitions), topic.Labels)
		}
	})
}

// A change of unknown outcome comes first after all: the next one is made on top of it, and
// one for the version before it is refused.
func TestUpdateBehindOneOfUnknownOutcome(t *testing.T) {
	play(t, func(t *testing.T, b *broker) {
		old, err := b.create(Spec{Name: "a", Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		unknown := func() {
			ctx, cancel := context.WithCancel(b.ctx)
			done := make(chan error, 1)
			go func() {
				_, err := b.controller.UpdateTopic(ctx, Change{Name: "a", Edit: to(func(d *Draft) { d.Partitions++ })})
				done <- err
			}()
			synctest.Wait()
			b.host.Turn() // taken and written, not yet applied
			cancel()
			if err := <-done; !errors.Is(err, raft.ErrUnknown) {
				t.Errorf("the change that was given up: %v", err)
			}
		}
		unknown()
		topic, err := b.update(Change{Name: "a", Edit: to(func(d *Draft) { d.Partitions++ })})
		if err != nil || len(topic.Partitions) != 3 {
			t.Errorf("on top of it: %+v, %v", topic, err)
		}
		unknown()
		if _, err := b.update(Change{Name: "a", Etag: topic.Etag(), Edit: grow(9)}); !errors.Is(err, ErrEtag) {
			t.Errorf("for the version before it: %v", err)
		}
		err = b.call(func() error { return b.controller.DeleteTopic(b.ctx, "a", old.Etag()) })
		if !errors.Is(err, ErrEtag) {
			t.Errorf("a deletion of an old version: %v", err)
		}
		err = b.call(func() error { return b.controller.DeleteTopic(b.ctx, "a", b.machine.Image().Topic("a").Etag()) })
		if err != nil || b.machine.Image().Topic("a") != nil {
			t.Errorf("the deletion of the present one: %v", err)
		}
	})
}
