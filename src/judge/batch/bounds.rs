//! Bounds of the increments of a look, in single precision: lines in place of logarithms.

use super::RUN;
use super::bets::{Bets, Curved, One, Seen};
use super::groups::Group;

/// A number for each of a few functions of a look, four at a time: what the compiler turns into vector instructions.
pub(super) type Lanes<const N: usize> = [[f32; 4]; N];

/// Shares from 0 to 1 are cut into so many pieces; the first and the last reach out by half of one.
pub(super) const PIECES: usize = 512;

/// More than what rounding does to a term of an increment: to its factors, its product, and sums over a run of looks, 20 times
/// 2^-24 in all.
pub(super) const ROUNDING: f64 = 1.5e-6;

/// More than what rounding does to a share, in pieces: 7 times 2^-24 of all pieces.
const BLUR: f64 = 1e-3;

/// Increments are held in this range, in bits: what is nothing beside a new bet, and what a float can be.
const LEAST_BITS: f32 = -60.0;
const MOST_BITS: f32 = 126.0;

/// Functions of a look that the increments of a test's grid points are at most, in bits.
#[derive(Clone, Debug)]
pub(super) struct Bounds<const N: usize> {
    groups: Vec<Group>,
    a: Lanes<N>,
    apart: f32,
    /// By the piece, where it is in `pieces`; 0 for those that no look needed yet.
    places: Vec<u16>,
    pieces: Vec<Piece<N>>,
}

/// Lower bounds of `b` and `c` for shares in one piece.
#[derive(Clone, Debug)]
struct Piece<const N: usize> {
    b: Line<N>,
    c: Line<N>,
}

/// `at + along slope`, where `along` goes from -1/2 to 1/2 in the piece.
#[derive(Clone, Debug)]
struct Line<const N: usize> {
    at: Lanes<N>,
    slope: Lanes<N>,
    /// How far it may be below the function, if no points share lanes.
    apart: f32,
}

impl<const N: usize> Bounds<N> {
    pub(super) fn new(bets: &Bets) -> Self {
        let a: Vec<f64> = bets.a().collect();
        let most = a.iter().fold(0.0, |most, a| f64::max(most, a.abs()));
        let groups = Group::all(&a, 4 * N);
        let a = lanes(groups.iter().flat_map(Group::a).map(|a| a + a.abs() * ROUNDING));
        let mut bounds =
            Self { groups, a, apart: (4.0 * ROUNDING * most) as f32, places: vec![0; PIECES + 1], pieces: Vec::new() };
        // It is in place 0 and may well be made again.
        bounds.make(bets, 0);
        bounds
    }

    /// What the lanes count for, of a share of all.
    pub(super) fn weights(&self, bets: &Bets, share: f64) -> Lanes<N> {
        let weights: Vec<f64> = bets.weights().map(|weight| share * weight).collect();
        self.share_out(&weights)
    }

    /// What the lanes have when the points have this.
    pub(super) fn share_out(&self, points: &[f64]) -> Lanes<N> {
        lanes(self.groups.iter().flat_map(|group| group.weights(points)))
    }

    /// Where the pieces of a run of looks are.
    #[inline]
    pub(super) fn places(&mut self, bets: &Bets, seen: &Seen) -> [usize; RUN] {
        seen.piece.map(|piece| match self.places.get(piece as usize) {
            Some(place) if *place > 0 => usize::from(*place),
            _ => self.make(bets, piece as usize),
        })
    }

    /// The bounds for a look. Padding has 0.
    #[inline]
    pub(super) fn of(&self, place: usize, look: &One) -> Lanes<N> {
        let Some(piece) = self.pieces.get(place) else {
            return [[f32::INFINITY; 4]; N];
        };
        let (t_along, n_along) = (look.t * look.along, look.n * look.along);
        let mut bits = self.a;
        for ((bits, at), slope) in bits.iter_mut().zip(&piece.b.at).zip(&piece.b.slope) {
            for ((bits, at), slope) in bits.iter_mut().zip(at).zip(slope) {
                *bits = look.x * *bits - (look.t * at + t_along * slope);
            }
        }
        if look.n > 0.0 {
            for ((bits, at), slope) in bits.iter_mut().zip(&piece.c.at).zip(&piece.c.slope) {
                for ((bits, at), slope) in bits.iter_mut().zip(at).zip(slope) {
                    *bits -= look.n * at + n_along * slope;
                }
            }
        }
        bits
    }

    /// How much less the increments may be for a look, if no points share lanes.
    pub(super) fn apart(&self, place: usize, look: &One) -> f32 {
        let of = |piece: &Piece<N>| look.x * self.apart + look.t * piece.b.apart + look.n * piece.c.apart;
        self.pieces.get(place).map_or(f32::INFINITY, of)
    }

    #[cold]
    fn make(&mut self, bets: &Bets, piece: usize) -> usize {
        if piece > PIECES {
            return usize::MAX;
        }
        let share = |at: f64| at / PIECES as f64;
        let (low, high) = (share(piece as f64 - 0.5 - BLUR), share(piece as f64 + 0.5 + BLUR));
        self.pieces.push(Piece {
            b: Line::below(bets.b(low).zip(bets.b(high)), &self.groups),
            c: Line::below(bets.c(low).zip(bets.c(high)), &self.groups),
        });
        let place = self.pieces.len() - 1;
        if let (Some(slot), Ok(place)) = (self.places.get_mut(piece), u16::try_from(place)) {
            *slot = place;
        }
        place
    }
}

impl<const N: usize> Line<N> {
    /// From a function's values at both ends of a piece.
    ///
    /// Its chord is off by no more than an eighth of the bend, which is largest at an end: below it where the bend is
    /// negative, else above.
    fn below(ends: impl Iterator<Item = (Curved, Curved)>, groups: &[Group]) -> Self {
        let (mut lows, mut highs, mut apart) = (Vec::new(), Vec::new(), 0.0);
        for (low, high) in ends {
            let width = (1.0 + 2.0 * BLUR) / PIECES as f64;
            let sag = f64::max(low.second.abs(), high.second.abs()) * width * width / 8.0;
            let down = if low.second > 0.0 { sag } else { 0.0 };
            lows.push(low.value - down);
            highs.push(high.value - down);
            apart = f64::max(apart, sag + 2.0 * blurred((low.value, high.value)));
        }
        let below = |values: &[f64]| -> Vec<f64> { groups.iter().flat_map(|group| group.below(values)).collect() };
        let (lows, highs) = (below(&lows), below(&highs));
        let ends = || lows.iter().copied().zip(highs.iter().copied());
        let at = ends().map(|(low, high)| (low + high) / 2.0 - blurred((low, high)));
        let slope = ends().map(|(low, high)| (high - low) / (1.0 + 2.0 * BLUR));
        Self { at: lanes(at), slope: lanes(slope), apart: apart as f32 }
    }
}

/// What rounding does to a line between two ends.
fn blurred((low, high): (f64, f64)) -> f64 {
    f64::max(low.abs(), high.abs()) * 2.0 * ROUNDING + (high - low).abs() * BLUR
}

/// Values in lanes; zeros pad.
pub(super) fn lanes<const N: usize>(values: impl IntoIterator<Item = f64>) -> Lanes<N> {
    let mut lanes = [[0.0; 4]; N];
    for (slot, value) in lanes.as_flattened_mut().iter_mut().zip(values) {
        *slot = value as f32;
    }
    lanes
}

/// At least `2^bits`, and at most [`POWER_APART`] bits more.
#[inline]
pub(super) fn power_above(bits: f32) -> f32 {
    let bits = if bits > LEAST_BITS { bits } else { LEAST_BITS };
    let bits = if bits < MOST_BITS { bits } else { MOST_BITS };
    // Adding 1.5 * 2^23 rounds to a whole number, which the low bits then hold.
    let shifted = bits + 12_582_912.0;
    let rest = bits - (shifted - 12_582_912.0);
    // 2^rest for -1/2 .. 1/2: the parabola with the least relative error, lifted above it.
    let power = (0.238_843_27 * rest + 0.704_670_4) * rest + 1.002_181_7;
    f32::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Of [`power_above`], of sums, and of what is held at `LEAST_BITS`.
pub(super) const POWER_APART: f64 = 0.0052;
