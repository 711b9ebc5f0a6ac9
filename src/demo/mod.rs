//! The guided run: a sandbox in this process, and the program itself run against it as a user would type it.

mod stage;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use mlroll_sandbox::scenario::Scenario;
use mlroll_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use self::stage::Act;
use crate::commands::demo::Stage;
use crate::commands::{Context, Ended};
use crate::config::env::Env;
use crate::driver::Interrupts;
use crate::exit::ExitStatus;
use crate::output::Format;

/// The longest a command of the show may take, on a machine that has other things to do.
const LONGEST: Duration = Duration::from_secs(300);

/// The stages to be shown, and how.
#[derive(Debug)]
pub(crate) struct Show<'a> {
    pub(crate) context: &'a Context,
    pub(crate) stages: &'a [Stage],
}

/// Five minutes of the show pass in a second.
const SPEED: f64 = 300.0;

/// How an act ended.
struct Ran {
    /// `None` when it was stopped.
    code: Option<i32>,
    /// Its document, when documents were asked for.
    document: Value,
}

impl Show<'_> {
    /// Shows all of it, until it is over or interrupted.
    pub(crate) async fn run(&self) -> Result<ExitStatus, Ended> {
        let mut interrupts = Interrupts::new();
        let mut shown = Vec::new();
        let mut exit = ExitStatus::Success;
        for stage in self.stages {
            let (ended, acts) = self.stage(*stage, &mut interrupts).await?;
            shown.push(json!({ "backend": stage.title(), "acts": acts }));
            exit = ended;
            if exit != ExitStatus::Success {
                break;
            }
        }
        if self.context.global.output == Format::Json {
            let document = json!({ "schema": "mlroll/demo/1", "stages": shown, "exit_code": exit.code() });
            self.context.printer.data(&document.to_string()).map_err(|e| Ended::Unsaid(exit, e))?;
        }
        Ok(exit)
    }

    async fn stage(&self, stage: Stage, interrupts: &mut Interrupts) -> Result<(ExitStatus, Vec<Value>), Ended> {
        let scenario = Scenario::from_toml(stage.scenario()).context("the scenario of this demo")?;
        let options = Options { scenario: Some(scenario), speed: SPEED, ..Options::default() };
        let sandbox = Sandbox::bind(options).await.context("the sandbox cannot be started")?;
        let folder = TempDir::with_prefix("mlroll-demo-").context("there is no place for temporary files")?;
        let config = stage.config().replace("{url}", &sandbox.url());
        std::fs::write(folder.path().join("mlroll.toml"), config).context("temporary files cannot be written")?;
        let exports = sandbox.exports();
        let (over, until) = tokio::sync::oneshot::channel::<()>();
        let play = async {
            let played = self.play(stage, interrupts, &exports, folder.path()).await;
            drop(over);
            played
        };
        let serve = sandbox.serve(async { drop(until.await) });
        let (played, ()) = tokio::join!(play, serve);
        // Journals and all: nothing is left behind.
        folder.close().context("temporary files cannot be removed")?;
        played
    }

    async fn play(
        &self,
        stage: Stage,
        interrupts: &mut Interrupts,
        exports: &[(String, String)],
        folder: &Path,
    ) -> Result<(ExitStatus, Vec<Value>), Ended> {
        let printer = self.context.printer;
        let mut acts = Vec::new();
        for act in stage.acts() {
            printer.say(&format!("\n{}", act.says));
            printer.say(&format!("$ mlroll {}", act.types.join(" ")));
            let ran = self.act(act, interrupts, exports, folder).await?;
            acts.push(json!({ "command": act.types, "exit_code": ran.code, "result": ran.document }));
            match ran.code {
                None => return Ok((ExitStatus::Interrupted, acts)),
                Some(code) if code == i32::from(act.ends.code()) => {}
                Some(code) => {
                    let message = format!("`mlroll {}` ended with exit code {code}", act.types.join(" "));
                    let expected = format!("in this demo it ends with {}", act.ends.code());
                    printer.error(&message, &[("expected", expected)], &[]);
                    return Ok((ExitStatus::Bug, acts));
                }
            }
        }
        Ok((ExitStatus::Success, acts))
    }

    /// Runs the program itself: what is shown is what a user gets.
    async fn act(
        &self,
        act: &Act,
        interrupts: &mut Interrupts,
        exports: &[(String, String)],
        folder: &Path,
    ) -> Result<Ran, Ended> {
        let json = self.context.global.output == Format::Json;
        let program = std::env::current_exe().context("the program cannot find itself")?;
        let mut command = Command::new(program);
        command
            .args(act.types)
            .args(["--reason", "demo"])
            .args(if json { ["--output", "json"] } else { ["--output", "text"] })
            .args(self.context.global.quiet.then_some("--quiet"))
            // No account of the user's is in reach, and no job of a runner is written to.
            .env_clear()
            .envs(Env::of_the_terminal())
            .env("HOME", folder)
            .envs(exports.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if json {
            command.stdout(Stdio::piped());
        }
        let child = command.spawn().context("the program cannot run itself")?;
        let ended = tokio::select! {
            ended = tokio::time::timeout(LONGEST, child.wait_with_output()) => Some(ended),
            _ = interrupts.next() => None,
        };
        let Some(ended) = ended else { return Ok(Ran { code: None, document: Value::Null }) };
        let output = ended.context("a command of the demo does not end")?.context("a command of the demo")?;
        let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Ok(Ran { code: output.status.code(), document })
    }
}
