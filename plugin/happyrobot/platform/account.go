package platform

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/tidwall/gjson"
)

// Key is who a key is of, and until when. It does not tell what the key may do: new keys
// may read only.
type Key struct {
	ID       string
	OrgID    string
	OrgSlug  string
	OrgName  string
	Name     string
	Created  time.Time
	Expires  time.Time // zero for never; the organization's largest age of keys is in it
	LastUsed time.Time
	Revoked  time.Time // zero for never
	Raw      json.RawMessage
}

// DescribeKey reads who the key is of, GET /api-key/describe, and repeats that until it is
// answered.
func (c *Client) DescribeKey(ctx context.Context) (k Key, err error) {
	err = c.get(ctx, "describeApiKey", nil, nil, k.read)
	if err != nil {
		return Key{}, err
	}
	return k, nil
}

func (k *Key) read(body []byte) error {
	*k = Key{}
	inner := unwrapped(body)
	err := members(inner, func(name string, v gjson.Result) {
		switch name {
		case "id":
			k.ID = text(v)
		case "orgId", "org_id":
			k.OrgID = text(v)
		case "org_slug":
			k.OrgSlug = text(v)
		case "org_name":
			k.OrgName = text(v)
		case "name":
			k.Name = text(v)
		case "createdAt":
			k.Created = moment(v)
		case "expiresAt":
			k.Expires = moment(v)
		case "lastUsedAt":
			k.LastUsed = moment(v)
		case "revokedAt":
			k.Revoked = moment(v)
		}
	})
	switch {
	case err != nil:
		return err
	case k.ID == "" && k.OrgID == "" && k.OrgName == "":
		return errNoID
	}
	k.Raw = kept(inner)
	return nil
}

// Credits is what a run cost.
type Credits struct {
	RunID string
	Unit  string // credits
	Total float64
	Raw   json.RawMessage // with components
}

// GetRunCredits reads what a run cost, GET /billing/usage/runs/{run_id}, and repeats that
// until it is answered. An answer about another run is unreadable.
func (c *Client) GetRunCredits(ctx context.Context, run string) (credits Credits, err error) {
	err = c.get(ctx, "getRunCredits", map[string]string{"run_id": run}, nil, func(body []byte) error {
		credits = Credits{}
		told := false
		err := members(body, func(name string, v gjson.Result) {
			switch name {
			case "run_id":
				credits.RunID = text(v)
			case "unit":
				credits.Unit = text(v)
			case "total_credits":
				credits.Total, told = number(v)
			}
		})
		switch {
		case err != nil:
			return err
		case !same(credits.RunID, run):
			return errOther
		case !told:
			return errNoID
		}
		credits.Raw = kept(body)
		return nil
	})
	if err != nil {
		return Credits{}, err
	}
	credits.RunID = run
	return credits, nil
}

// Usage is what the organization used between two times.
type Usage struct {
	Minutes, Emails, Texts float64
	Raw                    json.RawMessage
}

// GetUsage reads what the organization used from a time to another, both inclusive, GET
// /billing/usage/totals, and repeats that until it is answered.
func (c *Client) GetUsage(ctx context.Context, start, end time.Time) (u Usage, err error) {
	query := url.Values{"start": {stamp(start)}, "end": {stamp(end)}}
	err = c.get(ctx, "getUsageTotals", nil, query, func(body []byte) error {
		u = Usage{}
		if err := members(body, func(name string, v gjson.Result) {
			if name == "usage" {
				u.Minutes, _ = number(v.Get("totalMinutes"))
				u.Emails, _ = number(v.Get("totalEmails"))
				u.Texts, _ = number(v.Get("totalText"))
			}
		}); err != nil {
			return err
		}
		u.Raw = kept(body)
		return nil
	})
	if err != nil {
		return Usage{}, err
	}
	return u, nil
}
