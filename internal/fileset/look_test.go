package fileset

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// folder is a folder of real files. It counts how often each is opened.
type folder struct {
	*testing.T
	dir    string
	opened map[string]int
	most   int                           // the most bytes of one Read
	wrong  func(fs.FileInfo) fs.FileInfo // what the file system says instead of the truth; nil: the truth
}

func newFolder(t *testing.T) *folder {
	return &folder{T: t, dir: t.TempDir(), opened: map[string]int{}}
}

func (d *folder) Open(name string) (fs.File, error) {
	file, err := os.DirFS(d.dir).Open(name)
	if err == nil {
		d.opened[name]++
	}
	return openFile{file, d}, err
}

func (d *folder) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(os.DirFS(d.dir), name)
	return d.info(info), err
}

func (d *folder) info(info fs.FileInfo) fs.FileInfo {
	if d.wrong != nil && info != nil {
		return d.wrong(info)
	}
	return info
}

type openFile struct {
	fs.File
	d *folder
}

func (f openFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return f.d.info(info), err
}

func (f openFile) Read(p []byte) (int, error) {
	f.d.most = max(f.d.most, len(p))
	return f.File.Read(p)
}

func (f openFile) ReadDir(n int) ([]fs.DirEntry, error) { return f.File.(fs.ReadDirFile).ReadDir(n) }

func (d *folder) path(name string) string { return filepath.Join(d.dir, name) }

// put writes a file in place.
func (d *folder) put(name, content string) {
	d.Helper()
	d.must(os.WriteFile(d.path(name), []byte(content), 0o600))
}

func (d *folder) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// tick waits until a change gets a later time than the last change of a file.
func (d *folder) tick(name string) {
	d.Helper()
	changed := func(name string) int64 {
		info, err := os.Stat(d.path(name))
		d.must(err)
		s, _ := stampOf(info)
		return max(s.changed, s.modified)
	}
	testkit.Eventually(d, "the clock of the file system moves", func() bool {
		d.put("probe", "x")
		return changed("probe") > changed(name)
	})
}

// reader returns a Reader to which every file is old, as if it had been written long ago.
func (d *folder) reader(names ...string) *Reader {
	d.Helper()
	f := New(d)
	f.now = func() time.Time { return time.Now().Add(10 * time.Second) }
	for _, name := range names {
		if _, err := f.Get(name); err != nil {
			d.Fatal(err)
		}
	}
	clear(d.opened)
	return f
}

// needsStamps skips a test on systems whose files have no change time.
func needsStamps(t *testing.T) {
	info, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := stampOf(info); !ok {
		testkit.Skip(t, "this system has no change times")
	}
}

// A file whose stamp is old and unchanged is not opened, neither to look for changes nor by the
// next Reader.
func TestUnchangedFilesAreNotRead(t *testing.T) {
	t.Parallel()
	needsStamps(t)
	d := newFolder(t)
	d.put("a", "1\n")
	d.put("b", "2\n")
	f := d.reader("a", "b")
	if f.Changed() || !f.Again().Same(f.Read) {
		t.Error("nothing has changed")
	}
	next := f.Next(false)
	for _, name := range []string{"a", "b"} {
		if digest, err := next.Digest(name); err != nil || digest != f.Read[name].Digest {
			t.Error(name, err)
		}
	}
	if len(d.opened) > 0 {
		t.Error("opened:", d.opened)
	}
	if data, err := next.Get("a"); string(data) != "1\n" || err != nil || d.opened["a"] != 1 || d.opened["b"] != 0 {
		t.Errorf("%q, %v, opened %v", data, err, d.opened)
	}
	if next.Changed() || len(d.opened) > 1 {
		t.Error("changed, or read again:", d.opened)
	}
}

// Every change of content is a change of the stamp, whatever size and date say.
func TestChangedContentIsNoticed(t *testing.T) {
	t.Parallel()
	needsStamps(t)
	date := time.Now().Add(-time.Hour).Truncate(time.Second)
	// prepare writes another file with the same size and date.
	prepare := func(d *folder, name string) {
		d.put(name, "new\n")
		d.must(os.Chtimes(d.path(name), date, date))
	}
	for what, change := range map[string]func(d *folder){
		"written in place, with its old date": func(d *folder) { prepare(d, "file") },
		"replaced by a file with the same size and date": func(d *folder) {
			prepare(d, "other")
			d.must(os.Rename(d.path("other"), d.path("file")))
		},
		"replaced by a hard link": func(d *folder) {
			prepare(d, "other")
			d.must(os.Link(d.path("other"), d.path("link")))
			d.must(os.Rename(d.path("link"), d.path("file")))
		},
		"written through another hard link": func(d *folder) {
			d.must(os.Link(d.path("file"), d.path("link")))
			prepare(d, "link")
		},
		"longer": func(d *folder) { d.put("file", "longer\n") },
		"empty":  func(d *folder) { d.put("file", "") },
		"gone":   func(d *folder) { d.must(os.Remove(d.path("file"))) },
		"a folder": func(d *folder) {
			d.must(os.Remove(d.path("file")))
			d.must(os.Mkdir(d.path("file"), 0o700))
		},
		"removed and made again": func(d *folder) {
			d.must(os.Remove(d.path("file"))) // the next file may get its inode
			prepare(d, "file")
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := newFolder(t)
			d.put("file", "old\n")
			d.must(os.Chtimes(d.path("file"), date, date))
			f := d.reader("file")
			if !f.Read["file"].sure {
				t.Fatal("the stamp is not sure: the test would show nothing")
			}
			d.tick("file")
			change(d)
			next := f.Next(false)
			_, _ = next.Get("file")
			if got, fresh := next.Read["file"], New(d).load("file"); got.Digest != fresh.Digest || string(got.Data) != string(fresh.Data) {
				t.Errorf("the next Reader has %q, %v", got.Data, got.Err)
			}
			if f.Again().Same(f.Read) || !f.Changed() {
				t.Error("the change was not noticed")
			}
		})
	}
}

// A mounted volume changes by one symbolic link: the file behind it counts.
func TestSwapOfAMountedVolumeIsNoticed(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	date := time.Now().Add(-time.Hour)
	for _, version := range []string{"..1", "..2"} {
		d.must(os.Mkdir(d.path(version), 0o700))
		d.put(version+"/file", version+"\n")
		d.must(os.Chtimes(d.path(version+"/file"), date, date))
	}
	d.must(os.Symlink("..1", d.path("..data")))
	d.must(os.Symlink("..data/file", d.path("file")))
	f := d.reader("file")
	d.must(os.Symlink("..2", d.path("..new")))
	d.must(os.Rename(d.path("..new"), d.path("..data")))
	if !f.Changed() {
		t.Error("the swap was not noticed")
	}
}

// A file that changed just before it was read can change again without another stamp: it is
// read until its stamp is sure, and not any more after that.
func TestYoungFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	date := time.Now().Add(-time.Hour)
	d.put("file", "0\n")
	f := New(d)
	for _, content := range strings.Split(strings.Repeat("12", 50), "") { // within a few ticks of the file system's clock
		if _, err := f.Get("file"); err != nil {
			t.Fatal(err)
		}
		d.put("file", content+"\n")
		d.must(os.Chtimes(d.path("file"), date, date))
		if !f.Changed() {
			t.Fatal("a change within a tick was not noticed")
		}
		f = f.Next(false)
	}
	needsStamps(t)
	f = New(d)
	if _, err := f.Get("file"); err != nil {
		t.Fatal(err)
	}
	clear(d.opened)
	for i := 1; i <= 3; i++ {
		if f.Changed() || d.opened["file"] != i {
			t.Errorf("look %d at a young file: opened %d times", i, d.opened["file"])
		}
	}
	f.now = func() time.Time { return time.Now().Add(granularity + time.Second) }
	for range 3 {
		if f.Changed() || d.opened["file"] != 4 {
			t.Errorf("an old file was opened %d times", d.opened["file"])
		}
	}
}

// A stamp is sure if neither time is near the reading, and the change time not after it.
func TestStampNearTheReadingIsUnsure(t *testing.T) {
	t.Parallel()
	read := time.Unix(1_000_000, 0)
	at := func(d time.Duration) int64 { return read.Add(d).UnixNano() }
	for _, row := range []struct {
		modified, changed int64
		want              bool
	}{
		{at(-time.Hour), at(-time.Hour), true},
		{at(-granularity - 1), at(-granularity - 1), true},
		{at(-time.Hour), at(-granularity), false},
		{at(-granularity), at(-time.Hour), false},
		{at(0), at(0), false},
		{at(time.Hour), at(-time.Hour), true}, // touch -d
		{at(granularity), at(-time.Hour), false},
		{at(-time.Hour), at(time.Hour), false}, // the clock was set
		{at(-time.Hour), 0, false},             // no change time
	} {
		if got := (stamp{modified: row.modified, changed: row.changed}).isSure(read); got != row.want {
			t.Errorf("modified %d, changed %d: %v, want %v", row.modified, row.changed, got, row.want)
		}
	}
}

// A file system whose stamps are wrong is read whole once a minute. A file that was found
// changed behind its stamp is read at every look from then on.
func TestWrongStampsAreFoundWithinAMinute(t *testing.T) {
	t.Parallel()
	needsStamps(t)
	d := newFolder(t)
	d.put("file", "1\n")
	first, err := os.Stat(d.path("file"))
	d.must(err)
	d.wrong = func(info fs.FileInfo) fs.FileInfo {
		if info.Name() == "file" {
			return first
		}
		return info
	}
	f := d.reader("file")
	start := f.whole
	clock := func(after time.Duration) func() time.Time { return func() time.Time { return start.Add(after) } }
	d.put("file", "2\n")
	f.now = clock(wholeEvery - 1)
	if f.Changed() || f.Next(false).Changed() {
		t.Fatal("noticed without reading: the test shows nothing")
	}
	f.now = clock(wholeEvery)
	if !f.Changed() {
		t.Fatal("not found after a minute")
	}
	if f.Again()["file"].Digest != Of([]byte("2\n")).Digest {
		t.Error("Again trusts the stamp")
	}
	next := f.Next(false)
	if data, err := next.Get("file"); string(data) != "2\n" || err != nil {
		t.Errorf("the next Reader has %q, %v", data, err)
	}
	if next.Changed() {
		t.Error("changed at once")
	}
	d.put("file", "3\n")
	if !next.Changed() {
		t.Error("the stamp is trusted again")
	}
	if last := next.Next(false); string(must(last.Get("file"))) != "3\n" || last.Read["file"].sure {
		t.Error("the Reader after the next trusts the stamp")
	}
}

func must(data []byte, _ error) []byte { return data }

// A file system without stamps is read at every look.
func TestFilesWithoutStampsAreRead(t *testing.T) {
	t.Parallel()
	system := fstest.MapFS{"file": {Data: []byte("1\n"), ModTime: time.Unix(1, 0)}}
	f := New(system)
	_, _ = f.Get("file")
	if f.Changed() || f.Next(false).Changed() {
		t.Error("changed at once")
	}
	system["file"].Data = []byte("2\n")
	if !f.Changed() || string(must(f.Next(false).Get("file"))) != "2\n" {
		t.Error("the change was not noticed")
	}
}

// A file that changes between its digest and its data makes the whole reading invalid: values
// that were kept for the digest must not meet what is parsed from the data.
func TestDataThatIsNotOfTheDigestIsReported(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	d.put("file", "1\n")
	f := d.reader("file").Next(false)
	_, _ = f.Digest("file")
	d.put("file", "22\n")
	if data, err := f.Get("file"); string(data) != "22\n" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if data, _ := f.Get("file"); string(data) != "22\n" || !f.Changed() {
		t.Errorf("%q, or the reading is valid", data)
	}
}

// A Reader that reads all files trusts no stamp, and takes nothing unchanged into memory.
func TestNextThatReadsAll(t *testing.T) {
	t.Parallel()
	needsStamps(t)
	d := newFolder(t)
	d.put("file", "1\n")
	first, err := os.Stat(d.path("file"))
	d.must(err)
	d.wrong = func(fs.FileInfo) fs.FileInfo { return first }
	f := d.reader("file").Next(true)
	if digest, err := f.Digest("file"); err != nil || digest != Of([]byte("1\n")).Digest || d.opened["file"] != 1 || f.Loaded() != 0 {
		t.Errorf("%v, opened %d times, %d bytes in memory", err, d.opened["file"], f.Loaded())
	}
	d.put("file", "2\n")
	if digest, _ := f.Next(false).Digest("file"); digest != f.Read["file"].Digest {
		t.Error("the stamp shows the change: the test shows nothing")
	}
	if data, err := f.Next(true).Get("file"); string(data) != "2\n" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
}

// The digest of a large file does not take it into memory, and Get does.
func TestDigestOfALargeFile(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	large := strings.Repeat("a line\n", smallFile)
	d.put("large", large)
	d.put("small", "a line\n")
	f := New(d)
	for _, name := range []string{"large", "small"} {
		if _, err := f.Digest(name); err != nil {
			t.Fatal(err)
		}
	}
	if f.Loaded() != int64(len("a line\n")) || f.Read["large"].Data != nil {
		t.Errorf("%d bytes are in memory", f.Loaded())
	}
	if string(must(f.Get("large"))) != large || f.Changed() {
		t.Error("another content")
	}
}

// Released data is read again, and a folder is its names.
func TestReleaseAndList(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	d.must(os.Mkdir(d.path("dir"), 0o700))
	for _, name := range []string{"dir/b.crl", "dir/a.pem", "dir/.hidden.crl", "dir/c.txt", "dir/d.jsonl"} {
		d.put(name, "x\n")
	}
	f := d.reader()
	list, ok := f.List("dir", ".crl", ".pem")
	if !ok || strings.Join(list, " ") != "dir/a.pem dir/b.crl" || f.Changed() {
		t.Error(list, ok)
	}
	if _, ok := f.List("dir/b.crl", ".crl"); ok {
		t.Error("a file is a folder")
	}
	f.Release("dir/b.crl")
	if c := f.Read["dir/b.crl"]; c.Data != nil || string(must(f.Get("dir/b.crl"))) != "x\n" {
		t.Error("released data is kept, or lost")
	}
	d.put("dir/c.txt", "y\n")
	d.put("dir/.e.crl", "y\n")
	if f.Changed() {
		t.Error("files that do not count are a change")
	}
	d.put("dir/e.jsonl", "y\n")
	if !f.Changed() {
		t.Error("a new name is no change")
	}
}

// A large file is read and hashed in parts: the hash of 115 MB in one call would stop all requests for 0.1 s.
func TestALargeFileIsReadInParts(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	text := strings.Repeat("0123456789abcde\n", 1<<16)
	d.put("large", text)
	f := d.reader()
	if data, err := f.Get("large"); err != nil || string(data) != text || f.Read["large"].Digest != sha256.Sum256([]byte(text)) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if d.most > 128<<10 {
		t.Errorf("%d bytes were read at once", d.most)
	}
}
