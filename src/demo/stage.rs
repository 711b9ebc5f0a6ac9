//! What is shown on each cloud.

use crate::commands::demo::Stage;
use crate::exit::ExitStatus;

/// A command, and what is said before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    pub(super) says: &'static str,
    pub(super) types: &'static [&'static str],
    /// How it ends when all is as it should be.
    pub(super) ends: ExitStatus,
}

impl Stage {
    /// What people call it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::AzureMl => "Azure ML",
            Self::CloudRun => "Google Cloud Run",
            Self::Lambda => "AWS Lambda",
            Self::SageMaker => "Amazon SageMaker",
        }
    }

    /// The world, as the sandbox reads it.
    pub(super) const fn scenario(self) -> &'static str {
        match self {
            Self::AzureMl => include_str!("azure_ml.scenario.toml"),
            Self::CloudRun => include_str!("cloud_run.scenario.toml"),
            Self::Lambda => include_str!("lambda.scenario.toml"),
            Self::SageMaker => include_str!("sagemaker.scenario.toml"),
        }
    }

    /// The user's file; `{url}` stands for the sandbox.
    pub(super) const fn config(self) -> &'static str {
        match self {
            Self::AzureMl => include_str!("azure_ml.mlroll.toml"),
            Self::CloudRun => include_str!("cloud_run.mlroll.toml"),
            Self::Lambda => include_str!("lambda.mlroll.toml"),
            Self::SageMaker => include_str!("sagemaker.mlroll.toml"),
        }
    }

    /// The play.
    pub(super) const fn acts(self) -> &'static [Act] {
        match self {
            Self::AzureMl => &AZURE_ML,
            Self::CloudRun => &CLOUD_RUN,
            Self::Lambda => &LAMBDA,
            Self::SageMaker => &SAGEMAKER,
        }
    }
}

const LAMBDA: [Act; 6] = [
    Act {
        says: "The alias `prod` gives everything to version 2. Users send 1000 requests a second.",
        types: &["status"],
        ends: ExitStatus::Success,
    },
    Act {
        says: "Version 3 is as good as version 2: it gets more traffic as its gates show that it is.",
        types: &["rollout", "--candidate", "3"],
        ends: ExitStatus::Success,
    },
    Act {
        says: "Version 4 fails 5 % of its requests: it is found out at 10 %, and taken back.",
        types: &["rollout", "--candidate", "4"],
        ends: ExitStatus::GateFailed,
    },
    Act {
        says: "An incident: somebody gives half of the traffic to version 4, by hand and without gates ...",
        types: &["canary", "--pct", "50", "--candidate", "4", "--again", "--no-gates"],
        ends: ExitStatus::Success,
    },
    Act { says: "... and whoever is on call types this:", types: &["rollback"], ends: ExitStatus::Success },
    Act { says: "What was decided, and when:", types: &["history"], ends: ExitStatus::Success },
];

const AZURE_ML: [Act; 3] = [
    Act {
        says: "The endpoint `fraud` gives everything to its deployment blue. Users send 1000 requests a second.",
        types: &["status"],
        ends: ExitStatus::Success,
    },
    Act {
        says: "Green is as good as blue. Azure takes 20 seconds for each step, and counts by the minute.",
        types: &["rollout", "--candidate", "green"],
        ends: ExitStatus::Success,
    },
    Act {
        says: "The model of red crashes on 5 % of its requests. Clients get a 424, not a 5xx: it counts all the same.",
        types: &["rollout", "--candidate", "red"],
        ends: ExitStatus::GateFailed,
    },
];

const CLOUD_RUN: [Act; 6] = [
    Act {
        says: "The service gives everything to revision fraud-00002-b; Cloud Monitoring tells four minutes later.",
        types: &["status"],
        ends: ExitStatus::Success,
    },
    Act {
        says: "Revision fraud-00003-c is as good: it gets more traffic as its gates show that it is.",
        types: &["rollout", "--candidate", "fraud-00003-c"],
        ends: ExitStatus::Success,
    },
    Act {
        says: "Revision fraud-00004-d fails 5 % of its requests: it is found out at 10 %, and taken back.",
        types: &["rollout", "--candidate", "fraud-00004-d"],
        ends: ExitStatus::GateFailed,
    },
    Act {
        says: "An incident: somebody gives half of the traffic to it, by hand and without gates ...",
        types: &["canary", "--pct", "50", "--candidate", "fraud-00004-d", "--again", "--no-gates"],
        ends: ExitStatus::Success,
    },
    Act { says: "... and whoever is on call types this:", types: &["rollback"], ends: ExitStatus::Success },
    Act { says: "What was decided, and when:", types: &["history"], ends: ExitStatus::Success },
];

const SAGEMAKER: [Act; 3] = [
    Act {
        says: "The endpoint `fraud` gives everything to variant `a`. CloudWatch counts what becomes of it.",
        types: &["status"],
        ends: ExitStatus::Success,
    },
    Act {
        says: "Variant `b` is as good as `a`. New weights take a minute to be live, and metrics two to be complete.",
        types: &["rollout", "--candidate", "b"],
        ends: ExitStatus::Success,
    },
    Act {
        says: "Variant `c` is slow: 500 ms at the 95th percentile, where 300 are allowed.",
        types: &["rollout", "--candidate", "c"],
        ends: ExitStatus::GateFailed,
    },
];
