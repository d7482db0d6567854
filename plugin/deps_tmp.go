package plugin

import (
	_ "github.com/Jeffail/gabs/v2"
	_ "github.com/cenkalti/backoff/v4"
	_ "github.com/nyaruka/phonenumbers/v2"
	_ "github.com/pb33f/libopenapi"
	_ "github.com/pb33f/libopenapi-validator"
	_ "github.com/stretchr/testify/require"
	_ "github.com/twmb/franz-go/pkg/kfake"
	_ "github.com/twmb/franz-go/pkg/kgo"
	_ "go.etcd.io/bbolt"
)
