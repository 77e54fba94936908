//! From TOML to typed values. Knows lines and kinds; what the values mean together is checked in `check`.

use std::{borrow::Cow, collections::BTreeMap, ops::Range, path::Path, sync::Arc, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    ConfigError, Origin,
    duration::{parse_time, unit_remedy},
    keys::{self, Kind},
};

/// The text of a file, for line numbers.
pub(super) struct Document<'a> {
    pub(super) path: Arc<Path>,
    pub(super) text: &'a str,
}

impl<'a> Document<'a> {
    /// The line that holds the byte at `offset`.
    pub(super) fn at(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        Origin::File {
            path: Arc::clone(&self.path),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    }

    /// The top level.
    pub(super) fn parse(&'a self) -> Result<Section<'a>, ConfigError> {
        let table = DeTable::parse(self.text).map_err(|error| ConfigError::Syntax {
            at: self.at(error.span().map_or(0, |span| span.start)),
            reason: error.message().split_whitespace().collect::<Vec<_>>().join(" "),
        })?;
        Section::new(self, "", 0, table.into_inner())
    }
}

/// One table of the file, with keys that are all known. Values are taken out one by one.
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    table: &'static str,
    /// Where it begins.
    pub(super) start: Origin,
    /// How its keys are called in messages: `jitter.sigma`, `hook.NAME.timeout`.
    pub(super) prefix: String,
    entries: DeTable<'a>,
    /// Where each value came from, by full key.
    pub(super) origins: BTreeMap<String, Origin>,
}

impl<'a> Section<'a> {
    fn new(
        document: &'a Document<'a>,
        table: &'static str,
        start: usize,
        entries: DeTable<'a>,
    ) -> Result<Self, ConfigError> {
        let section = Self {
            document,
            table,
            start: document.at(start),
            prefix: if table.is_empty() {
                String::new()
            } else {
                format!("{table}.")
            },
            entries,
            origins: BTreeMap::new(),
        };
        section.refuse_unknown()?;
        Ok(section)
    }

    fn known(&self) -> Vec<&'static str> {
        let own = keys::KEYS
            .iter()
            .filter(|key| key.table == self.table)
            .map(|key| key.name);
        let tables = keys::TABLES
            .into_iter()
            .chain(keys::LISTS)
            .filter(|_| self.table.is_empty());
        own.chain(tables).collect()
    }

    fn refuse_unknown(&self) -> Result<(), ConfigError> {
        let known = self.known();
        let strangers = self
            .entries
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(key) = strangers.min_by_key(|key| key.span().start) else {
            return Ok(());
        };
        let name: &str = key.get_ref();
        let elsewhere = || keys::KEYS.iter().find(|known| known.name == name);
        let remedy = match (keys::closest(name, known.iter().copied()), elsewhere()) {
            (_, Some(other)) if other.table.is_empty() => format!("move `{name}` above the first [table]"),
            (_, Some(other)) if keys::LISTS.contains(&other.table) => {
                format!("move `{name}` below [[{}]]", other.table)
            }
            (_, Some(other)) => format!("move `{name}` below [{}]", other.table),
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, None) => "remove it".into(),
        };
        Err(ConfigError::UnknownKey {
            at: self.document.at(key.span().start),
            key: name.escape_debug().to_string().into(),
            table: self.title().into(),
            allowed: known.join(", ").into(),
            remedy: remedy.into(),
        })
    }

    fn title(&self) -> String {
        match self.table {
            "" => "the top level".into(),
            list if keys::LISTS.contains(&list) => format!("[[{list}]]"),
            table => format!("[{table}]"),
        }
    }

    fn take(&mut self, name: &str) -> Option<Spanned<DeValue<'a>>> {
        let (key, value) = self.entries.remove_entry(name)?;
        self.origins
            .insert(format!("{}{name}", self.prefix), self.document.at(key.span().start));
        Some(value)
    }

    /// A sub-table such as `[jitter]`.
    pub(super) fn section(&mut self, name: &'static str) -> Result<Option<Section<'a>>, ConfigError> {
        let Some((key, value)) = self.entries.remove_entry(name) else {
            return Ok(None);
        };
        let start = key.span().start;
        match value.into_inner() {
            DeValue::Table(table) => Section::new(self.document, name, start, table).map(Some),
            other => Err(ConfigError::Value {
                at: self.document.at(start),
                key: name.into(),
                found: describe(&other).into(),
                allowed: "a table".into(),
                remedy: format!("write [{name}] and its keys below it").into(),
            }),
        }
    }

    /// The tables of a list such as `[[hook]]`; `None` when there is no such list.
    pub(super) fn list(&mut self, name: &'static str) -> Result<Option<Vec<Section<'a>>>, ConfigError> {
        let Some((key, value)) = self.entries.remove_entry(name) else {
            return Ok(None);
        };
        let wrong = |at: usize, found: &DeValue<'_>| ConfigError::Value {
            at: self.document.at(at),
            key: name.into(),
            found: describe(found).into(),
            allowed: "a list of tables".into(),
            remedy: format!("write [[{name}]], in two pairs of brackets, once for each {name}").into(),
        };
        let DeValue::Array(array) = value.get_ref() else {
            return Err(wrong(key.span().start, value.get_ref()));
        };
        let sections = array.iter().map(|item| match item.get_ref() {
            DeValue::Table(table) => Section::new(self.document, name, item.span().start, table.clone()),
            other => Err(wrong(item.span().start, other)),
        });
        sections.collect::<Result<_, _>>().map(Some)
    }

    /// The error for a value of this section that its key does not allow.
    pub(super) fn refuse(&self, name: &str, found: impl Into<Box<str>>, remedy: impl Into<Box<str>>) -> ConfigError {
        let allowed = keys::find(self.table, name).map_or_else(String::new, |key| key.kind.allowed());
        self.refuse_beside(name, found, allowed, remedy)
    }

    /// The error for a value of this section that does not go with another one.
    pub(super) fn refuse_beside(
        &self,
        name: &str,
        found: impl Into<Box<str>>,
        allowed: impl Into<Box<str>>,
        remedy: impl Into<Box<str>>,
    ) -> ConfigError {
        let key = format!("{}{name}", self.prefix);
        ConfigError::Value {
            at: self.origins.get(&key).unwrap_or(&self.start).clone(),
            found: found.into(),
            allowed: allowed.into(),
            remedy: remedy.into(),
            key: key.into(),
        }
    }

    /// A time with its unit, in the range of its key.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Duration>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let DeValue::String(text) = value.get_ref() else {
            let found = describe(value.get_ref());
            return Err(match value.get_ref() {
                DeValue::Integer(number) => {
                    self.refuse(name, format!("{found} without a unit"), unit_remedy(number.as_str()))
                }
                DeValue::Float(number) => {
                    self.refuse(name, format!("{found} without a unit"), unit_remedy(number.as_str()))
                }
                _ => self.refuse(name, found, "write a time in quotes, as \"1s\" or \"200ms\""),
            });
        };
        let time = parse_time(text).map_err(|(why, remedy)| self.refuse(name, format!("{text:?}, {why}"), remedy))?;
        match keys::find(self.table, name).map(|key| &key.kind) {
            Some(Kind::Time(min, max)) if time < *min || time > *max => {
                let nearest = keys::time(time.clamp(*min, *max));
                Err(self.refuse(
                    name,
                    format!("{text:?}"),
                    format!("write \"{nearest}\" or another time in that range"),
                ))
            }
            _ => Ok(Some(time)),
        }
    }

    /// A number in the range of its key.
    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = match value.get_ref() {
            DeValue::Integer(text) => i64::from_str_radix(text.as_str(), text.radix()).ok().map(|n| n as f64),
            DeValue::Float(text) => text.as_str().parse().ok(),
            _ => None,
        };
        let Some(number) = number.filter(|number: &f64| number.is_finite()) else {
            return Err(self.refuse(
                name,
                describe(value.get_ref()),
                "write a plain number, without quotes or unit",
            ));
        };
        match keys::find(self.table, name).map(|key| &key.kind) {
            Some(Kind::Number(min, max)) if number < *min || number > *max => {
                let nearest = number.clamp(*min, *max);
                Err(self.refuse(
                    name,
                    number.to_string(),
                    format!("write {nearest} or another number in that range"),
                ))
            }
            _ => Ok(Some(number)),
        }
    }

    /// A whole number in the range of its key.
    pub(super) fn integer(&mut self, name: &'static str) -> Result<Option<u32>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let DeValue::Integer(text) = value.get_ref() else {
            return Err(self.refuse(name, describe(value.get_ref()), "write a whole number, without quotes"));
        };
        let number = i64::from_str_radix(text.as_str(), text.radix()).unwrap_or(i64::MAX);
        let (min, max) = match keys::find(self.table, name).map(|key| &key.kind) {
            Some(Kind::Integer(min, max)) => (*min, *max),
            _ => (0, u32::MAX),
        };
        match u32::try_from(number) {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => {
                let nearest = number.clamp(min.into(), max.into());
                Err(self.refuse(
                    name,
                    text.as_str(),
                    format!("write {nearest} or another number in that range"),
                ))
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            other => Err(self.refuse(name, describe(other), "write true or false, without quotes")),
        }
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.into_inner() {
            DeValue::String(text) => Ok(Some(text)),
            other => Err(self.refuse(name, describe(&other), "write a text in quotes")),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let DeValue::Array(array) = value.get_ref() else {
            let remedy = "write a list of texts in brackets, as [\"one\", \"two\"]";
            return Err(self.refuse(name, describe(value.get_ref()), remedy));
        };
        let texts = array.iter().map(|item| match item.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            other => Err(self.refuse(
                name,
                format!("a list with {}", describe(other)),
                "put each item in quotes",
            )),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }
}

/// A value in words, short.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let short: String = text.chars().take(80).collect();
            format!("the text {short:?}")
        }
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// The first byte that is not UTF-8.
pub(super) fn text_of(path: &Arc<Path>, bytes: &[u8]) -> Result<String, ConfigError> {
    let wrong = |valid: Range<usize>| {
        let text = String::from_utf8_lossy(&bytes[valid.clone()]);
        let document = Document {
            path: Arc::clone(path),
            text: &text,
        };
        ConfigError::NotText {
            at: document.at(valid.end),
        }
    };
    str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|error| wrong(0..error.valid_up_to()))
}
