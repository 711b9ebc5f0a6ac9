//! A number for each grid point, computed on in lanes: what the compiler turns into vector instructions.

use std::f64::consts::LOG2_E;

/// A number for each of the 17 grid points, padded to whole lanes of four.
pub(super) type Row = [[f64; 4]; 5];

/// Values in lanes; zeros pad.
pub(super) fn row(values: impl Iterator<Item = f64>) -> Row {
    let mut result = Row::default();
    for (slot, value) in result.iter_mut().flatten().zip(values) {
        *slot = value;
    }
    result
}

/// `f` of each number.
#[inline]
pub(super) fn map(row: &Row, f: impl Fn(f64) -> f64 + Copy) -> Row {
    let mut result = *row;
    for value in result.as_flattened_mut() {
        *value = f(*value);
    }
    result
}

/// `f` of each pair of numbers.
#[inline]
pub(super) fn zip(a: &Row, b: &Row, f: impl Fn(f64, f64) -> f64 + Copy) -> Row {
    let mut result = *a;
    for (value, b) in result.as_flattened_mut().iter_mut().zip(b.as_flattened()) {
        *value = f(*value, *b);
    }
    result
}

/// `e^x` to the last digits, for |x| up to 708; beyond that the power of the nearer end.
///
/// Without branches and calls, unlike that of the standard library.
#[inline]
pub(super) fn exp(x: f64) -> f64 {
    let x = if x > -708.0 { x } else { -708.0 };
    let x = if x < 708.0 { x } else { 708.0 };
    // Adding 1.5 * 2^52 rounds to a whole number, which the low bits then hold.
    let shifted = x * LOG2_E + 6_755_399_441_055_744.0;
    let k = shifted - 6_755_399_441_055_744.0;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let power = EXP.iter().fold(0.0, |sum, c| sum * r + c);
    f64::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// `ln x` to the last digits, for positive numbers that are not subnormal.
#[inline]
pub(super) fn ln(x: f64) -> f64 {
    // x = 2^k m with m in sqrt(1/2) .. sqrt(2).
    let bits = x.to_bits();
    let exponent = bits.wrapping_sub(0x3FE6_A09E_667F_3BCD).wrapping_add(1023 << 52) >> 52;
    let k = f64::from_bits(exponent | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0);
    let m = f64::from_bits(bits.wrapping_sub(exponent << 52).wrapping_add(1023 << 52));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let rest = LN.iter().fold(0.0, |sum, c| sum * z + c) * z;
    k * LN_2_HIGH + (2.0 * s * rest + k * LN_2_LOW + 2.0 * s)
}

/// `ln 2` in two parts: the first has so few digits that whole multiples of it are exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `1 / 13!` down to `1 / 0!`.
const EXP: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// `1 / 21`, `1 / 19`, .. `1 / 3`: the series of `artanh` without its first term.
const LN: [f64; 10] = [
    1.0 / 21.0,
    1.0 / 19.0,
    1.0 / 17.0,
    1.0 / 15.0,
    1.0 / 13.0,
    1.0 / 11.0,
    1.0 / 9.0,
    1.0 / 7.0,
    1.0 / 5.0,
    1.0 / 3.0,
];

#[cfg(test)]
mod tests {

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn powers_and_logarithms_are_those_of_the_standard_library(x in -708.0f64..708.0, small in -0.1f64..0.1) {
            for x in [x, small, x.round()] {
                prop_assert!((exp(x) / x.exp() - 1.0).abs() < 1e-15, "exp({x}) = {:e}, not {:e}", exp(x), x.exp());
            }
            for y in [x.exp(), 1.0 + small] {
                let want = y.ln();
                prop_assert!((ln(y) - want).abs() <= 4e-16 * want.abs().max(0.1), "ln({y}) = {:e}, not {want:e}", ln(y));
            }
        }
    }

    #[test]
    fn the_ends_are_held() {
        assert_eq!((exp(0.0), ln(1.0)), (1.0, 0.0));
        for (x, end) in [(1e300, 708.0f64), (-1e300, -708.0), (f64::NEG_INFINITY, -708.0)] {
            assert!((exp(x) / end.exp() - 1.0).abs() < 1e-15, "{x}");
        }
    }
}
