//go:build race

package e2e

func init() { fleetSize = 20 } // the race detector makes a hundred nodes of one process too slow
