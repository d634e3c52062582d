//! A small HTTP/1.1 client that keeps a server busy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::time::now;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;

/// Connections that stay open; each sends its next request when the last is answered.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    connections: Vec<Connection>,
}

/// A request as it goes over the wire, and the status that must come back.
#[derive(Clone, Debug)]
pub struct Wire {
    request: Arc<[u8]>,
    status: [u8; 3],
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

// === impl Client ===

impl Client {
    /// Connects so many times.
    ///
    /// # Errors
    ///
    /// If a connection cannot be made.
    pub fn connect(address: SocketAddr, count: usize) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let connections = runtime.block_on(async {
            let mut connections = Vec::with_capacity(count);
            for _ in 0..count {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                connections.push(Connection {
                    stream,
                    buffer: vec![0; 16 * 1024],
                });
            }
            io::Result::Ok(connections)
        })?;
        Ok(Self {
            runtime,
            connections,
        })
    }

    /// Sends so many requests over all connections together, and tells how long that took.
    ///
    /// # Errors
    ///
    /// If a connection breaks, or an answer is not what it must be.
    pub fn send(&mut self, wire: &Wire, count: u64) -> io::Result<Duration> {
        let Self {
            runtime,
            connections,
        } = self;
        let left = Arc::new(AtomicU64::new(count));
        runtime.block_on(async {
            let start = now();
            let mut sending = JoinSet::new();
            for connection in connections.drain(..) {
                sending.spawn(connection.send(wire.clone(), Arc::clone(&left)));
            }
            while let Some(connection) = sending.join_next().await {
                connections.push(connection??);
            }
            Ok(start.elapsed())
        })
    }
}

// === impl Wire ===

impl Wire {
    /// A GET of a path, and the status that must come back.
    #[must_use]
    pub fn get(path: &str, status: [u8; 3]) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\naccept: */*\r\n\r\n"
        );
        Self {
            request: request.into_bytes().into(),
            status,
        }
    }
}

// === impl Connection ===

impl Connection {
    async fn send(mut self, wire: Wire, left: Arc<AtomicU64>) -> io::Result<Self> {
        let take_one = |left: u64| left.checked_sub(1);
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one)
            .is_ok()
        {
            self.stream.write_all(&wire.request).await?;
            self.answer(wire.status).await?;
        }
        Ok(self)
    }

    /// Reads one answer to its end.
    async fn answer(&mut self, status: [u8; 3]) -> io::Result<()> {
        let mut filled = 0;
        let length = loop {
            let count = self.stream.read(&mut self.buffer[filled..]).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            if let Some(length) = message_length(&self.buffer[..filled])? {
                break length;
            }
        };
        while filled < length {
            let count = self.stream.read(&mut self.buffer[filled..]).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
        }
        match self.buffer.get(9..12) == Some(&status) && filled == length {
            true => Ok(()),
            false => Err(unexpected(&self.buffer[..filled])),
        }
    }
}

/// How long the message is, head and body, if its head is there.
fn message_length(received: &[u8]) -> io::Result<Option<usize>> {
    const NAME: &[u8] = b"content-length: ";
    let Some(head) = received.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = received[..head].split(|&byte| byte == b'\n');
    let digits = lines.find_map(|line| line.strip_prefix(NAME));
    let length = digits
        .and_then(|digits| str::from_utf8(digits).ok())
        .and_then(|digits| digits.trim().parse::<usize>().ok());
    match length {
        Some(length) => Ok(Some(head + 4 + length)),
        None => Err(unexpected(received)),
    }
}

fn unexpected(answer: &[u8]) -> io::Error {
    io::Error::other(format!(
        "the answer is not what it must be: {}",
        String::from_utf8_lossy(answer)
    ))
}

#[cfg(test)]
mod tests {
    use super::message_length;

    #[test]
    fn message_ends_where_its_length_says() {
        let message = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(message_length(&message[..30]).unwrap(), None);
        let length = message_length(&message[..message.len() - 2]).unwrap();
        assert_eq!(length, Some(message.len()));
        assert!(message_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
