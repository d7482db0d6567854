package phone

import (
	"testing"

	"github.com/nyaruka/phonenumbers/v2"
)

// What reading a number and checking it costs beside the library's parsing alone.
func BenchmarkRead(b *testing.B) {
	rules := DefaultRules("US")
	for _, text := range []string{"+14155550100", "(415) 555-0100"} {
		b.Run("read and check "+text, func(b *testing.B) {
			for b.Loop() {
				n, err := Read(text, "US")
				if err != nil || rules.Check(n) != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("library's parse "+text, func(b *testing.B) {
			for b.Loop() {
				if _, err := phonenumbers.Parse(text, "US"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
