//! Data that is shown in place: only what has changed is drawn again.

use std::io;

use console::Term;

use super::Printer;

/// Lines at the bottom of a terminal, shown in place of those before.
#[derive(Debug)]
pub struct Screen {
    printer: Printer,
    shown: Vec<String>,
}

impl Screen {
    /// Nothing is shown yet.
    #[must_use]
    pub const fn new(printer: Printer) -> Self {
        Self { printer, shown: Vec::new() }
    }

    /// Shows `text`. Lines wider than the terminal are cut: one that wraps would be two.
    ///
    /// # Errors
    /// Stdout cannot be written to.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        let width = Term::stdout().size_checked().map_or(usize::MAX, |(_, width)| usize::from(width));
        let lines: Vec<String> = text.lines().map(|line| cut(line, width)).collect();
        let drawing = redraw(&self.shown, &lines);
        self.shown = lines;
        if drawing.is_empty() { Ok(()) } else { self.printer.raw(&drawing) }
    }
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// What a terminal must be sent that shows `before`, its cursor below the last line, to show `now` in its place.
fn redraw(before: &[String], now: &[String]) -> String {
    if before == now {
        return String::new();
    }
    let mut drawing = if before.is_empty() { String::new() } else { format!("\x1b[{}A", before.len()) };
    let mut old = before.iter();
    for line in now {
        match old.next() {
            Some(same) if same == line => drawing.push_str("\x1b[1B"),
            Some(_) => drawing.push_str(&format!("\r\x1b[2K{line}\r\n")),
            None => drawing.push_str(&format!("{line}\r\n")),
        }
    }
    let left = old.count();
    if left > 0 {
        drawing.push_str(&"\r\x1b[2K\x1b[1B".repeat(left));
        drawing.push_str(&format!("\x1b[{left}A"));
    }
    drawing
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a terminal shows it: the lines, and the one the cursor is on.
    fn terminal(sent: &[String]) -> (Vec<String>, usize) {
        let (mut lines, mut at) = (vec![String::new()], 0_usize);
        for drawing in sent {
            let mut rest = drawing.as_str();
            while let Some(next) = rest.chars().next() {
                if let Some(code) = rest.strip_prefix("\x1b[") {
                    let end = code.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    let n = code[..end].parse().unwrap_or(0);
                    match &code[end..=end] {
                        "A" => at -= n,
                        "B" => at += n,
                        "K" => lines[at].clear(),
                        other => panic!("unknown: {other}"),
                    }
                    rest = &code[end + 1..];
                    continue;
                }
                match next {
                    '\r' => {}
                    '\n' => at += 1,
                    _ => lines[at].push(next),
                }
                lines.resize(lines.len().max(at + 1), String::new());
                rest = &rest[next.len_utf8()..];
            }
        }
        while lines.len() > at && lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        (lines, at)
    }

    proptest! {
        #[test]
        fn a_terminal_shows_the_last_and_nothing_else(
            screens in proptest::collection::vec(proptest::collection::vec("[a-c]{1,2}", 0..5), 1..6)
        ) {
            let mut shown: Vec<String> = Vec::new();
            let mut sent = Vec::new();
            for screen in &screens {
                sent.push(redraw(&shown, screen));
                shown.clone_from(screen);
            }
            let (lines, at) = terminal(&sent);
            prop_assert_eq!((&lines, at), (&shown, shown.len()));
        }
    }

    #[test]
    fn what_has_not_changed_is_not_drawn() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(redraw(&lines("a b"), &lines("a b")), "");
        let drawing = redraw(&lines("one two three"), &lines("one 2 three"));
        assert!(drawing.contains('2') && !drawing.contains("one") && !drawing.contains("three"), "{drawing:?}");
        assert_eq!((cut("abcdef", 4).as_str(), cut("abcd", 4).as_str()), ("abc…", "abcd"));
    }
}
