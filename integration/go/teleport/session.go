package teleport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"
)

// Status codes (section 6).
const (
	StatusOK              int32 = 200
	StatusBadRequest      int32 = 400
	StatusNotFound        int32 = 404
	StatusUnsupportedType int32 = 410
)

const textUnsupportedType = "Unsupported transaction type"

// Call is a pull or push that came, its body already read.
type Call struct {
	Session *Session
	Query   url.Values
	Body    Body
	Text    string // of a route that takes a text
	Number  int64  // of a route that takes a number
}

// Answer of a pull. The body counts with StatusOK only.
type Answer struct {
	Code   int32
	Status string
	Body   Body
}

// Takes says how a route's body is read. What cannot be read ends the session, and no handler runs (section 13).
type Takes int

// What a route can take.
const (
	TakesAny Takes = iota
	TakesText
	TakesNumber
)

// Pull is a route for pulls. Handlers run beside each other.
type Pull struct {
	Takes  Takes
	Handle func(ctx context.Context, call *Call) Answer
}

// Push is a route for pushes. They are handled in the order in which they came, before anything behind them is read.
type Push struct {
	Takes  Takes
	Handle func(call *Call)
}

// Options of a session.
type Options struct {
	Version     string // "2.0" to "2.6", the release to be
	HeaderCodec byte   // of requests
	Gzip        int32  // level of requests
	Limit       uint32 // largest packet that is read, in bytes; 0 is 64 MiB
	Pulls       map[string]Pull
	Pushes      map[string]Push
}

func (o *Options) pushType() int32 {
	if o.Version == "2.0" {
		return 4
	}
	return 3
}

// answersUnsupportedTypes is true of v2.0 to v2.4; later releases close (section 3).
func (o *Options) answersUnsupportedTypes() bool { return o.Version < "2.5" }

// Session is one connection between two peers. Any goroutine may call and push.
type Session struct {
	conn    net.Conn
	options Options

	Notes Notes // what the other side has pushed to /interop/note

	writing sync.Mutex

	mutex    sync.Mutex
	nextPull uint64
	nextPush uint64
	pending  map[uint64]chan *Packet
	err      error
	ended    chan struct{}

	handlers sync.WaitGroup
}

// Notes are the texts that a session has pushed.
type Notes struct {
	mutex sync.Mutex
	texts []string
}

// Add remembers a text.
func (n *Notes) Add(text string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.texts = append(n.texts, text)
}

// Count says how many there are.
func (n *Notes) Count() int {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return len(n.texts)
}

const (
	// How long the end of a stream waits for handlers that still run.
	lastReplies = 10 * time.Second
	// Replies that were on their way when a session ends for an error get this long.
	lastWrites = 2 * time.Second
)

// ErrEnded is wrapped by the errors of calls on a session that is over.
var ErrEnded = errors.New("session ended")

// NewSession takes over conn. Run has to be called for anything to be read.
func NewSession(conn net.Conn, options Options) *Session {
	return &Session{
		conn:    conn,
		options: options,
		pending: map[uint64]chan *Packet{},
		ended:   make(chan struct{}),
	}
}

// Run reads until the stream ends, and says why: nil for an end between two packets.
func (s *Session) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader := NewReader(s.conn, s.options.Limit)
	var err error
	for err == nil {
		var packet *Packet
		if packet, err = reader.Read(); err == nil {
			err = s.take(ctx, packet)
		}
	}
	wait := lastWrites
	if errors.Is(err, io.EOF) {
		err, wait = nil, lastReplies
	}
	s.fail(err)
	s.awaitHandlers(wait)
	s.conn.Close()
	return err
}

func (s *Session) awaitHandlers(most time.Duration) {
	done := make(chan struct{})
	go func() {
		s.handlers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(most):
	}
}

func (s *Session) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	select {
	case <-s.ended:
		return
	default:
	}
	s.err = fmt.Errorf("%w: end of stream", ErrEnded)
	if err != nil {
		s.err = fmt.Errorf("%w: %v", ErrEnded, err)
	}
	close(s.ended)
}

// Ended is closed when nothing more comes.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Close ends the session at once.
func (s *Session) Close() {
	s.fail(errors.New("closed here"))
	s.conn.Close()
}

func (s *Session) take(ctx context.Context, packet *Packet) error {
	switch {
	case packet.Header.Type == TypePull:
		return s.takePull(ctx, packet)
	case packet.Header.Type == TypeReply:
		s.takeReply(packet)
		return nil
	case packet.Header.Type == s.options.pushType():
		return s.takePush(packet)
	case !s.options.answersUnsupportedTypes():
		return malformed("packet type %d", packet.Header.Type)
	case packet.Header.Type == 0:
		return nil // an answer to an answer would have no end
	default:
		refusal := Header{StatusCode: StatusUnsupportedType, Status: textUnsupportedType}
		return s.write(&Packet{HeaderCodec: packet.HeaderCodec, Header: refusal})
	}
}

func (s *Session) takeReply(packet *Packet) {
	s.mutex.Lock()
	waiting := s.pending[packet.Header.Seq]
	delete(s.pending, packet.Header.Seq)
	s.mutex.Unlock()
	if waiting != nil {
		waiting <- packet // has room for one
	}
}

func (s *Session) takePull(ctx context.Context, packet *Packet) error {
	target, err := url.Parse(packet.Header.URI)
	if err != nil {
		s.replyLater(packet, Answer{Code: StatusBadRequest, Status: err.Error()})
		return nil
	}
	route, there := s.options.Pulls[target.Path]
	if !there {
		s.replyLater(packet, Answer{Code: StatusNotFound, Status: "Not Found"})
		return nil
	}
	call, err := s.read(packet, target, route.Takes)
	if err != nil {
		return err
	}
	s.handlers.Add(1)
	go func() {
		defer s.handlers.Done()
		s.reply(packet, route.Handle(ctx, call))
	}()
	return nil
}

func (s *Session) takePush(packet *Packet) error {
	target, err := url.Parse(packet.Header.URI)
	if err != nil {
		return nil
	}
	route, there := s.options.Pushes[target.Path]
	if !there {
		return nil
	}
	call, err := s.read(packet, target, route.Takes)
	if err != nil {
		return err
	}
	route.Handle(call)
	return nil
}

func (s *Session) read(packet *Packet, target *url.URL, takes Takes) (*Call, error) {
	body, err := packet.Body()
	call := &Call{Session: s, Query: target.Query(), Body: body}
	if err != nil {
		return nil, err
	}
	switch takes {
	case TakesText:
		call.Text, err = body.Text()
	case TakesNumber:
		call.Number, err = body.Number()
	default:
		err = body.Check()
	}
	return call, err
}

// The reader must not wait for the writer, or two peers that both do would wait for ever.
func (s *Session) replyLater(request *Packet, answer Answer) {
	s.handlers.Add(1)
	go func() {
		defer s.handlers.Done()
		s.reply(request, answer)
	}()
}

func (s *Session) reply(request *Packet, answer Answer) {
	reply := &Packet{HeaderCodec: request.HeaderCodec}
	reply.Header = Header{
		Seq: request.Header.Seq, Type: TypeReply, URI: request.Header.URI,
		StatusCode: answer.Code, Status: answer.Status,
	}
	if ValidLevel(request.Header.Gzip) {
		reply.Header.Gzip = request.Header.Gzip
	}
	err := reply.put(answer.Body)
	if err == nil {
		err = s.write(reply)
	}
	if err != nil {
		s.fail(err)
	}
}

func (s *Session) write(packet *Packet) error {
	bytes, err := packet.Append(nil)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err = s.conn.Write(bytes)
	return err
}

func (s *Session) request(kind int32, seq uint64, uri string, body Body, level int32) (*Packet, error) {
	packet := &Packet{HeaderCodec: s.options.HeaderCodec}
	packet.Header = Header{Seq: seq, Type: kind, URI: uri, Gzip: level}
	return packet, packet.put(body)
}

// Pull calls uri and waits for the answer. An error means that none came, or none that can be read.
func (s *Session) Pull(ctx context.Context, uri string, body Body) (Answer, error) {
	pending, err := s.Begin(uri, body)
	if err != nil {
		return Answer{}, err
	}
	return pending.Wait(ctx)
}

// Begin has written the pull when it returns, so that what is begun later is behind it on the wire.
func (s *Session) Begin(uri string, body Body) (*Pending, error) {
	return s.BeginWith(uri, s.options.Gzip, func(packet *Packet) error { return packet.put(body) })
}

// BeginWith is a pull whose body shape writes, with a level of its own: for bodies that no codec would make.
func (s *Session) BeginWith(uri string, level int32, shape func(*Packet) error) (*Pending, error) {
	pending := &Pending{session: s, uri: uri, reply: make(chan *Packet, 1)}
	s.mutex.Lock()
	pending.seq = s.nextPull
	s.nextPull++
	s.pending[pending.seq] = pending.reply
	s.mutex.Unlock()

	packet, err := s.request(TypePull, pending.seq, uri, Body{}, level)
	if err == nil {
		err = shape(packet)
	}
	if err == nil {
		err = s.write(packet)
	}
	if err != nil {
		pending.forget()
		return nil, fmt.Errorf("%w: write: %v", ErrEnded, err)
	}
	return pending, nil
}

// Pending is a pull that was written.
type Pending struct {
	session *Session
	uri     string
	seq     uint64
	reply   chan *Packet
}

func (p *Pending) forget() {
	p.session.mutex.Lock()
	defer p.session.mutex.Unlock()
	delete(p.session.pending, p.seq)
}

// Wait gives the answer. A reply that comes when nobody waits any more is ignored.
func (p *Pending) Wait(ctx context.Context) (Answer, error) {
	defer p.forget()
	select {
	case reply := <-p.reply:
		return p.session.answer(p.uri, reply)
	case <-p.session.ended:
		return Answer{}, p.session.reason()
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("pull of %s: %w", p.uri, ctx.Err())
	}
}

func (s *Session) reason() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.err
}

// answer insists on what replies have to repeat.
func (s *Session) answer(uri string, reply *Packet) (Answer, error) {
	if reply.Header.URI != uri {
		return Answer{}, fmt.Errorf("reply has the uri %q where %q belongs", reply.Header.URI, uri)
	}
	if reply.HeaderCodec != s.options.HeaderCodec {
		return Answer{}, fmt.Errorf("reply has the header codec %q where %q belongs", reply.HeaderCodec, s.options.HeaderCodec)
	}
	answer := Answer{Code: reply.Header.StatusCode, Status: reply.Header.Status}
	if answer.Code != StatusOK {
		return answer, nil // a body of an error is not looked at (section 5)
	}
	var err error
	answer.Body, err = reply.Body()
	return answer, err
}

// Push sends a text, or whatever body is, and does not hear about it again.
func (s *Session) Push(uri string, body Body) error {
	s.mutex.Lock()
	seq := s.nextPush
	s.nextPush++
	s.mutex.Unlock()
	packet, err := s.request(s.options.pushType(), seq, uri, body, s.options.Gzip)
	if err != nil {
		return err
	}
	return s.write(packet)
}
