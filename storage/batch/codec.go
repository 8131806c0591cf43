package batch

import "strconv"

// Codec says how a payload is compressed. The values are those of CompressionCodec in
// record.proto. This package compresses nothing; storage/compress does.
type Codec uint8

// Codecs.
const (
	None   Codec = iota // the payload is the RecordSet
	Gzip                // RFC 1952
	Snappy              // a raw block
	LZ4                 // the frame format
	Zstd                // RFC 8878

	lastCodec = Zstd
)

var codecNames = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

func (c Codec) String() string {
	if c > lastCodec {
		return strconv.Itoa(int(c))
	}
	return codecNames[c]
}

// CodecNamed is the codec that String calls by that name.
func CodecNamed(name string) (Codec, bool) {
	for c, n := range codecNames {
		if n == name {
			return Codec(c), true
		}
	}
	return None, false
}

// Codecs is a set of codecs. None is in every set: what is not compressed anyone can read.
type Codecs uint8

// AllCodecs has every codec.
const AllCodecs = Codecs(1<<(lastCodec+1) - 1)

// CodecsOf is the set of the codecs with these numbers, as CompressionCodec has them; ok is
// false, and the set that of the others, if one of them is no codec.
func CodecsOf[N ~int32](numbers []N) (set Codecs, ok bool) {
	set, ok = 1<<None, true
	for _, n := range numbers {
		if n < 0 || n > N(lastCodec) {
			ok = false
			continue
		}
		set |= 1 << n
	}
	return set, ok
}

// Has tells whether a codec is in the set.
func (s Codecs) Has(c Codec) bool { return c == None || c <= lastCodec && s&(1<<c) != 0 }

// NumbersOf is the inverse of CodecsOf, in ascending order; nil for the zero set. None, which
// goes without saying, is told only where it is alone.
func NumbersOf[N ~int32](s Codecs) (numbers []N) {
	if s == 1<<None {
		return []N{N(None)}
	}
	for c := Gzip; c <= lastCodec && s != 0; c++ {
		if s.Has(c) {
			numbers = append(numbers, N(c))
		}
	}
	return numbers
}

// All yields the codecs of the set, in ascending order.
func (s Codecs) All(yield func(Codec) bool) {
	for c := None; c <= lastCodec; c++ {
		if s.Has(c) && !yield(c) {
			return
		}
	}
}
