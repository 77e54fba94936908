//! Reads a guest's serial line: which task printed what, how it ended, and whether the emulator crashed the kernel.
//! Never decides what counts as a pass.

/// What a boot printed, in parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Boot {
    /// `uname -r`, once init runs.
    pub(super) release: Option<String>,
    /// Tasks that began.
    pub(super) parts: Vec<Part>,
    /// True if init got to its end.
    pub(super) complete: bool,
    /// The first line that says that the kernel crashed.
    pub(super) crash: Option<String>,
}

/// One task's output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Its name.
    pub(super) name: String,
    /// Standard output.
    pub(super) text: String,
    /// Exit code; `None` if it did not end.
    pub(super) code: Option<i32>,
}

/// What a crashed kernel says, in the words of the kernels of the matrix.
const CRASHES: [&str; 8] = [
    "double fault",
    "Oops: ",
    "Kernel panic",
    "BUG: unable to handle",
    "general protection fault",
    "invalid opcode",
    "soft lockup",
    "self-detected stall",
];

/// The marker every line of init's own starts with.
const MARK: &str = "SENTINEL-VM ";

/// Reads the whole serial output.
pub(super) fn parse(output: &str) -> Boot {
    let mut boot = Boot::default();
    let mut open = false;
    for line in output.lines().map(|line| line.trim_end_matches('\r')) {
        if boot.crash.is_none() && line.contains('[') && CRASHES.iter().any(|sign| line.contains(sign)) {
            boot.crash = Some(line.trim().to_owned());
        }
        // A kernel message or a program's unfinished line may stand before a marker.
        let Some((before, said)) = line.split_once(MARK) else {
            if let Some(part) = boot.parts.last_mut().filter(|_| open) {
                part.text.push_str(line);
                part.text.push('\n');
            }
            continue;
        };
        let mut words = said.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("ready"), release, _) => boot.release = release.map(str::to_owned),
            (Some("begin"), Some(name), _) => {
                open = true;
                boot.parts.push(Part {
                    name: name.to_owned(),
                    ..Part::default()
                });
            }
            (Some("end"), Some(_), code) => {
                open = false;
                if let Some(part) = boot.parts.last_mut() {
                    part.text.push_str(before);
                    part.code = code.and_then(|code| code.parse().ok());
                }
            }
            (Some("done"), ..) => boot.complete = true,
            _ => {}
        }
    }
    boot
}

/// The JSON object in a task's output: from the first brace to the last.
pub(super) fn json(text: &str) -> Option<serde_json::Value> {
    let (start, end) = (text.find('{')?, text.rfind('}')?);
    serde_json::from_str(text.get(start..=end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_end_with_their_codes() {
        let boot = parse(
            "Booting\r\nSENTINEL-VM ready 6.1.0-x\r\nSENTINEL-VM begin check\r\n{\"a\":\r\n1}\r\n\r\nSENTINEL-VM end check 0\r\nstderr: noise\r\n\
             SENTINEL-VM begin sensors\r\nhalf a lineSENTINEL-VM end sensors 101\r\nSENTINEL-VM done\r\n",
        );
        assert_eq!(boot.release.as_deref(), Some("6.1.0-x"));
        assert!(boot.complete && boot.crash.is_none());
        assert_eq!((boot.parts[0].name.as_str(), boot.parts[0].code), ("check", Some(0)));
        assert_eq!(json(&boot.parts[0].text), Some(serde_json::json!({"a": 1})));
        assert_eq!(
            (boot.parts[1].text.as_str(), boot.parts[1].code),
            ("half a line", Some(101))
        );
    }

    #[test]
    fn a_crash_is_found_with_its_first_line() {
        let boot = parse(
            "SENTINEL-VM ready 6.12\nSENTINEL-VM begin sensors\nrunning\n[   29.1] Oops: int3: 0000 [#1] SMP\n[ 29.2] Kernel panic - not syncing\n",
        );
        assert!(!boot.complete);
        assert_eq!(boot.crash.as_deref(), Some("[   29.1] Oops: int3: 0000 [#1] SMP"));
        assert_eq!(boot.parts[0].code, None);
    }

    #[test]
    fn output_that_is_not_json_is_none() {
        assert_eq!(json("no braces"), None);
        assert_eq!(json("{ not json }"), None);
    }
}
