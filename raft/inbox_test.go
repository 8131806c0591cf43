package raft

import (
	"errors"
	"testing"

	"github.com/almadia/almadia/storage"
)

func TestInboxDropsMessagesAboveItsLimitButNothingElse(t *testing.T) {
	var b inbox
	message := letter{frames: []storage.Frame{{Bytes: make([]byte, maxInboxBytes/2)}}}
	for i, want := range []bool{true, true, false} {
		if got := b.put(message); got != want {
			t.Fatalf("message %d taken: %v, want %v", i, got, want)
		}
	}
	if !b.put(letter{do: func() {}}) {
		t.Error("a command was dropped")
	}
	if _, ok := b.next(); !ok {
		t.Fatal("nothing in it")
	}
	if !b.put(message) {
		t.Error("no room was made by taking a message out")
	}
}

func TestInboxKeepsTheFirstError(t *testing.T) {
	var b inbox
	first := errors.New("first")
	b.appended(nil)
	b.appended(first)
	b.appended(errors.New("second"))
	if n, err := b.appends(); n != 3 || err != first {
		t.Errorf("%d appends, error %v", n, err)
	}
	if n, err := b.appends(); n != 0 || err != first {
		t.Errorf("asked again: %d appends, error %v", n, err)
	}
}
