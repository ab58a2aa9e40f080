package statussocket

import (
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Report is what the socket answers, as JSON. It holds no user, no certificate of a caller
// and no key.
type Report struct {
	At         time.Time      `json:"at"` // by the server's clock
	PID        int            `json:"pid"`
	Config     string         `json:"config"` // the path of mtlsguard.yaml, as the server opened it
	Ready      bool           `json:"ready"`
	NotReady   []string       `json:"not_ready,omitempty"`
	Degraded   []string       `json:"degraded,omitempty"`
	Generation uint64         `json:"generation"`
	Since      time.Time      `json:"since"`            // when the generation took effect
	Failed     []ConfigError  `json:"failed,omitempty"` // of the last reload; empty if it succeeded
	Ports      []Port         `json:"ports"`
	Ends       []End          `json:"ends"` // the earliest first
	Gateways   map[string]int `json:"gateways,omitempty"`
	Services   map[string]int `json:"services,omitempty"`
	LogDropped uint64         `json:"log_dropped,omitempty"`
	Shadow     *Shadow        `json:"shadow,omitempty"` // nil: no decision is compared with Casbin's
	Source     *Source        `json:"source,omitempty"` // nil: all files are on disk
}

// Source is the state of the source of a fleet.
type Source struct {
	Fleet         string        `json:"fleet"`
	Number        uint64        `json:"number"` // of the generation in effect
	Author        string        `json:"author"`
	At            time.Time     `json:"at"`              // when its author wrote it
	Heard         *time.Time    `json:"heard,omitempty"` // nil: not since the start
	Connected     bool          `json:"connected"`
	Error         string        `json:"error,omitempty"`
	Refused       uint64        `json:"refused,omitempty"`
	RefusedErrors []ConfigError `json:"refused_errors,omitempty"`
}

// Port is the state of one port. The counters begin when the server starts.
type Port struct {
	Name        string                   `json:"name"`
	Addr        string                   `json:"addr,omitempty"`
	Connections int                      `json:"connections"`
	Allowed     uint64                   `json:"allowed"` // requests
	Refused     map[reason.Reason]uint64 `json:"refused,omitempty"`
	Handshakes  map[reason.Reason]uint64 `json:"handshakes_refused,omitempty"`
	Failed      uint64                   `json:"handshakes_failed,omitempty"` // ended by the client or the network
}

// End is when a certificate, an anchor or a CRL of a port ends.
type End struct {
	What        string     `json:"what"`
	At          time.Time  `json:"at"`
	File        string     `json:"file,omitempty"`
	LastFetched *time.Time `json:"last_fetched,omitempty"` // of a CRL that is fetched; nil: not since the start
	NextFetch   *time.Time `json:"next_fetch,omitempty"`   // nil: it is not fetched
}

// ConfigError is one error of a reload.
type ConfigError struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	What   string `json:"what"`
	Hint   string `json:"hint,omitempty"`
}

// Shadow counts the decisions that were compared with Casbin's.
type Shadow struct {
	Checked   uint64 `json:"checked"`
	Different uint64 `json:"different"`
	LeftOut   uint64 `json:"left_out"`
}
