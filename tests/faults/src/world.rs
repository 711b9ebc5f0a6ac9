//! The functions, versions and aliases that exist.

use std::collections::BTreeMap;

/// A published version of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// The description.
    pub description: String,
    /// The execution role; two versions behind one alias must share it.
    pub role: String,
    /// The ARN of the dead letter queue; two versions behind one alias must share it.
    pub dead_letter: Option<String>,
    /// The state, such as `Active` or `Pending`.
    pub state: String,
    /// Why the state is not `Active`.
    pub state_reason: Option<String>,
    /// The code that goes with the reason, such as `Creating`.
    pub state_reason_code: Option<String>,
    /// What became of the last update: `Successful`, `InProgress` or `Failed`.
    pub last_update_status: String,
    /// When the version was published, as Lambda writes it.
    pub last_modified: String,
    /// The hash of the code.
    pub code_sha256: String,
    /// The longest time one invocation may take, in seconds.
    pub timeout: u32,
    /// The revision id.
    pub revision_id: String,
}

impl Default for Version {
    fn default() -> Self {
        Self {
            description: String::new(),
            role: "arn:aws:iam::123456789012:role/mlroll".to_owned(),
            dead_letter: None,
            state: "Active".to_owned(),
            state_reason: None,
            state_reason_code: None,
            last_update_status: "Successful".to_owned(),
            last_modified: "2026-01-02T03:04:05.678+0000".to_owned(),
            code_sha256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            timeout: 3,
            revision_id: String::new(),
        }
    }
}

/// An alias of a function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alias {
    /// The primary version.
    pub version: String,
    /// The additional version and its share; Lambda allows one at most.
    pub weights: BTreeMap<String, f64>,
    /// The description.
    pub description: String,
    /// The revision id, which every change replaces.
    pub revision_id: String,
    /// The old version that reads show with weight 1 while provisioned concurrency moves.
    pub provisioned_transient: Option<String>,
    /// After how many `GetAlias` the transient ends by itself; 0 leaves that to the test.
    pub transient_reads: u32,
    /// For how many `GetAlias` a plain move of the version shows a transient; 0 means no provisioned concurrency.
    pub transient_on_move: u32,
}

/// A function with all that hangs on it.
#[derive(Debug, Default)]
pub(crate) struct Function {
    pub(crate) latest: Version,
    pub(crate) versions: BTreeMap<u64, Version>,
    pub(crate) aliases: BTreeMap<String, Alias>,
}

impl Function {
    /// Finds a version by its name on the wire.
    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        if name == LATEST { Some(&self.latest) } else { self.versions.get(&name.parse().ok()?) }
    }
}

/// Everything that exists.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) functions: BTreeMap<String, Function>,
    minted: u64,
}

impl World {
    /// Returns a revision id that was never used before.
    pub(crate) fn mint(&mut self) -> String {
        self.minted += 1;
        // Spread over the digits, so that nothing can order or guess revision ids.
        let spread = self.minted.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{:08x}-{:04x}-4000-8000-{:012x}", spread >> 32, spread >> 16 & 0xffff, self.minted)
    }

    /// Changes a version, published on the spot when it does not exist.
    pub(crate) fn publish(&mut self, function: &str, number: u64, change: impl FnOnce(&mut Version)) {
        let revision_id = self.mint();
        let versions = &mut self.function(function).versions;
        let version = versions.entry(number).or_default();
        version.revision_id = revision_id;
        change(version);
    }

    /// Changes an alias as another client would, and returns the fresh revision id.
    pub(crate) fn change(&mut self, function: &str, alias: &str, change: impl FnOnce(&mut Alias)) -> Option<String> {
        let revision_id = self.mint();
        let alias = self.functions.get_mut(function)?.aliases.get_mut(alias)?;
        change(alias);
        alias.revision_id.clone_from(&revision_id);
        Some(revision_id)
    }

    /// Removes a version.
    pub(crate) fn delete_version(&mut self, function: &str, version: &str) {
        if let (Some(function), Ok(number)) = (self.functions.get_mut(function), version.parse()) {
            function.versions.remove(&number);
        }
    }

    /// Returns a function, created when it does not exist.
    pub(crate) fn function(&mut self, name: &str) -> &mut Function {
        if !self.functions.contains_key(name) {
            let latest = Version { revision_id: self.mint(), ..Version::default() };
            self.functions.insert(name.to_owned(), Function { latest, ..Function::default() });
        }
        self.functions.entry(name.to_owned()).or_default()
    }
}

/// The name of the unpublished version.
pub(crate) const LATEST: &str = "$LATEST";
