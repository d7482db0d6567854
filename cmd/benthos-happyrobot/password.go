package main

import (
	"crypto/md5" //nolint:gosec // Benthos takes MD5, too
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// passwordHash is what http.basic_auth says of the password, all of it in base64.
type passwordHash struct{ hash, algorithm, salt string }

// matches says whether Benthos' server would take a password for the right one. Like
// it, it does not heed line ends in base64, and knows the same algorithms. Another one
// keeps Benthos from starting.
func (p passwordHash) matches(password []byte) bool {
	hash, err := base64.StdEncoding.DecodeString(p.hash)
	if err != nil {
		return false // no password is right
	}
	switch p.algorithm {
	case "md5":
		sum := md5.Sum(password) //nolint:gosec // see above
		return slices.Equal(hash, sum[:])
	case "sha256":
		sum := sha256.Sum256(password)
		return slices.Equal(hash, sum[:])
	case "bcrypt":
		return bcrypt.CompareHashAndPassword(hash, password) == nil
	case "scrypt":
		salt, err := base64.StdEncoding.DecodeString(p.salt)
		if err != nil {
			return false
		}
		key, err := scrypt.Key(password, salt, 1<<15, 8, 1, 32) // Benthos' parameters
		return err == nil && slices.Equal(hash, key)
	}
	return false
}
