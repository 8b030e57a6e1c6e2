package snet

// ring keeps the last bytes that were written, as they went out. It takes memory as it fills.
type ring struct {
	size  int
	bytes []byte // the last ones; cut back to size behind twice that
	end   uint64 // how many were written in all
}

func (r *ring) append(data []byte) {
	r.bytes = append(r.bytes, data...)
	r.end += uint64(len(data))
	if len(r.bytes) > 2*r.size {
		r.bytes = r.bytes[:copy(r.bytes, r.bytes[len(r.bytes)-r.size:])]
	}
}

// begin is the first byte that may still be asked for.
func (r *ring) begin() uint64 {
	kept := len(r.bytes)
	if kept > r.size {
		kept = r.size
	}
	return r.end - uint64(kept)
}

// since is a copy of what follows the first count bytes, if it is all there.
func (r *ring) since(count uint64) ([]byte, bool) {
	if count < r.begin() || count > r.end {
		return nil, false
	}
	return append([]byte(nil), r.bytes[uint64(len(r.bytes))-(r.end-count):]...), true
}
