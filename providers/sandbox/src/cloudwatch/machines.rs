//! What SageMaker's machines have, as far as the sandbox knows them: utilisation is told for each core and each GPU.

/// Cores and GPUs of a kind of machine (EC2 instance types).
pub(crate) fn devices(kind: &str) -> Option<(u32, u32)> {
    Some(match kind {
        "ml.t2.medium" | "ml.m5.large" | "ml.c5.large" => (2, 0),
        "ml.m5.xlarge" | "ml.c5.xlarge" => (4, 0),
        "ml.m5.2xlarge" | "ml.c5.2xlarge" => (8, 0),
        "ml.g4dn.xlarge" | "ml.g5.xlarge" | "ml.g6.xlarge" => (4, 1),
        "ml.g5.12xlarge" | "ml.g6.12xlarge" => (48, 4),
        "ml.g5.48xlarge" => (192, 8),
        "ml.p3.8xlarge" => (32, 4),
        "ml.p4d.24xlarge" => (96, 8),
        _ => return None,
    })
}
