package compress

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/almadia/almadia/storage/batch"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// packed compresses, and must.
func packed(t testing.TB, c batch.Codec, set []byte) []byte {
	t.Helper()
	out, err := Append(nil, c, set)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, c := range compressing {
		for name, set := range map[string][]byte{
			"one octet":         {7},
			"some text":         []byte("hello hello hello"),
			"one block of lz4":  noise(256 << 10),
			"one octet more":    noise(256<<10 + 1),
			"the largest":       bytes.Repeat([]byte("0123456789abcdef"), batch.MaxPayload/16),
			"the largest noise": noise(batch.MaxPayload),
		} {
			before := bytes.Clone(set)
			out, err := Append([]byte("prefix"), c, set)
			if err != nil || !bytes.Equal(set, before) || !bytes.HasPrefix(out, []byte("prefix")) {
				t.Errorf("%v, %s: %v", c, name, err)
				continue
			}
			payload := out[len("prefix"):]
			before = bytes.Clone(payload)
			got := make([]byte, len(set))
			if err := Fill(got, c, payload); err != nil || !bytes.Equal(got, set) || !bytes.Equal(payload, before) {
				t.Errorf("%v, %s: %v", c, name, err)
			}
		}
	}
}

// Whatever is not the payload of exactly so many bytes is refused, and the next payload is
// read as if nothing had been.
func TestFillTakesNothingElse(t *testing.T) {
	set := append(noise(5_000), bytes.Repeat([]byte("text "), 2_000)...)
	for _, c := range compressing {
		payload := packed(t, c, set)
		sound := func(after string) {
			t.Helper()
			got := make([]byte, len(set))
			if err := Fill(got, c, payload); err != nil || !bytes.Equal(got, set) {
				t.Errorf("%v: a sound payload after %s: %v", c, after, err)
			}
		}
		refuse := func(name string, size int, payload []byte) {
			t.Helper()
			if err := Fill(make([]byte, size), c, payload); err == nil {
				t.Errorf("%v: %s was taken", c, name)
			}
			sound(name)
		}
		refuse("a size of 0", 0, payload)
		refuse("a size one too low", len(set)-1, payload)
		refuse("a size one too high", len(set)+1, payload)
		refuse("a size much too high", batch.MaxPayload, payload)
		refuse("nothing", len(set), nil)
		refuse("garbage", len(set), noise(500))
		refuse("garbage behind", len(set), append(bytes.Clone(payload), 0xaa, 0xbb, 0xcc, 0xdd))
		for n := 1; n < len(payload); n += 1 + n/7 {
			refuse("a cut payload", len(set), payload[:n])
		}
		refuse("a payload without its last octet", len(set), payload[:len(payload)-1])
		for _, other := range compressing {
			if other != c {
				refuse("a payload of "+other.String(), len(set), packed(t, other, set))
			}
		}
		refuse("what is not compressed", len(set), set)
	}
}

// bombs are payloads of 16 MiB of zeros in a few KB, as small as the codec makes them.
func bombs(t testing.TB) map[batch.Codec][]byte {
	zeros := make([]byte, batch.MaxPayload)
	out := map[batch.Codec][]byte{}
	for _, c := range compressing {
		out[c] = packed(t, c, zeros)
	}
	return out
}

// allocated is what f takes from the heap in all, in bytes.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// A payload takes no more memory than its header tells, and the window of its codec.
func TestBombs(t *testing.T) {
	window := map[batch.Codec]int{batch.Gzip: 128 << 10, batch.Snappy: 64 << 10, batch.LZ4: 5 << 20, batch.Zstd: 2 << 20}
	for c, bomb := range bombs(t) {
		t.Logf("%v: 16 MiB of zeros in %d bytes", c, len(bomb))
		for _, size := range []int{1, 100, 64 << 10, 1 << 20, batch.MaxPayload - 1} {
			dst := make([]byte, size)
			n := allocated(func() {
				if err := Fill(dst, c, bomb); err == nil {
					t.Errorf("%v: taken as %d bytes", c, size)
				}
			})
			if n > window[c] {
				t.Errorf("%v: %d bytes of memory for a payload that says it has %d", c, n, size)
			}
		}
		dst := make([]byte, batch.MaxPayload)
		n := allocated(func() {
			if err := Fill(dst, c, bomb); err != nil {
				t.Errorf("%v: %v", c, err)
			}
		})
		if n > window[c] {
			t.Errorf("%v: %d bytes of memory beside the room for 16 MiB", c, n)
		}
	}
}

// What a payload says of itself makes no memory be taken: a window or a content of
// gigabytes, or none.
func TestClaimsOfAPayloadAreNotBelieved(t *testing.T) {
	set := bytes.Repeat([]byte("almadia "), 1_000)
	wide := func(o ...zstd.EOption) []byte {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, append(o, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range set { // a stream, so that the size is not known ahead
			if _, err := w.Write(set[i : i+1]); err != nil {
				t.Fatal(err)
			}
			if i == 10 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, c := range map[string]struct {
		codec   batch.Codec
		payload []byte
		sound   bool
	}{
		"zstd with a window of 512 MiB":       {batch.Zstd, wide(zstd.WithWindowSize(512 << 20)), true},
		"zstd without a content size":         {batch.Zstd, wide(), true},
		"zstd with a content of 2^62 bytes":   {batch.Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0}, false},
		"zstd with a dictionary":              {batch.Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 4, 0x21, 0, 0, 'a', 'b', 'c', 'd'}, false},
		"snappy of 4 GiB":                     {batch.Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x'}, false},
		"snappy as long as it says, and less": {batch.Snappy, append([]byte{0xc0, 0x3e}, 0, 'x'), false},
		"lz4 in blocks of 4 MiB":              {batch.LZ4, []byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 4, 0, 0, 0x80, 'a', 'b', 'c', 'd', 0, 0, 0, 0}, false},
		"gzip with an endless name":           {batch.Gzip, append([]byte{0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3}, bytes.Repeat([]byte{'n'}, 1<<20)...), false},
	} {
		dst := make([]byte, len(set))
		n := allocated(func() {
			if err := Fill(dst, c.codec, c.payload); (err == nil) != c.sound {
				t.Errorf("%s: %v", name, err)
			}
		})
		if c.sound && !bytes.Equal(dst, set) {
			t.Errorf("%s: something else came out", name)
		}
		if n > 9<<20 {
			t.Errorf("%s: %d bytes of memory", name, n)
		}
	}
}

// FuzzFill: from any bytes exactly what fits comes out, or an error; and what comes out
// survives another round.
func FuzzFill(f *testing.F) {
	set := []byte("one and one and one and one")
	for _, c := range compressing {
		f.Add(uint8(c), packed(f, c, set), len(set))
		f.Add(uint8(c), packed(f, c, set), 1<<20)
		f.Add(uint8(c), append(packed(f, c, set), packed(f, c, set)...), 2*len(set))
	}
	f.Fuzz(func(t *testing.T, codec uint8, payload []byte, size int) {
		c := compressing[int(codec)%len(compressing)]
		dst := make([]byte, min(max(size, 0), 1<<20))
		if err := Fill(dst, c, payload); err != nil {
			return
		}
		again := make([]byte, len(dst))
		if err := Fill(again, c, packed(t, c, dst)); err != nil || !bytes.Equal(again, dst) {
			t.Errorf("%v: %d bytes do not survive: %v", c, len(dst), err)
		}
	})
}

func BenchmarkFill(b *testing.B) {
	set := bytes.Repeat([]byte(`{"user":12345,"action":"click","page":"/home"}`), 20_000)
	for _, c := range compressing {
		payload := packed(b, c, set)
		b.Run(c.String(), func(b *testing.B) {
			dst := make([]byte, len(set))
			b.SetBytes(int64(len(set)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Fill(dst, c, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
