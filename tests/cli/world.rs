//! A scripted Lambda, and the program run against it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mlroll_faults::{Alias, Operation, Request, Server};
use serde_json::Value;
use tempfile::TempDir;

/// The alias most tests are about.
pub const FRAUD: &str = "lambda:us-east-1/fraud@prod";

/// A Lambda with the function `fraud`, versions 1 to 4, whose alias `prod` gives everything to 2.
pub struct World {
    pub server: Server,
    pub folder: TempDir,
    env: BTreeMap<String, String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl World {
    pub fn new() -> Self {
        let server = Server::start();
        server.add_function("fraud", &[1, 2, 3, 4]);
        server.add_alias(
            "fraud",
            "prod",
            Alias { version: "2".into(), description: "owned by ml".into(), ..Alias::default() },
        );
        let folder = TempDir::new().unwrap();
        let home = folder.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let env = BTreeMap::from(
            [
                ("HOME", home.to_str().unwrap()),
                ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
                ("AWS_SECRET_ACCESS_KEY", "verysecretkey"),
                ("AWS_SESSION_TOKEN", "verysecrettoken"),
                ("AWS_ENDPOINT_URL_LAMBDA", &server.url()),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        Self { server, folder, env }
    }

    /// With a canary of the given share on version 3, made by the program itself.
    pub fn with_canary(pct: &str) -> Self {
        let world = Self::new();
        world.run(&["canary", "--pct", pct, "--candidate", "3", "--target", FRAUD]).expect(0);
        world.server.clear_requests();
        world
    }

    /// With version 3 promoted over 2, made by the program itself.
    pub fn promoted() -> Self {
        let world = Self::with_canary("10");
        world.run(&["promote", "--force", "--target", FRAUD]).expect(0);
        world.server.clear_requests();
        world
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn unset(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_mlroll"), arguments)
    }

    fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.env).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs a line of bash.
    pub fn run_shell(&self, line: &str) -> Ran {
        Self::ran(self.command_of("/bin/bash", &["-c", line]))
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Self::ran(self.command(arguments))
    }

    fn ran(mut command: Command) -> Ran {
        let started = Instant::now();
        let output = command.output().unwrap();
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: started.elapsed(),
        };
        for secret in ["verysecretkey", "verysecrettoken"] {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "a secret got out: {ran:?}");
        }
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran
    }

    /// Runs a verb on [`FRAUD`] and reads its JSON.
    pub fn verb(&self, arguments: &[&str]) -> (Ran, Value) {
        let ran = self.run(&[arguments, &["--target", FRAUD, "--output", "json"]].concat());
        let document = ran.json();
        (ran, document)
    }

    pub fn alias(&self) -> Alias {
        self.server.alias("fraud", "prod").unwrap()
    }

    /// The alias' split as `2` or `2+3:0.1`.
    pub fn split(&self) -> String {
        let alias = self.alias();
        alias.weights.iter().fold(alias.version, |text, (version, weight)| format!("{text}+{version}:{weight}"))
    }

    pub fn sent(&self, operation: Operation) -> Vec<Request> {
        self.server.requests().into_iter().filter(|r| r.operation == operation).collect()
    }

    /// Reads and writes on the wire, as the server counted them.
    pub fn wire(&self) -> (usize, usize) {
        let requests = self.server.requests();
        let writes = requests.iter().filter(|r| r.operation == Operation::UpdateAlias).count();
        (requests.len() - writes, writes)
    }
}

impl Ran {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|e| panic!("stdout is not one JSON document: {e}\n{}\n{}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text) || self.stdout.contains(text),
            "nowhere {text:?} in\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// Sends a signal to a running program.
pub fn signal(child: &std::process::Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    std::io::stdout().flush().unwrap();
}
