// Package deploy holds the tests of the files beside it: an image, manifests of Kubernetes and
// a unit of systemd. It is a module of its own, so that the types of Kubernetes are no
// dependency of mtlsguard.
package deploy
