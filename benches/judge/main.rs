//! Measures the judge: false rollbacks, detection delays, speed.
//!
//!     cargo bench --bench judge --no-default-features                    print the tables of docs/judge.md
//!     cargo bench --bench judge --no-default-features -- --write         and put them there
//!     ... -- --speed                                                     only how long judging takes
//!     ... -- --rollouts 10000                                            with fewer rollouts

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::indexing_slicing,
    reason = "a bench may stop at anything odd"
)]

mod families;

use std::time::{Duration, Instant};

use families::{Binomial, Dice, Family, GATE, LOOKS, detection, false_rollbacks, false_series, rule};
use judge::batch::Batch;
use judge::counts::Counts;
use judge::design_effect::DesignEffect;
use judge::evidence::CountLook;
use mlroll::judge;

/// All of them, in the order of the published table.
const FAMILIES: [Family; 6] =
    [Family::Independent, Family::Bursty, Family::Autocorrelated, Family::DailyCycle, Family::Ramped, Family::Delayed];

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/judge.md");
const BEGIN: &str = "<!-- measured by benches/judge: begin -->\n";
const END: &str = "<!-- measured by benches/judge: end -->";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rollouts =
        args.windows(2).find(|pair| pair[0] == "--rollouts").map_or(100_000, |pair| pair[1].parse().unwrap());
    for (what, varied, rollouts) in
        [("the same requests in every look", false, 100_000), ("requests that vary from look to look", true, 100_000)]
    {
        let taken = speed(rollouts, varied);
        println!("{rollouts} rollouts of {LOOKS} looks with 5 gates, {what}: {:.2} s of CPU", taken.as_secs_f64());
    }
    if args.iter().any(|arg| arg == "--speed") {
        return;
    }
    let mut text = String::new();
    text.push_str(&healthy(rollouts));
    text.push_str(&broken(rollouts.min(20_000)));
    println!("{text}");
    if args.iter().any(|arg| arg == "--write") {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        std::fs::write(PAGE, format!("{before}{BEGIN}{text}{END}{after}")).unwrap();
    }
}

fn healthy(rollouts: u32) -> String {
    let percent = |failed: u32| format!("{:.2} %", 100.0 * f64::from(failed) / f64::from(rollouts));
    let mut text = format!(
        "False rollbacks of {rollouts} healthy rollouts a row, {LOOKS} looks, 300 + 2,700 requests a look at 1 % (ramped: 30 + 2,970, \
         300 + 2,700, 1,500 + 1,500):\n\n| family | alpha 0.05 | alpha 0.01 |\n| --- | --- | --- |\n"
    );
    for (seed, family) in (1..).zip(FAMILIES) {
        let name = match family {
            Family::Autocorrelated => "autocorrelated rate, AR(1) 0.6",
            Family::Bursty => "bursty, clusters of 3, measured D",
            Family::DailyCycle => "daily cycle, up and down by 3",
            Family::Delayed => "delayed, up to 70 % one window late",
            Family::Independent => "independent",
            Family::Ramped => "ramped 1/10/50 %, rate 1:2:3",
        };
        let row = [0.05, 0.01].map(|alpha| percent(false_rollbacks(family, rollouts, alpha, seed)));
        text.push_str(&format!("| {name} | {} | {} |\n", row[0], row[1]));
    }
    text.push_str(
        "\nSeries of 60 windows at alpha 0.01, in blocks where 40 windows before showed autocorrelation:\n\n",
    );
    text.push_str("| series | sign | t |\n| --- | --- | --- |\n");
    for (name, phi) in [("independent", 0.0), ("AR(1) 0.6", 0.6)] {
        let row = ["sign", "t"].map(|judge| percent(false_series(judge, phi, rollouts, 7)));
        text.push_str(&format!("| {name} | {} | {} |\n", row[0], row[1]));
    }
    text
}

fn broken(rollouts: u32) -> String {
    let mut text = format!(
        "\nFound within {LOOKS} looks of 30 s, and the median look ({rollouts} rollouts a row):\n\n\
         | change | rps | split | alpha 0.05 | alpha 0.01 |\n| --- | --- | --- | --- | --- |\n"
    );
    for (base, worse) in [(0.005, 0.01), (0.01, 0.02), (0.01, 0.03), (0.01, 0.05), (0.05, 0.10)] {
        for rps in [10.0, 100.0] {
            for split in [0.01, 0.1, 0.5] {
                let cells = detection(base, worse, (rps, split), rollouts, 11).map(|found| {
                    let median = found.median.map_or(String::new(), |median| format!(", {median}"));
                    format!("{:.1} %{median}", 100.0 * found.share)
                });
                text.push_str(&format!(
                    "| {} % → {} % | {rps} | {} % | {} | {} |\n",
                    100.0 * base,
                    100.0 * worse,
                    100.0 * split,
                    cells[0],
                    cells[1]
                ));
            }
        }
    }
    text
}

/// The time this process has been on a CPU: what a busy machine does not change. Linux tells, in hundredths of a second;
/// elsewhere it is the time passed.
fn on_cpu(begun: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything: the state is field 3, user and system time are fields 14 and 15.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let ticks: Option<Vec<u64>> = fields.and_then(|fields| fields.map(|field| field.parse().ok()).collect());
    match ticks.as_deref() {
        Some([user, system]) => Duration::from_millis((user + system) * 10),
        _ => begun.elapsed(),
    }
}

/// How long it takes to judge healthy rollouts of five gates, FAIL and PASS of each, all looks of all of them.
///
/// A hundred are drawn, and judged over and over, ten at a time: whoever simulates judges what was just drawn, so neither
/// drawing them nor the memory's speed is measured.
#[expect(clippy::disallowed_methods, reason = "this is what is measured")]
fn speed(rollouts: u32, varied: bool) -> Duration {
    const DRAWN: u32 = 100;
    const AT_A_TIME: usize = 10;
    let mut dice = Dice::new(3);
    let (candidate, stable) = (Binomial::new(300.0, 0.01), Binomial::new(2700.0, 0.01));
    let mut batch = Batch::new(&[(rule(GATE), DesignEffect::NONE); 5], 0.01, 0.05, LOOKS);
    let mut look = || {
        let (n_c, n_b) = if varied { (dice.poisson(300.0), 2400.0 + dice.poisson(300.0)) } else { (300.0, 2700.0) };
        let side = |n, x: f64| Counts::new(n, x.min(n)).unwrap();
        CountLook::exact(side(n_c, candidate.draw(&mut dice)), side(n_b, stable.draw(&mut dice)))
    };
    let looks: Vec<CountLook> = (0..DRAWN * LOOKS as u32 * 5).map(|_| look()).collect();
    let (mut failed, start) = (0, Instant::now());
    let begun = on_cpu(start);
    let length = LOOKS as usize * 5;
    for some in looks.chunks(AT_A_TIME * length) {
        for rollout in (0..rollouts / DRAWN).flat_map(|_| some.chunks(length)) {
            failed += u32::from(batch.course_of(rollout).first_fail.is_some());
        }
    }
    let taken = on_cpu(start).saturating_sub(begun);
    assert!(failed < rollouts / 50, "{failed} healthy rollouts were rolled back");
    taken
}
