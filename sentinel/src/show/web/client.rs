//! Asks a running agent: one request, one answer, over TCP or the unix socket.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::config::Listen;

/// The agent must answer within this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const MOST_BYTES: usize = 16 << 20;

/// No answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing is served anywhere.
    #[error("`listen` is off, so no agent can be asked; set it in the configuration of the agent")]
    Off,
    /// Nobody answers there.
    #[error("no agent answers on {listen}: {source}; start one with `sentinel run`, or say where it is")]
    Unreachable {
        /// Where.
        listen: Listen,
        /// Why not.
        source: io::Error,
    },
    /// It is there and does not answer, or not in HTTP.
    #[error("what listens on {listen} does not answer as a sentinel does: {reason}")]
    Garbled {
        /// Where.
        listen: Listen,
        /// What happened.
        reason: String,
    },
    /// The token is missing or another one.
    #[error("the agent on {listen} asks for its token; name the file that holds it as `listen_token_file`")]
    Token {
        /// Where.
        listen: Listen,
    },
    /// It says no.
    #[error("the agent on {listen} answered {status}: {said}")]
    Refused {
        /// Where.
        listen: Listen,
        /// Status.
        status: StatusCode,
        /// Its words.
        said: String,
    },
}

/// Gets `path` from the agent that listens on `listen`. Needs a runtime with I/O and time.
///
/// # Errors
/// See [`ClientError`].
pub async fn fetch(listen: &Listen, path: &str, token: Option<&str>) -> Result<Bytes, ClientError> {
    let asked = timeout(PATIENCE, ask(listen, path, token)).await;
    asked.unwrap_or_else(|_| {
        Err(ClientError::Garbled {
            listen: listen.clone(),
            reason: format!("nothing came for {} s", PATIENCE.as_secs()),
        })
    })
}

async fn ask(listen: &Listen, path: &str, token: Option<&str>) -> Result<Bytes, ClientError> {
    let unreachable = |source| ClientError::Unreachable {
        listen: listen.clone(),
        source,
    };
    match listen {
        Listen::Off => Err(ClientError::Off),
        Listen::Tcp(address) => {
            let stream = TcpStream::connect(address).await.map_err(unreachable)?;
            exchange(listen, TokioIo::new(stream), path, token).await
        }
        Listen::Unix(socket) => {
            let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
            exchange(listen, TokioIo::new(stream), path, token).await
        }
    }
}

async fn exchange<S>(listen: &Listen, stream: S, path: &str, token: Option<&str>) -> Result<Bytes, ClientError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let garbled = |reason: String| ClientError::Garbled {
        listen: listen.clone(),
        reason,
    };
    let (mut sender, connection) = http1::handshake(stream)
        .await
        .map_err(|error| garbled(error.to_string()))?;
    let connection = tokio::spawn(connection);
    let host = match listen {
        Listen::Tcp(address) => address.to_string(),
        _ => "localhost".to_owned(),
    };
    let mut request = Request::get(path).header(header::HOST, host);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| garbled(error.to_string()))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| garbled(error.to_string()))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    connection.abort();
    let body = body.map_err(|error| garbled(error.to_string()))?.to_bytes();
    match status {
        StatusCode::OK => Ok(body),
        StatusCode::UNAUTHORIZED => Err(ClientError::Token { listen: listen.clone() }),
        status => Err(ClientError::Refused {
            listen: listen.clone(),
            status,
            said: String::from_utf8_lossy(&body).trim().chars().take(200).collect(),
        }),
    }
}
