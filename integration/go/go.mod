module interop-go

go 1.19

require github.com/gorilla/websocket v1.5.0

// Debian's golang-github-gorilla-websocket-dev: nothing is downloaded, and there is no checksum to keep.
replace github.com/gorilla/websocket => /usr/share/gocode/src/github.com/gorilla/websocket
