// Package adminfile gives package admin the block admin of a server's file.
package adminfile

// Settings are the settings of the block admin that is in effect. The zero value stands for a
// file without one.
type Settings struct {
	Title string
	Edit  bool
}

// OfServer returns the settings of a *mtlsguard.Server. Package mtlsguard sets it.
var OfServer func(server any) Settings
