//! Numbers that look random, for tests: the same for the same index, always.

/// From 0 to 1, evenly (splitmix64; G. Steele et al., *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014).
pub(in crate::judge) fn uniform(index: u64) -> f64 {
    let mut hash = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
