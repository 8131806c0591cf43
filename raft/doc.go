// Package raft runs the replicas of a broker: a [Host] with its shards, and on them one
// [Replica] for each log, around one RawNode of the raft library each. The library
// sequences, package storage holds, and what is committed goes to a [StateMachine].
// There is no other way into a log.
//
// "The library" is go.etcd.io/raft/v3, always with asynchronous storage writes.
//
// # The loop
//
// A shard is a goroutine that runs the replicas pinned to it, one at a time. A replica runs
// when something happened to it: an append became durable, a message came, its state
// machine was woken, its clock ticked. What it then does is one turn:
//
//	func (r *Replica) turn(now) {
//		receive()                      // inbox -> node.Step
//		process()
//		node.Step(MsgProp{sm.Take()})  // all that waits, in one message
//		process()
//	}
//
//	func (r *Replica) process() {
//		for {
//			release()                  // answers whose append is durable -> node.Step
//			apply()                    // committed entries -> sm.Apply
//			if !node.HasReady() { return }
//			for m := range node.Ready().Messages {
//				switch m.To {
//				case LocalAppendThread:
//					log.Append(bind(m.Entries), then: inbox)
//					responses.push(m.Responses, after: that append)
//				case LocalApplyThread:
//					applies.push(m)    // answered once it is applied
//				default:
//					send(m)
//				}
//			}
//		}
//	}
//
// The log's Append does not wait. The journal calls back when it has synced, that call
// leaves a note in the inbox, and the replica's next turn hands the library the responses
// that waited for it. With one voter that is the whole way to a commit:
//
//	turn 1   Take -> MsgProp -> Ready{append i} -> seal i -> log.Append
//	journal  fdatasync -> inbox
//	turn 2   MsgAppResp, MsgStorageAppendResp -> commit i -> sm.Apply(i)
//
// While the journal syncs, further turns append further entries; they share its next sync.
//
// # What goes through the library
//
// Never a record. An entry's data is a tag of 8 bytes that is good within one turn; the
// frame it stands for waits beside. When the entry appears in a MsgStorageAppend, its
// index and term are final for this log, and the frame is bound: it gets its offset, index,
// term, append time and place in the checksum chain, in index order, in the bytes
// in which it came. Entries that the library makes itself become frames too, an empty one a
// NOOP and a conf change a CONF; they take an index and no offset.
//
// What the library reads back it reads from memory: index, term and type of an entry, and
// the data of conf changes that may still be applied.
//
// # Duties of the owner
//
// Who has a host either calls Start and then lets it run, or never does and calls [Host.Turn]
// again and again, and TickAll for the time. Both run the same code; the second does so on one
// goroutine in a fixed order, for simulation. A host that is not started belongs to
// that goroutine.
//
// Stop the host before closing the store. Watch [Host.Done]: when it is closed without Stop,
// the store has failed and the process is to exit non-zero.
//
// # Duties of a state machine
//
// Its methods run on the goroutine of the shard. They must not block, and must not call the
// host: other replicas wait. What they are given is settled: a [Proposal] that was handed
// over by Take comes back exactly once, in Applied or through Fail. It may come back in
// Applied although the replica does not lead any more.
//
// It answers nobody from its state before [Leadership].Ready. A leader of one voter that
// has just started knows less of what is committed than it acknowledged before; the first
// entry of its own term, once applied, makes up for that.
//
// # Invariants
//
//   - A frame is sealed once, and only by a replica that voted for itself in the frame's term.
//   - bound holds, without a gap, the entries of this process that are in the log and not
//     applied. An entry leaves it when it is applied or overwritten.
//   - A response of the library goes out only when the append it belongs to, and all
//     before, are durable (W1). So no acknowledgement is ever ahead of the journal.
//   - A message to another replica goes out only when no new term or vote is on its way to
//     the disk (W2).
//   - Saved as commit is what was applied and is durable here; CONF(i) is in the log before a
//     commit that covers i (W3).
//   - applied <= commit <= last. The library's own applied index is never ahead of ours.
//   - A stopped replica appends nothing, applies nothing and has no proposal left.
//
// # Traps of the library
//
// Each is followed by the place that minds it.
//
//   - A commit index alone makes a MsgStorageAppend, and that may carry responses which attest
//     to earlier entries. Replica.persist writes only for entries, a term or a vote, and has
//     the responses wait regardless.
//   - A MsgVote is handed out before the vote is stored. Replica.dispatch has every message
//     wait for a new term or vote.
//   - Committed entries are handed out only once they are durable here, however many others
//     have them. Replica.apply feeds the state machine at commit, and the library at
//     MsgStorageApply.
//   - A saved commit beyond the last entry, or before the first, is a panic at start:
//     restoredCommit.
//   - A conf change that is saved may be committed again after a crash, and entering a joint conf
//     twice is a panic. Replica.changeConf only acknowledges what the saved CONF has.
//   - Every error of raft.Storage but two is a panic: memoryStorage has no others.
//   - Entries are cloned when proposed: bind.go gives them tags instead of data.
//   - Proposals may be dropped. Replica.propose fails them with ErrNotProposed.
//   - Each election of each replica writes a dozen info lines: raftLogger.
//   - What the library cannot go on from is a panic. shard.protect stops the one replica.
//
// # Not promised
//
// That a proposal that failed with [ErrUnknown] is not in the log. That Fail and Apply come
// in the order of Take. That Leadership is still true when it is read: it is what was told
// last. That a replica with other voters than itself ever leads: messages to other brokers
// need a transport, and without one are counted and dropped.
package raft
