// Package statussocket gives the status of a running server to commands on the same machine,
// over a unix socket that only its owner can connect to.
//
// The server reads nothing: a connection gets one JSON document, and is closed. A peer can
// neither ask for anything nor change anything.
package statussocket

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
)

const (
	writeTimeout = time.Second     // for a peer that does not read
	maxPeers     = 8               // at a time; others wait in the kernel's queue
	maxReport    = 8 << 20         // bytes that Read reads
	lockTimeout  = 2 * time.Second // for other servers that start or end; each takes milliseconds
)

// Socket is an open socket.
type Socket struct {
	path     string
	listener *net.UnixListener
	made     fs.FileInfo
	done     sync.WaitGroup
}

// Listen makes a socket with mode 0600 and answers every connection with the report. A socket
// that a dead server left behind is replaced. One of a running server, and any other file,
// is an error.
func Listen(path string, report func() *Report) (*Socket, error) {
	s := &Socket{path: path}
	unlock, err := lockFolder(filepath.Dir(path), lockTimeout)
	if err != nil {
		return nil, socketError(path, "cannot be made: "+err.Error(), "name a file in a folder that the server may write to")
	}
	defer unlock() // two servers that start together do not replace each other's socket
	if err := checkFree(path); err != nil {
		return nil, err
	}
	if err := s.create(); err != nil {
		return nil, socketError(path, "cannot be made: "+err.Error(), "name a file in a folder that the server may write to; the path of a socket has at most about 90 bytes")
	}
	s.done.Go(func() { s.serve(report) })
	return s, nil
}

// socketError returns an error about the socket at a path.
func socketError(path, what, hint string) error {
	return &configerror.Error{File: path, What: "the status socket " + what, Hint: hint}
}

// checkFree reports a path that another server or another file has.
func checkFree(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return socketError(path, "cannot be made: "+err.Error(), "name a file in a folder that the server may write to")
	case info.Mode().Type() != fs.ModeSocket:
		return socketError(path, "cannot be made: this file is not a socket", "name a file that does not exist")
	}
	c, err := net.DialTimeout("unix", path, writeTimeout)
	if err == nil {
		c.Close()
	}
	if !isRefused(err) {
		return socketError(path, "is that of a running server", "stop that server, or name another file")
	}
	return nil
}

// create binds the socket in a new folder that no other user can enter, and moves it to its
// path when it has its mode. Otherwise another user could connect before the mode is set.
func (s *Socket) create() error {
	dir, err := os.MkdirTemp(filepath.Dir(s.path), ".s")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	private := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false) // it would remove the socket of another server
	err = os.Chmod(private, 0o600)
	if err == nil {
		s.made, err = os.Lstat(private)
	}
	if err == nil {
		err = os.Rename(private, s.path)
	}
	if err != nil {
		l.Close()
		os.Remove(private)
		return err
	}
	s.listener = l
	return nil
}

// serve answers connections until the socket is closed.
func (s *Socket) serve(report func() *Report) {
	places := make(chan struct{}, maxPeers)
	for {
		places <- struct{}{}
		c, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(100 * time.Millisecond) // such as no file descriptor: try again
			<-places
			continue
		}
		s.done.Go(func() {
			defer func() { <-places }()
			defer c.Close()
			r := safely(report)
			if r == nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(writeTimeout)) // a busy server takes its time before
			_ = json.NewEncoder(c).Encode(r)                // nothing to do for a peer that is gone
		})
	}
}

// safely calls report. A panic, such as of the program's clock, must not end the process: the
// peer gets no answer.
func safely(report func() *Report) (r *Report) {
	defer func() {
		if v := recover(); v != nil {
			slog.Error("the status panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			r = nil
		}
	}()
	return report()
}

// Close ends all connections and removes the socket, unless another file has its place.
func (s *Socket) Close() {
	s.listener.Close()
	// A socket without a lock to remove it under is left behind: the next server replaces it.
	if unlock, err := lockFolder(filepath.Dir(s.path), lockTimeout); err == nil {
		s.remove()
		unlock()
	}
	s.done.Wait()
}

// remove removes the socket. The caller has locked its folder: between the look and the removal
// a server that starts could replace it.
func (s *Socket) remove() {
	info, err := os.Lstat(s.path)
	if err == nil && os.SameFile(info, s.made) && info.ModTime().Equal(s.made.ModTime()) { // a new file may have the number of a removed one
		os.Remove(s.path)
	}
}

// Read returns the report of the server at a socket.
func Read(path string) (*Report, error) {
	c, err := net.DialTimeout("unix", path, 2*writeTimeout)
	switch {
	case isRefused(err):
		return nil, socketError(path, "has no server: it was left behind", "start the server again")
	case errors.Is(err, fs.ErrNotExist):
		return nil, socketError(path, "does not exist", "start the server with a status socket: mtlsguard.Options.StatusSocket, or -status FILE of examples/server")
	case errors.Is(err, fs.ErrPermission):
		return nil, socketError(path, "belongs to another user", "run the command as the user of the server")
	case err != nil:
		return nil, socketError(path, "cannot be read: "+err.Error(), "name the socket of the server's -status FILE")
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * writeTimeout))
	var out Report
	if err := json.NewDecoder(io.LimitReader(c, maxReport)).Decode(&out); err != nil {
		return nil, socketError(path, fmt.Sprintf("gives no status: %v", err), "name the socket of the server's -status FILE; command and server must be of the same version")
	}
	return &out, nil
}
