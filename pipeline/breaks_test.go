//go:build breaks

package pipeline_test

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaultSchedulesNotice breaks the core on purpose, one break at a time,
// and wants the fault schedules, or the test that is named, to fail each time. It compiles with an
// overlay, so nothing in the tree is touched:
//
//	go test -tags breaks -run TestFaultSchedulesNotice ./pipeline
func TestFaultSchedulesNotice(t *testing.T) {
	breaks := []struct{ name, file, old, new, test string }{
		{
			"act before the journal is written", "scope.go",
			"if err := s.x.recordFor(ctx, s, Event{Type: Changing, Stage: s.stage.Name, Change: record}); err != nil {\n\t\treturn err\n\t}\n\tif ctx.Err() != nil { // it came while that was written\n\t\treturn context.Cause(ctx)\n\t}\n\tif err := ch.Make(ctx); err != nil {\n\t\treturn err\n\t}",
			"if err := ch.Make(ctx); err != nil {\n\t\treturn err\n\t}\n\tif err := s.x.recordFor(ctx, s, Event{Type: Changing, Stage: s.stage.Name, Change: record}); err != nil {\n\t\treturn err\n\t}",
			"",
		},
		{
			"act though the journal was not written", "scope.go",
			"Change: record}); err != nil {\n\t\treturn err\n\t}", "Change: record}); err != nil {\n\t\t_ = err\n\t}",
			"",
		},
		{"make a done change again when resumed", "scope.go", "if made {", "if made && false {", ""},
		{"skip a change in doubt", "state.go", "c.keys[e.Change.Key] = c.keys[e.Change.Key]", "c.keys[e.Change.Key] = true", ""},
		{"undo in the order of the changes", "state.go", "return b.last - a.last", "return a.last - b.last", ""},
		{"put back the urgent things last", "state.go", "if a.Urgent {\n\t\t\t\treturn -1\n\t\t\t}\n\t\t\treturn 1", "if a.Urgent {\n\t\t\t\treturn 1\n\t\t\t}\n\t\t\treturn -1", ""},
		{"undo what was committed", "state.go", "return !c.final && (st == nil || !st.Committed)", "return st != nil || !c.final", ""},
		{"forget that a rollback had begun", "recover.go", "return x.state.Phase == Running\n", "return x.state.Phase != EndedDelivered\n", ""},
		{"go forward after a failed stage when resumed", "recover.go", "if failed := x.failedStage(); failed != \"\" {", "if failed := x.failedStage(); failed == \"none\" {", ""},
		{"do not look at the world when resumed", "recover.go", "if err := x.sameWorld(ctx); err != nil {", "if err := error(nil); err != nil {", ""},
		{"go on when the journal cannot be written", "record.go", "if err := x.write(ctx, e); err != nil {\n\t\treturn err\n\t}", "_ = x.write(ctx, e)", ""},
		{"give an undo one try", "rollback.go", "undoTries    = 7", "undoTries    = 1", ""},
		{"leave out the finish when resumed", "forward.go", "due = done.Committed && !done.Finished && done.Status == StagePassed", "due = done.Committed && !done.Finished && done.Status == StagePassed && !x.resumed", ""},
		{"put nothing back when cancelled", "safe.go", "err := x.undo(ctx, p, true)", "err := ctx.Err()", ""},
		{"write the commit again when resumed", "forward.go", "if committed {\n\t\treturn x.finish(ctx)", "if committed && false {\n\t\treturn x.finish(ctx)", ""},
		{"put back when a commit in doubt is cancelled", "forward.go", "return &doubtError{err}", "return err", ""},
		{"put back though the lock is lost", "rollback.go", "if errors.Is(unrecorded, ErrLockLost) || x.lockLost() {", "if x.state == nil {", ""},
		{"take no heed of a lost lock when cancelled", "safe.go", "if x.lockLost() {\n\t\t\treturn undone", "if x.state == nil {\n\t\t\treturn undone", ""},
		{"say what was undone before that it ends", "safe.go", "if err := x.recordAnyway(ctx, last); err != nil || last.Type == RolledBack {\n\t\treturn err\n\t}", "defer x.recordAnyway(ctx, last)", ""},
		{"wait for a cancelled rollback", "rollback.go", "if err := x.undoWithin(ctx, p,", "if err := x.undoWithin(context.WithoutCancel(ctx), p,", "TestCancelledWhilePuttingBack"},
		{"do not say that a cancelled run was put back", "safe.go", "last.Type = RolledBack", "last = Event{}", ""},
		{"roll back from the last value, not the first", "state.go", "if c == nil || c.undone {\n\t\tc = &changeState", "if true {\n\t\tc = &changeState", ""},
	}
	for _, b := range breaks {
		t.Run(b.name, func(t *testing.T) {
			source, err := os.ReadFile(b.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), b.old); n != 1 {
				t.Fatalf("%q stands %d times in %s; mend this list", b.old, n, b.file)
			}
			dir := t.TempDir()
			broken := filepath.Join(dir, b.file)
			if err := os.WriteFile(broken, []byte(strings.Replace(string(source), b.old, b.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			here, err := filepath.Abs(b.file)
			if err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{here: broken}})
			if err != nil {
				t.Fatal(err)
			}
			overlayFile := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlayFile, "-run", "^"+cmp.Or(b.test, "TestFaultSchedules")+"$", "-count=1", ".")
			cmd.Env = append(os.Environ(), "HEADGATE_FAULTS=all") // ends at the first that is found
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Error("the fault schedules did not notice")
			case !strings.Contains(string(out), "--- FAIL"):
				t.Fatalf("the break does not compile:\n%s", out)
			}
		})
	}
}
