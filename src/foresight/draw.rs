//! Chance that comes from a seed: the same seed gives the same rollouts on every machine.

use crate::judge::math::ln_choose;

/// A stream of random numbers: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Copy, Debug)]
pub struct Dice(u64);

/// How many of some requests are events, drawn by inverting the distribution function.
#[derive(Clone, Debug)]
pub struct Draw {
    first: f64,
    /// Requests that one event stands for.
    size: f64,
    cumulative: Vec<f64>,
    /// Where to look for a number, by so many equal parts of those from 0 to 1.
    guide: Vec<u32>,
}

impl Dice {
    /// A stream of its own for every seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 up to 1, which it never is.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How many of `trials` (a whole number, 0 to 1e9) are chosen, each with `chance` (0 to 1): the weights of the binomial
    /// distribution are added up from the mode outwards until they reach a number that is drawn.
    pub fn chosen(&mut self, trials: f64, chance: f64) -> f64 {
        if trials <= 0.0 || chance <= 0.0 {
            return 0.0;
        }
        if chance >= 1.0 {
            return trials;
        }
        let mode = ((trials + 1.0) * chance).floor().min(trials);
        let at_mode = ln_choose(trials, mode) + mode * chance.ln() + (trials - mode) * (-chance).ln_1p();
        let odds = chance / (1.0 - chance);
        let mut left = self.unit() - at_mode.exp();
        let (mut low, mut high) = (mode, mode);
        let (mut below, mut above) = (at_mode.exp(), at_mode.exp());
        // Rounding may leave a rest that no weight takes.
        while left >= 0.0 && below + above > 1e-18 {
            below = if low > 0.0 { below * low / ((trials - low + 1.0) * odds) } else { 0.0 };
            low -= 1.0;
            left -= below;
            if left < 0.0 {
                return low;
            }
            above = if high < trials { above * (trials - high) * odds / (high + 1.0) } else { 0.0 };
            high += 1.0;
            left -= above;
            if left < 0.0 {
                return high;
            }
        }
        mode
    }
}

impl Draw {
    /// Events among `requests` (0 to 1e9), each of which is one with chance `rate`. They come in bursts of `burst` (1 or more),
    /// which multiplies their variance by that. The mean is exact where `requests` is no whole number of bursts.
    #[must_use]
    pub fn events(requests: f64, rate: f64, burst: f64) -> Self {
        let bursts = requests / burst;
        let trials = bursts.ceil();
        if trials <= 0.0 || rate <= 0.0 {
            return Self::by(0.0, burst, vec![1.0]);
        }
        let chance = (rate * bursts / trials).min(1.0);
        if chance >= 1.0 {
            return Self::by(trials, burst, vec![1.0]);
        }
        // Binomial weights outwards from the mode, as far as they count.
        let odds = chance / (1.0 - chance);
        let mode = ((trials + 1.0) * chance).floor().min(trials);
        let mut below = Vec::new();
        let (mut k, mut weight) = (mode, 1.0);
        while k > 0.0 && weight > 1e-18 {
            weight *= k / ((trials - k + 1.0) * odds);
            k -= 1.0;
            below.push(weight);
        }
        let first = mode - below.len() as f64;
        let mut weights: Vec<f64> = below.into_iter().rev().collect();
        (k, weight) = (mode, 1.0);
        weights.push(weight);
        while k < trials && weight > 1e-18 {
            weight *= (trials - k) * odds / (k + 1.0);
            k += 1.0;
            weights.push(weight);
        }
        let all: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let cumulative = weights.into_iter().map(|weight| {
            sum += weight / all;
            sum
        });
        Self::by(first, burst, cumulative.collect())
    }

    /// Bursts of `burst` requests (1 or more), each for itself and seldom: so many arrive on average (0 to 1e6), as in a Poisson
    /// process; of a thousand moments for each.
    #[must_use]
    pub fn arrivals(bursts: f64, burst: f64) -> Self {
        Self::events(bursts * 1000.0 * burst, 0.001, burst)
    }

    /// How many numbers may be drawn.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.cumulative.len()
    }

    /// The number at a [place](Self::place).
    #[inline]
    #[must_use]
    pub fn number(&self, place: usize) -> f64 {
        (self.first + place as f64) * self.size
    }

    /// One of so many, from 0, that have these weights (0 or more, not all of them 0).
    #[must_use]
    pub fn one_of(weights: &[f64]) -> Self {
        let all: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let cumulative = weights.iter().map(|weight| {
            sum += weight / all;
            sum
        });
        Self::by(0.0, 1.0, cumulative.collect())
    }

    /// All numbers that may be drawn, with their chances.
    pub fn chances(&self) -> impl Iterator<Item = (f64, f64)> {
        let before = std::iter::once(&0.0).chain(&self.cumulative);
        let chances = self.cumulative.iter().zip(before).zip(0u32..);
        chances.map(|((upto, before), at)| ((self.first + f64::from(at)) * self.size, upto - before))
    }

    fn by(first: f64, size: f64, cumulative: Vec<f64>) -> Self {
        let parts = 2 * cumulative.len();
        let mut at = 0;
        let guide = (0..parts).map(|part| {
            let from = part as f64 / parts as f64;
            at += cumulative.iter().skip(at).take_while(|sum| **sum <= from).count();
            u32::try_from(at).unwrap_or(0)
        });
        let guide = guide.collect();
        Self { first, size, cumulative, guide }
    }

    /// The next number of events.
    #[inline]
    pub fn next(&self, dice: &mut Dice) -> f64 {
        self.number(self.place(dice))
    }

    /// Its place among all that may be drawn.
    #[inline]
    pub fn place(&self, dice: &mut Dice) -> usize {
        let unit = dice.unit();
        let part = (unit * self.guide.len() as f64) as usize;
        let from = self.guide.get(part).map_or(0, |from| *from as usize);
        let more = self.cumulative.iter().skip(from).take_while(|sum| **sum <= unit).count();
        (from + more).min(self.cumulative.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_mean_and_the_variance_of_its_distribution() {
        for (requests, rate, burst) in [
            (60.0, 0.01, 1.0),
            (4.5, 0.3, 1.0),
            (27_000.0, 0.005, 1.0),
            (600.0, 0.02, 3.0),
            (0.0, 0.5, 1.0),
            (50.0, 1.0, 1.0),
        ] {
            let (draw, mut dice) = (Draw::events(requests, rate, burst), Dice::new(7));
            let drawn: Vec<f64> = (0..40_000).map(|_| draw.next(&mut dice)).collect();
            assert_binomial(&drawn, requests, rate, burst);
        }
    }

    fn assert_binomial(drawn: &[f64], requests: f64, rate: f64, burst: f64) {
        let n = drawn.len() as f64;
        let mean = drawn.iter().sum::<f64>() / n;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let wanted = requests * rate * (1.0 - rate) * burst;
        assert!((mean - requests * rate).abs() <= 4.0 * (wanted / n).sqrt() + 1e-9, "{requests}: {mean}");
        assert!((variance - wanted).abs() <= 0.12 * wanted + 1e-9, "{requests}: {variance}, not {wanted}");
    }

    #[test]
    fn those_chosen_are_binomial() {
        for (trials, chance) in
            [(1.0, 0.3), (3.0, 0.9), (60.0, 0.01), (988.0, 0.1), (27_000.0, 0.005), (1e6, 0.5), (0.0, 0.5), (50.0, 1.0)]
        {
            let mut dice = Dice::new(11);
            let drawn: Vec<f64> = (0..40_000).map(|_| dice.chosen(trials, chance)).collect();
            assert!(drawn.iter().all(|x| (0.0..=trials).contains(x) && x.fract() == 0.0), "{trials} {chance}");
            assert_binomial(&drawn, trials, chance, 1.0);
        }
        let mut dice = Dice::new(5);
        let twos = (0..100_000).filter(|_| dice.chosen(4.0, 0.5) == 2.0).count();
        // 6 of 16.
        assert!((37_000..38_000).contains(&twos), "{twos}");
    }
}
