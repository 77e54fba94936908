//! The token that a viewer presents. Never printed, and compared in a time that says nothing about it.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Characters a token needs.
const LEAST: usize = 16;
/// Bytes a token may have.
const MOST: usize = 1024;

/// A token, as its hash: so that its length does not show either.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A file holds no usable token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("the token in {path} cannot be read: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is too short, too long, or not plain text.
    #[error("{path} holds no token: it must be one line of {LEAST} to {MOST} printable ASCII characters without spaces; make one with `openssl rand -hex 32`", path = .path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
    },
    /// Everybody on this host could read it.
    #[error("every user of this host may read the token in {path}; run `chmod o-rwx` on it", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
}

impl Token {
    /// Of this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether this is the token.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        Self::new(presented).0.ct_eq(&self.0).into()
    }

    /// The text in a file, without the line break at its end.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn text(path: &Path) -> Result<String, TokenError> {
        let failed = |source| TokenError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o007 != 0 {
            return Err(TokenError::Open { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.take(MOST as u64 + 2).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\r', '\n']);
        let fits = (LEAST..=MOST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(text.to_owned())
        } else {
            Err(TokenError::Unfit { path: path.to_owned() })
        }
    }

    /// The token in a file.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        Self::text(path).map(|text| Self::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn only_the_very_token_is_it_and_it_is_never_printed() {
        let token = Token::new("0123456789abcdef");
        assert!(token.is("0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(other), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn a_file_must_hold_one_fit_line_that_not_everybody_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let with = |content: &str, mode| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Token::read(&path)
        };
        assert!(with("0123456789abcdef\n", 0o640).unwrap().is("0123456789abcdef"));
        assert!(matches!(
            with("0123456789abcdef\n", 0o644),
            Err(TokenError::Open { .. })
        ));
        for unfit in [
            "short",
            "",
            "0123456789abcdef\nmore",
            "0123456789 abcdef",
            "0123456789abcdefü",
        ] {
            assert!(matches!(with(unfit, 0o600), Err(TokenError::Unfit { .. })), "{unfit}");
        }
        assert!(matches!(
            with(&"x".repeat(MOST + 1), 0o600),
            Err(TokenError::Unfit { .. })
        ));
        assert!(matches!(
            Token::read(&dir.path().join("none")),
            Err(TokenError::Read { .. })
        ));
    }
}
