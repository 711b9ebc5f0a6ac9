//! One request to one variant: `TargetVariant` overrides the weights, so a variant without traffic answers too.

pub(super) mod wire;
