package gatebench

import "fmt"

// Preface is what the page of the table begins with.
func Preface(runs int) string {
	return fmt.Sprintf(`# How well gates decide

Written by %[1]sgo run ./test/gatebench/cmd%[1]s, which fails when a goal is missed; do not
edit it. Every cell is %[2]d simulated rollouts with fixed seeds whose truth is known. Unless it
says otherwise a canary gets 10 %% of the requests for five minutes, and
Prometheus scrapes every 15 s. A cell says how many rollouts were rolled back,
and where these are at least half, the median of when. For a good release it is
false alarms: less is better. For a bad one more and sooner is better.

Our columns are printed **bold**. They count what a simulated Prometheus has
scraped, and judge it by the packages gates/counts and gates/stats, which no gate
of a pipeline file uses yet. *strict* compares with no tolerance and no guard,
*default* with a tolerance of 1.1 and all guards. Rules of others are re-implementations of what their documentation says, each with one of
its settings, and get the exact counts without any delay, which flatters them:

- **fixed 5 %%**: every 30 s, the error rate of a window over a limit of 5 %%; no
  data is well. Once with a window of five minutes, which begins with the release
  before, once with a clean one of one minute.
- **Argo Rollouts**: every 30 s, success of a minute below 95 %%; the fourth
  failure aborts.
- **Flagger**: every 30 s, success of a minute below 99 %%; the fifth failure rolls
  back.
- **Kayenta**: at the end, the error rates of all scrapes by a Mann-Whitney test in
  the direction of an increase.

Times are those of the requests that decide. A gate knows of them one and a half
scrapes later, once they have been scraped from all pods.

A goal for false rollbacks leaves room for three standard errors, as any number of
runs must; other goals are floors.

`, "`", runs)
}
