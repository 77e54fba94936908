//! log2 histogram of run-queue waits.

/// Buckets of a wait histogram.
pub const WAIT_BUCKETS: usize = 28;

/// log2 of the width of bucket 0 in nanoseconds.
const FIRST_BUCKET_LOG2: u32 = 10;

/// The bucket of a wait.
///
/// Bucket 0 holds waits below 1,024 ns, bucket `b` holds [2^(b+9), 2^(b+10)) ns; the last one is open above (from
/// 2^36 ns, about 69 s).
///
/// Five comparisons: BPF has no instruction that counts leading zeros, and what compilers make of `leading_zeros`
/// there is three times as long.
#[inline(always)]
#[must_use]
pub const fn wait_bucket(wait_ns: u64) -> usize {
    let width = wait_ns >> (FIRST_BUCKET_LOG2 - 1);
    if width >= 1 << (WAIT_BUCKETS - 1) {
        return WAIT_BUCKETS - 1;
    }
    // Most waits are that short: two microseconds.
    if width < 4 {
        return width as usize >> 1;
    }
    let mut rest = width as u32;
    let mut bucket = 0;
    if rest >= 1 << 16 {
        rest >>= 16;
        bucket += 16;
    }
    if rest >= 1 << 8 {
        rest >>= 8;
        bucket += 8;
    }
    if rest >= 1 << 4 {
        rest >>= 4;
        bucket += 4;
    }
    if rest >= 1 << 2 {
        rest >>= 2;
        bucket += 2;
    }
    if rest >= 1 << 1 {
        bucket += 1;
    }
    bucket
}

/// Lowest wait of a bucket in nanoseconds.
#[must_use]
pub const fn bucket_floor_ns(bucket: usize) -> u64 {
    if bucket == 0 {
        0
    } else {
        1 << (bucket as u32 + FIRST_BUCKET_LOG2 - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_lies_in_its_bucket_and_a_longer_one_never_lower(shift in 0..64_u32, wait_ns in any::<u64>(), other_ns in any::<u64>()) {
            let (wait_ns, other_ns) = (wait_ns >> shift, other_ns >> (63 - shift));
            let bucket = wait_bucket(wait_ns);
            prop_assert!(bucket < WAIT_BUCKETS);
            prop_assert!(bucket_floor_ns(bucket) <= wait_ns);
            prop_assert!(bucket + 1 == WAIT_BUCKETS || wait_ns < bucket_floor_ns(bucket + 1));
            prop_assert!(wait_bucket(wait_ns.min(other_ns)) <= wait_bucket(wait_ns.max(other_ns)));
        }
    }

    #[test]
    fn every_bucket_starts_where_its_floor_says() {
        assert_eq!(wait_bucket(0), 0);
        assert_eq!(wait_bucket(1023), 0);
        for bucket in 1..WAIT_BUCKETS {
            assert_eq!(wait_bucket(bucket_floor_ns(bucket)), bucket);
            assert_eq!(wait_bucket(bucket_floor_ns(bucket) - 1), bucket - 1);
        }
        assert_eq!(wait_bucket(u64::MAX), WAIT_BUCKETS - 1);
    }

    #[test]
    fn a_bucket_is_the_logarithm_of_its_waits() {
        for shift in 0..64 {
            for wait_ns in [1u64 << shift, (1 << shift) | ((1 << shift) / 3), u64::MAX >> shift] {
                let log2 = (wait_ns >> 9 | 1).ilog2() as usize;
                assert_eq!(wait_bucket(wait_ns), log2.min(WAIT_BUCKETS - 1), "{wait_ns} ns");
            }
        }
    }
}
