//go:build unix

package main

import "syscall"

// keepPrivate makes every file that the process creates readable by its user alone:
// outputs write phone numbers, and Benthos has no field for a file's permissions.
func keepPrivate() { syscall.Umask(0o077) }
