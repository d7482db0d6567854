//go:build !unix

package program

// lock does nothing: packages that come at the same time each link, which costs time alone.
func lock(string) (unlock func(), err error) { return func() {}, nil }
