//! One connection: requests in, answers or faults out.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::api::{Answer, Request, json_answer};
use crate::exchange::{Delivery, Exchange};

/// How much a client may ask of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For a request's head, for its body, and to take an answer, in real time.
    pub(crate) patience: Duration,
    /// In bytes.
    pub(crate) largest_body: usize,
}

/// Serves a connection until the client, a fault or a time limit ends it.
pub(crate) async fn serve(stream: TcpStream, exchange: Arc<Exchange>, limits: Limits) {
    // Without it small answers wait for the client's acknowledgement; with an error it is only slower.
    let _ = stream.set_nodelay(true);
    let cut = Arc::new(AtomicBool::new(false));
    let wire = Wire { stream, cut: Arc::clone(&cut), patience: limits.patience, stuck: None };
    let service = service_fn(|request: http::Request<Incoming>| {
        let (exchange, cut) = (Arc::clone(&exchange), Arc::clone(&cut));
        async move {
            match read(request, limits).await {
                Ok(request) => deliver(exchange.serve(&request), &cut).await,
                Err(refused) => Ok(refused.map(Sent::whole)),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.patience)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(wire), service);
    // The client sees for itself that the connection failed.
    let _ = connection.await;
}

/// The longest head of a request, in bytes.
const MOST_HEAD: usize = 64 << 10;

/// Reads the body to its end, or says why not; then the connection is given up, because the rest is not read.
async fn read(request: http::Request<Incoming>, limits: Limits) -> Result<Request, Answer> {
    let (head, body) = request.into_parts();
    let refused = |status, message: &str| {
        let mut answer = json_answer(status, &json!({ "error": message }));
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        answer
    };
    let declared = body.size_hint().lower();
    let too_long = || {
        let message = format!("the body is longer than {} bytes", limits.largest_body);
        refused(StatusCode::PAYLOAD_TOO_LARGE, &message)
    };
    if usize::try_from(declared).map_or(true, |declared| declared > limits.largest_body) {
        return Err(too_long());
    }
    let whole = tokio::time::timeout(limits.patience, Limited::new(body, limits.largest_body).collect()).await;
    match whole {
        Ok(Ok(body)) => Ok(Request::from_parts(head, body.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(error)) => Err(refused(StatusCode::BAD_REQUEST, &format!("the body cannot be read: {error}"))),
        Err(_) => Err(refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

/// Sends an answer, or cuts the connection.
async fn deliver(delivery: Delivery, cut: &AtomicBool) -> Result<http::Response<Sent>, Cut> {
    match delivery {
        Delivery::Whole(answer, delay) => {
            wait(delay).await;
            Ok(answer.map(Sent::whole))
        }
        Delivery::Half(answer, delay) => {
            wait(delay).await;
            Ok(answer.map(|body| Sent::half(&body)))
        }
        Delivery::Reset(delay) => {
            wait(delay).await;
            cut.store(true, Ordering::Relaxed);
            Err(Cut)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an answer that is late is the purpose")]
async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// The end of a connection on purpose.
#[derive(Clone, Copy, Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was cut by a fault")
    }
}

impl std::error::Error for Cut {}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A body as it is sent: whole, or its first half, under the length of the whole.
#[derive(Debug)]
struct Sent {
    rest: Option<Bytes>,
    declared: u64,
    ends: End,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// One more turn, in which what was given so far is written out.
    Soon,
    Cut,
}

impl Sent {
    fn whole(body: Bytes) -> Self {
        Self { declared: length(&body), rest: Some(body).filter(|body| !body.is_empty()), ends: End::Whole }
    }

    fn half(body: &Bytes) -> Self {
        let half = body.slice(..body.len() / 2);
        Self { declared: length(body), rest: Some(half).filter(|half| !half.is_empty()), ends: End::Soon }
    }
}

fn length(body: &Bytes) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(data) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.ends {
            End::Whole => Poll::Ready(None),
            End::Soon => {
                self.ends = End::Cut;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::Cut => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.ends == End::Whole
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.declared)
    }
}

/// A stream that can be reset, and that gives up on a client that takes no answer.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
    patience: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Passes on what became of a write; one that has been pending for too long fails.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.load(Ordering::Relaxed) {
            // An orderly end first would be no reset.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.cut.load(Ordering::Relaxed) {
            // Where it cannot be set, the client sees an end in place of a reset.
            let _ = self.stream.set_zero_linger();
        }
    }
}
