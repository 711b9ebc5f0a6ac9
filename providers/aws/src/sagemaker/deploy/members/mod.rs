//! Members of an endpoint config that this SDK does not know: a copy would be without them, and nobody would be told.

pub(super) mod wire;
