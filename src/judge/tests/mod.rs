//! Tests over several modules: the values of the page, vectors of other implementations, properties, simulations.

mod batch;
mod golden;
mod properties;
mod simulation;
mod trial;
mod vectors;

/// Agreement as docs/judge.md section 7 asks for it.
#[track_caller]
pub(in crate::judge) fn assert_near(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9 * want.abs().max(1.0), "{got}, not {want}");
}
