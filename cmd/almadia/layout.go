package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

// A layout is a template of a record as text, the same for reading and writing:
//
//	%t topic  %p partition  %o offset  %k key  %v value  %h headers
//	%d{go[15:04:05]} timestamp (%d alone: RFC 3339)  %% a percent sign
//	\n \t \\ \0 as in C
//
// It is a run of literals and fields.
type layout []piece

type piece struct {
	literal string
	field   byte   // of "tpokvhd"; 0 for a literal
	time    string // of %d: layout of package time
}

func parseLayout(s string) (layout, error) {
	var l layout
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			l = append(l, piece{literal: literal.String()})
			literal.Reset()
		}
	}
	for len(s) > 0 {
		switch c := s[0]; {
		case c == '\\':
			b, n, err := escape(s)
			if err != nil {
				return nil, err
			}
			literal.WriteByte(b)
			s = s[n:]
		case c == '%' && strings.HasPrefix(s, "%%"):
			literal.WriteByte('%')
			s = s[2:]
		case c == '%':
			flush()
			p, n, err := field(s)
			if err != nil {
				return nil, err
			}
			l = append(l, p)
			s = s[n:]
		default:
			literal.WriteByte(c)
			s = s[1:]
		}
	}
	flush()
	return l, nil
}

func escape(s string) (byte, int, error) {
	if len(s) > 1 {
		if i := strings.IndexByte(`nt\0r`, s[1]); i >= 0 {
			return "\n\t\\\x00\r"[i], 2, nil
		}
	}
	return 0, 0, fmt.Errorf(`format: %.2q is none of \n \t \r \0 \\`, s)
}

func field(s string) (piece, int, error) {
	if len(s) < 2 || strings.IndexByte("tpokvhd", s[1]) < 0 {
		return piece{}, 0, fmt.Errorf("format: %.2q is none of %%t %%p %%o %%k %%v %%h %%d %%%%", s)
	}
	if s[1] != 'd' || !strings.HasPrefix(s, "%d{") {
		return piece{field: s[1], time: time.RFC3339Nano}, 2, nil
	}
	inner, _, ok := strings.Cut(s[len("%d{"):], "}")
	goLayout, ok2 := strings.CutPrefix(inner, "go[")
	goLayout, ok3 := strings.CutSuffix(goLayout, "]")
	if !ok || !ok2 || !ok3 {
		return piece{}, 0, errors.New("format: a time is written %d{go[15:04:05]}")
	}
	return piece{field: 'd', time: goLayout}, len("%d{") + len(inner) + len("}"), nil
}

// shown is one record on its way to the screen.
type shown struct {
	topic     string
	partition int32
	record    *almadiav1.LogRecord
}

// write appends the record to dst.
func (l layout) write(dst []byte, r shown) []byte {
	for _, p := range l {
		switch p.field {
		case 0:
			dst = append(dst, p.literal...)
		case 't':
			dst = append(dst, r.topic...)
		case 'p':
			dst = strconv.AppendInt(dst, int64(r.partition), 10)
		case 'o':
			dst = strconv.AppendInt(dst, r.record.GetOffset(), 10)
		case 'k':
			dst = append(dst, r.record.GetKey()...)
		case 'v':
			dst = append(dst, r.record.GetValue()...)
		case 'h':
			dst = appendHeaders(dst, r.record.Headers)
		case 'd':
			dst = time.UnixMilli(r.record.TimestampMs).UTC().AppendFormat(dst, p.time)
		}
	}
	return dst
}

func appendHeaders(dst []byte, headers []*almadiav1.Header) []byte {
	for i, h := range headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, h.Key...)
		dst = append(dst, '=')
		dst = append(dst, h.Value...)
	}
	return dst
}

// A parser cuts records out of input by a layout of %k, %v and literals. Each field runs
// up to the first occurrence of the literal behind it, the last one to the end if
// there is none.
type parser struct {
	in   *bufio.Reader
	l    layout
	line int64 // records read so far; the number of the current one
}

// inputBufferBytes is how far the parser reads ahead.
const inputBufferBytes = 1 << 20

func newParser(in io.Reader, l layout) (*parser, error) {
	for i, p := range l {
		if p.field != 0 && p.field != 'k' && p.field != 'v' {
			return nil, fmt.Errorf("format: %%%c cannot be read from input, only %%k and %%v", p.field)
		}
		if i > 0 && p.field != 0 && l[i-1].field != 0 {
			return nil, errors.New("format: two fields need something between them to tell them apart")
		}
	}
	if len(l) == 0 || l[len(l)-1].field != 0 {
		return nil, errors.New(`format: it must end with what ends a record, as in '%v\n'`)
	}
	return &parser{in: bufio.NewReaderSize(in, inputBufferBytes), l: l}, nil
}

// next reads one record; io.EOF after the last.
func (p *parser) next() (*almadiav1.LogRecord, error) {
	r := &almadiav1.LogRecord{}
	for i := 0; i < len(p.l); i++ {
		if p.l[i].field == 0 {
			if err := p.expect(p.l[i].literal, i == 0); err != nil {
				return nil, err
			}
			continue
		}
		last := i+2 == len(p.l)
		b, err := p.until(p.l[i+1].literal, last, i == 0)
		if err != nil {
			return nil, err
		}
		if p.l[i].field == 'k' {
			r.Key = b
		} else {
			r.Value = b
		}
		i++
	}
	p.line++
	return r, nil
}

func (p *parser) expect(literal string, first bool) error {
	got := make([]byte, len(literal))
	n, err := io.ReadFull(p.in, got)
	if first && n == 0 && err == io.EOF {
		return io.EOF
	}
	if string(got[:n]) != literal {
		return p.errorf("expected %q, found %q", literal, got[:n])
	}
	return nil
}

// until reads a field up to and without the literal behind it. The end of the input ends
// the last field of a record too: a final newline may be missing.
func (p *parser) until(literal string, last, first bool) ([]byte, error) {
	end := literal[len(literal)-1]
	b := []byte{} // an empty field is present, not absent
	for {
		part, err := p.in.ReadSlice(end)
		b = append(b, part...)
		if err == nil && bytes.HasSuffix(b, []byte(literal)) {
			return b[:len(b)-len(literal)], nil
		}
		if len(b) > maxMessageBytes {
			return nil, p.errorf("no %q within %d bytes", literal, maxMessageBytes)
		}
		switch {
		case err == nil, err == bufio.ErrBufferFull:
		case err != io.EOF:
			return nil, p.errorf("%v", err)
		case first && len(b) == 0:
			return nil, io.EOF
		case last:
			return b, nil
		default:
			return nil, p.errorf("the input ends before %q", literal)
		}
	}
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("input record %d: %s", p.line+1, fmt.Sprintf(format, args...))
}

// textOr gives bytes as text if they are UTF-8, and as they are if not.
func textOr(b []byte) (*string, []byte) {
	if b == nil {
		return nil, nil
	}
	if !utf8.Valid(b) {
		return nil, b
	}
	s := string(b)
	return &s, nil
}

// formatMillis is a time in ms since the Unix epoch.
func formatMillis(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }
