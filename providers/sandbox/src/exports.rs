//! What a shell must know to talk to a sandbox instead of the clouds.

use crate::arm::{LOGS_TOKEN, TOKEN};

/// The variables, in the order in which they are printed. The keys and tokens are fake: any are accepted, but neither of
/// Azure's in place of the other.
pub(crate) fn of(url: &str) -> Vec<(String, String)> {
    let clock = format!("{url}/_sandbox/clock");
    let variables = [
        ("MLROLL_SANDBOX_URL", url),
        ("MLROLL_CLOCK", &clock),
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", "sandbox"),
        ("AWS_SECRET_ACCESS_KEY", "sandbox"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("MLROLL_ENDPOINT_CLOUD_RUN", url),
        ("MLROLL_ENDPOINT_CLOUD_MONITORING", url),
        ("MLROLL_ENDPOINT_AZURE", url),
        ("MLROLL_ENDPOINT_AZURE_LOGS", url),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "sandbox"),
        ("AZURE_LOGS_ACCESS_TOKEN", LOGS_TOKEN),
        ("AZURE_ACCESS_TOKEN", TOKEN),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
