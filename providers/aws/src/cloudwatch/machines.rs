//! What an endpoint runs on, and how often it publishes: AWS counts a share of each core and of each accelerator, so that
//! four of them at work are 400 %.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{Resource, Why};

/// What the endpoint config says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machines {
    /// How often invocations are published; `None`: once a minute, as without enhanced metrics.
    pub(super) every: Option<Duration>,
    /// The kind of machine, by variant; none for those without machines.
    pub(super) kinds: BTreeMap<String, String>,
}

impl Machines {
    /// By how much utilisation of a resource is at its most, in percent.
    pub(super) fn full(&self, variant: &str, resource: Resource) -> Result<f64, Why> {
        let Some(kind) = self.kinds.get(variant) else {
            return Err(Why::Inconsistent { found: format!("variant {variant} has no kind of machine") });
        };
        let devices = match resource {
            Resource::Cpu => cores(kind),
            Resource::Gpu | Resource::GpuMemory => accelerators(kind),
            Resource::Memory => Some(1),
        };
        match devices {
            Some(devices) if devices > 0 => Ok(100.0 * f64::from(devices)),
            Some(_) => Err(Why::Inconsistent { found: format!("{kind} has no accelerator") }),
            None => Err(Why::Inconsistent { found: format!("nobody knows how many of them a machine {kind} has") }),
        }
    }
}

/// `ml.g5.12xlarge`: its family and its size in units of `xlarge`; zero for smaller ones.
fn parts(kind: &str) -> Option<(&str, u32)> {
    let (family, size) = kind.strip_prefix("ml.")?.split_once('.')?;
    let size = match size {
        "medium" | "large" => 0,
        "xlarge" => 1,
        other => other.strip_suffix("xlarge")?.parse().ok()?,
    };
    Some((family, size))
}

/// Virtual processors: four for each `xlarge`, two for what is smaller (EC2 instance types).
fn cores(kind: &str) -> Option<u32> {
    match parts(kind)? {
        // The one exception among SageMaker's.
        ("c4", 8) => Some(36),
        (_, 0) => Some(2),
        (_, size) => size.checked_mul(4),
    }
}

/// GPUs (EC2 instance types of SageMaker's accelerated families). Fractions of one count as one.
fn accelerators(kind: &str) -> Option<u32> {
    let (family, size) = parts(kind)?;
    match (family, size) {
        ("g4dn", 12) | ("g5" | "g6" | "g6e", 12 | 24) => Some(4),
        ("g5" | "g6" | "g6e", 48) => Some(8),
        ("g4dn" | "g5" | "g6" | "g6e" | "gr6" | "g6f", 1..=16) | ("p2" | "p5", 1 | 4) => Some(1),
        ("p2", 8) => Some(8),
        ("p2", 16) => Some(16),
        ("p3", 2) => Some(1),
        ("p3", 8) => Some(4),
        ("p3", 16) | ("p3dn" | "p4d" | "p4de", 24) | ("p5" | "p5e" | "p5en", 48) | ("p6-b200", 48) => Some(8),
        ("c4" | "c5" | "c5d" | "c6g" | "c6gd" | "c6gn" | "c6i" | "c6id" | "c7g" | "c7i" | "c8g", _)
        | ("m4" | "m5" | "m5d" | "m6g" | "m6gd" | "m6i" | "m6id" | "m7i" | "m8g" | "t2" | "t3", _)
        | ("r5" | "r5d" | "r6g" | "r6gd" | "r6i" | "r6id" | "r7i" | "r8g", _) => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilisation_goes_to_a_hundred_for_each_device() {
        let full = |kind: &str, resource| {
            let kinds = [("a".to_owned(), kind.to_owned())].into();
            Machines { every: None, kinds }.full("a", resource).ok()
        };
        for (kind, cpu, gpu) in [
            ("ml.g5.12xlarge", Some(4800.0), Some(400.0)),
            ("ml.g5.16xlarge", Some(6400.0), Some(100.0)),
            ("ml.g4dn.xlarge", Some(400.0), Some(100.0)),
            ("ml.p3.2xlarge", Some(800.0), Some(100.0)),
            ("ml.p4d.24xlarge", Some(9600.0), Some(800.0)),
            ("ml.p5.48xlarge", Some(19_200.0), Some(800.0)),
            ("ml.m5.large", Some(200.0), None),
            ("ml.t2.medium", Some(200.0), None),
            ("ml.c4.8xlarge", Some(3600.0), None),
            ("ml.z99.xlarge", Some(400.0), None),
            ("local", None, None),
        ] {
            assert_eq!((full(kind, Resource::Cpu), full(kind, Resource::Gpu)), (cpu, gpu), "{kind}");
            assert_eq!(full(kind, Resource::GpuMemory), gpu, "{kind}");
            assert_eq!(full(kind, Resource::Memory), Some(100.0), "{kind}");
        }
        assert!(Machines::default().full("a", Resource::Memory).is_err());
    }
}
