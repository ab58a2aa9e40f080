//go:build !unix

package source

func isReadOnly(error) bool { return false }
