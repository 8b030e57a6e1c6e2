// Package vectors gives tests the recorded bytes of spec/vectors.
package vectors

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Read parses a file. It lies beside the module in the tree; INTEROP_VECTORS names another directory.
func Read(t *testing.T, name string, into interface{}) {
	t.Helper()
	directory := os.Getenv("INTEROP_VECTORS")
	if directory == "" {
		directory = filepath.Join("..", "..", "..", "spec", "vectors")
	}
	text, err := os.ReadFile(filepath.Join(directory, name))
	if err != nil {
		t.Fatal(err)
	}
	if err = json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// Bytes reads hex.
func Bytes(t *testing.T, text string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
