package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"interop-go/contract"
	"interop-go/link"
)

// linkGateway is as much of a gateway as the cases need; it has no bounds and one lock.
type linkGateway struct {
	clients, servers net.Listener
	registered       chan uint32 // ids of servers; it has room for a few

	mutex      sync.Mutex
	lastClient uint32
	lastConn   uint32
	byID       [2]map[uint32]*linkPeer // clients, servers
	conns      map[uint32][2]*linkPeer
}

type linkPeer struct {
	net.Conn
	side int
	id   uint32
}

const gatewayKey = "123"

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func newLinkGateway(t *testing.T) *linkGateway {
	g := &linkGateway{clients: listen(t), servers: listen(t), registered: make(chan uint32, 10), conns: map[uint32][2]*linkPeer{}}
	g.byID = [2]map[uint32]*linkPeer{{}, {}}
	go acceptAll(g.clients, func(conn net.Conn) {
		g.mutex.Lock()
		g.lastClient++
		id := g.lastClient
		g.mutex.Unlock()
		g.run(&linkPeer{conn, 0, id})
	})
	go acceptAll(g.servers, func(conn net.Conn) {
		challenge := make([]byte, 8)
		rand.Read(challenge)
		conn.Write(challenge)
		answer := make([]byte, 20)
		if _, err := io.ReadFull(conn, answer); err != nil {
			return
		}
		id := binary.LittleEndian.Uint32(answer[16:])
		if string(answer) == string(link.Proof(challenge, gatewayKey, id)) {
			g.run(&linkPeer{conn, 1, id})
		}
	})
	return g
}

func acceptAll(listener net.Listener, handle func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			handle(conn)
		}()
	}
}

func (p *linkPeer) send(frame *link.Frame) { p.Write(frame.Append(nil)) }

func (g *linkGateway) run(peer *linkPeer) {
	g.mutex.Lock()
	g.byID[peer.side][peer.id] = peer
	g.mutex.Unlock()
	if peer.side == 1 {
		g.registered <- peer.id
	}
	reader := link.NewReader(peer, 524288)
	for {
		frame, err := reader.Read()
		g.mutex.Lock()
		if err == nil {
			err = g.take(peer, frame)
		}
		if err != nil {
			delete(g.byID[peer.side], peer.id)
			for id, ends := range g.conns {
				if ends[peer.side] == peer {
					g.close(id, ends)
				}
			}
			g.mutex.Unlock()
			return
		}
		g.mutex.Unlock()
	}
}

func (g *linkGateway) close(id uint32, ends [2]*linkPeer) {
	delete(g.conns, id)
	for _, end := range ends {
		end.send(link.Command(link.Close, id))
	}
}

func (g *linkGateway) take(peer *linkPeer, frame *link.Frame) error {
	if frame.ID != 0 {
		if ends, open := g.conns[frame.ID]; open && ends[peer.side] == peer {
			ends[1-peer.side].send(frame)
		} else if !open {
			peer.send(link.Command(link.Close, frame.ID))
		} else {
			return fmt.Errorf("data on connection %d of others", frame.ID)
		}
		return nil
	}
	kind, arguments, err := frame.Arguments()
	if err != nil {
		return err
	}
	switch kind {
	case link.Ping:
		peer.send(link.Command(link.Ping))
	case link.Close:
		if ends, open := g.conns[arguments[0]]; open && ends[peer.side] == peer {
			g.close(arguments[0], ends)
		}
	case link.Dial:
		remote := g.byID[1-peer.side][arguments[0]]
		if remote == nil {
			peer.send(link.Command(link.Refuse, arguments[0]))
			break
		}
		g.lastConn++
		var ends [2]*linkPeer
		ends[peer.side], ends[remote.side] = peer, remote
		g.conns[g.lastConn] = ends
		peer.send(link.Command(link.Accept, g.lastConn, arguments[0]))
		remote.send(link.Command(link.Connect, g.lastConn, peer.id))
	default:
		return fmt.Errorf("command %d from an endpoint", kind)
	}
	return nil
}

func TestEveryLinkCasePasses(t *testing.T) {
	for name := range linkCases {
		name := name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := newLinkGateway(t)
			server := start(t, settings("link-server", name, gateway.servers.Addr().String()))
			expectPass(t, server, settings("link-client", name, gateway.clients.Addr().String()))
		})
	}
}

func TestALinkServerRegistersAnewWhenItsGatewayIsGone(t *testing.T) {
	gateway := newLinkGateway(t)
	server := start(t, settings("link-server", "link-echo", gateway.servers.Addr().String()))
	gateway.mutex.Lock()
	for _, peer := range gateway.byID[1] {
		peer.Close()
	}
	gateway.mutex.Unlock()
	<-gateway.registered // as at the start
	select {
	case <-gateway.registered:
	case <-time.After(10 * time.Second):
		t.Fatal("the server did not come back")
	}
	expectPass(t, server, settings("link-client", "link-echo", gateway.clients.Addr().String()))
}

func TestALinkServerWithAWrongKeyIsRefused(t *testing.T) {
	gateway := newLinkGateway(t)
	if err := runClient(t, settings("link-server", "link-key", gateway.servers.Addr().String())); err != nil {
		t.Error(err)
	}
	// A gateway that takes every key is found out.
	careless := listen(t)
	go acceptAll(careless, func(conn net.Conn) {
		conn.Write(make([]byte, 8))
		io.ReadFull(conn, make([]byte, 20))
		io.Copy(conn, conn)
	})
	if err := runClient(t, settings("link-server", "link-key", careless.Addr().String())); contract.ExitStatus(err) != contract.Fail {
		t.Errorf("a careless gateway: %v", err)
	}
}

// cutter is a path that breaks `left` times, each time after `every` bytes towards the backend.
type cutter struct {
	net.Listener
	every int64

	mutex sync.Mutex
	left  int
}

func newCutter(t *testing.T, backend string, cuts int, every int64) *cutter {
	c := &cutter{Listener: listen(t), every: every, left: cuts}
	go acceptAll(c.Listener, func(near net.Conn) {
		far, err := net.Dial("tcp", backend)
		if err != nil {
			return
		}
		defer far.Close()
		go func() {
			defer near.Close()
			io.Copy(near, far)
		}()
		if _, err = io.CopyN(far, near, c.every); err == nil && c.take() {
			// Resets, so that bytes under way are lost in both directions.
			near.(*net.TCPConn).SetLinger(0)
			far.(*net.TCPConn).SetLinger(0)
			return
		}
		io.Copy(far, near)
	})
	return c
}

func (c *cutter) take() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.left--
	return c.left >= 0
}

func TestStreamsOverSnetOutliveCuts(t *testing.T) {
	for _, encrypt := range []string{"0", "1"} {
		server := settings("stream-server", "stream-cut", "snet+tcp://127.0.0.1:0?encrypt="+encrypt)
		running := start(t, server)
		path := newCutter(t, running.address.String(), 4, 2<<20)
		client := settings("stream-client", "stream-cut", "snet+tcp://"+path.Addr().String()+"?encrypt="+encrypt)
		client.Bytes = 16 << 20
		expectPass(t, running, client)
		if path.left > 0 {
			t.Errorf("%d cuts were not made", path.left)
		}
	}
}

// routeGateway is as much of one as the cases need, for byte streams and websockets.
func routeGateway(t *testing.T, allowed string) (tcp, ws net.Listener) {
	tcp, ws = listen(t), listen(t)
	go acceptAll(tcp, func(conn net.Conn) {
		var word [4]byte
		io.ReadFull(conn, word[:])
		identify := make([]byte, binary.LittleEndian.Uint32(word[:]))
		io.ReadFull(conn, identify)
		if string(identify) != allowed {
			io.WriteString(conn, "error")
			return
		}
		backend, err := net.Dial("tcp", allowed)
		if err != nil {
			return
		}
		defer backend.Close()
		conn.Write([]byte("\x02\x00\x00\x00ok"))
		go func() {
			io.Copy(backend, conn)
			backend.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(conn, backend)
		conn.(*net.TCPConn).CloseWrite()
	})
	go http.Serve(ws, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Server-Identify") != allowed {
			http.Error(answer, "refused", http.StatusBadGateway)
			return
		}
		conn, err := (&websocket.Upgrader{}).Upgrade(answer, request, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		backend, err := net.Dial("tcp", allowed)
		if err != nil {
			return
		}
		defer backend.Close()
		conn.WriteMessage(websocket.BinaryMessage, []byte("ok"))
		go func() {
			buffer := make([]byte, 5000)
			for {
				count, err := backend.Read(buffer)
				if err != nil {
					return
				}
				conn.WriteMessage(websocket.BinaryMessage, buffer[:count])
			}
		}()
		for {
			_, message, err := conn.ReadMessage()
			if err != nil {
				return
			}
			var word [4]byte
			binary.LittleEndian.PutUint32(word[:], uint32(len(message)))
			backend.Write(append(word[:], message...))
		}
	}))
	return tcp, ws
}

func TestStreamsPassThroughRouteGatewaysAndRefusalsAreKnown(t *testing.T) {
	running := start(t, settings("stream-server", "stream", "127.0.0.1:0"))
	backend := running.address.String()
	tcp, ws := routeGateway(t, backend)
	for address, names := range map[string][]string{
		"route+tcp://" + tcp.Addr().String() + "/" + backend: {"stream", "stream-half", "stream-slow"},
		"route+ws://" + ws.Addr().String() + "/" + backend:   {"stream", "stream-slow"},
	} {
		for _, name := range names {
			client := settings("stream-client", name, address)
			client.Bytes = 200000
			if err := runClient(t, client); err != nil {
				t.Errorf("%s: %s: %v", address, name, err)
			}
		}
		if err := runClient(t, settings("stream-client", "route-refused", address)); contract.ExitStatus(err) != contract.Fail {
			t.Errorf("%s: a backend that is allowed counts as refused: %v", address, err)
		}
	}
	for _, gateway := range []string{"route+tcp://" + tcp.Addr().String(), "route+ws://" + ws.Addr().String()} {
		address := gateway + "/10.0.0.1:1"
		if err := runClient(t, settings("stream-client", "route-refused", address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	// Nobody there is no refusal.
	gone := listen(t)
	gone.Close()
	nobody := settings("stream-client", "route-refused", "route+tcp://"+gone.Addr().String()+"/10.0.0.1:1")
	if err := runClient(t, nobody); contract.ExitStatus(err) != contract.Fail {
		t.Errorf("nobody: %v", err)
	}
	if err := running.stop(); err != nil {
		t.Error(err)
	}
}
