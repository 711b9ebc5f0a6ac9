//! Every environment variable that `mlroll` itself reads, once. What the clouds' own libraries read, they read.

use std::path::PathBuf;

/// The environment of this run.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// `GITHUB_ACTIONS=true`: annotate the run.
    pub github_actions: bool,
    /// `GITHUB_STEP_SUMMARY`: the file that the job's summary is appended to.
    pub github_step_summary: Option<PathBuf>,
    /// `GITHUB_OUTPUT`: the file that the step's outputs are appended to.
    pub github_output: Option<PathBuf>,
    /// `CI`: plain lines even on something that looks like a terminal.
    pub ci: bool,
    /// `NO_COLOR`: no colour, whatever its value, unless empty.
    pub no_color: bool,
    /// `MLROLL_CLOCK`: where a sandbox tells its scaled time.
    pub clock: Option<String>,
}

impl Env {
    /// Reads the process' environment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_process() -> Self {
        Self::from_lookup(|name| std::env::var_os(name).and_then(|value| value.into_string().ok()))
    }

    /// A variable that the file names, such as one that holds a token, or one of a cloud's own that says where it is; `None` when it is unset or empty.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn named_by_file(name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// What a program that is run in this terminal needs to know of it, and of nothing else.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_the_terminal() -> Vec<(&'static str, std::ffi::OsString)> {
        let names = ["PATH", "TERM", "COLUMNS", "LINES", "LANG", "LC_ALL", "NO_COLOR", "CI", "TMPDIR", "SYSTEMROOT"];
        names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect()
    }

    /// Reads an environment given as a function. An empty variable is an unset one.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            github_actions: set("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            github_step_summary: set("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            github_output: set("GITHUB_OUTPUT").map(PathBuf::from),
            ci: set("CI").is_some_and(|value| value != "false"),
            no_color: set("NO_COLOR").is_some(),
            clock: set("MLROLL_CLOCK"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_unset() {
        let env = Env::from_lookup(|_| Some(String::new()));
        assert!(!env.no_color && !env.ci && env.github_output.is_none());
    }
}
