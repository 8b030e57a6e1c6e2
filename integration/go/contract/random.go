package contract

// Random is the generator of all random choices: xorshift with 32 bits. The same seed gives the same messages.
type Random struct {
	state uint32
}

// NewRandom starts at seed; 0 would stay 0, and counts as 1.
func NewRandom(seed uint32) *Random {
	if seed == 0 {
		seed = 1
	}
	return &Random{seed}
}

// Next makes one step.
func (r *Random) Next() uint32 {
	r.state ^= r.state << 13
	r.state ^= r.state >> 17
	r.state ^= r.state << 5
	return r.state
}

// Length is a length from 0 to most.
func (r *Random) Length(most int) int {
	return int(uint64(r.Next()) % (uint64(most) + 1))
}

// Text is a text of so many letters.
func (r *Random) Text(length int) string {
	letters := make([]byte, length)
	for i := range letters {
		letters[i] = byte('a' + r.Next()%26)
	}
	return string(letters)
}

// Fill makes bytes.
func (r *Random) Fill(bytes []byte) {
	for i := range bytes {
		bytes[i] = byte(r.Next())
	}
}
