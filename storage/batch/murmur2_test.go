package batch

import "testing"

func TestMurmur2IsKafkas(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
		"":    275646681,
		"a":   -1563381124,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("%q hashes to %d and should to %d", key, got, want)
		}
		for _, n := range []int32{1, 2, 7, 1 << 30} {
			if got := Partition([]byte(key), n); got != (want&0x7fffffff)%n {
				t.Errorf("%q of %d partitions: %d", key, n, got)
			}
		}
	}
	if !panics(func() { Partition(nil, 0) }) {
		t.Error("a topic without partitions was accepted")
	}
}
