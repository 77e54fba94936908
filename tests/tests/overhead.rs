//! Contract: what sentinel takes is what it says it takes.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use sentinel::kernel::{
    Kernel, Options,
    footprint::{self, MapSize},
};
use sentinel_tests::paths;

/// How far the sum may lie from the kernel's: constants of the object and the verifier's maps are not in it.
const TOLERANCE: f64 = 0.01;

/// Bytes of every map this process holds, by id, as the kernel tells.
fn memlock() -> Result<BTreeMap<u64, u64>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo")?.flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().parse::<u64>().ok()
        };
        if let Some(id) = field("map_id:") {
            found.insert(id, field("memlock:").context("a map without memlock")?);
        }
    }
    Ok(found)
}

#[test]
fn the_memory_of_the_maps_is_what_the_kernel_says_it_is() -> Result<()> {
    for max_cgroups in [100, 1_000, 10_000] {
        let kernel = Kernel::open(&Options {
            max_cgroups,
            sched: true,
            mem: true,
            net: true,
            cgroup_root: Some(paths::cgroup2()?),
            debug: false,
        })?;
        let told: u64 = memlock()?.values().sum();
        let computed: u64 = footprint::maps(kernel.cpus(), max_cgroups)
            .iter()
            .map(MapSize::bytes)
            .sum();
        let apart = (told as f64 - computed as f64) / told as f64;
        println!(
            "MATRIX memory of maps, {max_cgroups} cgroups={:.1} MiB",
            told as f64 / f64::from(1 << 20)
        );
        println!("{max_cgroups} cgroups: the kernel says {told} bytes, computed {computed}");
        assert!(told > 0 && apart.abs() <= TOLERANCE, "{told} against {computed}");
    }
    Ok(())
}
