//! What whoever waits sees meanwhile: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mlroll_backend::{Snapshot, Target, TrafficSplit, Weight};

use super::Printer;
use crate::driver::Report;
use crate::judge::panel::Finding;

/// Progress over one or many targets.
///
/// A bar appears only when there is something to wait for: a rollback that takes 20 ms draws nothing.
#[derive(Debug)]
pub struct Progress {
    printer: Printer,
    total: usize,
    rehearsal: bool,
    bar: OnceLock<ProgressBar>,
    /// What was said last of each target; of a plain line, less what changes all the time.
    said: Mutex<BTreeMap<Target, String>>,
}

/// How far a step of a watched run is.
#[derive(Clone, Debug)]
pub struct Bake {
    /// The step, from 1.
    pub step: usize,
    /// How many there are.
    pub steps: usize,
    /// The candidate's share.
    pub share: Weight,
    /// Looks with data so far.
    pub judged: u32,
    /// Looks that it takes at most.
    pub of: u32,
    /// The length of a look.
    pub look: Duration,
    /// What the gates say.
    pub findings: Vec<Finding>,
}

impl Progress {
    /// Progress over `total` targets; in a `rehearsal` of what would be.
    #[must_use]
    pub const fn new(printer: Printer, total: usize, rehearsal: bool) -> Self {
        Self { printer, total, rehearsal, bar: OnceLock::new(), said: Mutex::new(BTreeMap::new()) }
    }

    /// Something that concerns the run as a whole.
    pub fn say(&self, text: &str) {
        match self.bar.get() {
            Some(bar) => bar.suspend(|| self.printer.say(text)),
            None => self.printer.say(text),
        }
    }

    /// Something that is not as it should be.
    pub fn warn(&self, text: &str) {
        match self.bar.get() {
            Some(bar) => bar.suspend(|| self.printer.warn(text)),
            None => self.printer.warn(text),
        }
    }

    /// Something that concerns one target.
    pub fn tell(&self, target: &Target, text: &str) {
        self.say(&self.about(target, text));
    }

    /// Something of one target that is not as it should be.
    pub fn caution(&self, target: &Target, text: &str) {
        self.warn(&self.about(target, text));
    }

    /// Whose it is needs to be said only where there are several.
    fn about(&self, target: &Target, text: &str) -> String {
        if self.total > 1 { format!("{target}: {text}") } else { text.to_owned() }
    }

    /// A write is about to be sent.
    pub fn shifting(&self, target: &Target, before: &Snapshot, to: &TrafficSplit) {
        if self.printer.is_interactive() {
            if self.total > 1 {
                self.bar();
            }
        } else {
            let would = if self.rehearsal { " (dry run)" } else { "" };
            self.printer.say(&format!("{target}: {before} -> {to}{would}"));
        }
    }

    /// A target is being waited for.
    pub fn waiting(&self, target: &Target, why: &str) {
        if self.printer.is_interactive() {
            self.show(target, format!("{target}: {why}"));
        } else if self.is_news(target, why) {
            self.printer.say(&format!("{target}: waiting: {why}"));
        }
    }

    /// A step holds. On a terminal its evidence grows in place; elsewhere a line is said when the step is another, when a
    /// gate is another quarter of its way, and at every tenth of the bake.
    pub fn baking(&self, target: &Target, bake: &Bake) {
        if self.printer.is_interactive() {
            self.show(target, format!("{target}: {}{}", bake.head(), bake.bars()));
        } else if self.is_news(target, &bake.news()) {
            self.printer.say(&format!("{target}: {}{}", bake.head(), bake.words()));
        }
    }

    /// Whether something else was said of it last.
    fn is_news(&self, target: &Target, text: &str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.insert(target.clone(), text.to_owned()).is_none_or(|last| last != text)
    }

    /// Beside what is shown of the others.
    fn show(&self, target: &Target, text: String) {
        let shown = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.insert(target.clone(), text);
            let lines: Vec<&str> = said.values().map(String::as_str).collect();
            if self.total > 1 { format!("\n  {}", lines.join("\n  ")) } else { lines.concat() }
        };
        self.bar().set_message(shown);
        self.bar().tick();
    }

    /// A target is done with.
    pub fn finished(&self, report: &Report) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).remove(&report.target);
        if let Some(bar) = self.bar.get() {
            bar.inc(1);
        }
        if self.total > 1 && !self.printer.is_interactive() {
            let would = if self.rehearsal { "would be " } else { "" };
            self.printer.say(&format!("{}: {would}{}", report.target, report.outcome.words()));
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    fn bar(&self) -> &ProgressBar {
        self.bar.get_or_init(|| {
            let bar = ProgressBar::new(self.total as u64);
            let template =
                if self.total > 1 { "{spinner} [{bar:30}] {pos}/{len} {msg}" } else { "{spinner} {elapsed} {msg}" };
            bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
        })
    }
}

impl Bake {
    fn head(&self) -> String {
        let left = self.look.saturating_mul(self.of.saturating_sub(self.judged));
        let Self { step, steps, share, judged, of, .. } = self;
        let left = humantime::format_duration(left);
        format!("step {step} of {steps} at {share}, bake left at most {left} ({judged} of {of} looks)")
    }

    /// What a plain line is worth being said for.
    fn news(&self) -> String {
        let quarters = |part: f64| (part * 4.0) as u8;
        let gates = self.findings.iter().map(|f| format!("{}{}", quarters(f.needed.pass), quarters(f.needed.fail)));
        let tenth = u64::from(self.judged) * 10 / u64::from(self.of.max(1));
        format!("{} {tenth} {}", self.step, gates.collect::<Vec<_>>().join(" "))
    }

    fn words(&self) -> String {
        let percent = |part: f64| format!("{:.0} %", part * 100.0);
        let gate = |f: &Finding| {
            let (pass, fail) = (percent(f.needed.pass), percent(f.needed.fail));
            format!(", {} {pass} towards pass, {fail} towards fail", f.gate)
        };
        self.findings.iter().map(gate).collect()
    }

    /// A line for each gate: how far towards pass, how far towards fail.
    fn bars(&self) -> String {
        let wide = self.findings.iter().map(|f| f.gate.chars().count()).max().unwrap_or_default();
        let gate = |f: &Finding| {
            let (pass, fail) = (meter(f.needed.pass), meter(f.needed.fail));
            format!("\n    {:wide$}  pass {pass}  fail {fail}", f.gate)
        };
        self.findings.iter().map(gate).collect()
    }
}

/// A part from 0 to 1 as a bar and as a number.
fn meter(part: f64) -> String {
    const WIDTH: usize = 10;
    let full = ((part.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH);
    format!("{}{} {:>3.0} %", "█".repeat(full), "░".repeat(WIDTH - full), part.clamp(0.0, 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::panel::Needed;
    use crate::judge::verdict::Verdict;

    fn bake(judged: u32, pass: f64) -> Bake {
        let finding = Finding {
            gate: "errors".to_owned(),
            advisory: false,
            verdict: Verdict::Inconclusive,
            reason: String::new(),
            ln_e_fail: 0.0,
            ln_e_pass: 0.0,
            looks: u64::from(judged),
            design_effect: 1.0,
            needed: Needed { fail: 0.0, pass },
            alpha: 0.01,
            interval: None,
            changed: false,
            caveat: None,
            throttled: None,
        };
        let share = Weight::from_basis_points(1000).unwrap_or_default();
        Bake { step: 1, steps: 3, share, judged, of: 360, look: Duration::from_secs(60), findings: vec![finding] }
    }

    #[test]
    fn six_hours_of_looks_are_a_few_lines_in_a_log() {
        let progress = Progress::new(Printer::silent(), 1, false);
        let one: Target = "lambda:us-east-1/fraud@prod".parse().unwrap();
        let other: Target = "lambda:us-east-1/churn@prod".parse().unwrap();
        let lines = (0..360).filter(|n| progress.is_news(&one, &bake(*n, f64::from(*n) / 360.0).news())).count();
        assert!((10..=20).contains(&lines), "{lines}");
        assert!(progress.is_news(&one, &Bake { step: 2, ..bake(359, 0.99) }.news()));
        assert!(progress.is_news(&other, &bake(359, 359.0 / 360.0).news()), "another target says the same for itself");
        assert!(!progress.is_news(&one, &Bake { step: 2, ..bake(359, 0.99) }.news()), "nor is it forgotten meanwhile");
    }

    #[test]
    fn a_terminal_shows_step_time_and_both_ways() {
        let bake = bake(60, 0.42);
        assert_eq!(bake.head(), "step 1 of 3 at 10 %, bake left at most 5h (60 of 360 looks)");
        assert_eq!(bake.bars(), "\n    errors  pass ████░░░░░░  42 %  fail ░░░░░░░░░░   0 %");
        assert_eq!(meter(f64::NAN), "░░░░░░░░░░ NaN %");
    }
}
