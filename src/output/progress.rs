//! What whoever waits sees meanwhile: bars on a terminal, plain lines elsewhere.

use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressStyle};
use mlroll_backend::{Snapshot, Target, TrafficSplit};

use super::Printer;
use crate::driver::Report;

/// Progress over one or many targets.
///
/// A bar appears only when there is something to wait for: a rollback that takes 20 ms draws nothing.
#[derive(Debug)]
pub struct Progress {
    printer: Printer,
    total: usize,
    rehearsal: bool,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Progress over `total` targets; in a `rehearsal` of what would be.
    #[must_use]
    pub const fn new(printer: Printer, total: usize, rehearsal: bool) -> Self {
        Self { printer, total, rehearsal, bar: OnceLock::new() }
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
            self.bar().set_message(format!("{target}: {why}"));
            self.bar().tick();
        } else {
            self.printer.say(&format!("{target}: waiting: {why}"));
        }
    }

    /// A target is done with.
    pub fn finished(&self, report: &Report) {
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
