package prom

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mtlsguard/mtlsguard"
)

// The metrics that are read from a server at each scrape. Expiry is exported as a time: the
// query subtracts the current time, so the remaining time is exact when it is read.
var (
	ready           = newDesc("ready", "1 if the server is ready for callers, otherwise 0.")
	degraded        = newDesc("degraded", "1 if the last reload failed or a CRL is late, otherwise 0.")
	reloadFailed    = newDesc("reload_failed", "1 if the last reload failed and an older configuration is in effect, otherwise 0.")
	generation      = newDesc("generation", "The number of configurations that have taken effect since the start.")
	generationTime  = newDesc("generation_timestamp_seconds", "When the current configuration took effect.")
	logDropped      = newDesc("log_dropped_total", "Log lines dropped because the log was too slow, or failed.")
	shadowChecked   = newDesc("shadow_checked_total", "Decisions that Casbin checked again, since the current configuration took effect.")
	shadowDifferent = newDesc("shadow_different_total", "Decisions that Casbin decides differently.")
	connections     = newDesc("connections", "Open connections.", "port")
	serverNotAfter  = newDesc("server_certificate_not_after_timestamp_seconds", "When the certificate that the port presents expires.", "port")
	anchorNotAfter  = newDesc("anchor_not_after_timestamp_seconds", "When the first of the port's trust anchors expires.", "port")
	anchors         = newDesc("anchors", "The number of the port's trust anchors.", "port")
	crlUpdate       = newDesc("crl_next_update_timestamp_seconds", "The earliest next update of the CRLs that the port needs.", "port")
	fileTime        = newDesc("file_timestamp_seconds", "When the current content of the file took effect.", "file")
	fileGeneration  = newDesc("file_generation", "The generation in which the current content of the file took effect.", "file")
	sourceNumber    = newDesc("source_number", "The number of the fleet's generation in effect.")
	sourceHeard     = newDesc("source_heard_timestamp_seconds", "When the source of the fleet answered last.")
	sourceConnected = newDesc("source_connected", "1 if the last answer of the source was no error, otherwise 0.")
	sourceRefused   = newDesc("source_refused", "The number of the newest generation if this node refused it, otherwise 0.")
)

var descriptions []*prometheus.Desc

// newDesc returns the description of a metric, and adds it to descriptions.
func newDesc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("mtlsguard_"+name, help, labels, nil)
	descriptions = append(descriptions, d)
	return d
}

// collectServer sends the metrics of a server.
func collectServer(s *mtlsguard.Server, out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { send(d, prometheus.GaugeValue, v, labels...) }
	count := func(d *prometheus.Desc, v uint64) { send(d, prometheus.CounterValue, float64(v)) }
	at := func(d *prometheus.Desc, t time.Time, labels ...string) {
		if !t.IsZero() {
			gauge(d, float64(t.UnixMilli())/1000, labels...)
		}
	}
	status, inventory := s.Status(), s.Inventory()
	gauge(ready, boolValue(status.Ready()))
	gauge(degraded, boolValue(len(status.Degraded) > 0))
	gauge(reloadFailed, boolValue(len(status.Failed) > 0))
	gauge(generation, float64(status.Generation))
	at(generationTime, status.Since)
	count(logDropped, status.Dropped)
	count(shadowChecked, status.Shadow.Checked)
	count(shadowDifferent, status.Shadow.Different)
	if source := status.Source; source != nil {
		gauge(sourceNumber, float64(source.Number))
		at(sourceHeard, source.Heard)
		gauge(sourceConnected, boolValue(source.Connected))
		gauge(sourceRefused, float64(source.Refused))
	}
	for _, p := range status.Ports {
		gauge(connections, float64(p.Connections), p.Name)
	}
	for _, p := range inventory.Ports {
		at(serverNotAfter, p.CertificateNotAfter, p.Name)
		gauge(anchors, float64(len(p.Anchors)), p.Name)
		if len(p.Anchors) > 0 {
			at(anchorNotAfter, p.Anchors[0].NotAfter, p.Name)
		}
		at(crlUpdate, p.FreshUntil, p.Name)
	}
	for _, f := range inventory.Files {
		name := labelValue(f.Name)
		at(fileTime, f.Since, name)
		gauge(fileGeneration, float64(f.Generation), name)
	}
}

// labelValue returns a file's name as UTF-8. A file system accepts other names, and one of
// them would make the whole scrape fail.
func labelValue(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
