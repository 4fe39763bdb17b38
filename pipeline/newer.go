package pipeline

import (
	"fmt"
	"strconv"
)

// outdated ends a run that is older than one which was here before it: jobs
// do not always run in the order of their commits, and the older release must
// not replace the newer one. It goes by the CI's run numbers; where one of
// them is not known nothing can be told.
func (x *execution) outdated(earlier *State) (result Result, ended bool) {
	if x.Options.AllowOlder || earlier.Phase == NotStarted {
		return Result{}, false
	}
	theirs, err := strconv.ParseUint(earlier.Run.Number, 10, 64)
	if err != nil {
		return Result{}, false
	}
	ours, err := strconv.ParseUint(x.Info.Number, 10, 64)
	if err != nil || theirs <= ours {
		return Result{}, false
	}
	err = fmt.Errorf("%w: run number %d is newer than this one, %d, and came first", ErrLocked, theirs, ours)
	return Result{
		Ending: Locked, Reason: err.Error(), Err: err,
		Hint: "to bring back an older version on purpose, use --allow-older",
	}, true
}
