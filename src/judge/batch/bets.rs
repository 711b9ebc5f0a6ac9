//! What the increments of looks are made of.

use super::RUN;
use super::bounds::PIECES;
use crate::judge::counting::Against;
use crate::judge::design_effect::DesignEffect;
use crate::judge::evidence::Sides;
use crate::judge::ledger::{Direction, grid};

/// A test's grid points. In bits, the increment of a look is `l = x a - t b(share) - n c(share)` over the design effect.
#[derive(Clone, Debug)]
pub(super) struct Bets {
    against: Against,
    inverse_effect: f64,
    pub(super) points: Vec<f64>,
}

/// A piece that does not exist: of a look whose increments have no known bound.
const NOWHERE: f32 = 1e6;

/// Up to this ratio, requests too few for a float are no evidence.
const MOST_RATIO: f64 = 1e30;

/// What a test reads of a run of looks, look by look. All zeros: no evidence.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    x: [f32; RUN],
    t: [f32; RUN],
    n: [f32; RUN],
    pub(super) piece: [u32; RUN],
    along: [f32; RUN],
}

/// What a test reads of a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct One {
    /// Events of the candidate.
    pub(super) x: f32,
    /// All events, or for a limit the requests without one.
    pub(super) t: f32,
    /// The candidate's requests times the slack.
    pub(super) n: f32,
    /// The piece (of [`PIECES`] from 0 to 1) that the share `r0 n_c / (r0 n_c + n_b)` is next to the middle of; 0 for a limit.
    pub(super) piece: u32,
    /// The way from the middle of the piece, from -1/2 to 1/2.
    pub(super) along: f32,
}

/// A function of the share at one grid point: its value, and its second and third derivative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curved {
    pub(super) value: f64,
    pub(super) second: f64,
    pub(super) third: f64,
}

impl Bets {
    pub(super) fn new(against: Against, direction: Direction, effect: DesignEffect) -> Self {
        let limit = match against {
            Against::Limit(limit) => limit.share(),
            Against::Mirrored(_) | Against::Stable(_) => 0.0,
        };
        let points = grid(direction).filter(|g| g * limit < 1.0).collect();
        Self { against, inverse_effect: 1.0 / effect.factor(), points }
    }

    /// `w_j`.
    pub(super) fn weights(&self) -> impl Iterator<Item = f64> {
        let points = self.points.len() as f64;
        (1..=self.points.len()).map(move |j| 2.0 * j as f64 / (points * (points + 1.0)))
    }

    /// Reads a run of looks, several at a time.
    #[inline]
    pub(super) fn seen<'a>(&self, looks: impl Iterator<Item = &'a Sides>) -> Seen {
        let boundary = match self.against {
            Against::Limit(_) => return Self::seen_of_one(looks),
            Against::Mirrored(boundary) | Against::Stable(boundary) => boundary,
        };
        if boundary.ratio > MOST_RATIO {
            return Seen { piece: [NOWHERE as u32; RUN], ..Seen::default() };
        }
        let mut rows = [[0.0; 4]; RUN];
        for (row, sides) in rows.iter_mut().zip(looks) {
            let Sides { candidate, stable } = sides;
            *row = [candidate.requests(), candidate.events(), stable.requests(), stable.events()].map(|n| n as f32);
        }
        let [mut n_c, mut x_c] = [rows.map(|[n, ..]| n), rows.map(|[_, x, ..]| x)];
        let [mut n_b, mut x_b] = [rows.map(|[.., n, _]| n), rows.map(|[.., x]| x)];
        if matches!(self.against, Against::Mirrored(_)) {
            (n_c, x_c, n_b, x_b) = (n_b, x_b, n_c, x_c);
        }
        let (ratio, abs) = (boundary.ratio as f32, boundary.abs as f32);
        // A side without requests is no evidence.
        let fewer = zip(&n_c, &n_b, |c, b| if c < b { c } else { b });
        let known = fewer.map(|fewer| if fewer > 0.0 { 1.0 } else { 0.0 });
        let share = zip(&n_c.map(|n| ratio * n), &n_b, |weighted, n| weighted / (weighted + n));
        // What overflows is in no piece, and so is nothing divided by nothing.
        let at = share.map(|share| if share <= 1.0 { share * PIECES as f32 } else { NOWHERE });
        let at = zip(&at, &known, |at, known| at * known);
        // Adding 2^23 rounds to a whole number, which the low bits then hold.
        let shifted = at.map(|at| at + 8_388_608.0);
        let along = zip(&at, &shifted, |at, shifted| at - (shifted - 8_388_608.0));
        Seen {
            x: zip(&x_c, &known, |x, known| x * known),
            t: zip(&zip(&x_c, &x_b, |c, b| c + b), &known, |t, known| t * known),
            n: zip(&n_c, &known, |n, known| n * abs * known),
            piece: shifted.map(|shifted| shifted.to_bits() & 0x7F_FFFF),
            along,
        }
    }

    /// A limit reads only the candidate.
    fn seen_of_one<'a>(looks: impl Iterator<Item = &'a Sides>) -> Seen {
        let mut seen = Seen::default();
        for ((x, t), sides) in seen.x.iter_mut().zip(&mut seen.t).zip(looks) {
            (*x, *t) = (sides.candidate.events() as f32, sides.candidate.rest() as f32);
        }
        seen
    }

    /// `a`: `ln g`.
    pub(super) fn a(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|g| self.bits(g.ln()))
    }

    /// `b` at a share, concave in it: `ln (1 + (g - 1) share)`.
    pub(super) fn b(&self, share: f64) -> impl Iterator<Item = Curved> {
        self.points.iter().map(move |g| match self.against {
            Against::Limit(limit) => {
                let tau = limit.share();
                Curved { value: self.bits((-tau).ln_1p() - (-g * tau).ln_1p()), second: 0.0, third: 0.0 }
            }
            Against::Mirrored(_) | Against::Stable(_) => {
                let slope = (g - 1.0) / (1.0 + (g - 1.0) * share);
                Curved {
                    value: self.bits(((g - 1.0) * share).ln_1p()),
                    second: self.bits(-slope.powi(2)),
                    third: self.bits(2.0 * slope.powi(3)),
                }
            }
        })
    }

    /// `c` at a share, convex in it: `(g - 1) (1 - share) / (1 + (g - 1) share)`.
    pub(super) fn c(&self, share: f64) -> impl Iterator<Item = Curved> {
        self.points.iter().map(move |g| {
            let (more, under) = (g - 1.0, 1.0 + (g - 1.0) * share);
            Curved {
                value: self.bits(more * (1.0 - share) / under),
                second: self.bits(2.0 * g * more.powi(2) / under.powi(3)),
                third: self.bits(-6.0 * g * more.powi(3) / under.powi(4)),
            }
        })
    }

    fn bits(&self, nats: f64) -> f64 {
        nats * std::f64::consts::LOG2_E * self.inverse_effect
    }
}

impl Seen {
    #[inline]
    pub(super) fn looks(&self) -> impl Iterator<Item = One> {
        let at = self.piece.iter().zip(&self.along);
        self.x.iter().zip(&self.t).zip(&self.n).zip(at).map(|(((x, t), n), (piece, along))| One {
            x: *x,
            t: *t,
            n: *n,
            piece: *piece,
            along: *along,
        })
    }
}

#[inline]
fn zip(a: &[f32; RUN], b: &[f32; RUN], f: impl Fn(f32, f32) -> f32) -> [f32; RUN] {
    let mut result = *a;
    for (a, b) in result.iter_mut().zip(b) {
        *a = f(*a, *b);
    }
    result
}
