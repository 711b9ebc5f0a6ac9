//! What every source of metrics does.
