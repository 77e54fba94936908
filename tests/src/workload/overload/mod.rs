//! Loads whose overload can outlive its trigger: a client that does not wait for answers, a gateway that retries, and a
//! backend of known capacity that also does work nobody waits for any more.
//!
//! After Bronson et al., "Metastable Failures in Distributed Systems" (HotOS 2021). With load `L`, capacity `C`, a
//! timeout of `T` for each attempt, `r` retries and a trigger that makes the load `k L`:
//! - the queue reaches `T C` requests, and attempts begin to time out, `T C / (k L - C)` after the trigger began: a
//!   shorter trigger leaves nothing behind;
//! - it sustains itself after the trigger where `L (1 + r) > C`, and recovers where that is less.
//!
//! Never leaves the loopback device; every part ends by itself.

pub mod backend;
pub mod client;
pub mod gateway;

use std::{future::Future, io, net::SocketAddr};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// The end of a head; neither side here sends a body that matters.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// A head that is longer is not one of these programs'.
const HEAD_BYTES: usize = 4096;

/// Runs on one thread: each part is one small process, and the CPUs are few.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// One request on a connection of its own; true when it was answered with success.
async fn ask(to: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(REQUEST).await?;
    Ok(head(&mut stream).await?.starts_with(b"HTTP/1.1 2"))
}

/// Reads one head; an error when the other side closes before its end.
async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(256);
    while !head.windows(HEAD_END.len()).any(|window| window == HEAD_END) {
        if head.len() > HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// Sends an answer and closes; whoever gave up does not read it.
async fn answer(mut stream: TcpStream, text: &[u8]) {
    if stream.write_all(text).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}
