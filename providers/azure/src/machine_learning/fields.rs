//! JSON objects that are edited without touching what is not ours.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// What no PUT may contain: Azure's own record (swagger `readOnly`, and live answers).
pub(super) const READ_ONLY: [&str; 4] = ["id", "name", "systemData", "type"];
const READ_ONLY_IDENTITY: [&str; 2] = ["principalId", "tenantId"];
const READ_ONLY_ASSIGNED: [&str; 2] = ["clientId", "principalId"];

/// The fields of a JSON object in their order, each value as the text it came in.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    /// Leaves fields out.
    pub(super) fn drop(&mut self, names: &[&str]) {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    /// Their names.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether there is an object of that name.
    pub(super) fn has_object(&self, name: &str) -> bool {
        self.0.iter().any(|(found, value)| found == name && value.get().starts_with('{'))
    }

    /// The object of that name; an error when it is none.
    pub(super) fn object(&self, name: &str) -> serde_json::Result<Self> {
        let value = self.0.iter().find(|(found, _)| found == name).map_or("null", |(_, value)| value.get());
        serde_json::from_str(value)
    }

    /// Puts a value where one of that name was, else at the end.
    pub(super) fn set(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        let raw = serde_json::value::to_raw_value(value)?;
        match self.0.iter_mut().find(|(found, _)| found == name) {
            Some((_, old)) => *old = raw,
            None => self.0.push((name.to_owned(), raw)),
        }
        Ok(())
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    // Which of two would count is not known, so neither is written back.
                    if fields.iter().any(|(found, _)| *found == name) {
                        return Err(serde::de::Error::custom("a field that is there twice"));
                    }
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// Leaves out of a resource's identity what Azure writes into it.
pub(super) fn forget_principals(resource: &mut Fields) -> serde_json::Result<()> {
    if !resource.has_object("identity") {
        return Ok(());
    }
    let mut identity = resource.object("identity")?;
    identity.drop(&READ_ONLY_IDENTITY);
    if identity.has_object("userAssignedIdentities") {
        let mut assigned = identity.object("userAssignedIdentities")?;
        for name in assigned.names() {
            if assigned.has_object(&name) {
                let mut one = assigned.object(&name)?;
                one.drop(&READ_ONLY_ASSIGNED);
                assigned.set(&name, &one)?;
            }
        }
        identity.set("userAssignedIdentities", &assigned)?;
    }
    resource.set("identity", &identity)
}
