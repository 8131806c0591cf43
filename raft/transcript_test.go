package raft

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts anew")

// TestTranscripts plays the scripts in testdata: commands, a line of dashes, and what one
// replica does about them. The other replicas are played by the script. Nothing is
// durable before "sync".
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("it went otherwise:\n%s", got)
			}
		})
	}
}

// play runs a script and returns it with what really happened.
func play(t *testing.T, text string) string {
	s := &stage{t: t, fs: vfs.NewMem(), clock: &clock{ms: 1000}}
	s.store = openStore(t, s.fs)
	s.host = newHost(s.t, s.store, s.clock)
	defer func() {
		if err := s.host.Stop(0); err != nil {
			t.Error(err)
		}
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	}()
	var out strings.Builder
	skipping := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "":
			skipping = false
		case skipping:
			continue
		case line == "----":
			skipping = true
			fmt.Fprintln(&out, line)
			for _, e := range s.events() {
				fmt.Fprintln(&out, e)
			}
			continue
		case !strings.HasPrefix(line, "#"):
			s.command(strings.Fields(line))
		}
		fmt.Fprintln(&out, line)
	}
	return out.String()
}

// stage is where a script is played: one replica, with the network cut open.
type stage struct {
	t       *testing.T
	fs      *vfs.Mem
	clock   *clock
	store   *storage.Store
	host    *Host
	machine *machine
	replica *Replica
	sent    []string
}

const stagedLog storage.LogID = 7

func (s *stage) events() []string {
	events := append(s.machine.takeEvents(), s.sent...)
	s.sent = nil
	return events
}

func (s *stage) note(format string, args ...any) {
	s.sent = append(s.sent, fmt.Sprintf(format, args...))
}

func (s *stage) command(words []string) {
	args := arguments(words[1:])
	switch words[0] {
	case "create":
		s.machine = newMachine(s.t)
		r, err := s.host.Create(stagedLog, storage.ReplicaID(args.number("self")), args.ids("voters"), storage.Settings{}, s.machine)
		s.place(r, err)
	case "restart":
		if err := s.host.Stop(0); err != nil {
			s.t.Fatal(err)
		}
		if err := s.store.Close(); err != nil {
			s.t.Fatal(err)
		}
		s.open()
	case "crash":
		s.fs = s.fs.Crash()
		s.open()
	case "propose":
		for _, w := range words[1:] {
			s.machine.write([]byte(w), 1)
		}
		s.host.turnShards()
	case "trim":
		s.machine.trim(storage.Offset(args.number("to")))
		s.host.turnShards()
	case "conf":
		s.replica.post(letter{do: func() { s.changeConf(args) }})
		s.host.turnShards()
	case "sync":
		if _, err := s.store.FlushJournal(); err != nil {
			s.t.Fatal(err)
		}
		s.host.turnShards()
	case "campaign":
		s.replica.post(letter{do: s.replica.campaign})
		s.host.turnShards()
	case "transfer":
		s.replica.post(letter{do: func() { s.replica.node.TransferLeader(args.number("to")) }})
		s.host.turnShards()
	case "time":
		s.clock.ms = int64(args.number("ms"))
	case "tick":
		for range args.number("n") {
			s.host.TickAll()
		}
		s.host.turnShards()
	case "recv":
		s.receive(words[1], args)
		s.host.turnShards()
	case "stop":
		if err := s.host.Stop(0); err != nil {
			s.t.Fatal(err)
		}
	case "log":
		s.describeLog()
	case "times":
		for i := s.replica.log.First(); i <= s.replica.log.Last(); i++ {
			h, err := s.replica.log.Header(i)
			if err != nil {
				s.t.Fatal(err)
			}
			s.note("entry %d appended at %d", i, h.AppendTime)
		}
	default:
		s.t.Fatalf("unknown command %q", words)
	}
}

func (s *stage) open() {
	s.store = openStore(s.t, s.fs)
	s.host = newHost(s.t, s.store, s.clock)
	s.machine = newMachine(s.t)
	r, err := s.host.Open(stagedLog, s.machine)
	s.place(r, err)
}

func (s *stage) place(r *Replica, err error) {
	if err != nil {
		s.t.Fatal(err)
	}
	r.send = func(m *raftpb.Message) { s.note("%s", messageText(m)) }
	s.replica = r
	s.machine.attach(r)
	s.host.turnShards()
}

func messageText(m *raftpb.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "-> %d %s term=%d", m.GetTo(), m.GetType(), m.GetTerm())
	if m.GetIndex() != 0 || m.GetType() == raftpb.MsgApp {
		fmt.Fprintf(&b, " index=%d/%d", m.GetIndex(), m.GetLogTerm())
	}
	for _, e := range m.GetEntries() {
		fmt.Fprintf(&b, " %d/%d", e.GetIndex(), e.GetTerm())
	}
	if m.GetCommit() != 0 {
		fmt.Fprintf(&b, " commit=%d", m.GetCommit())
	}
	if m.GetReject() {
		b.WriteString(" reject")
	}
	return b.String()
}

// changeConf proposes to add a learner, or to leave a joint conf.
func (s *stage) changeConf(args argumentMap) {
	change := &raftpb.ConfChangeV2{}
	if id := args.number("learner"); id != 0 {
		change.Changes = []*raftpb.ConfChangeSingle{{Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(id))}}
	}
	if id := args.number("joint"); id != 0 {
		change.Transition = raftpb.ConfChangeTransitionJointExplicit.Enum()
		change.Changes = []*raftpb.ConfChangeSingle{{Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(uint64(id))}}
	}
	if err := s.replica.node.ProposeConfChange(change); err != nil {
		s.note("conf change refused: %v", err)
	}
}

// receive plays a message of another replica. Entries are given as index/term=payload.
func (s *stage) receive(name string, args argumentMap) {
	kind, ok := raftpb.MessageType_value[name]
	if !ok {
		s.t.Fatalf("no message type %q", name)
	}
	m := &raftpb.Message{
		Type: raftpb.MessageType(kind).Enum(),
		From: new(uint64(args.number("from"))), To: new(uint64(s.replica.id)), Term: new(uint64(args.number("term"))),
		Commit: new(uint64(args.number("commit"))), Reject: new(args["reject"] != ""),
	}
	m.Index, m.LogTerm = args.place("index")
	if args["force"] != "" {
		m.Context = []byte("CampaignTransfer") // also within the lease of a leader
	}
	var frames []storage.Frame
	if args["entries"] != "" {
		frames = s.frames(storage.Index(m.GetIndex()), strings.Split(args["entries"], ","))
		for _, f := range frames {
			m.Entries = append(m.Entries, &raftpb.Entry{
				Index: new(uint64(f.Header.Index)), Term: new(uint64(f.Header.Term)), Type: raftpb.EntryNormal.Enum(),
			})
		}
	}
	if args["frames"] == "none" {
		frames = nil
	}
	s.replica.post(letter{message: m, frames: frames})
}

// frames makes the frames that another leader would send after entry prev.
func (s *stage) frames(prev storage.Index, entries []string) (frames []storage.Frame) {
	at := batch.Binding{Index: prev + 1, AppendTime: s.clock.ms}
	if h, err := s.replica.log.Header(prev); err == nil {
		at = following(h)
	}
	for _, e := range entries {
		place, text, _ := strings.Cut(e, "=")
		_, term, _ := strings.Cut(place, "/")
		at.Term = storage.Term(number(term))
		frame := batch.Control(batch.Noop, nil)
		if text != "noop" {
			b := append(make([]byte, batch.HeaderRoom), text...)
			frame = batch.Finish(b, batch.HeaderRoom, batch.Draft{RecordCount: 1, PayloadCRC: batch.CRC([]byte(text))})
		}
		f := storage.Frame{Header: batch.Seal(frame, at), Bytes: frame}
		frames = append(frames, f)
		at = following(f.Header)
	}
	return frames
}

func (s *stage) describeLog() {
	log := s.replica.log
	hard := log.Hard()
	saved, at := log.Conf()
	conf := &raftpb.ConfState{}
	if err := proto.Unmarshal(saved, conf); err != nil {
		s.t.Fatal(err)
	}
	s.note("entries %d to %d, offsets %d to %d", log.First(), log.Last(), log.Start(), log.Next().BaseOffset)
	s.note("hard term=%d vote=%d commit=%d lead=%d", hard.Term, hard.Vote, hard.Commit, hard.Lead)
	s.note("conf as of %d: voters %d outgoing %d learners %d", at, conf.GetVoters(), conf.GetVotersOutgoing(), conf.GetLearners())
}

// argumentMap are the words of the form name=value, and lone words with value "yes".
type argumentMap map[string]string

func arguments(words []string) argumentMap {
	args := argumentMap{}
	for _, w := range words {
		name, value, found := strings.Cut(w, "=")
		if !found {
			value = "yes"
		}
		args[name] = value
	}
	return args
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func (a argumentMap) number(name string) uint64 { return number(a[name]) }

func (a argumentMap) ids(name string) (ids []storage.ReplicaID) {
	for id := range strings.SplitSeq(a[name], ",") {
		ids = append(ids, storage.ReplicaID(number(id)))
	}
	return ids
}

// place parses index/term.
func (a argumentMap) place(name string) (index, term *uint64) {
	i, t, _ := strings.Cut(a[name], "/")
	return new(number(i)), new(number(t))
}
