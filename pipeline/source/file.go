package source

import "bytes"

// MaxSize is the size in bytes above which a file is refused.
const MaxSize = 1 << 20

// File is a file to be read.
type File struct {
	// Name is what messages call it.
	Name string
	Data []byte
}

// Line returns the text of a line, counted from 1, without its end; "" where
// there is no such line.
func (f File) Line(n int) string {
	data := bytes.TrimPrefix(f.Data, []byte(byteOrderMark))
	for ; n > 1; n-- {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return ""
		}
		data = data[i+1:]
	}
	line, _, ended := bytes.Cut(data, []byte("\n"))
	if ended {
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	return string(line)
}
