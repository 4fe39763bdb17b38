package flags

import "math/bits"

// Buckets is the number of buckets that users fall into; one bucket is
// 0.001 % of them.
const Buckets = 100_000

// Bucket returns the bucket, 0 to Buckets-1, of a user's key under a salt.
// A flag at percentage p is on for the buckets below p*1000.
func Bucket(salt, key string) int {
	return bucketOf(saltHash(salt).add(key).sum())
}

// bucketOf scales by multiplication, since the remainder of a division would
// favour the low buckets, and in integers, so that every language agrees.
func bucketOf(hash uint32) int { return int(uint64(hash) * Buckets >> 32) }

// saltHash begins the hash of "salt:key", which is the same for all keys.
func saltHash(salt string) murmur { return murmur{}.add(salt).add(":") }

// murmur is MurmurHash3 (x86, 32 bits, seed 0) of the bytes added so far. It
// is a value: hashing a salt once and many keys after it allocates nothing.
type murmur struct {
	h    uint32 // of the whole blocks
	tail uint32 // bytes of the block begun, little endian
	n    uint32 // bytes added
}

const (
	murmurC1 = 0xcc9e2d51
	murmurC2 = 0x1b873593
)

func (m murmur) add(s string) murmur {
	for m.n&3 != 0 && len(s) > 0 {
		m = m.addByte(s[0])
		s = s[1:]
	}
	for len(s) >= 4 {
		m.h = mixBlock(m.h, uint32(s[0])|uint32(s[1])<<8|uint32(s[2])<<16|uint32(s[3])<<24)
		m.n += 4
		s = s[4:]
	}
	for i := range len(s) {
		m = m.addByte(s[i])
	}
	return m
}

func (m murmur) addByte(b byte) murmur {
	m.tail |= uint32(b) << (8 * (m.n & 3))
	m.n++
	if m.n&3 == 0 {
		m.h = mixBlock(m.h, m.tail)
		m.tail = 0
	}
	return m
}

func mixBlock(h, k uint32) uint32 {
	h ^= bits.RotateLeft32(k*murmurC1, 15) * murmurC2
	return bits.RotateLeft32(h, 13)*5 + 0xe6546b64
}

func (m murmur) sum() uint32 {
	h := m.h
	if m.n&3 != 0 {
		h ^= bits.RotateLeft32(m.tail*murmurC1, 15) * murmurC2
	}
	h ^= m.n
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
