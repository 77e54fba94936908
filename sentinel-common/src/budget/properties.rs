//! Bounds of credit and admission that hold whatever the clock and the numbers. Those of a whole decision are in `tests`.

extern crate std;

use proptest::prelude::*;

use super::{MOST_PER_S, TOKEN, admission::*, credit::Credit};

const SECOND: u64 = 1_000_000_000;

proptest! {
    #[test]
    fn no_more_is_admitted_than_the_rate_and_a_burst_of_a_second(
        gaps in prop::collection::vec(-1_000_000_i64..200_000_000, 1..500),
        per_s in 1..50_u32,
        share in any::<u32>(),
    ) {
        let mut admission = Admission::starting(SECOND);
        let (mut now_ns, mut latest_ns, mut admitted) = (SECOND, SECOND, 0_u128);
        for gap in gaps {
            now_ns = now_ns.saturating_add_signed(gap);
            latest_ns = latest_ns.max(now_ns);
            admitted += u128::from(admission.admit(now_ns, per_s, share));
        }
        let came = u128::from(latest_ns - SECOND) * u128::from(per_s);
        prop_assert!(admitted * u128::from(TOKEN) <= came, "{admitted} of {came}");
    }

    #[test]
    fn a_burst_is_what_a_second_brings_and_no_more(idle_ns in SECOND..u64::MAX / 2, per_s in 1..1000_u32) {
        let mut admission = Admission::starting(0);
        let admitted = (0..2000).filter(|_| admission.admit(idle_ns, per_s, SHARE_ALL)).count();
        prop_assert_eq!(admitted as u32, per_s);
    }

    #[test]
    fn a_share_is_kept_to_within_one(attempts in 0..5000_u64, share in SHARE_LEAST..=SHARE_ALL) {
        let mut admission = Admission::starting(0);
        let admitted = (0..attempts).filter(|_| admission.admit(0, 0, share)).count() as u64;
        prop_assert_eq!(admitted, attempts * u64::from(share) / u64::from(SHARE_ALL));
    }

    #[test]
    fn no_clock_and_no_rate_is_too_much_for_admission(
        calls in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u32>()), 0..100),
    ) {
        let mut admission = Admission::starting(0);
        for (now_ns, per_s, share) in calls {
            admission.admit(now_ns, per_s, share);
        }
        let most = (0..3 * u64::from(SHARE_ALL)).filter(|_| admission.admit(0, MOST_PER_S, 0)).count();
        prop_assert!(most <= 750, "{most} of 3,000 at the least share");
    }

    #[test]
    fn credit_never_passes_its_bound_and_a_second_of_silence_leaves_one_attempt(
        calls in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 0..100),
        began_ns in 0..u64::MAX / 2,
    ) {
        let mut credit = Credit::starting(began_ns);
        let mut latest_ns = began_ns;
        for (now_ns, amount, take) in calls {
            latest_ns = latest_ns.max(now_ns);
            let before = credit.balance();
            credit.advance(now_ns);
            credit.pay(amount);
            prop_assert!(credit.balance() <= 2 * SECOND * TOKEN, "{credit:?} after {before}");
            if take && credit.suffices() {
                let before = credit.balance();
                credit.take();
                prop_assert_eq!(credit.balance(), before - TOKEN);
            }
        }
        if let Some(later_ns) = latest_ns.checked_add(SECOND) {
            credit.advance(later_ns);
            prop_assert_eq!(credit.balance(), TOKEN);
        }
    }
}
