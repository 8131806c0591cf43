package batch

import (
	"encoding/binary"

	"github.com/almadia/almadia/internal/invariant"
)

// Partition is where Kafka's default partitioner puts a key among n partitions (n > 0).
// An empty key is hashed like any other; records without a key are not for it.
func Partition(key []byte, n int32) int32 {
	invariant.Check(n > 0, "a topic has partitions")
	return int32(murmur2(key)&0x7fffffff) % n
}

// murmur2 is the 32-bit MurmurHash2 with the seed that Kafka uses.
func murmur2(key []byte) uint32 {
	const (
		seed = 0x9747b28c
		mul  = 0x5bd1e995
	)
	h := seed ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := binary.LittleEndian.Uint32(key) * mul
		h = h*mul ^ (k^k>>24)*mul
	}
	if len(key) > 0 {
		for i, o := range key {
			h ^= uint32(o) << (8 * i)
		}
		h *= mul
	}
	h = (h ^ h>>13) * mul
	return h ^ h>>15
}
