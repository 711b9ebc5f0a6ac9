//! `status --watch`: looks again and again, and shows what has changed.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::{Context, Ended};
use crate::config::Selected;
use crate::driver::{Driver, Interrupts, Look, Ongoing, Runs};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::{Format, Screen, json, text};

/// Looks every so often, until it is interrupted or `--timeout` ends it.
pub(super) async fn live(
    context: &Context,
    driver: &Driver<'_>,
    selected: &[Selected],
    mut runs: Option<Runs>,
    every: Duration,
) -> Result<ExitStatus, Ended> {
    let Context { global, clock, printer, .. } = context;
    let mut view = View { context, screen: Screen::new(*printer), said: BTreeMap::new(), complaints: Vec::new() };
    let mut exit = ExitStatus::Success;
    let mut interrupts = Interrupts::new();
    let backends = driver.backends(selected);
    let watching = async {
        let mut known = false;
        loop {
            let looks = driver.look_by(&backends, selected).await;
            driver.wire.breach()?;
            driver.wire.forget();
            exit = ExitStatus::worst(looks.iter().filter_map(|look| look.seen.as_ref().err()).map(|f| f.exit));
            if let ([Look { seen: Err(failure), .. }], false) = (looks.as_slice(), known)
                && !may_pass(failure)
            {
                return Err(Ended::from(failure.clone()));
            }
            known |= looks.iter().any(|look| look.seen.is_ok());
            let (ongoing, complaints) = runs.as_mut().map(|runs| runs.ongoing(clock.now())).unwrap_or_default();
            match view.show(&looks, &ongoing, complaints) {
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
                shown => shown.map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?,
            }
            clock.sleep(every).await;
        }
    };
    let ended = async {
        match global.timeout {
            Some(timeout) => clock.by(clock.deadline(timeout), watching).await.unwrap_or(Ok(())),
            None => watching.await,
        }
    };
    let interrupted = tokio::select! {
        biased;
        _ = interrupts.next() => true,
        ended = ended => {
            ended?;
            false
        }
    };
    // Whoever only looks on ends it like this: nothing was cut short, and nothing failed.
    Ok(if interrupted { ExitStatus::Success } else { exit })
}

/// Whether the next look may find it better.
fn may_pass(failure: &Failure) -> bool {
    matches!(failure.exit, ExitStatus::Unreachable | ExitStatus::Conflict)
}

struct View<'a> {
    context: &'a Context,
    screen: Screen,
    /// What was said last: of each target, or the whole document.
    said: BTreeMap<String, String>,
    complaints: Vec<String>,
}

impl View<'_> {
    fn show(&mut self, looks: &[Look], ongoing: &[Ongoing], complaints: Vec<String>) -> io::Result<()> {
        let Context { global, printer, clock, .. } = self.context;
        if complaints != self.complaints {
            complaints.iter().for_each(|complaint| printer.warn(complaint));
            self.complaints = complaints;
        }
        match global.output {
            Format::Json => self.say(String::new(), json::status(looks, ongoing).to_string(), |line| line),
            Format::Text if printer.has_screen() => self.screen.show(&text::status(looks, ongoing)),
            Format::Text => looks.iter().try_for_each(|look| {
                let at = clock.now();
                let line = text::status_line(look, ongoing);
                self.say(look.selected.target.to_string(), line, |line| format!("{at}  {line}"))
            }),
        }
    }

    /// Says a line that differs from the last one about the same.
    fn say(&mut self, about: String, line: String, shown: impl FnOnce(String) -> String) -> io::Result<()> {
        if self.said.get(&about) == Some(&line) {
            return Ok(());
        }
        self.said.insert(about, line.clone());
        self.context.printer.data(&shown(line))
    }
}
