//! A network namespace with a veth pair to this one.

use std::{net::IpAddr, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::paths;

/// A namespace and its link; dropping it removes both.
///
/// The addresses are from the block for benchmarks (RFC 2544) and from a unique local block (RFC 4193): nothing else
/// is routed there.
#[derive(Debug)]
pub struct Netns {
    name: String,
    here: String,
}

impl Netns {
    /// This side of the link.
    pub const HERE: [&str; 2] = ["198.18.77.1", "fd77:5e47:1::1"];
    /// The side in the namespace.
    pub const THERE: [&str; 2] = ["198.18.77.2", "fd77:5e47:1::2"];

    /// Makes the namespace and the link, with addresses of both families.
    ///
    /// # Errors
    /// `ip` is not installed, or it is not allowed.
    pub fn new() -> Result<Self> {
        let pid = std::process::id();
        let netns = Self {
            name: format!("sentinel-{pid}"),
            here: format!("sn{pid}"),
        };
        ip(&["netns", "add", &netns.name])?;
        let peer = ["peer", "name", "eth0", "netns", &netns.name];
        ip(&[&["link", "add", &netns.here, "type", "veth"], peer.as_slice()].concat())?;
        for (here, there) in Self::HERE.iter().zip(Self::THERE) {
            let prefix = if here.contains(':') { 64 } else { 30 };
            let nodad: &[&str] = if here.contains(':') { &["nodad"] } else { &[] };
            let here = format!("{here}/{prefix}");
            let there = format!("{there}/{prefix}");
            ip(&[&["addr", "add", &here, "dev", &netns.here], nodad].concat())?;
            ip(&[&["-n", &netns.name, "addr", "add", &there, "dev", "eth0"], nodad].concat())?;
        }
        ip(&["link", "set", &netns.here, "up"])?;
        ip(&["-n", &netns.name, "link", "set", "eth0", "up"])?;
        ip(&["-n", &netns.name, "link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// What runs a command inside: `ip netns exec NAME`.
    #[must_use]
    pub fn through(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Name of the interface on this side.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.here
    }

    /// The address inside: IPv4 or IPv6.
    #[must_use]
    pub fn there(ipv6: bool) -> IpAddr {
        let [four, six] = Self::THERE;
        let text = if ipv6 { six } else { four };
        text.parse().unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The link goes with its end inside.
        if let Err(error) = ip(&["netns", "del", &self.name]) {
            eprintln!("{error:#}");
        }
        let _ = ip(&["link", "del", &self.here]);
    }
}

fn ip(args: &[&str]) -> Result<()> {
    let program = paths::tool("ip", "iproute2")?;
    let output = Command::new(program).args(args).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), said.trim());
    Ok(())
}

/// Whether a link of this name is here.
///
/// # Errors
/// `ip` is not installed.
pub fn link_exists(name: &str) -> Result<bool> {
    let program = paths::tool("ip", "iproute2")?;
    let output = Command::new(program)
        .args(["link", "show", name])
        .output()
        .context("ip link show")?;
    Ok(output.status.success())
}
