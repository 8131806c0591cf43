package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

func TestLayoutWrite(t *testing.T) {
	r := shown{topic: "orders", partition: 3, record: &almadiav1.LogRecord{
		Key: []byte("k"), Value: []byte("v"), Offset: proto.Int64(42), TimestampMs: 1_700_000_000_123,
		Headers: []*almadiav1.Header{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}},
	}}
	for _, c := range []struct{ layout, want string }{
		{`%t %p %o %k %v %h`, "orders 3 42 k v a=1,b=2"},
		{`%d`, "2023-11-14T22:13:20.123Z"},
		{`%d{go[15:04:05]}|`, "22:13:20|"},
		{`100%% %v\t\n\0\\`, "100% v\t\n\x00\\"},
		{``, ""},
	} {
		l, err := parseLayout(c.layout)
		if err != nil {
			t.Errorf("%s: %v", c.layout, err)
			continue
		}
		if got := string(l.write(nil, r)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.layout, got, c.want)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	for _, s := range []string{`%`, `%x`, `\q`, `\`, `%d{15:04}`, `%d{go[15:04]`} {
		if _, err := parseLayout(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestParserReads(t *testing.T) {
	long := strings.Repeat("x", 3*inputBufferBytes)
	for _, c := range []struct {
		name, layout, in string
		want             []string // key|value
	}{
		{"lines", `%v\n`, "a\nb\n", []string{"|a", "|b"}},
		{"a missing final newline", `%v\n`, "a\nb", []string{"|a", "|b"}},
		{"empty lines are records", `%v\n`, "\n\nx\n", []string{"|", "|", "|x"}},
		{"nothing", `%v\n`, "", nil},
		{"keys; the value keeps its tabs", `%k\t%v\n`, "k\ta\tb\n\t\n", []string{"k|a\tb", "|"}},
		{"a value longer than the buffer", `%v\n`, long + "\n", []string{"|" + long}},
		{"text around the fields", `<%k=%v>\n`, "<a=1>\n<b=2>\n", []string{"a|1", "b|2"}},
		{"an end of several bytes", `%v--\n`, "a-b--\n-\n--\n", []string{"|a-b", "|-\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			err := readInput(t, c.layout, c.in, func(r *almadiav1.LogRecord) {
				got = append(got, string(r.Key)+"|"+string(r.Value))
				if r.Value == nil {
					t.Error("an empty value came as an absent one")
				}
			})
			if err != io.EOF {
				t.Errorf("ended with %v", err)
			}
			if strings.Join(got, "\x00") != strings.Join(c.want, "\x00") {
				t.Errorf("got %.80q, want %.80q", got, c.want)
			}
		})
	}
}

func TestParserRefuses(t *testing.T) {
	for _, c := range []struct{ layout, in, want string }{
		{`%k\t%v\n`, "a\tb\nno tab\n", "input record 2"},
		{`<%v>\n`, "<a>\nb>\n", `expected "<"`},
		{`%o\n`, "1\n", "%o cannot be read"},
		{`%k%v\n`, "x\n", "something between"},
		{`%v`, "x", "must end with"},
	} {
		err := readInput(t, c.layout, c.in, func(*almadiav1.LogRecord) {})
		if errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.layout, err, c.want)
		}
	}
}

// readInput parses in and returns what ended it.
func readInput(t *testing.T, format, in string, each func(*almadiav1.LogRecord)) error {
	t.Helper()
	l, err := parseLayout(format)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newParser(strings.NewReader(in), l)
	if err != nil {
		return err
	}
	for {
		r, err := p.next()
		if err != nil {
			return err
		}
		each(r)
	}
}
