//! The shape of the tree: what may depend on what.

use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The engine decides from what it is given: no clock, no I/O, no SDK.
#[test]
fn the_engine_is_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let allowed = [
        "std::",
        "core::",
        "serde",
        "libm",
        "mlroll_backend",
        "super",
        "self",
        "crate::rollout",
        "crate::judge",
        "crate::exit",
    ];
    let impure = [
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::thread",
        "std::process",
        "SystemTime",
        "Instant",
        "async ",
    ];
    for folder in ["src/rollout", "src/judge"] {
        let folder = root.join(folder);
        for path in if folder.exists() { sources(&folder) } else { Vec::new() } {
            let tests = path.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs");
            if tests && path.strip_prefix(root).unwrap().starts_with("src") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for line in code.lines() {
                let line = line.trim_start();
                if let Some(used) = line.strip_prefix("use ").or_else(|| line.strip_prefix("pub use ")) {
                    let first = used.split("::").next().unwrap();
                    let sibling = path.with_file_name(format!("{first}.rs")).exists();
                    let known = allowed.iter().any(|a| used.starts_with(a));
                    assert!(known || sibling, "{}: {line}", path.display());
                }
                assert!(
                    line.starts_with("//") || !impure.iter().any(|i| line.contains(i)),
                    "{}: {line}",
                    path.display()
                );
            }
        }
    }
}

/// SDK types stop at `wire.rs`, and what the services share.
#[test]
fn sdk_types_stop_at_the_wire() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in sources(&root.join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let sdks = ["aws_sdk", "aws_config", "azure_core", "azure_identity"];
        assert!(!sdks.iter().any(|sdk| text.contains(sdk)), "{}", path.display());
    }
    let services = ["cloudwatch", "lambda", "sagemaker"].map(|service| root.join("providers/aws/src").join(service));
    for path in services.iter().flat_map(|folder| sources(folder)) {
        let named = std::fs::read_to_string(&path).unwrap().contains("aws_sdk");
        let wire = path.ends_with("wire.rs") || path.components().any(|part| part.as_os_str() == "wire");
        assert!(!named || wire, "{}", path.display());
    }
    for path in sources(&root.join("providers/prometheus/src")) {
        let named = std::fs::read_to_string(&path).unwrap().contains("reqwest");
        let allowed = path.ends_with("transport.rs") || path.ends_with("error.rs");
        assert!(!named || allowed, "{}", path.display());
    }
    for path in sources(&root.join("providers/google/src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let http = ["session.rs", "transport.rs", "wire.rs"].iter().any(|name| path.ends_with(name));
        assert!(!text.contains("reqwest") || http, "{}", path.display());
        let library = path.ends_with("credentials.rs") || path.ends_with("credentials/file.rs");
        assert!(!text.contains("google_cloud_auth") || library, "{}", path.display());
    }
    for path in sources(&root.join("providers/azure/src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let is = |names: &[&str]| names.iter().any(|name| path.ends_with(name));
        assert!(!text.contains("azure_identity") || is(&["credentials.rs"]), "{}", path.display());
        let allowed = is(&["transport.rs", "error.rs", "credentials.rs", "credentials/tests.rs"]);
        assert!(!text.contains("reqwest") || allowed, "{}", path.display());
    }
}
