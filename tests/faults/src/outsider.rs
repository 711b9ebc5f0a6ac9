//! Servers that others wrote, started for a test: Prometheus and moto.
//!
//! Each takes a port that the kernel chooses and says which one it got. A port that a test looks for itself, frees and hands on may
//! belong to another test's server before it is used again.

#![expect(clippy::expect_used, reason = "a test without its server has failed")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server of somebody else; it is killed when this is dropped.
#[derive(Debug)]
pub struct Outsider {
    process: Child,
    port: u16,
    log: PathBuf,
}

impl Outsider {
    /// Starts a Prometheus with the files in `folder`: `prometheus.yml`, and what it keeps in `data`; `more` are further arguments.
    ///
    /// It listens when this returns; whether it [is ready](Self::until_ready) is another question.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not start within two minutes.
    pub fn prometheus(folder: &Path, more: &[String]) -> Self {
        let mut command = Command::new(tool("prometheus/usr/bin/prometheus"));
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(more);
        // ts=... component=web msg="Listening on" address=127.0.0.1:41985
        Self::start(&mut command, folder.join("prometheus.log"), &["\"Listening on\"", "address=127.0.0.1:"])
    }

    /// Starts moto's server; its access log is [`log`](Self::log), in `folder`.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not start within two minutes.
    pub fn moto(folder: &Path) -> Self {
        let mut command = Command::new(tool("python/bin/python"));
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]);
        Self::start(&mut command, folder.join("moto.log"), &["Running on http://127.0.0.1:"])
    }

    /// Waits until the log says, after these words, which port it is.
    fn start(command: &mut Command, log: PathBuf, words: &[&str]) -> Self {
        let out = File::create(&log).expect("a log file");
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out).spawn().expect("the server starts");
        let mut server = Self { process, port: 0, log };
        let started = Instant::now();
        loop {
            let said = server.log();
            if let Some(port) = port_after(&said, words) {
                server.port = port;
                return server;
            }
            let ended = server.process.try_wait().expect("its state");
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "it does not start ({ended:?}):\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The port on 127.0.0.1 that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process' number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it, as a crash would.
    ///
    /// # Panics
    ///
    /// If it had ended by itself and cannot be found any more.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// What it has written to standard error so far.
    ///
    /// # Panics
    ///
    /// If its log file is gone.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).expect("its log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until Prometheus answers queries; `header` is a line of its own for the request, or nothing.
    ///
    /// # Panics
    ///
    /// If it is not ready within two minutes.
    pub fn until_ready(&self, header: &str) {
        let started = Instant::now();
        while self.status_of("/-/ready", header) != Some(200) {
            assert!(started.elapsed() < PATIENCE, "it is not ready:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn status_of(&self, path: &str, header: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let end = if header.is_empty() { "" } else { "\r\n" };
        write!(stream, "GET {path} HTTP/1.0\r\n{header}{end}\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The port that follows these words, once something is behind it.
fn port_after(said: &str, words: &[&str]) -> Option<u16> {
    let rest = words.iter().try_fold(said, |rest, word| Some(rest.split_once(word)?.1))?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest.get(..end)?.parse().ok()
}

/// Makes the blocks of a Prometheus in `folder`, in its `data`, of samples in OpenMetrics' form.
///
/// # Panics
///
/// If promtool is not installed, or refuses them.
pub fn make_blocks(folder: &Path, samples: &Path, more: &[&str]) {
    let made = Command::new(tool("prometheus/usr/bin/promtool"))
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args(more)
        .args([samples, &folder.join("data")])
        .output()
        .expect("promtool starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// What `tests/run` has installed under `target/test-env`.
///
/// # Panics
///
/// If it is not there.
#[must_use]
pub fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-env").join(path);
    assert!(tool.exists(), "{path} is missing: tests/run installs it into target/test-env");
    tool
}

#[cfg(test)]
mod tests {
    use super::port_after;

    #[test]
    fn a_port_is_taken_when_it_is_whole() {
        assert_eq!(port_after(" * Running on http://127.0.0.1:358", &["127.0.0.1:"]), None);
        assert_eq!(port_after(" * Running on http://127.0.0.1:35849\n", &["Running", "127.0.0.1:"]), Some(35849));
        assert_eq!(port_after("nothing yet", &["127.0.0.1:"]), None);
    }
}
