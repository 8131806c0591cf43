package compress

import "github.com/klauspost/compress/snappy"

func appendSnappy(dst, src []byte) ([]byte, error) {
	at, most := len(dst), snappy.MaxEncodedLen(len(src))
	if most < 0 {
		return nil, snappy.ErrTooLarge
	}
	dst = append(dst, make([]byte, most)...)
	return dst[:at+len(snappy.Encode(dst[at:], src))], nil
}

func fillSnappy(dst, src []byte) error {
	switch n, err := snappy.DecodedLen(src); {
	case err != nil:
		return err
	case n < len(dst):
		return errShorter
	case n > len(dst):
		return errLonger
	}
	_, err := snappy.Decode(dst, src)
	return err
}
