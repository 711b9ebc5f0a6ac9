//! Chance that depends on what it is about and on nothing else: neither on who asks nor in which order.

use rand_pcg::Pcg64Mcg;

/// What something is about: the seed, the target, the revision, and so on, mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// That of a whole sandbox.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// A part of it that has a number.
    #[must_use]
    pub const fn with(self, part: u64) -> Self {
        Self(mix(self.0 ^ mix(part)))
    }

    /// A part of it that has a name.
    #[must_use]
    pub fn named(self, part: &str) -> Self {
        part.bytes().fold(self.with(part.len() as u64), |key, byte| key.with(u64::from(byte)))
    }

    /// Draws for it; the same ones each time.
    pub(super) fn draws(self) -> Pcg64Mcg {
        Pcg64Mcg::new(u128::from(mix(self.0 ^ 1)) << 64 | u128::from(self.0))
    }

    /// One draw from 0 up to, but not, 1.
    #[must_use]
    pub fn unit(self) -> f64 {
        (mix(self.0 ^ 2) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): each bit of the result depends on all bits of `x`.
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
