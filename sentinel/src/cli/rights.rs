//! What `run` and `record` give up once everything is loaded, attached and opened: all of it, whatever the autonomy. What acts is
//! another process, see `actuator.rs`.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::{
    config::{Account, Config, Listen},
    privileges::{Files, GivenUp, Keep, Wanted, give_up as give_up_all},
    sense::{live::Live, mount},
    single,
};

/// Port of name servers.
const DNS: u16 = 53;
/// The user there is for the agent, where the host has it.
const USER: &str = "sentinel";

/// Who the agent becomes, where it can.
pub(super) fn account(config: &Config) -> Option<Account> {
    config.user.clone().or_else(|| Account::named(USER))
}

/// Gives up what is not needed any more, before any thread is started. `removes`: sockets that are removed at the end. `memory`: where
/// what is learned is written.
pub(super) fn give_up(
    config: &Config,
    live: &Live,
    removes: &[&Path],
    memory: Option<PathBuf>,
) -> Result<GivenUp, Failure> {
    let mut write: Vec<PathBuf> = removes.iter().filter_map(|path| folder(path)).collect();
    if let Listen::Unix(path) = &config.listen {
        write.extend(folder(path));
    }
    write.extend(config.heartbeat_file.as_deref().and_then(folder));
    write.extend(memory);
    let own = folder(Path::new(single::DEFAULT_PATH));
    let hand_over = write
        .iter()
        .filter(|path| Some(*path) == own.as_ref())
        .take(1)
        .cloned()
        .collect();
    let wanted = Wanted {
        keep: Keep::nothing(),
        account: account(config),
        files: Files {
            read: read(config),
            write,
            // A long answer about a name comes over TCP.
            connect: config.otlp.port().into_iter().flat_map(|port| [port, DNS]).collect(),
        },
        hand_over,
        maps_readable: &|| live.kernel().is_readable(),
    };
    let given_up = give_up_all(&wanted).map_err(Failure::host)?;
    tracing::info!("{given_up}");
    Ok(given_up)
}

/// What is still read: processes, cgroups and their limits; the configuration, and the users that it names; symbols of the
/// program itself, should it panic.
fn read(config: &Config) -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = ["/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/etc"]
        .map(PathBuf::from)
        .into();
    read.extend(mount::find());
    read.extend(config.source.as_deref().and_then(folder));
    read.extend(std::env::current_exe());
    read
}

/// The directory a file is in.
fn folder(file: &Path) -> Option<PathBuf> {
    match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Some(".".into()),
        folder => folder.map(Path::to_owned),
    }
}
