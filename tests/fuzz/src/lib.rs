//! Every parser of bytes that come from elsewhere, as a function of bytes. Each asserts more than that nothing panics: what is
//! accepted is in its range and survives being written and read again, and what is refused is named. A fuzzer calls these
//! functions, and a unit test gives each of them its seeds. Never touches the kernel, a cgroup or a file of the system.

mod api;
mod files;
mod learned;
mod targets;

/// A parser under trial.
pub struct Target {
    /// Its name, which is that of the folder of its seeds.
    pub name: &'static str,
    /// What is parsed.
    pub about: &'static str,
    /// Gives it bytes.
    ///
    /// # Panics
    /// Something is wrong with the parser.
    pub run: fn(&[u8]),
}

/// All of them.
pub static TARGETS: [Target; 13] = [
    Target {
        name: "configuration",
        about: "the configuration file",
        run: targets::configuration,
    },
    Target {
        name: "types",
        about: "the kernel's type information (BTF)",
        run: targets::types,
    },
    Target {
        name: "recording",
        about: "a recording, for replay",
        run: targets::recording,
    },
    Target {
        name: "series",
        about: "metric series: CSV and JSON lines",
        run: targets::series,
    },
    Target {
        name: "names",
        about: "paths of cgroups, and text on its way to a terminal",
        run: targets::names,
    },
    Target {
        name: "messages",
        about: "what the guard is asked and answers",
        run: targets::messages,
    },
    Target {
        name: "control",
        about: "what persons ask over the control socket",
        run: targets::control,
    },
    Target {
        name: "learned",
        about: "what an earlier run learned",
        run: learned::learned,
    },
    Target {
        name: "leases",
        about: "the journal of leases",
        run: targets::leases,
    },
    Target {
        name: "http",
        about: "requests to page, API and metrics",
        run: targets::http,
    },
    Target {
        name: "api",
        about: "requests through everything behind the listener, with and without a token",
        run: api::api,
    },
    Target {
        name: "state",
        about: "the state of a run, as `sentinel top` is answered",
        run: api::state,
    },
    Target {
        name: "files",
        about: "files of cgroups and of /proc, and paths of cgroups",
        run: files::files,
    },
];

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_target_has_seeds_and_takes_them() {
        for target in &TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
            let files: Vec<_> = fs::read_dir(&folder).expect("a folder of seeds").flatten().collect();
            assert!(!files.is_empty(), "{}", folder.display());
            for file in files {
                (target.run)(&fs::read(file.path()).expect("a seed"));
            }
        }
    }

    #[test]
    fn the_seeds_are_understood() {
        let seed =
            |name: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name)).expect("a seed");
        assert!(
            sentinel::kernel::Btf::parse(&seed("types/small"))
                .is_ok_and(|types| types.tracepoint("mark_victim").is_some())
        );
        let boot_id = "0b98d3a9-1111-4222-8333-944444444444";
        let pending = sentinel::act::actuator::pending_in(&seed("leases/two-left"), Path::new("seed"), boot_id);
        assert_eq!(pending.expect("a journal"), 1);
        let recording = seed("recording/two-seconds.jsonl");
        let replay = sentinel::sense::replay::Replay::new(&recording[..]);
        assert!(replay.is_ok_and(|mut replay| replay.all(|sample| sample.is_ok())));
    }

    #[test]
    fn every_target_takes_nothing_and_noise() {
        for target in &TARGETS {
            for bytes in [&b""[..], b"\0", b"\xff\xfe{[\"", b"\r\n\r\n", &[b'['; 4096]] {
                (target.run)(bytes);
            }
        }
    }
}
