package address

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAddressesComeApartAsThePageSays(t *testing.T) {
	tcp := []string{"tcp"}
	for text, want := range map[string]Address{
		"localhost:9090":                       {Layers: tcp, Host: "localhost", Port: "9090"},
		":9090":                                {Layers: tcp, Port: "9090"},
		"[::1]:9090/x?a=b://c":                 {Layers: tcp, Host: "::1", Port: "9090", Path: "/x"},
		"tcp://127.0.0.1:0":                    {Layers: tcp, Host: "127.0.0.1", Port: "0"},
		"tcp://":                               {Layers: tcp},
		"tcp://[0:0:0:0:0:0:0:1]:80":           {Layers: tcp, Host: "::1", Port: "80"},
		"tcp://[2001:DB8::7]":                  {Layers: tcp, Host: "2001:db8::7"},
		"tcp://[fe80::1%25eth0]:80":            {Layers: tcp, Host: "fe80::1", Zone: "eth0", Port: "80"},
		"tcp://[fe80::1%eth0]:80":              {Layers: tcp, Host: "fe80::1", Zone: "eth0", Port: "80"},
		"tcp://[fe80::1%25]:80":                {Layers: tcp, Host: "fe80::1", Zone: "25", Port: "80"},
		"unix:///run/app.sock?mode=0660":       {Layers: []string{"unix"}, Path: "/run/app.sock"},
		"unix://@name":                         {Layers: []string{"unix"}, Path: "@name"},
		"tls+unix:///run/a%20b":                {Layers: []string{"tls", "unix"}, Path: "/run/a b"},
		"link+snet+tls://g.example:7001/42":    {Layers: []string{"link", "snet", "tls"}, Host: "g.example", Port: "7001", Path: "/42"},
		"route+kcp://g:7790/1.2.3.4:9?fec=1,3": {Layers: []string{"route", "kcp"}, Host: "g", Port: "7790", Path: "/1.2.3.4:9"},
		"route+tcp://g:7788/[::1]:9000":        {Layers: []string{"route", "tcp"}, Host: "g", Port: "7788", Path: "/[::1]:9000"},
		"ws://h/a%2Fb?query=x%3D1%26y":         {Layers: []string{"ws"}, Host: "h", Path: "/a/b"},
		"tcp://h:65535":                        {Layers: tcp, Host: "h", Port: "65535"},
		"tcp://h:1/a&b=c":                      {Layers: tcp, Host: "h", Port: "1", Path: "/a&b=c"},
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got.query = nil
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestWhatThePageRefusesIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "localhost", "/run/app.sock", "TCP://h:1", "tcp+://h:1", "9p://h:1", "tcp://h:65536", "tcp://h:080", "tcp://h:", "tcp://::1:80",
		"tcp://[::1]80", "tcp://[::1", "tcp://[1.2.3.4]:80", "tcp://[::1%25a/b]:80", "tcp://user@h:80", "tcp://h%41:80", "tcp://h:1/a b",
		"tcp://h:1/a#b", "tcp://h:1/%0a", "tcp://h:1/%7f", "tcp://h:1/%4", "tcp://h:1?", "tcp://h:1?a", "tcp://h:1?=1", "tcp://h:1?a=1&",
		"tcp://h:1?a=%zz", "unix://", "unix://@", "unix://host/run/a", "tls+unix://h:1",
		"tcp://h:1/" + strings.Repeat("x", longest), "tcp://" + strings.Repeat("x", longestName+1) + ":1",
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
	for _, text := range []string{"tcp://h:1/" + strings.Repeat("x", longest-10), "tcp://" + strings.Repeat("x", longestName) + ":1"} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}

func value(t *testing.T, text string) *Address {
	parsed, err := Parse("tcp://h:1?x=" + strings.ReplaceAll(text, " ", "%20"))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestValuesHaveTheKindsOfThePage(t *testing.T) {
	for text, want := range map[string]bool{"0": false, "1": true, "false": false, "true": true} {
		if got, err := value(t, text).Flag("x", !want); err != nil || got != want {
			t.Errorf("flag %s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]time.Duration{
		"0": 0, "30s": 30 * time.Second, "1.5s": 1500 * time.Millisecond, "1h2m": 62 * time.Minute, ".5s": 500 * time.Millisecond, "0s": 0,
	} {
		if got, err := value(t, text).Duration("x", time.Hour); err != nil || got != want {
			t.Errorf("time %s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]int64{"0": 0, "1000": 1000, "64KiB": 64 << 10, "2GiB": 2 << 30, "1TiB": 1 << 40} {
		if got, err := value(t, text).Size("x", 5); err != nil || got != want {
			t.Errorf("size %s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yes", "TRUE", "01", ""} {
		if _, err := value(t, text).Flag("x", false); err == nil {
			t.Errorf("%q is a flag", text)
		}
	}
	for _, text := range []string{"30", "-1s", "1 s", "1d", "s", "1.s2", ""} {
		if _, err := value(t, text).Duration("x", 0); err == nil {
			t.Errorf("%q is a time", text)
		}
	}
	for _, text := range []string{"64k", "64KB", "1.5MiB", "-1", "KiB", "+1", "", "9000000TiB"} {
		if _, err := value(t, text).Size("x", 0); err == nil {
			t.Errorf("%q is a size", text)
		}
	}
	absent := value(t, "1+2")
	flag, _ := absent.Flag("y", true)
	size, _ := absent.Size("y", 7)
	after, _ := absent.Duration("y", 9)
	if absent.Text("x", "") != "1+2" || absent.Text("y", "z") != "z" || !flag || size != 7 || after != 9 {
		t.Error("texts, and what is absent")
	}
}
