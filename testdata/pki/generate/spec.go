package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"
)

const specFile = "pki.yaml"

// spec is pki.yaml, which documents its keys.
type spec struct {
	Certificates []certificate `yaml:"certificates"`
	CRLs         []list        `yaml:"crls"`
}

type certificate struct {
	Name      string    `yaml:"name"`
	Issuer    string    `yaml:"issuer"`
	Subject   []string  `yaml:"subject"`
	Key       string    `yaml:"key"`
	CA        bool      `yaml:"ca"`
	Usage     []string  `yaml:"usage"` // nil: default
	EKU       []string  `yaml:"eku"`   // nil: default; empty: none
	DNS       []string  `yaml:"dns"`
	URI       []string  `yaml:"uri"`
	Email     []string  `yaml:"email"`
	IP        []string  `yaml:"ip"`
	NotBefore time.Time `yaml:"not_before"`
	NotAfter  time.Time `yaml:"not_after"`
	Spoil     spoil     `yaml:"spoil"`

	// For the test; they do not change the files.
	Anchors []string `yaml:"anchors"`
	CRLs    []string `yaml:"crls"`
	Expect  string   `yaml:"expect"`
}

type spoil struct {
	Version    int    `yaml:"version"`
	SHA1       bool   `yaml:"sha1"`
	Critical   bool   `yaml:"critical"`
	BMP        bool   `yaml:"bmp"`
	KeyIDOf    string `yaml:"key_id_of"`
	Names      int    `yaml:"names"`
	Attributes int    `yaml:"attributes"`
	CNBytes    int    `yaml:"cn_bytes"`
	Size       int    `yaml:"size"`
}

type list struct {
	File       string    `yaml:"file"`
	Issuer     string    `yaml:"issuer"`
	SignedBy   string    `yaml:"signed_by"`
	Revokes    []string  `yaml:"revokes"`
	ThisUpdate time.Time `yaml:"this_update"`
	NextUpdate time.Time `yaml:"next_update"`
	DER        bool      `yaml:"der"`
}

var (
	begin = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = time.Date(2124, 1, 1, 0, 0, 0, 0, time.UTC)
)

func readSpec(dir string) (spec, error) {
	data, err := os.ReadFile(filepath.Join(dir, specFile))
	if err != nil {
		return spec{}, err
	}
	var s spec
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true) // a misspelt fault would make a valid certificate
	if err := d.Decode(&s); err != nil {
		return spec{}, fmt.Errorf("%s: %w", specFile, err)
	}
	for i := range s.Certificates {
		s.Certificates[i].fill()
	}
	for i := range s.CRLs {
		s.CRLs[i].fill()
	}
	return s, nil
}

// fill sets the defaults.
func (c *certificate) fill() {
	if c.Subject == nil {
		c.Subject = []string{"CN=" + c.Name, "OU=Staff", "O=Acme"}
	}
	if c.Key == "" {
		c.Key = "p256"
	}
	if c.Usage == nil {
		c.Usage = []string{"digitalSignature"}
		if c.CA {
			c.Usage = []string{"certSign", "crlSign"}
		}
	}
	if c.EKU == nil && !c.CA {
		c.EKU = []string{"client"}
	}
	c.NotBefore, c.NotAfter = or(c.NotBefore, begin), or(c.NotAfter, end)
}

func (l *list) fill() {
	if l.SignedBy == "" {
		l.SignedBy = l.Issuer
	}
	l.ThisUpdate, l.NextUpdate = or(l.ThisUpdate, begin), or(l.NextUpdate, end)
}

func or(t, instead time.Time) time.Time {
	if t.IsZero() {
		return instead
	}
	return t
}
