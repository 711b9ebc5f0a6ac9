//! What a person should know of a deployment.

use super::Wanted;
use super::wire::Filling;
use crate::sagemaker::wire::Endpoint;

pub(super) fn notes(before: &Endpoint, wanted: &Wanted, made: bool) -> Vec<String> {
    let Filling { slot, instances, instance_type, like, .. } = &wanted.filling;
    let mut notes = Vec::new();
    if !made {
        return notes;
    }
    if wanted.adds {
        let kind = instance_type.as_ref().map_or_else(|| format!("as {like} has"), Clone::clone);
        notes.push(format!(
            "variant {slot} is new: {instances} more instance{} ({kind}), billed from now on, with traffic or without",
            if *instances == 1 { "" } else { "s" }
        ));
    }
    notes.push(
        "an update makes a new fleet for all variants: twice the instances are billed for some minutes".to_owned(),
    );
    notes.push(format!("the endpoint config was {}, which is kept", before.config));
    if before.guardrails {
        notes.push(
            "the endpoint's deployment guardrails were not used, and are not kept: they shift whole fleets".to_owned(),
        );
    }
    notes
}
