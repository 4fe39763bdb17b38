package cli

import (
	"strings"

	"github.com/headgate-dev/headgate/pipeline"
)

// ci is a CI by the variables that it sets.
type ci struct {
	// here reports whether this process runs in it.
	here func(env func(string) string) bool
	// run says which run it is. The id is another one when the same commit is
	// tried again; the number grows from run to run.
	run func(env func(string) string) pipeline.Info
	// folder is the variable that names the folder of the repository.
	folder string
	// format is the report that its log is made for, "" for plain.
	format string
}

// knownCI are those whose variables are known, the first that is here counts.
func knownCI() []ci {
	return []ci{
		{here: set("GITHUB_ACTIONS", "true"), run: githubRun, folder: "GITHUB_WORKSPACE", format: "github"},
		{here: set("GITLAB_CI", "true"), run: gitlabRun, folder: "CI_PROJECT_DIR", format: "gitlab"},
		{here: inJenkins, run: jenkinsRun, folder: "WORKSPACE"},
		{here: set("BUILDKITE", "true"), run: buildkiteRun, folder: "BUILDKITE_BUILD_CHECKOUT_PATH"},
		{here: set("CIRCLECI", "true"), run: circleRun},
		{here: set("TF_BUILD", "True"), run: azureRun, folder: "BUILD_SOURCESDIRECTORY"},
		{here: set("CI", "woodpecker"), run: woodpeckerRun, folder: "CI_WORKSPACE"},
		{here: func(env func(string) string) bool { return env("BITBUCKET_BUILD_NUMBER") != "" }, run: bitbucketRun, folder: "BITBUCKET_CLONE_DIR"},
	}
}

func set(name, value string) func(env func(string) string) bool {
	return func(env func(string) string) bool { return env(name) == value }
}

func githubRun(env func(string) string) pipeline.Info {
	return pipeline.Info{
		ID: join(".", env("GITHUB_RUN_ID"), env("GITHUB_RUN_ATTEMPT")), Number: env("GITHUB_RUN_NUMBER"),
		Commit: env("GITHUB_SHA"), Branch: first(env("GITHUB_HEAD_REF"), env("GITHUB_REF_NAME")), URL: githubURL(env),
	}
}

func githubURL(env func(string) string) string {
	if env("GITHUB_SERVER_URL") == "" || env("GITHUB_REPOSITORY") == "" || env("GITHUB_RUN_ID") == "" {
		return ""
	}
	url := env("GITHUB_SERVER_URL") + "/" + env("GITHUB_REPOSITORY") + "/actions/runs/" + env("GITHUB_RUN_ID")
	if attempt := env("GITHUB_RUN_ATTEMPT"); attempt != "" {
		url += "/attempts/" + attempt
	}
	return url
}

// gitlabRun takes the job, not the pipeline: a job that is tried again gets
// another id.
func gitlabRun(env func(string) string) pipeline.Info {
	return pipeline.Info{
		ID: env("CI_JOB_ID"), Number: env("CI_PIPELINE_IID"),
		Commit: env("CI_COMMIT_SHA"), Branch: env("CI_COMMIT_REF_NAME"), URL: env("CI_JOB_URL"),
	}
}

// inJenkins goes by what a controller without a URL of its own sets, too.
func inJenkins(env func(string) string) bool {
	return env("JENKINS_URL") != "" || env("BUILD_TAG") != "" && env("BUILD_NUMBER") != ""
}

func jenkinsRun(env func(string) string) pipeline.Info {
	return pipeline.Info{
		ID: first(env("BUILD_TAG"), join("-", env("JOB_NAME"), env("BUILD_NUMBER")), env("BUILD_ID")), Number: env("BUILD_NUMBER"),
		Commit: env("GIT_COMMIT"), Branch: first(env("CHANGE_BRANCH"), env("BRANCH_NAME"), strings.TrimPrefix(env("GIT_BRANCH"), "origin/")), URL: env("BUILD_URL"),
	}
}

func buildkiteRun(env func(string) string) pipeline.Info {
	return pipeline.Info{
		ID: env("BUILDKITE_JOB_ID"), Number: env("BUILDKITE_BUILD_NUMBER"), // a job that is tried again is another one
		Commit: env("BUILDKITE_COMMIT"), Branch: env("BUILDKITE_BRANCH"), URL: env("BUILDKITE_BUILD_URL"),
	}
}

func circleRun(env func(string) string) pipeline.Info {
	return pipeline.Info{
		ID: env("CIRCLE_WORKFLOW_JOB_ID"), Number: env("CIRCLE_BUILD_NUM"),
		Commit: env("CIRCLE_SHA1"), Branch: env("CIRCLE_BRANCH"), URL: env("CIRCLE_BUILD_URL"),
	}
}

func azureRun(env func(string) string) pipeline.Info {
	info := pipeline.Info{
		ID: join(".", env("BUILD_BUILDID"), env("SYSTEM_JOBATTEMPT")), Number: env("BUILD_BUILDID"),
		Commit: env("BUILD_SOURCEVERSION"), Branch: first(env("SYSTEM_PULLREQUEST_SOURCEBRANCH"), strings.TrimPrefix(env("BUILD_SOURCEBRANCH"), "refs/heads/")),
	}
	if base := env("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"); base != "" {
		info.URL = base + env("SYSTEM_TEAMPROJECT") + "/_build/results?buildId=" + env("BUILD_BUILDID")
	}
	return info
}

func woodpeckerRun(env func(string) string) pipeline.Info {
	return pipeline.Info{
		ID: join("-", env("CI_REPO"), env("CI_PIPELINE_NUMBER"), env("CI_WORKFLOW_NAME")), Number: env("CI_PIPELINE_NUMBER"),
		Commit: env("CI_COMMIT_SHA"), Branch: first(env("CI_COMMIT_SOURCE_BRANCH"), env("CI_COMMIT_BRANCH")), URL: env("CI_PIPELINE_URL"),
	}
}

func bitbucketRun(env func(string) string) pipeline.Info {
	info := pipeline.Info{
		ID: join("-", env("BITBUCKET_BUILD_NUMBER"), env("BITBUCKET_STEP_UUID")), Number: env("BITBUCKET_BUILD_NUMBER"),
		Commit: env("BITBUCKET_COMMIT"), Branch: env("BITBUCKET_BRANCH"),
	}
	if origin := env("BITBUCKET_GIT_HTTP_ORIGIN"); origin != "" {
		info.URL = origin + "/pipelines/results/" + env("BITBUCKET_BUILD_NUMBER")
	}
	return info
}
