//! The JSON lines that programs write: one object of a name, a time and a value, each once, text without a backslash. In: a
//! line. Out: its parts as they stand there, or `None` for every other line, right or wrong, which a whole JSON parser
//! then reads. It never says what is wrong with a line, and allocates nothing.

/// The parts of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    /// Name of its series.
    pub(super) series: Option<&'a str>,
    /// Its time, without quotes.
    pub(super) time: &'a str,
    /// True when there were some.
    pub(super) time_is_quoted: bool,
    /// Its value, without quotes; `None` for null and where there is none.
    pub(super) value: Option<&'a str>,
}

impl<'a> Plain<'a> {
    /// Of a line.
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let mut cursor = Cursor { text: line, at: 0 };
        let (mut series, mut time, mut value) = (None, None, None);
        cursor.space();
        cursor.one(b'{')?;
        loop {
            cursor.space();
            cursor.one(b'"')?;
            let key = cursor.string()?;
            cursor.space();
            cursor.one(b':')?;
            cursor.space();
            let before = match key {
                "series" | "metric" | "name" => {
                    cursor.one(b'"')?;
                    series.replace(cursor.string()?).is_some()
                }
                "time" | "timestamp" | "ts" => time.replace(cursor.scalar()?).is_some(),
                "value" => value.replace(cursor.scalar_or_null()?).is_some(),
                _ => return None,
            };
            if before {
                return None;
            }
            cursor.space();
            match cursor.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        cursor.space();
        let (time, time_is_quoted) = time?;
        (cursor.at == line.len()).then_some(Self {
            series,
            time,
            time_is_quoted,
            value: value.flatten(),
        })
    }
}

/// Where reading stands.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn one(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Text up to its closing quote, which is taken too.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        let start = self.at;
        loop {
            match self.next()? {
                b'"' => return self.text.get(start..self.at - 1),
                b'\\' | 0..0x20 => return None,
                _ => {}
            }
        }
    }

    /// Text or a number, and whether it is text.
    #[inline]
    fn scalar(&mut self) -> Option<(&'a str, bool)> {
        if self.peek()? == b'"' {
            self.at += 1;
            return Some((self.string()?, true));
        }
        Some((self.number()?, false))
    }

    #[inline]
    fn scalar_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.text.as_bytes()[self.at..].starts_with(b"null") {
            self.at += 4;
            return Some(None);
        }
        self.scalar().map(|(text, _)| Some(text))
    }

    /// A number as JSON writes it.
    #[inline]
    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.skip(b'-');
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.skip(b'.') {
            self.at_least_one_digit()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'-') || self.skip(b'+');
            self.at_least_one_digit()?;
        }
        self.text.get(start..self.at)
    }

    #[inline]
    fn skip(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    #[inline]
    fn at_least_one_digit(&mut self) -> Option<()> {
        self.next()?.is_ascii_digit().then(|| self.digits())
    }
}
