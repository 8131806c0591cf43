package main

import (
	"encoding/hex"
	"fmt"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// The shapes of log dump and log verify: one object for each path.

type segmentJSON struct {
	Path       string      `json:"path"`
	Log        uint64      `json:"log"`
	Replica    uint64      `json:"replica"`
	Segment    uint64      `json:"segment"`
	BaseOffset int64       `json:"base_offset"`
	BaseIndex  uint64      `json:"base_index"`
	Frames     []frameJSON `json:"frames"`
}

type frameJSON struct {
	Position   int64     `json:"position"`
	Index      uint64    `json:"index"`
	Term       uint64    `json:"term"`
	Kind       string    `json:"kind"`
	BaseOffset int64     `json:"base_offset"`
	Count      int64     `json:"record_count"`
	SizeBytes  int64     `json:"size_bytes"`
	Codec      string    `json:"codec"`
	Appended   string    `json:"appended"`
	PrevCRC    string    `json:"prev_crc"`
	HeadCRC    string    `json:"head_crc"`
	Records    []printed `json:"records,omitempty"`
	Unreadable string    `json:"unreadable,omitempty"` // why: its writer compressed something else
}

func frameShape(pos int64, h batch.Header) frameJSON {
	return frameJSON{
		Position: pos, Index: uint64(h.Index), Term: uint64(h.Term), Kind: kindName(h.Kind), BaseOffset: int64(h.BaseOffset),
		Count: int64(h.RecordCount), SizeBytes: int64(h.Size), Codec: fmt.Sprint(h.Codec), Appended: formatMillis(h.AppendTime),
		PrevCRC: fmt.Sprintf("%08x", h.PrevCRC), HeadCRC: fmt.Sprintf("%08x", h.HeadCRC),
	}
}

type directoryJSON struct {
	Path          string    `json:"path"`
	DirectoryID   string    `json:"directory_id"`
	Starts        uint64    `json:"starts"`
	CleanShutdown bool      `json:"clean_shutdown"`
	Checkpoint    uint64    `json:"checkpoint"`
	Journal       uint64    `json:"journal"`
	Logs          []logJSON `json:"logs"`
}

type logJSON struct {
	Log         uint64            `json:"log"`
	Replica     uint64            `json:"replica"`
	Term        uint64            `json:"term"`
	Commit      uint64            `json:"commit"`
	FirstIndex  uint64            `json:"first_index"`
	LastIndex   uint64            `json:"last_index"`
	StartOffset int64             `json:"start_offset"`
	EndOffset   int64             `json:"end_offset"`
	Segments    []segmentLineJSON `json:"segments"`
	Damage      []damageJSON      `json:"damage"`
}

type segmentLineJSON struct {
	File           string `json:"file"`
	BaseOffset     int64  `json:"base_offset"`
	NextOffset     int64  `json:"next_offset"`
	FirstIndex     uint64 `json:"first_index"`
	LastIndex      uint64 `json:"last_index"`
	SizeBytes      int64  `json:"size_bytes"`
	JournaledBytes int64  `json:"journaled_bytes"`
}

type damageJSON struct {
	Log      *uint64 `json:"log,omitempty"`
	File     string  `json:"file"`
	Position *int64  `json:"position,omitempty"` // absent of a segment by itself: the error has it
	Error    string  `json:"error"`
}

func directoryShape(dir string, in *storage.Inspection) directoryJSON {
	shape := directoryJSON{
		Path: dir, DirectoryID: hex.EncodeToString(in.DirectoryID[:]), Starts: in.Starts, CleanShutdown: in.CleanShutdown,
		Checkpoint: uint64(in.Checkpoint), Journal: uint64(in.Journal), Logs: []logJSON{},
	}
	for _, l := range in.Logs {
		shape.Logs = append(shape.Logs, logShape(l))
	}
	return shape
}

func logShape(l storage.LogInfo) logJSON {
	shape := logJSON{
		Log: uint64(l.ID), Replica: uint64(l.Replica), Term: uint64(l.Hard.Term), Commit: uint64(l.Hard.Commit),
		FirstIndex: uint64(l.First), LastIndex: uint64(l.Last), StartOffset: int64(l.Start), EndOffset: int64(l.End),
		Segments: []segmentLineJSON{}, Damage: []damageJSON{},
	}
	for _, s := range l.Segments {
		shape.Segments = append(shape.Segments, segmentLineJSON{
			File: s.File, BaseOffset: int64(s.BaseOffset), NextOffset: int64(s.NextOffset),
			FirstIndex: uint64(s.First), LastIndex: uint64(s.Last), SizeBytes: s.Bytes, JournaledBytes: s.Journaled,
		})
	}
	for _, d := range l.Damage {
		shape.Damage = append(shape.Damage, damageJSON{File: d.File, Position: &d.Pos, Error: d.Err.Error()})
	}
	return shape
}

type verifiedJSON struct {
	Path    string       `json:"path"`
	Sound   bool         `json:"sound"`
	Logs    int          `json:"logs,omitempty"`   // of a data directory
	Frames  int          `json:"frames,omitempty"` // of a segment
	Records int64        `json:"records"`
	Damage  []damageJSON `json:"damage"`
}
