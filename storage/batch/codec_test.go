package batch

import (
	"slices"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

func TestCodecsAreThoseOfTheContract(t *testing.T) {
	for number := range almadiav1.CompressionCodec_name {
		c := Codec(number)
		if got, ok := CodecNamed(c.String()); !ok || got != c || c > lastCodec {
			t.Errorf("codec %d is called %v, which names %v", number, c, got)
		}
	}
	if len(almadiav1.CompressionCodec_name) != int(lastCodec)+1 {
		t.Error("the contract has other codecs")
	}
	if _, ok := CodecNamed("5"); ok || Codec(5).String() != "5" {
		t.Error("codec 5 has a name")
	}
}

func TestSetsOfCodecs(t *testing.T) {
	for _, c := range []struct {
		numbers []int32
		known   bool
		has     []Codec
		told    []int32
	}{
		{nil, true, []Codec{None}, []int32{0}},
		{[]int32{0}, true, []Codec{None}, []int32{0}},
		{[]int32{4, 1, 4}, true, []Codec{None, Gzip, Zstd}, []int32{1, 4}},
		{[]int32{0, 1, 2, 3, 4}, true, []Codec{None, Gzip, Snappy, LZ4, Zstd}, []int32{1, 2, 3, 4}},
		{[]int32{-1, 5, 2, 1 << 30}, false, []Codec{None, Snappy}, []int32{2}},
	} {
		set, known := CodecsOf(c.numbers)
		if got := slices.Collect(set.All); known != c.known || !slices.Equal(got, c.has) {
			t.Errorf("%v: %v, %v", c.numbers, got, known)
		}
		if got := NumbersOf[int32](set); !slices.Equal(got, c.told) {
			t.Errorf("%v is told as %v", c.numbers, got)
		}
	}
	if all, _ := CodecsOf([]int32{1, 2, 3, 4}); all != AllCodecs || AllCodecs.Has(lastCodec+1) || AllCodecs.Has(200) || !Codecs(0).Has(None) {
		t.Error("the set of all codecs has others, or not all")
	}
	if NumbersOf[int32](0) != nil {
		t.Error("nothing is told as something")
	}
}
