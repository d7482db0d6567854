package platform

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Cluster is where a workspace lives. A key is known in its own cluster only: another one
// answers 401.
type Cluster string

// Clusters.
const (
	US Cluster = "us"
	EU Cluster = "eu"
)

// baseURLs are those of the description.
var baseURLs = map[Cluster]string{
	US: "https://platform.happyrobot.ai/api/v2",
	EU: "https://platform.eu.happyrobot.ai/api/v2",
}

// BaseURL is the base URL of a cluster, "" for an unknown one. An empty Cluster is US.
func (c Cluster) BaseURL() string {
	if c == "" {
		c = US
	}
	return baseURLs[c]
}

// Options of a Client. Only the key is required.
type Options struct {
	Cluster Cluster // default US; BaseURL has precedence
	happyrobot.Options
}

// Client calls the API. Safe for concurrent use.
type Client struct {
	requester *happyrobot.Requester
	base      string

	largestPage atomic.Int64 // runs of a page, where the API takes fewer than documented; 0 while it is not known
}

// New makes a client. It makes no request. An error names the option that cannot be used,
// as api_key, cluster, base_url or headers, and never its value. The base URL must be
// https, except on the loopback interface.
func New(opts Options) (*Client, error) {
	if opts.BaseURL == "" {
		opts.BaseURL = opts.Cluster.BaseURL()
		if opts.BaseURL == "" {
			return nil, errors.New("cluster: must be us or eu")
		}
	}
	if err := checkBaseURL(opts.BaseURL, US.BaseURL()); err != nil {
		return nil, fmt.Errorf("base_url: %w", err)
	}
	requester, err := happyrobot.NewRequester(opts.Options)
	if err != nil {
		return nil, err
	}
	return &Client{requester: requester, base: strings.TrimRight(opts.BaseURL, "/")}, nil
}

// BaseURL is where the client sends its requests.
func (c *Client) BaseURL() string { return c.base }

// checkBaseURL says what is wrong with a URL.
func checkBaseURL(address, example string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL without user, password, query and fragment, such as " + example)
	}
	return operation("describeApiKey").ValidateBaseURL(u.Scheme + "://" + u.Host)
}

// operation is one that the table has.
func operation(id string) happyrobot.Operation {
	op, _ := happyrobot.FindOperation(id)
	return op
}

// get reads what an operation answers into a value that takes what it can.
func (c *Client) get(ctx context.Context, id string, path map[string]string, query url.Values, read func([]byte) error) error {
	return c.requester.Perform(ctx, happyrobot.Request{Operation: operation(id), Path: path, Query: query, Read: read})
}
