//! A server on loopback that answers with JSON: in the place of Google's token servers, of those who vouch for somebody
//! there, and of its other APIs.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::http::{Message, Reader, Response, decode_path};

/// A token server. Whatever it is asked for, it gives the next of its tokens, in every form there is; the last again and
/// again.
#[derive(Debug)]
pub struct Tokens {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What a token server was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// The whole query, decoded.
    pub query: String,
    /// The whole body.
    pub body: String,
    /// The header `Authorization`.
    pub authorization: String,
    /// The header `Metadata-Flavor`.
    pub flavor: String,
}

impl Tokens {
    /// Listens on a port of loopback, until the process ends.
    #[must_use]
    pub fn start(tokens: &[&str]) -> Self {
        let tokens: Vec<String> = tokens.iter().map(|&token| token.to_owned()).collect();
        Self::answering(move |n, _| {
            let token = tokens.get(n).or(tokens.last()).cloned().unwrap_or_default();
            Some((200, given(&token)))
        })
    }

    /// Refuses everything, in the form of an OAuth server.
    #[must_use]
    pub fn refusing(why: &str) -> Self {
        let why = why.to_owned();
        Self::answering(move |_, _| Some((400, json!({"error": "invalid_grant", "error_description": why}))))
    }

    /// Takes every connection and never answers.
    #[must_use]
    pub fn silent() -> Self {
        Self::answering(|_, _| None)
    }

    /// Its base.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers the nth request, from 0, with a status and a body; never, for none.
    ///
    /// # Panics
    /// Loopback cannot be listened on.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test cannot go on without it")]
    pub fn answering(answer: impl Fn(usize, &Asked) -> Option<(u16, Value)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                thread::spawn(move || serve(&stream, &noted, answer.as_ref()));
            }
        });
        Self { address, asked }
    }
}

/// One answer for all: OAuth's, IAM's, an OIDC provider's.
fn given(token: &str) -> Value {
    json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 3600,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "accessToken": token, "expireTime": "2099-01-01T00:00:00Z", "value": token,
    })
}

type Answer = dyn Fn(usize, &Asked) -> Option<(u16, Value)> + Send + Sync;

fn serve(stream: &TcpStream, noted: &Mutex<Vec<Asked>>, answer: &Answer) -> io::Result<()> {
    let mut writer = stream;
    let mut reader = Reader::new(stream);
    while let Some(message) = reader.next_message()? {
        let asked = read(&message);
        let n = {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.push(asked.clone());
            noted.len() - 1
        };
        match answer(n, &asked) {
            Some((status, body)) => writer.write_all(&Response::json(status, &body).bytes())?,
            None => while reader.next_message()?.is_some() {},
        }
    }
    Ok(())
}

fn read(message: &Message) -> Asked {
    let header = |name| message.header(name).unwrap_or_default().to_owned();
    Asked {
        path: message.path.clone(),
        query: decode_path(&message.query.replace('+', " ")),
        body: decode_path(&String::from_utf8_lossy(&message.body)),
        authorization: header("authorization"),
        flavor: header("metadata-flavor"),
    }
}
