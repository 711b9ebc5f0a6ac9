//! Tokens that cannot be renewed for a while.

use std::sync::atomic::AtomicUsize;

use mlroll_faults::Tokens;
use serde_json::json;
use tempfile::TempDir;

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// What a token server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Token,
    Refusal(u16),
    Silence,
}

/// A person's credentials, and what the requests for tokens come to, one after the other; from the last on always the same.
struct Case {
    fetched: Fetched,
    server: Tokens,
}

/// Somebody's login, whose tokens are asked of `server`.
fn fetched(server: &str, limit: Duration) -> Fetched {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("user.json");
    let user = json!({"type": "authorized_user", "client_id": "me", "client_secret": "hunter2",
        "refresh_token": "hunter3", "token_uri": server});
    std::fs::write(&path, user.to_string()).unwrap();
    let settings = Settings { credentials: Some(path), ..Settings::default() };
    let origin = Origin::File(File::named(&settings).unwrap().unwrap());
    Fetched { origin, limit, quota_project: None, current: Mutex::new(None), worked: AtomicBool::new(false) }
}

impl Case {
    fn new(answers: &[Answer]) -> Self {
        let (answers, given) = (answers.to_vec(), AtomicUsize::new(0));
        let server = Tokens::answering(move |n, _| match answers.get(n).or(answers.last())? {
            Answer::Token => {
                let n = given.fetch_add(1, Ordering::Relaxed);
                Some((200, json!({"access_token": format!("token {n}"), "token_type": "Bearer", "expires_in": 3600})))
            }
            Answer::Refusal(status) => Some((*status, json!({"error": "invalid_grant"}))),
            Answer::Silence => None,
        });
        Self { fetched: fetched(&server.url(), LIMIT), server }
    }

    async fn token(&self) -> Result<String> {
        self.fetched.token().await.map(|token| token.reveal().to_owned())
    }

    /// The hour is over: what is kept asks for its next token now.
    async fn expire(&self) {
        let Origin::File(file) = &self.fetched.origin else { panic!("a file") };
        let kept = file.credentials().unwrap();
        *self.fetched.current.lock().await = Some(Current::Library(kept));
    }
}

#[tokio::test]
async fn one_renewal_that_fails_does_not_end_a_rollout() {
    for failure in [Answer::Refusal(400), Answer::Refusal(503), Answer::Silence] {
        let case = Case::new(&[Answer::Token, failure, Answer::Token]);
        assert_eq!(case.token().await.unwrap(), "token 0");
        case.expire().await;
        assert_eq!(case.token().await.unwrap(), "token 1", "{failure:?}");
        // And is kept again.
        assert_eq!(case.token().await.unwrap(), "token 1", "{failure:?}");
        assert_eq!(case.server.asked().len(), 3, "{failure:?}");
    }
}

#[tokio::test]
async fn after_a_time_without_a_token_service_there_are_tokens_again() {
    for (failure, kind) in [
        (Answer::Refusal(503), ErrorKind::Unavailable),
        (Answer::Refusal(429), ErrorKind::Unavailable),
        (Answer::Silence, ErrorKind::Unavailable),
        (Answer::Refusal(400), ErrorKind::Auth),
    ] {
        // One call sends two requests, and both fail.
        let case = Case::new(&[Answer::Token, failure, failure, Answer::Token]);
        case.token().await.unwrap();
        case.expire().await;
        let error = case.token().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{failure:?}: {error}");
        assert!(!error.to_string().contains("hunter"), "{error}");
        assert_eq!(case.token().await.unwrap(), "token 1", "{failure:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_later_is_no_wrong_password() {
    // Nobody listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (worked, kind) in [(false, ErrorKind::Auth), (true, ErrorKind::Unavailable)] {
        let fetched = Fetched { worked: AtomicBool::new(worked), ..fetched(&format!("http://{gone}"), LIMIT) };
        let error = fetched.token().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().starts_with("authorized_user credentials of "), "{error}");
    }
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_nothing_stuck_behind() {
    let case = Case::new(&[Answer::Token, Answer::Silence, Answer::Token]);
    case.token().await.unwrap();
    case.expire().await;
    tokio::select! {
        token = case.token() => panic!("nobody answers: {token:?}"),
        () = asked(&case.server, 2) => {}
    }
    assert_eq!(case.token().await.unwrap(), "token 1");
}

async fn asked(server: &Tokens, times: usize) {
    while server.asked().len() < times {
        tokio::task::yield_now().await;
    }
}
