//! Capabilities by name. Pure.

use rustix::thread::CapabilitySet;

/// Names of the capabilities of a set, in the kernel's order: `CAP_BPF`. One that has no name here has its number.
#[must_use]
pub fn names(bits: u64) -> Vec<String> {
    let name = |bit: u32| {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        let known = CapabilitySet::all().iter_names().find(|(_, set)| *set == one);
        known.map_or_else(|| format!("CAP_{bit}"), |(name, _)| format!("CAP_{name}"))
    };
    (0..u64::BITS).filter(|bit| bits >> bit & 1 == 1).map(name).collect()
}

/// A set from bits as `/proc/PID/status` has them.
#[must_use]
pub const fn set_of(bits: u64) -> CapabilitySet {
    CapabilitySet::from_bits_retain(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_the_names_of_the_manual() {
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(names(1 << 12 | 1 << 39), ["CAP_NET_ADMIN", "CAP_BPF"]);
        assert_eq!(names(1 << 63), ["CAP_63"]);
    }
}
