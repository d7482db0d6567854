//go:build !unix

package main

// keepPrivate does nothing: a folder's access list decides.
func keepPrivate() {}
