package source

import (
	"encoding/json"
	"os"
	"time"
)

// Refusal is a generation that a node has not put into effect, and why.
type Refusal struct {
	Number uint64    `json:"number"`
	Digest Digest    `json:"digest"` // of the manifest
	At     time.Time `json:"at"`
	Errors []string  `json:"errors"`
}

// Refuse writes refused/000043.json, for people and commands.
func (k *Keep) Refuse(r Refusal) error {
	if err := os.MkdirAll(k.join("refused"), 0o700); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	k.ForgetRefused()
	return writeBytes(k.join("refused", numbered(r.Number)+".json"), append(data, '\n'), os.Rename)
}

// ForgetRefused removes the files of refused generations: a newer one is in effect.
func (k *Keep) ForgetRefused() {
	entries, _ := os.ReadDir(k.join("refused")) // without any, nothing is to be removed
	for _, e := range entries {
		_ = os.Remove(k.join("refused", e.Name()))
	}
}
