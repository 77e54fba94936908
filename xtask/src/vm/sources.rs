//! Package sources of other Debian suites, derived from the machine's own: same servers, same keys, another suite.
//! Names no server itself, and never writes to the machine's own sources.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

/// One stanza of the machine's sources: fields in order, values as they stand.
type Stanza = Vec<(String, String)>;

/// Source entries for `suite`, the likeliest first, each a whole deb822 file.
pub(super) fn entries(suite: &str) -> Result<Vec<String>> {
    let codename =
        codename(&fs::read_to_string("/etc/os-release").context("/etc/os-release, for the distribution's name")?);
    let own = own_stanzas(Path::new("/etc/apt"))?;
    let entries = derive(&own, &codename, suite);
    if entries.is_empty() {
        bail!(
            "no package source under /etc/apt is of this distribution ({codename}), so none for {suite} can be derived from it"
        );
    }
    Ok(entries)
}

/// The machine's own release, and its own source of it as a deb822 file.
pub(super) fn own() -> Result<(String, String)> {
    let codename =
        codename(&fs::read_to_string("/etc/os-release").context("/etc/os-release, for the distribution's name")?);
    let first = entries(&codename)?.into_iter().next();
    Ok((codename, first.context("a package source of this release")?))
}

fn codename(os_release: &str) -> String {
    let value = os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    value.unwrap_or_default().trim_matches('"').to_owned()
}

fn own_stanzas(etc: &Path) -> Result<Vec<Stanza>> {
    let mut stanzas = Vec::new();
    let mut files: Vec<_> = fs::read_dir(etc.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.push(etc.join("sources.list"));
    files.sort();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => stanzas.extend(deb822(&text)),
            Some("list") => stanzas.extend(text.lines().filter_map(one_line)),
            _ => {}
        }
    }
    Ok(stanzas)
}

/// Stanzas of the modern format; continued lines stay with their field.
fn deb822(text: &str) -> Vec<Stanza> {
    let mut stanzas = vec![Stanza::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(stanza) = stanzas.last_mut() else { continue };
        if line.trim().is_empty() {
            stanzas.push(Stanza::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    stanzas.retain(|stanza| {
        field(stanza, "Types").split_whitespace().any(|kind| kind == "deb") && field(stanza, "Enabled") != "no"
    });
    stanzas
}

/// A stanza from the old format: `deb [options] URI suite components`.
fn one_line(line: &str) -> Option<Stanza> {
    let mut rest = line.trim().strip_prefix("deb ")?.trim();
    let mut stanza = vec![("Types".to_owned(), "deb".to_owned())];
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        let key = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        stanza.extend(key.map(|key| ("Signed-By".to_owned(), key.to_owned())));
        rest = after.trim();
    }
    let mut words = rest.split_whitespace();
    for name in ["URIs", "Suites"] {
        stanza.push((name.to_owned(), words.next()?.to_owned()));
    }
    Some(stanza)
}

fn field<'a>(stanza: &'a Stanza, name: &str) -> &'a str {
    stanza
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value)
}

/// For each server of this distribution: where the suite should be, then where an archived suite would be.
fn derive(own: &[Stanza], codename: &str, suite: &str) -> Vec<String> {
    let security = suite.ends_with("-security");
    let of_kind = own.iter().filter(|stanza| {
        let suites = field(stanza, "Suites");
        suites
            .split_whitespace()
            .any(|name| name == codename || name.starts_with(&format!("{codename}-")))
            && suites.contains("-security") == security
    });
    let mut places = Vec::new();
    for stanza in of_kind {
        let signed = field(stanza, "Signed-By");
        places.extend(
            field(stanza, "URIs")
                .split_whitespace()
                .map(|uri| (uri.trim_end_matches('/').to_owned(), signed)),
        );
    }
    let moved: Vec<_> = places
        .iter()
        .filter_map(|(uri, signed)| {
            Some((
                format!("{}/debian-archive/{}", uri.rsplit_once('/')?.0, uri.rsplit_once('/')?.1),
                *signed,
            ))
        })
        .collect();
    let mut entries = Vec::new();
    for (uri, signed) in places.into_iter().chain(moved) {
        let key = if signed.is_empty() {
            String::new()
        } else {
            format!("Signed-By: {signed}\n")
        };
        let entry = format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n{key}");
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "Types: deb\n# a comment\nURIs: http://mirror.invalid/debian\nSuites: here here-updates\nComponents: main\nSigned-By: /k.gpg\n\n\
        Types: deb\nURIs: http://mirror.invalid/debian-security\nSuites: here-security\nComponents: main\nSigned-By:\n -----BEGIN\n .\n\n\
        Types: deb\nURIs: http://other.invalid/x\nSuites: nodistro\nComponents: main\n";

    #[test]
    fn another_suite_comes_from_the_same_server_with_the_same_key() {
        let entries = derive(&deb822(OWN), "here", "older");
        assert_eq!(
            entries[0],
            "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: older\nComponents: main\nSigned-By: /k.gpg\n"
        );
        assert_eq!(entries.len(), 2, "the second is where an archive would be: {entries:?}");
    }

    #[test]
    fn a_security_suite_comes_from_the_security_server_and_a_key_in_the_file_is_kept() {
        let entries = derive(&deb822(OWN), "here", "older-security");
        assert!(
            entries[0].contains("/debian-security\n") && entries[0].ends_with("Signed-By: \n -----BEGIN\n .\n"),
            "{entries:?}"
        );
    }

    #[test]
    fn the_old_format_is_read_too() {
        let own: Vec<_> = [
            "deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian here main",
            "# deb http://x.invalid y z",
        ]
        .into_iter()
        .filter_map(one_line)
        .collect();
        assert_eq!(own.len(), 1);
        assert!(derive(&own, "here", "older")[0].contains("Signed-By: /k.gpg"));
    }

    #[test]
    fn sources_of_others_are_left_alone() {
        assert!(derive(&deb822(OWN), "elsewhere", "older").is_empty());
    }
}
