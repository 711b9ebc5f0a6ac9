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

/// What Google's own tools read, and the endpoints of its APIs.
#[derive(Clone, Default)]
pub struct Google {
    /// `GOOGLE_OAUTH_ACCESS_TOKEN`, or `CLOUDSDK_AUTH_ACCESS_TOKEN`: a ready token.
    pub access_token: Option<String>,
    /// `GOOGLE_APPLICATION_CREDENTIALS`: a file of credentials.
    pub credentials: Option<PathBuf>,
    /// `CLOUDSDK_CONFIG`, or where gcloud keeps its files below `HOME` or `APPDATA`.
    pub gcloud_folder: Option<PathBuf>,
    /// `GCE_METADATA_HOST`: who answers as the metadata server.
    pub metadata_host: Option<String>,
    /// `GOOGLE_CLOUD_QUOTA_PROJECT`: the project that quota is counted for.
    pub quota_project: Option<String>,
    /// `MLROLL_ENDPOINT_CLOUD_RUN`: the base of the Cloud Run Admin API.
    pub cloud_run: Option<String>,
    /// `MLROLL_ENDPOINT_CLOUD_MONITORING`: the base of the Cloud Monitoring API.
    pub monitoring: Option<String>,
}

impl Google {
    /// Reads the process' environment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_process() -> Self {
        Self::from_lookup(|name| std::env::var_os(name).and_then(|value| value.into_string().ok()))
    }

    /// Reads an environment given as a function. An empty variable is an unset one.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let below = |name: &str, rest: &str| set(name).map(|folder| PathBuf::from(folder).join(rest));
        let home = || if cfg!(windows) { below("APPDATA", "gcloud") } else { below("HOME", ".config/gcloud") };
        Self {
            access_token: set("GOOGLE_OAUTH_ACCESS_TOKEN").or_else(|| set("CLOUDSDK_AUTH_ACCESS_TOKEN")),
            credentials: set("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from),
            gcloud_folder: set("CLOUDSDK_CONFIG").map(PathBuf::from).or_else(home),
            metadata_host: set("GCE_METADATA_HOST"),
            quota_project: set("GOOGLE_CLOUD_QUOTA_PROJECT"),
            cloud_run: set("MLROLL_ENDPOINT_CLOUD_RUN"),
            monitoring: set("MLROLL_ENDPOINT_CLOUD_MONITORING"),
        }
    }
}

/// All but the token.
impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google").field("credentials", &self.credentials).finish_non_exhaustive()
    }
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
        let google = Google::from_lookup(|_| Some(String::new()));
        assert!(google.access_token.is_none() && google.credentials.is_none() && google.gcloud_folder.is_none());
    }
}
