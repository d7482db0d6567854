package callfeed

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestANumberedPageShowsMostOfWhatAnOffsetAsksFor(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 7, 20, 100, 333, 2000} {
		for skip := range 25_000 {
			page, size, before := numbered(skip, limit)
			require.Equal(t, skip, (page-1)*size+before, "it begins at the offset")
			shows := size - before
			require.GreaterOrEqual(t, shows, min(limit, 2), "pages overlap: %d from %d", limit, skip)
			if limit >= 20 {
				require.LessOrEqual(t, size, limit)
				require.GreaterOrEqual(t, shows, limit/4, "%d from %d", limit, skip)
			}
		}
	}
}
