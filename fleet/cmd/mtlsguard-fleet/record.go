package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/source"
)

// recordName is the file in a folder that names the generation whose changes the folder has. A name
// with a dot is part of no generation.
const recordName = ".mtlsguard-fleet"

// record is the content of the file.
type record struct {
	Fleet  string        `json:"fleet"`
	Number uint64        `json:"number"` // 0: none
	Digest source.Digest `json:"digest,omitzero"`
}

func recordPath(folder string) string { return filepath.Join(folder, recordName) }

// readRecord returns the record of a folder, or nil if it has none.
func readRecord(folder string) (*record, error) {
	data, err := os.ReadFile(recordPath(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var r record
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return nil, &configerror.Error{File: recordPath(folder), What: "it does not name a generation: " + err.Error(), Hint: "remove it: the next push is a change of the newest generation then"}
	}
	return &r, nil
}

// writeRecord writes the record of a folder. A folder that cannot be written, such as a checkout of
// a build server, has none.
func writeRecord(folder string, g *source.Generation) {
	var r record
	if g != nil {
		r = record{g.Manifest.Fleet, g.Manifest.Number, g.Digest()}
	}
	if data, err := json.Marshal(r); err == nil {
		_ = os.WriteFile(recordPath(folder), append(data, '\n'), 0o644) // the next push takes the newest
	}
}
