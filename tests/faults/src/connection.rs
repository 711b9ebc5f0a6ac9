//! One connection: requests in, answers or faults out.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::error::ApiError;
use crate::exchange::{self, Delivery, Shared};
use crate::http::Reader;

/// Serves a connection until the client, a fault or the end of the server closes it.
pub(crate) fn run(shared: &Shared, stream: &TcpStream, connection: u64) {
    // A failed read or write ends the connection, and the client sees for itself that it did.
    let _ = serve(shared, stream, connection);
}

fn serve(shared: &Shared, stream: &TcpStream, connection: u64) -> io::Result<()> {
    let mut writer = stream;
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream);
    loop {
        let message = match reader.next_message() {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let refused = ApiError::new(400, "BadRequestException", error.to_string());
                return writer.write_all(&refused.response().header("Connection", "close").bytes());
            }
            Err(error) => return Err(error),
        };
        match exchange::serve(shared, &message, connection) {
            Delivery::Half(response) => {
                writer.write_all(&response.half())?;
                return stream.shutdown(Shutdown::Write);
            }
            Delivery::Hang => return hang(shared, stream),
            Delivery::Reset => return SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Delivery::Whole(response) => writer.write_all(&response.bytes())?,
        }
        if message.closes() {
            return Ok(());
        }
    }
}

/// Keeps the connection open and silent until the client or the server gives up.
fn hang(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    while !shared.stop.wait(POLL) {
        match stream.peek(&mut [0]) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How soon a hanging connection notices that its client has gone.
const POLL: Duration = Duration::from_millis(20);
