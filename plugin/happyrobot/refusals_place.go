package happyrobot

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// Regular expressions, in lower case, for the hosts and for the paths of whole URLs at
// which the platform is, whichever API an operation is of.
const (
	PlatformHost = `^(platform|workflows)\.|\.(platform|workflows)\.([a-z0-9-]+\.)*happyrobot\.ai\.?$`
	PlatformPath = `(^|/)api/+v2(/|$)`
)

var (
	platformHost = regexp.MustCompile(PlatformHost)
	platformPath = regexp.MustCompile(PlatformPath)
)

// goesToPlatform says whether a URL of the operation is of the platform. path is the whole
// one of the URL, in lower case.
func (o Operation) goesToPlatform(base *url.URL, path string) bool {
	return o.API != V1 || platformHost.MatchString(strings.ToLower(base.Hostname())) || platformPath.MatchString(path)
}

func (o Operation) atOwnPath() bool {
	known, ok := FindOperation(o.ID)
	return ok && known.Path == o.Path
}

// wholePath is that of a base URL and a path below it, in lower case.
func wholePath(base *url.URL, path string) string {
	return strings.ToLower(strings.TrimRight(base.Path, "/") + path)
}

// ValidateBaseURL says what is wrong with a base URL for the operation, as far as New
// does not: it may hold no beginning of a path to which nothing is sent, and the
// platform is asked over TLS, but on this machine.
func (o Operation) ValidateBaseURL(base string) error {
	u, err := url.Parse(base)
	if err != nil {
		return errors.New("must be a URL")
	}
	path := wholePath(u, "")
	for i, refused := range refusedPaths {
		c := refusedCompiled[i]
		if (o.Changes() || !refused.Changes) && c[0].MatchString(path) && (c[1] == nil || !c[1].MatchString(path)) {
			return errors.New("must not end in a path that " + refused.Why)
		}
	}
	if o.goesToPlatform(u, path) && u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return errors.New("must be an https URL: the key would be sent in the clear")
	}
	return nil
}

// ValidatePlace says what is wrong with where the path of the operation lies below a base
// URL: a place of the platform is judged as one, whichever API the operation is of.
func (o Operation) ValidatePlace(base string) error {
	if why := o.refusesPlace(base, o.Path); why != "" {
		return errors.New("must not, below base_url, be a path that " + why)
	}
	return nil
}

// refusesPlace says why nothing is sent to a path, which is not escaped, below a base URL;
// empty where it may.
func (o Operation) refusesPlace(base, path string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "" // New makes no client of it
	}
	whole := wholePath(u, path)
	if o.Changes() && o.goesToPlatform(u, whole) && !cancelPath.MatchString(whole) {
		return cancelsNothing
	}
	if o.atOwnPath() {
		return ""
	}
	return o.refusesPath(whole)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
