// Package browsertest holds the tests of the admin page in Chromium: every screen for
// accessibility, for messages of the browser and for its width; whole ways by the keyboard alone;
// and a page that is opened with a certificate of the browser's own store. It is a module of its
// own, because it needs Node.js and the packages of package.json:
//
//	npm ci && go test ./...
//
// go test -run TestPictures -update makes the pictures of docs/admin.md anew. With the environment
// variable SHOTS=FOLDER the tests keep a picture of every screen there, to be looked at.
package browsertest
