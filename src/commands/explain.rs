//! `mlroll explain`

use clap::Args;
use mlroll_backend::Target;
use serde_json::{Value, json};

use super::watched::state_of;
use super::{Context, Ended};
use crate::config::{DEFAULT_FILE, load_if_present, select};
use crate::exit::ExitStatus;
use crate::explain::{Account, Difference, Retraced, text};
use crate::failure::Failure;
use crate::journal::{Folder, JournalError, Replay, Store, replay};
use crate::output::Format;

/// Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule
///
/// All of it comes from the run's journal; the newest run is meant when none is named.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A service of mlroll.toml, whose newest run is meant; or the id of a run, as `history` lists it
    #[arg(value_name = "SERVICE|RUN")]
    pub what: Option<String>,
    /// Take every step and judge every window again: exit code 0 when each decision comes out the same, bit for bit
    ///
    /// Else the first line that differs is named: exit code 2 when the journal is damaged or does not hold what is needed,
    /// 70 when it is whole and this program decides otherwise.
    #[arg(long)]
    pub verify: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is no such run, its journal is damaged or differs, or output cannot be written.
pub fn run(args: &ExplainArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let path = global.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let config = load_if_present(&path).map_err(Failure::from)?;
    let (state, _) = state_of(config.as_ref(), Some(&path))?;
    let names = state.list().map_err(|e| Failure::usage(e.to_string()))?;
    let read = match &args.what {
        Some(name) if names.contains(name) => replay(&state, name).map_err(|e| failure_of(&e))?,
        Some(name) if config.as_ref().is_none_or(|config| !config.services.contains_key(name)) => {
            return Err(not_found(format!("there is no run and no service `{name}`")).into());
        }
        service => {
            let services: Vec<String> = service.iter().cloned().collect();
            let targets = if services.is_empty() && global.target.is_empty() {
                None
            } else {
                let (selected, _) = select(global.config.as_deref(), &global.target, &services, true)?;
                Some(selected.into_iter().map(|s| s.target).collect::<Vec<_>>())
            };
            newest(&state, &names, targets.as_deref())?
        }
    };
    let retraced = Retraced::of(&read);
    if let (true, Some(difference)) = (args.verify, &retraced.difference) {
        return Err(differs(&state, &read, difference).into());
    }
    let account = Account::of(&read, &retraced);
    let text = match global.output {
        Format::Json => document(&account, args.verify, is_whole(&read)).to_string(),
        Format::Text if args.verify => verified(&read, &retraced),
        Format::Text => text(&account),
    };
    context.printer.data(&text).map_err(|e| Ended::Unsaid(ExitStatus::Success, e))?;
    Ok(ExitStatus::Success)
}

/// Whether the journal reaches the end of its run. One that was cut at the end of a line does not, and nothing else tells.
fn is_whole(read: &Replay) -> bool {
    read.rollout.ended().is_some()
}

/// `mlroll/explain/1`.
fn document(account: &Account, verified: bool, whole: bool) -> Value {
    json!({
        "schema": "mlroll/explain/1",
        "run": account,
        "verified": verified.then_some(true),
        "whole": whole,
    })
}

fn verified(read: &Replay, retraced: &Retraced<'_>) -> String {
    let looks: usize = retraced.steps.iter().map(|step| step.looks.len()).sum();
    let id = &read.header.plan.terms().id;
    let (far, rest) = if is_whole(read) {
        ("", String::new())
    } else {
        let ends = format!("after line {}", retraced.steps.len().saturating_add(1));
        (
            " as far as it goes",
            format!(
                "\nunfinished: the journal ends {ends}, before the run does: it is still under way, or nobody goes on with it \
                 (`mlroll resume` does), or the file was cut"
            ),
        )
    };
    format!(
        "verified{far}: run {id}, {} steps and {looks} looks lead to the same decisions, bit for bit{rest}",
        retraced.steps.len()
    )
}

/// The newest run of these targets, or of all. A journal that cannot be read may be the one that is meant.
fn newest(state: &Folder, names: &[String], targets: Option<&[Target]>) -> Result<Replay, Failure> {
    for name in names.iter().rev() {
        let read = replay(state, name).map_err(|e| failure_of(&e))?;
        let same = |target: &Target| read.header.target.parse().is_ok_and(|other: Target| other.may_be(target));
        if targets.is_none_or(|targets| targets.iter().any(same)) {
            return Ok(read);
        }
    }
    Err(not_found("no run was watched yet: there is no journal".to_owned()))
}

fn not_found(message: String) -> Failure {
    let failure = Failure { exit: ExitStatus::NotFound, kind: "not_found", ..Failure::usage(message) };
    failure.hint("`mlroll history` lists all runs")
}

fn failure_of(error: &JournalError) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        JournalError::Differs { .. } => Failure { exit: ExitStatus::Bug, kind: "unexpected", ..failure },
        JournalError::Missing { .. } => Failure { exit: ExitStatus::NotFound, kind: "not_found", ..failure },
        JournalError::Damaged { .. }
        | JournalError::Taken { .. }
        | JournalError::Unreadable { .. }
        | JournalError::Unwritable { .. }
        | JournalError::InUse { .. }
        | JournalError::Version { .. } => failure,
    }
}

fn differs(state: &Folder, read: &Replay, difference: &Difference) -> Failure {
    let place = state.place(&read.header.plan.terms().id);
    if difference.unkept {
        let failure =
            Failure::usage(format!("{place}, {difference}: an older program wrote it, and it cannot be judged again"));
        return failure.hint("leave out `--verify` to see what it holds");
    }
    let failure = Failure::usage(format!("the journal does not lead to its decisions: {place}, {difference}"));
    let failure = Failure { exit: ExitStatus::Bug, kind: "unexpected", ..failure };
    failure.hint("another version wrote it, or somebody has written to it")
}
