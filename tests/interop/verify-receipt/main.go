// Verifies a receipt with the Go ecosystem's own packages: none of Cairn's code takes part.
//
//	go run . FILE.tlog-proof ENTRY VKEY-FILE
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/formats/proof"
	merkleproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: verify-receipt FILE.tlog-proof ENTRY VKEY-FILE")
		os.Exit(2)
	}
	checkpoint, err := verify(read(os.Args[1]), read(os.Args[2]), string(read(os.Args[3])))
	if err != nil {
		fmt.Fprintln(os.Stderr, "REFUSED:", err)
		os.Exit(1)
	}
	fmt.Printf("verified by Go: the entry is in %s, size %d\n", checkpoint.Origin, checkpoint.Size)
}

func verify(receipt, entry []byte, vkeys string) (*log.Checkpoint, error) {
	var p proof.TLogProof
	if err := p.Unmarshal(receipt); err != nil {
		return nil, err
	}
	// The first key is the log's Ed25519 key, the only kind that package note knows.
	key, _, _ := strings.Cut(vkeys, "\n")
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	checkpoint, _, _, err := log.ParseCheckpoint(p.Checkpoint, verifier.Name(), verifier)
	if err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(p.Hashes))
	for i := range p.Hashes {
		hashes[i] = p.Hashes[i][:]
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(entry)
	return checkpoint, merkleproof.VerifyInclusion(
		rfc6962.DefaultHasher, p.Index, checkpoint.Size, leaf, hashes, checkpoint.Hash)
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return data
}
