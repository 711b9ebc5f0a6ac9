//! APIs of the sandbox behind a server as small as can be: a request per connection.
#![allow(clippy::unwrap_in_result, reason = "a failed step fails the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mlroll_sandbox::cloudwatch::CloudWatch;
use mlroll_sandbox::prometheus::Prometheus;
use mlroll_sandbox::{Api, World};

/// A served world.
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) world: Arc<Mutex<World>>,
}

impl Served {
    /// Serves until the test ends.
    pub(crate) fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(world));
        let shared = Arc::clone(&world);
        std::thread::spawn(move || {
            let apis: [Box<dyn Api>; 2] = [Box::new(CloudWatch::default()), Box::new(Prometheus)];
            for stream in listener.incoming() {
                // A client that goes away is no failure of this test.
                let _ = serve(stream.unwrap(), &apis, &shared);
            }
        });
        Self { url, world }
    }
}

fn serve(stream: TcpStream, apis: &[Box<dyn Api>], world: &Mutex<World>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut parts = line.split_whitespace();
    let (method, uri) = (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned());
    let mut request = http::Request::builder().method(method.as_str()).uri(uri);
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ").or_else(|| line.trim_end().split_once(':')) else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
        request = request.header(name, value);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = request.body(Bytes::from(body)).unwrap();
    let mut stream = reader.into_inner();
    let Some((api, operation)) = apis.iter().find_map(|api| Some((api, api.operation(&request)?))) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
    };
    let answer = api.answer(&request, &operation, &mut world.lock().unwrap());
    write!(stream, "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {}\r\n", answer.status(), answer.body().len())?;
    for (name, value) in answer.headers() {
        write!(stream, "{name}: {}\r\n", value.to_str().unwrap())?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(answer.body())
}
