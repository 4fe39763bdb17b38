package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/headgate-dev/headgate/pipeline"
)

// How long is waited: for the first metrics, and for what users see after an
// act, where what was on its way at its end is not counted, and what comes then
// is.
const (
	firstMetrics = 1500 * time.Millisecond
	onItsWay     = 500 * time.Millisecond
	afterward    = time.Second
)

// Stage is where the story is played.
type Stage struct {
	Out io.Writer
	// Width is how long lines may be, 0 for 80; Color says that they may be
	// coloured.
	Width int
	Color bool
	// Address is where the service is asked, such as http://127.0.0.1:8080.
	// Metrics is where its Prometheus is.
	Address, Metrics string
	// Release runs the pipeline for an act. Its error is one of the demo, and
	// not how the run ended.
	Release func(context.Context, Act) (pipeline.Result, error)
	// FlagState says in a word or two how the flag [Flag] is now.
	FlagState func(context.Context) (string, error)
}

// UnlikeError reports an act that did not end as the story says.
type UnlikeError struct {
	Act   string
	Wrong []string
}

// Error says what is wrong.
func (e *UnlikeError) Error() string {
	return fmt.Sprintf("the demo did not end as its story says, in %q: %s", e.Act, strings.Join(e.Wrong, "; "))
}

// Hint says what may be the reason.
func (e *UnlikeError) Hint() string {
	return "a machine that is very busy can be the reason: try again, and report it if it stays"
}

// Play plays the story to its end. It returns an [*UnlikeError] at the first
// act that ends otherwise, and [pipeline.ErrCancelled] when ctx ends.
func Play(ctx context.Context, s Stage) error {
	began := time.Now()
	users, err := Ask(ctx, s.Address, Rate)
	if err != nil {
		return fmt.Errorf("ask the service: %w", err)
	}
	defer users.Stop()
	s.say("Headgate's demo: a good release, a bad one, and a bad feature",
		fmt.Sprintf("The user-service runs on this machine as v1, in three processes behind a proxy. From now on its users send %d requests a second, without a pause. "+
			"You can ask it, too: curl %s/profile/7. Its metrics are at %s.", Rate, byHost(s.Address), s.Metrics))
	if err := wait(ctx, firstMetrics); err != nil {
		return err
	}
	for i, act := range acts() {
		s.say(fmt.Sprintf("%d. %s", i+1, act.Title), act.Before)
		if err := s.play(ctx, users, act); err != nil {
			return err
		}
	}
	all := users.Stop()
	s.say("That was all", fmt.Sprintf("%s in %s, and none failed but those that v3 and the new format failed themselves. Nothing of it is left on this machine. "+
		"To go on with the same files: headgate demo --write FOLDER", requests(all.Requests), seconds(time.Since(began))))
	return nil
}

func (s Stage) play(ctx context.Context, users *Users, act Act) error {
	c := came{}
	var err error
	if c.flagBefore, err = s.FlagState(ctx); err != nil {
		return cancelled(ctx, err)
	}
	users.forget()
	before := users.Report()
	if c.result, err = s.Release(ctx, act); err != nil {
		return cancelled(ctx, err)
	}
	if err := wait(ctx, onItsWay); err != nil {
		return err
	}
	end := users.Report()
	c.during, c.failing = since(before, end), users.failing()
	if err := wait(ctx, afterward); err != nil {
		return err
	}
	c.after = since(end, users.Report())
	if c.flagAfter, err = s.FlagState(ctx); err != nil {
		return cancelled(ctx, err)
	}
	said, wrong := act.judge(c)
	if len(wrong) > 0 {
		return &UnlikeError{Act: act.Title, Wrong: wrong}
	}
	s.say("", said)
	return nil
}

// cancelled is the end of ctx where that is the reason of err.
func cancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
