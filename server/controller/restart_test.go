package controller

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage/vfs"
)

func TestTopicsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		b, err := start(t, disk)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c"} {
			topic, err := b.create(Spec{Name: name, Partitions: 2, Config: meta.TopicConfig{MaxBatchBytes: new(int32(1000))}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.write(topic, 1, "in "+name); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.delete("b"); err != nil {
			t.Fatal(err)
		}
		before := b.machine.Image()
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		if got, want := logDirs(t, disk), []string{"0-1", "1-1", "2-1", "5-1", "6-1"}; !slices.Equal(got, want) {
			t.Errorf("after the delete and a clean stop there are logs %v, want %v", got, want)
		}

		time.Sleep(time.Hour)
		if b, err = start(t, disk); err != nil {
			t.Fatal(err)
		}
		after := b.machine.Image()
		if after.ClusterID != before.ClusterID || after.NextLog != before.NextLog || !reflect.DeepEqual(after.Topics(), before.Topics()) {
			t.Errorf("replayed, the image differs: %v, then %v", names(before), names(after))
		}
		if since := after.Brokers()[0].StartTime; !since.Equal(time.Now()) {
			t.Errorf("the broker is registered since %v", since)
		}
		for _, name := range []string{"a", "c"} {
			topic := b.await(name)
			if got, err := b.read(topic, 1, 0); got != "in "+name || err != nil {
				t.Errorf("topic %s holds %q, %v", name, got, err)
			}
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

// logDirs are the directories of logs.
func logDirs(t *testing.T, disk *vfs.Mem) []string {
	t.Helper()
	all, err := disk.ReadDir("data/logs")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Power is lost after a creation, or a deletion, was committed and before any log followed.
func TestPowerLossBetweenMetadataAndLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		b, err := start(t, disk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.create(Spec{Name: "old", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		b.held = true
		if err := b.delete("old"); err != nil {
			t.Fatal(err)
		}
		done := b.begin(b.ctx, Spec{Name: "new", Partitions: 2})
		for b.turn() {
			synctest.Wait()
		}
		if b.machine.Image().Topic("new") == nil || b.store.Log(1) == nil || b.store.Log(2) != nil {
			t.Fatal("the logs followed already")
		}
		disk = disk.PowerLoss(rand.New(rand.NewPCG(1, 1)))
		b.cancel()
		<-done

		if b, err = start(t, disk); err != nil {
			t.Fatal(err)
		}
		if got := names(b.machine.Image()); !slices.Equal(got, []string{"new"}) {
			t.Fatalf("topics are %v", got)
		}
		topic := b.await("new")
		for i := range 2 {
			if at, err := b.write(topic, i, "x"); at != 0 || err != nil {
				t.Errorf("write to partition %d: %d, %v", i, at, err)
			}
		}
		if b.store.Log(1) != nil {
			t.Error("the log of the deleted topic is still there")
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A replay of the metadata log, however often, gives what was there live.
func TestReplayEqualsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := start(t, vfs.NewMem())
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 5))
		for range 100 {
			name := fmt.Sprint("t", rng.IntN(9))
			if _, err := b.create(Spec{Name: name, Partitions: 1}); errors.Is(err, meta.ErrTopicExists) {
				err = b.delete(name)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		log := b.store.Log(meta.MetadataLog)
		again := meta.NewMachine(func(*meta.Image) {})
		if err := again.Restore(log, log.Last()); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.Image(), b.machine.Image()) {
			t.Errorf("replayed %v, live %v", names(again.Image()), names(b.machine.Image()))
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}
