//! Query texts with `{{revision}}` and `{{window}}` in them.

use std::time::Duration;

use mlroll_backend::RevisionId;

/// A query text, parsed so far that it is known where its placeholders stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Revision(Matcher),
    Text(String),
    Window,
}

/// The string literal that a placeholder stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Matcher {
    quote: char,
    regex: bool,
}

/// Where in the text the parser is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Code,
    Comment,
    /// A string; `matches` tells whether it is what a label is compared with.
    Literal {
        quote: char,
        matches: Option<Matcher>,
    },
}

impl Template {
    /// A whole query.
    pub(crate) fn query(text: &str) -> Result<Self, String> {
        parse(text).map(|(template, _)| template)
    }

    /// A selector of counters: a name and matchers, one of which names the revision. What else a query may have, a range,
    /// an offset, a function, is refused: it is put around the selector here.
    pub(crate) fn selector(text: &str) -> Result<Self, String> {
        let (template, skeleton) = parse(text)?;
        let refused = |why: &str| {
            Err(format!(
                "`{text}` is not a selector such as http_requests_total{{version=\"{{{{revision}}}}\"}}: {why}"
            ))
        };
        if template.pieces.contains(&Piece::Window) {
            return refused("the window is added to it");
        }
        if !template.pieces.iter().any(|piece| matches!(piece, Piece::Revision(_))) {
            return refused("no matcher has {{revision}}, so all revisions would look alike");
        }
        let Some((name, matchers)) = skeleton.trim().strip_suffix('}').and_then(|rest| rest.split_once('{')) else {
            return refused("it must be a name and matchers in braces, and nothing else");
        };
        let in_name = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
        let in_matchers = |c: char| in_name(c) || c.is_ascii_whitespace() || "=!~,\".".contains(c);
        if !name.trim_end().chars().all(in_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return refused("the name of a metric has only A-Z a-z 0-9 _ :");
        }
        if !matchers.chars().all(in_matchers) {
            return refused("there is more in the braces than matchers");
        }
        Ok(template)
    }

    /// The query for one revision and window.
    pub(crate) fn render(&self, revision: &RevisionId, window: Duration) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Revision(matcher) => matcher.write(revision.as_str(), &mut text),
                Piece::Text(verbatim) => text.push_str(verbatim),
                Piece::Window => text.push_str(&range(window)),
            }
        }
        text
    }
}

/// A window as PromQL writes it. Windows are whole seconds.
pub(crate) fn range(window: Duration) -> String {
    format!("{}s", window.as_secs())
}

impl Matcher {
    /// Writes `value` so that this matcher matches it and nothing else: first what means something in a regular
    /// expression, then what means something in the literal.
    fn write(self, value: &str, text: &mut String) {
        for c in value.chars() {
            let mut literal = |c: char| {
                // Raw strings, in backticks, have no escapes; revisions have no backticks.
                if self.quote != '`' && (c == '\\' || c == self.quote) {
                    text.push('\\');
                }
                text.push(c);
            };
            if self.regex && r"\.+*?()|[]{}^$".contains(c) {
                literal('\\');
            }
            literal(c);
        }
    }
}

/// The template, and its code with all strings emptied.
fn parse(text: &str) -> Result<(Template, String), String> {
    let mut parser =
        Parser { pieces: Vec::new(), verbatim: String::new(), skeleton: String::new(), place: Place::Code };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(opened) = rest.strip_prefix("{{") {
            let Some((name, after)) = opened.split_once("}}") else {
                return Err(format!("`{text}` has {{{{ without }}}}"));
            };
            parser.placeholder(name.trim()).map_err(|why| format!("in `{text}`, {why}"))?;
            rest = after;
            continue;
        }
        rest = rest.strip_prefix(c).unwrap_or_default();
        parser.verbatim.push(c);
        if c == '\\' && matches!(parser.place, Place::Literal { quote: '"' | '\'', .. }) {
            // Whatever it escapes does not end the string.
            if let Some(escaped) = rest.chars().next() {
                parser.verbatim.push(escaped);
                rest = rest.strip_prefix(escaped).unwrap_or_default();
            }
        } else {
            parser.step(c);
        }
    }
    if let Place::Literal { quote, .. } = parser.place {
        return Err(format!("`{text}` has a string that does not end: {quote} is missing"));
    }
    parser.flush();
    Ok((Template { pieces: parser.pieces }, parser.skeleton))
}

struct Parser {
    pieces: Vec<Piece>,
    verbatim: String,
    skeleton: String,
    place: Place,
}

impl Parser {
    fn step(&mut self, c: char) {
        self.place = match self.place {
            Place::Code if matches!(c, '"' | '\'' | '`') => {
                let matches = self.compared(c);
                self.skeleton.push_str("\"\"");
                Place::Literal { quote: c, matches }
            }
            Place::Code => {
                self.skeleton.push(c);
                if c == '#' { Place::Comment } else { Place::Code }
            }
            Place::Comment if c == '\n' => Place::Code,
            Place::Literal { quote, .. } if c == quote => Place::Code,
            unchanged @ (Place::Comment | Place::Literal { .. }) => unchanged,
        };
    }

    /// What a string that begins here is compared by, if it is.
    fn compared(&self, quote: char) -> Option<Matcher> {
        let before = self.skeleton.trim_end();
        let regex = before.ends_with("=~") || before.ends_with("!~");
        let exact = before.ends_with('=') && ![">=", "<=", "=="].iter().any(|operator| before.ends_with(operator));
        (regex || exact).then_some(Matcher { quote, regex })
    }

    fn placeholder(&mut self, name: &str) -> Result<(), String> {
        let piece = match (name, self.place) {
            ("revision", Place::Literal { matches: Some(matcher), .. }) => Piece::Revision(matcher),
            ("window", Place::Code) => Piece::Window,
            ("revision", _) => {
                return Err("{{revision}} stands elsewhere than in the string of a matcher, \
                            such as version=\"{{revision}}\""
                    .to_owned());
            }
            ("window", _) => return Err("{{window}} stands elsewhere than in a range, such as [{{window}}]".to_owned()),
            _ => {
                return Err(format!(
                    "there is no {{{{{name}}}}}: only {{{{revision}}}} and {{{{window}}}} are filled in"
                ));
            }
        };
        self.flush();
        self.pieces.push(piece);
        Ok(())
    }

    fn flush(&mut self) {
        if !self.verbatim.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.verbatim)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rendered(text: &str, revision: &str) -> String {
        Template::query(text).unwrap().render(&revision.parse().unwrap(), MINUTE)
    }

    #[test]
    fn fills_in_what_stands_there() {
        for (text, revision, expected) in [
            (r#"up{v="{{revision}}"}"#, "$LATEST", r#"up{v="$LATEST"}"#),
            (r#"up{v=~"{{revision}}"}"#, "$LATEST", r#"up{v=~"\\$LATEST"}"#),
            (r#"up{v!~ 'a|{{ revision }}'}[{{window}}]"#, "v1.2", r#"up{v!~ 'a|v1\\.2'}[60s]"#),
            (r#"up{v=~`{{revision}}-.*`}"#, "v1.2", r#"up{v=~`v1\.2-.*`}"#),
            (r#"up{v!="x\"={{revision}}"}"#, "7", r#"up{v!="x\"=7"}"#),
            ("up > 1 # {{{ it's\n + sum_over_time(x[{{window}}])", "7", ""),
            ("vector(1)", "7", "vector(1)"),
        ] {
            if expected.is_empty() {
                assert!(Template::query(text).is_err(), "{text}");
            } else {
                assert_eq!(rendered(text, revision), expected);
            }
        }
        assert_eq!(rendered("up # it's\n + x[{{window}}]", "7"), "up # it's\n + x[60s]");
    }

    #[test]
    fn refuses_placeholders_elsewhere() {
        for text in [
            "up{v={{revision}}}",
            "{{revision}}",
            r#"label_replace(up, "v", "{{revision}}", "", "")"#,
            r#"up == "{{revision}}""#,
            r#"up{v="{{window}}"}"#,
            r#"up{v="{{revison}}"}"#,
            r#"up{v="{{revision"}"#,
            r#"up{v="{{revision}}}"#,
            "up # {{revision}}",
        ] {
            assert!(Template::query(text).is_err(), "{text}");
        }
    }

    #[test]
    fn selectors_are_names_and_matchers() {
        for text in [
            r#"http_requests_total{version="{{revision}}"}"#,
            r#" vllm:x_total { a = "b", version =~ "{{revision}}|}) or x", } "#,
            r#"{__name__="x", version="{{revision}}"}"#,
        ] {
            assert!(Template::selector(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "http_requests_total",
            r#"http_requests_total{version="42"}"#,
            r#"x{version="{{revision}}"}[5m]"#,
            r#"x{version="{{revision}}"}[{{window}}]"#,
            r#"x{version="{{revision}}"} offset 5m"#,
            r#"x{version="{{revision}}"}) or vector(1"#,
            r#"sum(x{version="{{revision}}"})"#,
            r#"x{version="{{revision}}"} or y{}"#,
            r#"x{version="{{revision}}"} # {}"#,
            r#"9x{version="{{revision}}"}"#,
        ] {
            assert!(Template::selector(text).is_err(), "{text}");
        }
    }

    /// What PromQL reads back from the literal after `opening`, and what follows it.
    fn read_literal(text: &str, opening: &str, quote: char) -> (String, String) {
        let mut value = String::new();
        let mut rest = text.strip_prefix(opening).unwrap().chars();
        loop {
            match rest.next().unwrap() {
                '\\' if quote != '`' => value.push(rest.next().unwrap()),
                c if c == quote => return (value, rest.collect()),
                c => value.push(c),
            }
        }
    }

    proptest! {
        #[test]
        fn no_revision_breaks_out(revision in "[A-Za-z0-9._$-]{1,128}", quote in prop::sample::select(vec!['"', '\'', '`'])) {
            for operator in ["=", "=~"] {
                let opening = format!("x{{v{operator}{quote}");
                let text = rendered(&format!("{opening}{{{{revision}}}}{quote}}}"), &revision);
                let (value, rest) = read_literal(&text, &opening, quote);
                prop_assert_eq!(rest, "}");
                // Unescaped, a regular expression of literals is the name again, and every special character was escaped.
                let plain = if operator == "=" { value } else { value.replace('\\', "") };
                prop_assert_eq!(plain, revision.clone());
                if operator == "=~" {
                    prop_assert_eq!(text.matches('.').count(), text.matches("\\.").count());
                    prop_assert_eq!(text.matches('$').count(), text.matches("\\$").count());
                }
            }
        }

        #[test]
        fn no_text_panics(text in ".*", code in "[a-z{}\\[\\]()\"'`#=~!, \\n\\\\]*") {
            for text in [&text, &code] {
                let _ = Template::selector(text);
                if let Ok(template) = Template::query(text) {
                    prop_assert_eq!(&template.render(&"42".parse().unwrap(), MINUTE).contains("{{"), &false);
                }
            }
        }
    }
}
