//! log2 histogram of run-queue waits.

/// Buckets of a wait histogram.
pub const WAIT_BUCKETS: usize = 28;

/// log2 of the width of bucket 0 in nanoseconds.
const FIRST_BUCKET_LOG2: u32 = 10;

/// The bucket of a wait.
///
/// Bucket 0 holds waits below 1,024 ns, bucket `b` holds [2^(b+9), 2^(b+10)) ns; the last one is open above (from
/// 2^36 ns, about 69 s).
#[inline(always)]
#[must_use]
pub const fn wait_bucket(wait_ns: u64) -> usize {
    let bits = 64 - (wait_ns >> (FIRST_BUCKET_LOG2 - 1) | 1).leading_zeros();
    let bucket = (bits - 1) as usize;
    if bucket >= WAIT_BUCKETS {
        WAIT_BUCKETS - 1
    } else {
        bucket
    }
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
    use super::*;

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
}
