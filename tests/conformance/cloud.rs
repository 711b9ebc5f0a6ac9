//! What differs between the clouds.

/// A cloud's names for what all of them have.
#[derive(Debug)]
pub struct Cloud {
    /// The name of its API in faults and the request log.
    pub api: &'static str,
    /// A target, whose stable revision has everything.
    pub target: &'static str,
    /// A target that does not exist.
    pub missing_target: &'static str,
    /// The target as faults and the request log name it.
    pub about: &'static str,
    /// The operation that reads it.
    pub read: &'static str,
    /// The operation that changes it.
    pub write: &'static str,
    /// Its stable revision.
    pub stable: &'static str,
    /// A revision without traffic.
    pub candidate: &'static str,
    /// Another one.
    pub other: &'static str,
    /// A revision that cannot serve; in the world of [`Cloud::scenario`].
    pub failed: &'static str,
    /// A revision that does not exist.
    pub missing: &'static str,
    /// The status and code of a target that is busy.
    pub busy: (u16, &'static str),
    /// The status and code of too many requests.
    pub throttled: (u16, &'static str),
    /// The status and code of a caller who may not.
    pub forbidden: (u16, &'static str),
    /// The world; the target has its users in it.
    pub scenario: &'static str,
}

pub const LAMBDA: Cloud = Cloud {
    api: "lambda",
    target: "lambda:us-east-1/fraud@prod",
    missing_target: "lambda:us-east-1/fraud@nobody",
    about: "fraud@prod",
    read: "GetAlias",
    write: "UpdateAlias",
    stable: "2",
    candidate: "3",
    other: "1",
    failed: "4",
    missing: "99",
    busy: (409, "ResourceConflictException"),
    throttled: (429, "TooManyRequestsException"),
    forbidden: (403, "AccessDeniedException"),
    scenario: r#"
        [targets."lambda:us-east-1/fraud@prod"]
        requests_per_second = 100
        stable = "2"
        [targets."lambda:us-east-1/fraud@prod".revisions]
        1 = {}
        2 = {}
        3 = {}
        4 = { state = "Failed" }
    "#,
};
