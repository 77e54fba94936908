//! The enforcing programs: loads them, and attaches those that a policy needs to its cgroup.
//!
//! They come from the object that the sensors come from, opened a second time with the sensors' large maps at their
//! smallest: what the sensors count and what is enforced share nothing, and each can end without the other.

use std::{fs::File, io};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::Map,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, ProgramError, SockOps,
        cgroup_skb::CgroupSkbLink, cgroup_sock_addr::CgroupSockAddrLink, sock_ops::SockOpsLink,
    },
};
use sentinel_common::{
    budget::{LIMIT_ACCEPTS, LIMIT_CONNECTS},
    names,
};

use super::{EnforceError, Refusal, Scope};
use crate::kernel::{
    KernelError, ProgramFacts,
    error::{object, program},
    layout::OBJECT,
};

/// A hook that enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Connect4,
    Connect6,
    Ingress,
    SockOps,
}

impl Hook {
    const ALL: [Self; 4] = [Self::SockOps, Self::Ingress, Self::Connect4, Self::Connect6];

    /// Its program.
    const fn name(self) -> &'static str {
        match self {
            Self::Connect4 => "connect4",
            Self::Connect6 => "connect6",
            Self::Ingress => "limit_ingress",
            Self::SockOps => "limit_sock_ops",
        }
    }

    /// `enum bpf_attach_type` of `linux/bpf.h`.
    pub(super) const fn attach_type(self) -> u32 {
        match self {
            Self::Ingress => 0,
            Self::SockOps => 3,
            Self::Connect4 => 10,
            Self::Connect6 => 11,
        }
    }

    /// Whether these limits need it.
    const fn serves(self, limits: u32) -> bool {
        let wanted = match self {
            Self::Ingress => LIMIT_CONNECTS | LIMIT_ACCEPTS,
            Self::Connect4 | Self::Connect6 | Self::SockOps => LIMIT_CONNECTS,
        };
        limits & wanted != 0
    }
}

/// Held, not read: dropping a link detaches its program.
#[expect(dead_code, reason = "held for its drop")]
enum Link {
    SockAddr(CgroupSockAddrLink),
    Skb(CgroupSkbLink),
    SockOps(SockOpsLink),
}

/// What is attached to one cgroup. Dropping it detaches.
pub(super) struct Links(Vec<(Hook, Link)>);

impl Links {
    pub(super) fn hooks(&self) -> impl Iterator<Item = Hook> {
        self.0.iter().map(|(hook, _)| *hook)
    }
}

/// The loaded programs.
pub(super) struct Programs {
    ebpf: Ebpf,
}

impl Programs {
    /// Loads every enforcing program: with an error of its choice where the kernel takes that, else without.
    pub(super) fn load() -> Result<(Self, Refusal), KernelError> {
        match Self::load_with(1) {
            Ok(programs) => Ok((programs, Refusal::ConnectionRefused)),
            Err(error @ KernelError::NotPermitted { .. }) => Err(error),
            Err(first) => match Self::load_with(0) {
                Ok(programs) => {
                    tracing::debug!(%first, "this kernel lets a program choose no error: EPERM");
                    Ok((programs, Refusal::NotPermitted))
                }
                Err(error) => Err(error),
            },
        }
    }

    fn load_with(chooses_error: u8) -> Result<Self, KernelError> {
        let mut loader = EbpfLoader::new();
        loader
            .verifier_log_level(VerifierLogLevel::default())
            .override_global("AYA_LOG_LEVEL", &0u8, false)
            .override_global("CHOOSES_ERROR", &chooses_error, true);
        for sensing in [
            names::TASK_WAITS,
            names::MM_PAGES,
            names::SLOT_CACHE,
            names::DESTINATIONS,
        ] {
            loader.map_max_entries(sensing, 1);
        }
        let mut ebpf = loader.load(OBJECT).map_err(|error| object(&error))?;
        for hook in Hook::ALL {
            let name = hook.name();
            let failed = |error: ProgramError| program(name, &error);
            let found = ebpf
                .program_mut(name)
                .ok_or_else(|| KernelError::NoField(format!("program {name}")))?;
            match hook {
                Hook::Connect4 | Hook::Connect6 => {
                    <&mut CgroupSockAddr>::try_from(found).and_then(CgroupSockAddr::load)
                }
                Hook::Ingress => <&mut CgroupSkb>::try_from(found).and_then(CgroupSkb::load),
                Hook::SockOps => <&mut SockOps>::try_from(found).and_then(SockOps::load),
            }
            .map_err(failed)?;
        }
        Ok(Self { ebpf })
    }

    /// Takes a map.
    pub(super) fn take(&mut self, name: &str) -> Result<Map, KernelError> {
        self.ebpf
            .take_map(name)
            .ok_or_else(|| KernelError::NoField(format!("map {name}")))
    }

    /// Attaches what the limits need, beside what others have attached.
    pub(super) fn attach(&mut self, scope: &Scope, dir: &File, limits: u32) -> Result<Links, EnforceError> {
        let mut links = Links(Vec::new());
        for hook in Hook::ALL.into_iter().filter(|hook| hook.serves(limits)) {
            let link = self.attach_one(hook, dir).map_err(|error| {
                if is_dead(&error) {
                    scope.vanished(None)
                } else {
                    program(hook.name(), &error).into()
                }
            })?;
            links.0.push((hook, link));
        }
        Ok(links)
    }

    fn attach_one(&mut self, hook: Hook, dir: &File) -> Result<Link, ProgramError> {
        // `Single` makes a link without flags, which the kernel takes as one of several.
        const MODE: CgroupAttachMode = CgroupAttachMode::Single;
        let found = self.ebpf.program_mut(hook.name()).ok_or(ProgramError::NotLoaded)?;
        match hook {
            Hook::Connect4 | Hook::Connect6 => {
                let program: &mut CgroupSockAddr = found.try_into()?;
                let id = program.attach(dir, MODE)?;
                program.take_link(id).map(Link::SockAddr)
            }
            Hook::Ingress => {
                let program: &mut CgroupSkb = found.try_into()?;
                let id = program.attach(dir, CgroupSkbAttachType::Ingress, MODE)?;
                program.take_link(id).map(Link::Skb)
            }
            Hook::SockOps => {
                let program: &mut SockOps = found.try_into()?;
                let id = program.attach(dir, MODE)?;
                program.take_link(id).map(Link::SockOps)
            }
        }
    }

    /// What the kernel says about each program, by name.
    pub(super) fn facts(&self) -> Vec<ProgramFacts> {
        crate::kernel::counters::facts(&self.ebpf)
    }
}

/// The cgroup was removed after it was opened.
fn is_dead(error: &ProgramError) -> bool {
    match error {
        ProgramError::SyscallError(error) => {
            error.io_error.raw_os_error() == Some(libc::ENODEV) || error.io_error.kind() == io::ErrorKind::NotFound
        }
        _ => false,
    }
}
