package flags

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// maxFlags bounds what a client holds.
const maxFlags = 20_000

// names lists the flags, on every node of a cluster.
func (c *Client) names(ctx context.Context) ([]string, error) {
	cluster, ok := c.rdb.(*redis.ClusterClient)
	if !ok {
		return scan(ctx, c.rdb)
	}
	var mu sync.Mutex
	var all []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		names, err := scan(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, names...)
		return err
	})
	return all, err
}

func scan(ctx context.Context, rdb redis.Cmdable) ([]string, error) {
	var names []string
	keys := rdb.Scan(ctx, 0, KeyPrefix+"*", 1000).Iterator()
	for keys.Next(ctx) {
		name := strings.TrimPrefix(keys.Val(), KeyPrefix)
		if CheckName(name) != nil {
			continue
		}
		if names = append(names, name); len(names) > maxFlags {
			return nil, fmt.Errorf("there are more than %d flags", maxFlags)
		}
	}
	return names, keys.Err()
}

// texts reads the records of some flags, without those that do not exist. A
// key that holds something else than a text counts as a bad record.
func (c *Client) texts(ctx context.Context, names []string) (map[string]string, error) {
	pipe := c.rdb.Pipeline()
	gets := make([]*redis.StringCmd, len(names))
	for i, name := range names {
		// GETRANGE rather than GET, so that nobody can make a client read more
		// than a record's size; one byte more shows that it is too large.
		gets[i] = pipe.GetRange(ctx, KeyPrefix+name, 0, MaxRecord)
	}
	if len(names) > 0 {
		// Each command has its own error too, which is looked at below.
		_, _ = pipe.Exec(ctx)
	}
	texts := make(map[string]string, len(names))
	for i, get := range gets {
		text, err := get.Result()
		var refused redis.Error
		switch {
		case err == nil && text == "":
			// No such key: the flag went between the list and the read.
		case err == nil:
			texts[names[i]] = text
		case errors.As(err, &refused) && strings.HasPrefix(err.Error(), "WRONGTYPE"):
			texts[names[i]] = err.Error()
		default:
			return nil, err
		}
	}
	return texts, nil
}
