//! `mlroll hold`

use clap::Args;
use serde_json::{Value, json};

use super::earlier::unfinished;
use super::watched::state_of;
use super::{Context, Ended, print_failure};
use crate::config::{Selected, select};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::journal::{Folder, Store};
use crate::output::Format;

/// Ask a run that is going on to stop advancing and keep its split
///
/// The run reads the request before its next write, and ends with exit code 3; `mlroll resume` goes on with it.
#[derive(Args, Debug)]
pub struct HoldArgs {
    /// Services of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, no run is going on, or the request cannot be left.
pub fn run(args: &HoldArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let global = &context.global;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let (state, _) = state_of(config.as_ref(), global.config.as_deref())?;
    let (mut held, mut exits) = (Vec::new(), Vec::new());
    // What is held is named by its target: a run that is not judged needs no service.
    for one in &selected {
        match running(context, &state, one).and_then(|id| id.map(|id| ask(context, &state, one, &id)).transpose()) {
            Ok(asked) => held.extend(asked),
            // The others are asked all the same.
            Err(failure) if selected.len() > 1 => {
                let failure = failure.about(&one.target);
                print_failure(context.printer, &failure, None);
                exits.push(failure.exit);
                held.push(json!({ "schema": "mlroll/hold/1", "target": one.target, "run": null, "asked": false, "orphaned": false }));
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    if let (true, [first, others @ ..]) = (held.is_empty(), selected.as_slice()) {
        let none = match others {
            [] => Failure::usage("no run of this target is going on").about(&first.target),
            [..] => Failure::usage("no run of any of these targets is going on"),
        };
        return Err(Failure { exit: ExitStatus::NotFound, kind: "not_found", ..none }.into());
    }
    let exit = ExitStatus::worst(exits);
    if global.output == Format::Json {
        let document = match (selected.as_slice(), held.as_slice()) {
            ([_], [one]) => one.clone(),
            _ => json!({ "schema": "mlroll/hold/1", "targets": held }),
        };
        context.printer.data(&document.to_string()).map_err(|e| Ended::Unsaid(exit, e))?;
    }
    Ok(exit)
}

/// The run that is going on.
fn running(context: &Context, state: &Folder, selected: &Selected) -> Result<Option<String>, Failure> {
    let running = unfinished(context, state, selected)?.into_iter().find(|read| read.rollout.ended().is_none());
    Ok(running.map(|read| read.header.plan.terms().id.clone()))
}

/// Asks a run to hold, and says so.
fn ask(context: &Context, state: &Folder, selected: &Selected, id: &str) -> Result<Value, Failure> {
    let rehearsal = context.global.dry_run;
    // A lock that can be had is nobody's: no process would read the request.
    let orphaned = matches!(state.lock(id), Ok(Some(_)));
    let asked = !orphaned && !rehearsal;
    if asked {
        state.request_hold(id).map_err(|e| Failure::usage(e.to_string()).about(&selected.target))?;
    }
    let said = match (orphaned, rehearsal) {
        (true, _) => {
            "is ORPHANED: nobody goes on with it, and the split stays as it is; `mlroll resume` or `mlroll rollback`"
        }
        (false, true) => "would be asked to hold",
        (false, false) => "is asked to hold",
    };
    context.printer.say(&format!("rollout {id} of {} {said}", selected.target));
    Ok(json!({
        "schema": "mlroll/hold/1", "target": selected.target, "run": id, "asked": asked, "orphaned": orphaned,
    }))
}
