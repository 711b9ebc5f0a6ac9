//! Roots of functions of one number.

/// Brent's root finder as R's `uniroot` runs it: on a step function the answer depends on the path, and Kayenta's
/// definition is R's answer. Ends are `(x, f(x))` with signs that differ; `tolerance` is absolute.
pub(super) fn brent(f: impl Fn(f64) -> f64, start: (f64, f64), end: (f64, f64), tolerance: f64) -> f64 {
    let (mut a, mut fa) = start;
    let (mut b, mut fb) = end;
    let (mut c, mut fc) = (a, fa);
    for _ in 0..=1000 {
        let previous = b - a;
        if fc.abs() < fb.abs() {
            (a, fa) = (b, fb);
            (b, fb) = (c, fc);
            (c, fc) = (a, fa);
        }
        let enough = 2.0 * f64::EPSILON * b.abs() + tolerance / 2.0;
        let half = (c - b) / 2.0;
        if half.abs() <= enough || fb == 0.0 {
            return b;
        }
        let mut step = half;
        if previous.abs() >= enough && fa.abs() > fb.abs() {
            let (p, q) = interpolation((a, fa), (b, fb), (c, fc));
            if p < 0.75 * (c - b) * q - (enough * q).abs() / 2.0 && p < (previous * q / 2.0).abs() {
                step = p / q;
            }
        }
        if step.abs() < enough {
            step = if step > 0.0 { enough } else { -enough };
        }
        (a, fa) = (b, fb);
        b += step;
        fb = f(b);
        if (fb > 0.0 && fc > 0.0) || (fb < 0.0 && fc < 0.0) {
            (c, fc) = (a, fa);
        }
    }
    b
}

/// Where a rising `above` turns true between `low` (false) and `high` (true), to the last bit that bisection can tell.
pub(super) fn bisect(above: impl Fn(f64) -> bool, mut low: f64, mut high: f64) -> f64 {
    for _ in 0..200 {
        let middle = low / 2.0 + high / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if above(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    low / 2.0 + high / 2.0
}

/// The step from `b` as a fraction p / q, p >= 0: the secant through two points, or the inverse parabola through three.
fn interpolation((a, fa): (f64, f64), (b, fb): (f64, f64), (c, fc): (f64, f64)) -> (f64, f64) {
    let (p, q) = if a == c {
        let t = fb / fa;
        ((c - b) * t, 1.0 - t)
    } else {
        let (q, t1, t2) = (fa / fc, fb / fc, fb / fa);
        (t2 * ((c - b) * q * (q - t1) - (b - a) * (t1 - 1.0)), (q - 1.0) * (t1 - 1.0) * (t2 - 1.0))
    };
    if p > 0.0 { (p, -q) } else { (-p, q) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_roots() {
        let f = |x: f64| x * x * x - 2.0;
        assert!((brent(f, (0.0, f(0.0)), (3.0, f(3.0)), 1e-12) - 2f64.cbrt()).abs() < 1e-12);
        assert!((bisect(|x| f(x) >= 0.0, 0.0, 3.0) - 2f64.cbrt()).abs() < 1e-15);
        let step = |x: f64| if x < 0.7 { 1.0 } else { -1.0 };
        assert!((brent(step, (0.0, 1.0), (3.0, -1.0), 1e-4) - 0.7).abs() < 1e-4);
    }
}
