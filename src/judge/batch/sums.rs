//! Sums over looks, and bounds of summed increments from them: parabolas in place of logarithms.

use super::bets::{Bets, Curved, One};
use super::bounds::{Lanes, PIECES, ROUNDING, lanes};

/// The middles of windows are the shares from 0 to 1 in so many steps; each reaches to its neighbours' middles.
const WINDOWS: usize = 64;

/// What looks count, summed: times 1, times the place of the share in the window, and times the square of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    x: f64,
    t: [f64; 3],
    n: [f64; 3],
}

/// For shares in a window, upper bounds of the increments of each point.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// In pieces.
    middle: f32,
    inverse_half: f32,
    a: Lanes<5>,
    b: Parabolas,
    c: Parabolas,
    apart: f64,
}

/// Lower bounds of a function for each point.
#[derive(Clone, Debug)]
struct Parabolas {
    terms: [Lanes<5>; 3],
    /// How far they may be below it.
    apart: f64,
}

impl Sums {
    #[inline]
    pub(super) fn add(&mut self, look: &One, along: f32) {
        let along = f64::from(along);
        self.x += f64::from(look.x);
        for (sums, count) in [(&mut self.t, look.t), (&mut self.n, look.n)] {
            let mut term = f64::from(count);
            for sum in sums {
                *sum += term;
                term *= along;
            }
        }
    }
}

impl Window {
    /// The one whose middle is next to the share of a look; `None` for a share that is none.
    pub(super) fn around(bets: &Bets, look: &One) -> Option<Self> {
        let pieces = PIECES / WINDOWS;
        let at = (look.piece as usize + pieces / 2) / pieces;
        if at > WINDOWS {
            return None;
        }
        let share = |at: usize| at as f64 / WINDOWS as f64;
        let (low, high) = (share(at.saturating_sub(1)), share(WINDOWS.min(at + 1)));
        let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
        let a = bets.a().map(|a| a + 2.0 * ROUNDING * a.abs());
        Some(Self {
            middle: (middle * PIECES as f64) as f32,
            inverse_half: (1.0 / (half * PIECES as f64)) as f32,
            a: lanes(a),
            apart: bets.a().fold(0.0, |most, a| f64::max(most, 4.0 * ROUNDING * a.abs())),
            b: Parabolas::below([low, middle, high].map(|share| bets.b(share).collect()), half),
            c: Parabolas::below([low, middle, high].map(|share| bets.c(share).collect()), half),
        })
    }

    /// Where the share of a look is: in the window from -1 to 1.
    #[inline]
    pub(super) fn along(&self, look: &One) -> f32 {
        (look.piece as f32 - self.middle + look.along) * self.inverse_half
    }

    /// The bounds of the summed increments of looks in the window, in bits, added to others.
    #[inline]
    pub(super) fn most(&self, before: &Lanes<5>, sums: &Sums) -> Lanes<5> {
        let x = sums.x as f32;
        let mut most = *before;
        for (most, a) in most.as_flattened_mut().iter_mut().zip(self.a.as_flattened()) {
            *most += x * a;
        }
        self.b.take_off(&mut most, &sums.t);
        if sums.n[0] > 0.0 {
            self.c.take_off(&mut most, &sums.n);
        }
        most
    }

    /// How much less the summed increments may be.
    #[inline]
    pub(super) fn apart(&self, sums: &Sums) -> f64 {
        sums.x * self.apart + sums.t[0] * self.b.apart + sums.n[0] * self.c.apart
    }
}

impl Parabolas {
    /// Through a function's values at both ends of a window and in the middle.
    ///
    /// That is off by no more than `h^3 / (9 sqrt 3)` of the third derivative, which is largest at an end.
    fn below([low, middle, high]: [Vec<Curved>; 3], half: f64) -> Self {
        let (mut terms, mut apart) = ([const { Vec::new() }; 3], 0.0);
        for ((low, middle), high) in low.iter().zip(&middle).zip(&high) {
            let off = f64::max(low.third.abs(), high.third.abs()) * half.powi(3) / 15.5;
            let slope = (high.value - low.value) / 2.0;
            let bend = (high.value + low.value) / 2.0 - middle.value;
            // Of terms and sums, and of the share: 7 times 2^-24 of all windows.
            let size = middle.value.abs() + slope.abs() + bend.abs();
            let down = off + size * 2.0 * ROUNDING + (slope.abs() + 2.0 * bend.abs()) * 3e-5;
            for (terms, value) in terms.iter_mut().zip([middle.value - down, slope, bend]) {
                terms.push(value);
            }
            apart = f64::max(apart, 2.0 * down);
        }
        Self { terms: terms.map(lanes), apart }
    }

    #[inline]
    fn take_off(&self, from: &mut Lanes<5>, sums: &[f64; 3]) {
        let [at, slope, bend] = &self.terms;
        let [sum, along, squares] = sums.map(|sum| sum as f32);
        let terms = at.as_flattened().iter().zip(slope.as_flattened()).zip(bend.as_flattened());
        for (from, ((at, slope), bend)) in from.as_flattened_mut().iter_mut().zip(terms) {
            *from -= sum * at + along * slope + squares * bend;
        }
    }
}
