//! Which endpoint configs are needed. Pure.

use std::time::Duration;

use mlroll_backend::Timestamp;

use super::ENDPOINT;

/// Whoever made something may not have come to using it.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// An endpoint config whose name is made as ours are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) name: String,
    pub(super) created: Timestamp,
    /// Its tags say that it was made for this endpoint.
    pub(super) own: bool,
    /// The one that the endpoint had before it.
    pub(super) before: Option<String>,
}

/// An endpoint of the account and region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) endpoint: String,
    pub(super) status: String,
    pub(super) config: String,
    /// The one that is on its way.
    pub(super) pending: Option<String>,
}

/// How the endpoint is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing<'a> {
    pub(super) endpoint: &'a str,
    /// The endpoint config that it has, and the one that it had.
    pub(super) current: &'a str,
    pub(super) before: &'a str,
    /// The one that the endpoint's note is about.
    pub(super) noted: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// Why an endpoint config is kept; `None` when nothing refers to it, as far as `users` tell.
pub(super) fn needed(config: &Config, all: &[Config], standing: &Standing<'_>, users: &[User]) -> Option<String> {
    let Standing { endpoint, current, before, noted, now } = *standing;
    // Whoever named it to an endpoint may have written it in other letters: SageMaker tells no names apart by case.
    let is = |name: &str| name.eq_ignore_ascii_case(&config.name);
    if is(current) {
        return Some(format!("endpoint {endpoint} has it"));
    }
    if let Some(user) = users.iter().find(|user| is(&user.config) || user.pending.as_deref().is_some_and(is)) {
        let does = if is(&user.config) { "has" } else { "is getting" };
        return Some(format!("endpoint {} {does} it", user.endpoint));
    }
    if !config.own {
        return Some(format!(
            "it has no tag {ENDPOINT} with the value {endpoint}: mlroll did not make it for this endpoint, or before it wrote such tags"
        ));
    }
    if is(before) {
        return Some("the endpoint had it before: it is the way back".to_owned());
    }
    if noted.is_some_and(is) {
        return Some("the endpoint's note is about it: it tells whether the way back is what it was".to_owned());
    }
    if config.before.as_deref() == Some(current) {
        return Some(format!("it was made from {current}, which the endpoint has: it may have had this one before"));
    }
    // Somebody may have gone back further than to the one before.
    let youngest = all.iter().filter(|other| other.own && other.name != current).max_by_key(|other| other.created);
    if youngest.is_some_and(|youngest| youngest.created <= config.created) {
        return Some("it is the youngest but the one that the endpoint has".to_owned());
    }
    is_young(config.created, now).then(|| YOUNGER.to_owned())
}

/// What is said of something young.
pub(super) const YOUNGER: &str = "it is younger than an hour";

pub(super) fn is_young(created: Timestamp, now: Timestamp) -> bool {
    now.since(created) < YOUNG
}

/// Why nobody can tell which endpoint config an endpoint may go back to; `None` where that is the one that it has.
pub(super) fn unclear(user: &User) -> Option<String> {
    let User { endpoint, status, config, pending } = user;
    let told = match status.as_str() {
        "Creating" | "Deleting" | "InService" | "OutOfService" | "SystemUpdating" => true,
        // The one that it has is the one that it had.
        "Updating" => pending.as_ref().is_none_or(|pending| !pending.is_empty() && pending != config),
        _ => false,
    };
    let why = || format!("endpoint {endpoint} is {status}, and which endpoint config it may go back to is not told");
    (!told || config.is_empty()).then(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_795_230_000 + minutes * 60).unwrap()
    }

    fn config(name: &str, minutes: i64, before: &str) -> Config {
        Config { name: name.to_owned(), created: at(minutes), own: true, before: Some(before.to_owned()) }
    }

    /// `d` was deployed at the end, after `c`; `tried` from `d`, and taken back.
    fn all() -> Vec<Config> {
        let mut all = vec![
            config("a", 0, "x"),
            config("b", 60, "a"),
            config("c", 120, "b"),
            config("d", 180, "c"),
            config("tried", 190, "d"),
            config("again", 200, "c"),
        ];
        all.push(Config { own: false, ..config("other", 10, "x") });
        all
    }

    fn kept<'a>(all: &'a [Config], current: &str, before: &str, now: i64, users: &[User]) -> Vec<&'a str> {
        let standing = Standing { endpoint: "fraud", current, before, noted: None, now: at(now) };
        let kept = all.iter().filter(|config| needed(config, all, &standing, users).is_some());
        kept.map(|config| config.name.as_str()).collect()
    }

    #[test]
    fn what_is_next_to_the_current_one_is_kept_and_what_is_young_or_foreign() {
        let all = all();
        assert_eq!(kept(&all, "d", "c", 1_000, &[]), ["c", "d", "tried", "again", "other"]);
        // Who went back by hand has what was made from it, and the youngest, as the way forth.
        assert_eq!(kept(&all, "b", "a", 1_000, &[]), ["a", "b", "c", "again", "other"]);
        assert_eq!(kept(&all, "d", "c", 119, &[]), ["b", "c", "d", "tried", "again", "other"]);
        assert_eq!(kept(&all, "d", "c", 120, &[]), ["c", "d", "tried", "again", "other"]);
    }

    #[test]
    fn what_another_endpoint_has_or_gets_is_kept() {
        let all = all();
        let user = |config: &str, pending: Option<&str>| User {
            endpoint: "second".to_owned(),
            status: "Updating".to_owned(),
            config: config.to_owned(),
            pending: pending.map(str::to_owned),
        };
        assert!(kept(&all, "d", "c", 1_000, &[user("a", None)]).contains(&"a"));
        assert!(kept(&all, "d", "c", 1_000, &[user("A", None)]).contains(&"a"));
        assert!(kept(&all, "d", "c", 1_000, &[user("z", Some("b"))]).contains(&"b"));
        assert!(!kept(&all, "d", "c", 1_000, &[user("z", Some("b"))]).contains(&"a"));
    }

    #[test]
    fn an_endpoint_between_two_configs_tells_both_or_bars_all() {
        for (status, pending, clear) in [
            ("InService", None, true),
            ("Creating", None, true),
            ("Updating", None, true),
            ("Updating", Some("b"), true),
            ("Updating", Some("a"), false),
            ("Updating", Some(""), false),
            ("SystemUpdating", None, true),
            ("OutOfService", None, true),
            ("Deleting", None, true),
            ("RollingBack", None, false),
            ("Failed", None, false),
            ("UpdateRollbackFailed", None, false),
            ("SomethingNew", None, false),
        ] {
            let user = User {
                endpoint: "x".to_owned(),
                status: status.to_owned(),
                config: "a".to_owned(),
                pending: pending.map(str::to_owned),
            };
            assert_eq!(unclear(&user).is_none(), clear, "{status} {pending:?}");
            assert!(unclear(&User { config: String::new(), ..user }).is_some(), "{status}");
        }
    }
}
