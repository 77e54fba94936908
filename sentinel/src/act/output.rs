//! What a hook printed: the last of it, and how much in all.

use std::fmt::Write as _;

/// Bytes of output that are kept.
pub const TAIL_BYTES: usize = 4096;

/// The last bytes of a stream, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Output {
    tail: Vec<u8>,
    /// Bytes in all.
    pub(super) bytes: u64,
}

impl Output {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        let kept = &chunk[chunk.len().saturating_sub(TAIL_BYTES)..];
        let surplus = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(kept);
    }

    /// The tail as text: bytes that are not UTF-8 are written as `\xNN`, and a character cut in two at its start is left out.
    pub(super) fn text(&self) -> String {
        let cut = self.bytes > self.tail.len() as u64;
        let continuation = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let start = if cut {
            self.tail.iter().take(3).take_while(continuation).count()
        } else {
            0
        };
        let mut text = String::new();
        for chunk in self.tail[start..].utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_bytes_and_counts_all() {
        let mut output = Output::default();
        output.push(b"begin");
        assert_eq!((output.text().as_str(), output.bytes), ("begin", 5));
        for _ in 0..1000 {
            output.push(b"0123456789");
        }
        output.push(b"end");
        assert_eq!((output.text().len(), output.bytes), (TAIL_BYTES, 10_008));
        assert!(output.text().ends_with("789end"));
        output.push(&vec![b'x'; 3 * TAIL_BYTES]);
        assert_eq!(output.text(), "x".repeat(TAIL_BYTES));
    }

    #[test]
    fn what_is_not_utf_8_is_escaped() {
        let mut output = Output::default();
        output.push(b"a\xff\xfeb\n");
        assert_eq!(output.text(), "a\\xff\\xfeb\n");
        let mut output = Output::default();
        output.push("é".repeat(TAIL_BYTES).as_bytes());
        output.push(b"!");
        assert_eq!(output.text(), format!("{}!", "é".repeat(TAIL_BYTES / 2 - 1)));
    }
}
