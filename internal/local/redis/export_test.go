package redis

import "github.com/alicebob/miniredis/v2"

// Again reads a snapshot and writes what it read.
func Again(text []byte) ([]byte, error) {
	m := miniredis.NewMiniRedis()
	if err := restore(m, text); err != nil {
		return nil, err
	}
	return take(m).encode()
}
