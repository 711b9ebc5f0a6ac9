//! The time as a sandbox in another process has it: `GET /_sandbox/clock`.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mlroll_backend::Timestamp;
use serde::Deserialize;

use super::TimeSource;
use crate::reach::is_loopback;

/// How long a clock on this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// More is no clock's answer.
const LONGEST: u64 = 64 * 1024;

/// Where a sandbox tells the time, when the address names no place.
const PLACE: &str = "/_sandbox/clock";

/// A clock that is asked over HTTP, and goes on by its own speed in between.
#[derive(Debug)]
pub(super) struct Remote {
    /// Host and port, as they are connected to and named in the request.
    authority: String,
    place: String,
    heard: Mutex<Heard>,
}

/// What a clock says.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Told {
    now: Timestamp,
    speed: f64,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    told: Told,
    at: Instant,
}

impl Remote {
    /// Asks the clock at `url` for the first time.
    ///
    /// # Errors
    /// The address is not on loopback, or what answers there is no clock.
    #[expect(clippy::disallowed_methods, reason = "the clock is the one place that reads the time")]
    pub(super) fn at(url: &str) -> Result<Self, String> {
        let plain = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        if plain.is_none() || !is_loopback(url) {
            return Err("it is no http:// address on loopback".to_owned());
        }
        let rest = url.get(7..).unwrap_or_default();
        let (authority, place) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let writable = |b: u8| b.is_ascii_graphic();
        if authority.contains('@') || !rest.bytes().all(writable) {
            return Err("it is no http:// address on loopback".to_owned());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let place = if matches!(place, "" | "/") { PLACE } else { place }.to_owned();
        let told = ask(&authority, &place)?;
        Ok(Self { authority, place, heard: Mutex::new(Heard { told, at: Instant::now() }) })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeSource for Remote {
    #[expect(clippy::disallowed_methods, reason = "the clock is the one place that reads the time")]
    fn now(&self) -> Timestamp {
        let Heard { told, at } = *self.heard();
        let passed = Instant::now().saturating_duration_since(at).as_secs_f64() * told.speed;
        told.now.plus(Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX))
    }

    fn speed(&self) -> f64 {
        self.heard().told.speed
    }

    /// A clock that does not answer goes on as it last went: nothing is judged or moved without its sandbox anyway.
    #[expect(clippy::disallowed_methods, reason = "the clock is the one place that reads the time")]
    fn refresh(&self) {
        if let Ok(told) = ask(&self.authority, &self.place) {
            *self.heard() = Heard { told, at: Instant::now() };
        }
    }
}

/// As much of HTTP as a clock on this machine needs. Nothing in `src/` else speaks HTTP, with no provider built in.
fn ask(authority: &str, place: &str) -> Result<Told, String> {
    let unreachable = |e: std::io::Error| format!("it does not answer: {e}");
    let addresses: Vec<_> = authority.to_socket_addrs().map_err(unreachable)?.collect();
    let mut last = "it has no address".to_owned();
    for address in addresses.iter().filter(|address| address.ip().is_loopback()) {
        let mut stream = match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(stream) => stream,
            Err(e) => {
                last = unreachable(e);
                continue;
            }
        };
        let limits = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        // HTTP/1.0: the answer comes whole, and ends with the connection.
        let request = format!("GET {place} HTTP/1.0\r\nHost: {authority}\r\nAccept: application/json\r\n\r\n");
        limits.and_then(|()| stream.write_all(request.as_bytes())).map_err(unreachable)?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).map_err(unreachable)?;
        return read(&answer);
    }
    Err(last)
}

fn read(answer: &[u8]) -> Result<Told, String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("its answer is not HTTP")?;
    let (head, body) = answer.split_at_checked(end + 4).unwrap_or((answer, &[]));
    let head = String::from_utf8_lossy(head);
    match head.split_ascii_whitespace().nth(1) {
        Some("200") if head.starts_with("HTTP/1.") => {}
        Some(status) if head.starts_with("HTTP/1.") => return Err(format!("it answers with status {status:.20}")),
        Some(_) | None => return Err("its answer is not HTTP".to_owned()),
    }
    let told: Told = serde_json::from_slice(body).map_err(|e| format!("it does not tell the time: {e}"))?;
    if !told.speed.is_finite() || told.speed < 0.0 {
        return Err("its speed is not that of a clock".to_owned());
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_tells_no_time_is_refused() {
        let answer = |body: &str| read(format!("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{body}").as_bytes());
        let told = answer(r#"{"now":"2026-11-21T03:00:00.123Z","speed":60}"#).unwrap();
        assert_eq!((told.now.unix_milliseconds(), told.speed), (1_795_230_000_123, 60.0));
        assert!(answer(r#"{"now":"2026-11-21T03:00:00Z","speed":0}"#).is_ok(), "a clock that is moved by hand");
        for (answer, why) in [
            (answer("{}"), "does not tell the time"),
            (answer(r#"{"now":"yesterday","speed":1}"#), "does not tell the time"),
            (answer(r#"{"now":"2026-11-21T03:00:00Z","speed":-1}"#), "speed"),
            (answer(r#"{"now":"2026-11-21T03:00:00Z","speed":1e999}"#), "time"),
            (answer(""), "does not tell the time"),
            (read(b"HTTP/1.1 404 Not Found\r\n\r\n"), "status 404"),
            (read(b"SSH-2.0\r\n\r\n"), "not HTTP"),
            (read(b""), "not HTTP"),
        ] {
            let said = answer.unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_clock_is_on_this_machine() {
        for url in [
            "https://127.0.0.1",
            "http://10.0.0.1:1",
            "http://a@127.0.0.1:1",
            "127.0.0.1:1",
            "http://127.0.0.1:1/\r\n",
            "",
        ] {
            assert!(Remote::at(url).unwrap_err().contains("loopback"), "{url}");
        }
        assert!(Remote::at("http://127.0.0.1:1").unwrap_err().contains("does not answer"));
    }
}
