//! The only place that writes to the terminal.

use std::io::{self, IsTerminal, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

/// How data is written to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON document, for scripts.
    Json,
    /// Tables, for people.
    #[default]
    Text,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// Always.
    Always,
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Never.
    Never,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    /// Nothing at all; for tests.
    Silent,
    /// Errors.
    Quiet,
    /// Errors and what is going on.
    Normal,
    /// Each request too.
    Verbose,
}

/// Writes data to stdout and talk to stderr.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    talk: Talk,
    choice: anstream::ColorChoice,
    interactive: bool,
    /// Whether what is data is watched on a terminal too.
    screen: bool,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
const FAINT: Style = Style::new().dimmed();

impl Printer {
    /// A printer for this process. `ci` means plain lines whatever stderr is.
    #[must_use]
    pub fn new(talk: Talk, color: ColorChoice, no_color: bool, ci: bool) -> Self {
        let choice = match color {
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
            ColorChoice::Auto if no_color => anstream::ColorChoice::Never,
            ColorChoice::Auto if io::stderr().is_terminal() && !ci => anstream::ColorChoice::Always,
            ColorChoice::Auto => anstream::ColorChoice::Never,
        };
        Self {
            talk,
            choice,
            interactive: io::stderr().is_terminal() && !ci && talk >= Talk::Normal,
            screen: io::stdout().is_terminal() && !ci,
        }
    }

    /// Says nothing.
    #[must_use]
    pub const fn silent() -> Self {
        Self { talk: Talk::Silent, choice: anstream::ColorChoice::Never, interactive: false, screen: false }
    }

    /// Whether somebody watches stderr on a terminal.
    #[must_use]
    pub const fn is_interactive(self) -> bool {
        self.interactive
    }

    /// Whether stdout is a terminal that can be drawn on.
    #[must_use]
    pub const fn has_screen(self) -> bool {
        self.screen
    }

    /// Writes data.
    ///
    /// # Errors
    /// Stdout cannot be written to, for example because the reader of a pipe is gone.
    pub fn data(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    }

    /// Writes what moves the cursor too.
    pub(super) fn raw(self, text: &str) -> io::Result<()> {
        let mut stdout = AutoStream::always(io::stdout().lock());
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Says what is going on.
    pub fn say(self, text: &str) {
        if self.talk >= Talk::Normal {
            self.line(text);
        }
    }

    /// Says what only somebody who asked for it wants to know.
    pub fn detail(self, text: impl FnOnce() -> String) {
        if self.talk >= Talk::Verbose {
            self.line(&format!("{FAINT}{}{FAINT:#}", text()));
        }
    }

    /// Says that something is not as it should be, but goes on.
    pub fn warn(self, text: &str) {
        if self.talk >= Talk::Quiet {
            self.line(&format!("{HINT}warning:{HINT:#} {text}"));
        }
    }

    /// Says what failed, the facts about it, and what to type next.
    pub fn error(self, message: &str, facts: &[(&str, String)], hints: &[String]) {
        if self.talk < Talk::Quiet {
            return;
        }
        self.line(&format!("{ERROR}error:{ERROR:#} {message}"));
        for (key, value) in facts {
            self.line(&format!("  {key}: {value}"));
        }
        for hint in hints {
            self.line(&format!("  {HINT}hint:{HINT:#} {hint}"));
        }
    }

    /// Writes one line that is neither data nor talk but a command to the runner (GitHub workflow commands).
    pub fn command(self, text: &str) {
        if self.talk > Talk::Silent {
            self.line(text);
        }
    }

    fn line(self, text: &str) {
        let mut stderr = AutoStream::new(io::stderr().lock(), self.choice);
        // Nobody is left to be told when stderr is gone.
        let _ = writeln!(stderr, "{text}");
    }
}
