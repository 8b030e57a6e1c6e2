// Command interop-go is one endpoint of the interoperation matrix, as CONTRACT.md describes it. It is written from the pages in
// spec and shares no code with wayport.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"interop-go/contract"
	"interop-go/transport"
)

// endpoint is what a role runs in. Tests make one of their own.
type endpoint struct {
	contract.Settings
	ready  func(net.Addr)                                // a server accepts now; a link-server was taken (then without an address)
	result func(measured map[string]interface{})         // a client's measurements
	logf   func(format string, arguments ...interface{}) // everything else
}

type role struct {
	cases map[string]bool
	run   func(e *endpoint, ctx context.Context, stack *transport.Stack) error
}

func set(names ...string) map[string]bool {
	made := map[string]bool{}
	for _, name := range names {
		made[name] = true
	}
	return made
}

var (
	teleportCases = set("echo", "large", "concurrent", "order", "push", "status", "not-found", "bad-body", "query", "back", "limit")
	linkCases     = set("link-echo", "link-max", "link-many", "link-unknown", "link-close", "link-dialed")
	streamCases   = set("stream", "stream-half", "stream-slow", "stream-cut")
)

var roles = map[string]role{
	"server":        {teleportCases, (*endpoint).teleportServer},
	"client":        {teleportCases, (*endpoint).teleportClient},
	"link-server":   {with(linkCases, "link-key"), (*endpoint).linkServer},
	"link-client":   {linkCases, (*endpoint).linkClient},
	"stream-server": {with(streamCases, "route-refused"), (*endpoint).streamServer},
	"stream-client": {with(streamCases, "route-refused"), (*endpoint).streamClient},
}

func with(cases map[string]bool, name string) map[string]bool {
	more := set(name)
	for one := range cases {
		more[one] = true
	}
	return more
}

// run is one role in one case. Servers end when ctx does, clients have their own time.
func (e *endpoint) run(ctx context.Context) error {
	which, known := roles[e.Role]
	if !known {
		return contract.Unknown("role %q", e.Role)
	}
	if !which.cases[e.Case] {
		return contract.Unknown("case %q of %s", e.Case, e.Role)
	}
	stack, err := transport.Parse(e.Address)
	if err != nil {
		return err
	}
	return which.run(e, ctx, stack)
}

// runAsClient bounds what body does by the time of the run.
func (e *endpoint) runAsClient(ctx context.Context, body func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	started := time.Now()
	done := make(chan error, 1)
	go func() { done <- body(ctx) }()
	select {
	case err := <-done:
		if err == nil {
			e.result(map[string]interface{}{"case": e.Case, "milliseconds": time.Since(started).Milliseconds()})
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: expected an end within %v, got none", e.Case, e.Timeout)
	}
}

func main() {
	settings, err := contract.Read(os.LookupEnv)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		e := &endpoint{
			Settings: settings,
			ready:    func(net.Addr) { fmt.Println("READY") },
			result: func(measured map[string]interface{}) {
				text, _ := json.Marshal(measured) // a map of numbers and texts always has a JSON form
				fmt.Printf("RESULT %s\n", text)
			},
			logf: func(format string, arguments ...interface{}) { fmt.Fprintf(os.Stderr, format+"\n", arguments...) },
		}
		err = e.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(contract.ExitStatus(err))
}
