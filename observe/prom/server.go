package prom

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mtlsguard/mtlsguard"
)

// What is read from a server when Prometheus asks. Times are exported as such: what
// is left of them is a subtraction in the query, and right whenever it is made.
var (
	ready          = describe("ready", "Whether callers should be sent here: 1, or 0.")
	reloadFailed   = describe("reload_failed", "Whether the last reload failed and an older configuration is in force: 1, or 0.")
	generation     = describe("generation", "The configurations that came into force since the start.")
	generationTime = describe("generation_timestamp_seconds", "When the configuration in force came into force.")
	logDropped     = describe("log_dropped_total", "Log lines that the log was too slow for.")
	shadowChecked  = describe("shadow_checked_total", "Decisions that Casbin was asked about again, since the configuration in force is.")
	shadowDiffers  = describe("shadow_different_total", "Decisions of these that Casbin makes otherwise.")
	connections    = describe("connections", "Open connections.", "port")
	serverEnd      = describe("server_certificate_not_after_timestamp_seconds", "When the certificate that the port shows ends.", "port")
	anchorEnd      = describe("anchor_not_after_timestamp_seconds", "When the first of the port's anchors ends.", "port")
	anchors        = describe("anchors", "The anchors of the port.", "port")
	crlUpdate      = describe("crl_next_update_timestamp_seconds", "The earliest next update of the CRLs that the port needs.", "port")
	fileTime       = describe("file_timestamp_seconds", "When what the file says came into force.", "file")
	fileGeneration = describe("file_generation", "The configuration that what the file says came into force with.", "file")
)

var described []*prometheus.Desc

func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("mtlsguard_"+name, help, labels, nil)
	described = append(described, d)
	return d
}

func collect(s *mtlsguard.Server, out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { send(d, prometheus.GaugeValue, v, labels...) }
	count := func(d *prometheus.Desc, v uint64) { send(d, prometheus.CounterValue, float64(v)) }
	at := func(d *prometheus.Desc, t time.Time, labels ...string) {
		if !t.IsZero() { // there is none
			gauge(d, float64(t.UnixMilli())/1000, labels...)
		}
	}
	status, inventory := s.Status(), s.Inventory()
	gauge(ready, oneIf(status.Ready()))
	gauge(reloadFailed, oneIf(len(status.Failed) > 0))
	gauge(generation, float64(status.Generation))
	at(generationTime, status.Since)
	count(logDropped, status.Dropped)
	count(shadowChecked, status.Shadow.Checked)
	count(shadowDiffers, status.Shadow.Different)
	for _, p := range status.Ports {
		gauge(connections, float64(p.Connections), p.Name)
	}
	for _, p := range inventory.Ports {
		at(serverEnd, p.CertificateNotAfter, p.Name)
		gauge(anchors, float64(len(p.Anchors)), p.Name)
		if len(p.Anchors) > 0 {
			at(anchorEnd, p.Anchors[0].NotAfter, p.Name)
		}
		at(crlUpdate, p.FreshUntil, p.Name)
	}
	for _, f := range inventory.Files {
		name := label(f.Name)
		at(fileTime, f.Since, name)
		gauge(fileGeneration, float64(f.Generation), name)
	}
}

// label is a file's name as a label, which must be UTF-8. A file system does not ask
// for that, and one such name would cost the whole scrape.
func label(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
