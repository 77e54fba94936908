//! The listening socket: opened at start, so that what is wrong with it is said at start.

use std::{
    fs,
    io::{self, ErrorKind},
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream as StdUnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, UnixListener},
};

use super::WebError;
use crate::config::Listen;

/// Connections that wait to be taken.
const BACKLOG: u32 = 64;
/// Bytes the kernel keeps for a viewer that does not read; doubled by the kernel for its own needs.
const SEND_BUFFER: u32 = 128 * 1024;

/// The socket.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _on_disk: OnDisk },
}

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Removes the socket's name when it goes.
pub(super) struct OnDisk(PathBuf);

impl Drop for OnDisk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Opens it; where it is then. Needs a runtime.
    pub(super) fn open(listen: &Listen) -> Result<(Self, Listen), WebError> {
        let failed = |source| WebError::Bind {
            listen: listen.clone(),
            source,
        };
        match listen {
            Listen::Off => Err(failed(ErrorKind::Unsupported.into())),
            Listen::Tcp(address) => {
                let listener = tcp(*address).map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                Ok((Self::Tcp(listener), Listen::Tcp(address)))
            }
            Listen::Unix(path) => {
                make_room(path)?;
                let listener = UnixListener::bind(path).map_err(failed)?;
                let bound = Self::Unix {
                    listener,
                    _on_disk: OnDisk(path.clone()),
                };
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
                Ok((bound, listen.clone()))
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix { listener, .. } => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it: a viewer that never reads is noticed soon and holds little.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A socket that nobody listens on any more is what a killed agent left.
fn make_room(path: &Path) -> Result<(), WebError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(WebError::InTheWay { path: path.to_owned() });
    }
    if let Err(error) = StdUnixStream::connect(path)
        && error.kind() == ErrorKind::ConnectionRefused
    {
        let _ = fs::remove_file(path);
    }
    Ok(())
}
