//! The arithmetic of a decision against a slow model of it, and at the edges of its numbers.

extern crate std;

use proptest::prelude::*;
use std::{collections::VecDeque, vec::Vec};

use super::*;

const SECOND: u64 = 1_000_000_000;

/// Tokens as one would write them down: who came when, the oldest spent first.
struct Book {
    at_ns: u64,
    came: VecDeque<(u64, u128)>,
}

impl Book {
    fn advance(&mut self, now_ns: u64, per_s: u32) {
        let per_s = u128::from(per_s.min(MOST_PER_S));
        let now_ns = now_ns.max(self.at_ns);
        // What came before the last ten seconds is gone whatever it was.
        self.at_ns = self.at_ns.max((now_ns / SECOND).saturating_sub(20) * SECOND);
        while self.at_ns < now_ns {
            let end = now_ns.min((self.at_ns / SECOND + 1) * SECOND);
            self.pay(u128::from(end - self.at_ns) * per_s);
            self.at_ns = end;
        }
        let slice = self.at_ns / SECOND;
        self.came.retain(|(second, _)| second + LIFE_SLICES > slice);
    }

    fn pay(&mut self, amount: u128) {
        self.came.push_back((self.at_ns / SECOND, amount));
    }

    fn balance(&self) -> u128 {
        self.came.iter().map(|(_, amount)| amount).sum()
    }

    fn take(&mut self) -> bool {
        if self.balance() < u128::from(TOKEN) {
            return false;
        }
        let mut left = u128::from(TOKEN);
        while let Some((_, amount)) = self.came.front_mut().filter(|_| left > 0) {
            let part = left.min(*amount);
            *amount -= part;
            left -= part;
            if *amount == 0 {
                self.came.pop_front();
            }
        }
        true
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Work(u64),
    Connect,
    Nothing,
}

/// Mostly small steps, sometimes none, one back, or a long one.
fn steps() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let gap = prop_oneof![
        8 => 0..50_000_000_i64,
        2 => 0..3_000_000_000_i64,
        2 => Just(0),
        1 => -2_000_000_000..0_i64,
        1 => 8_000_000_000..12_000_000_000_i64,
        1 => 0..200_000_000_000_i64,
    ];
    let event = prop_oneof![
        3 => (0..5 * TOKEN).prop_map(Event::Work),
        6 => Just(Event::Connect),
        1 => Just(Event::Nothing),
    ];
    prop::collection::vec((gap, event), 1..400)
}

proptest! {
    #[test]
    fn tokens_are_those_of_the_last_ten_seconds_oldest_first(
        start in 0..100 * SECOND, per_s in prop_oneof![Just(0), Just(10), 0..2000_u32], steps in steps(),
    ) {
        let mut tokens = Tokens::starting(start);
        let mut book = Book { at_ns: start, came: VecDeque::new() };
        let mut now = start;
        for (gap, event) in steps {
            now = now.saturating_add_signed(gap);
            tokens.advance(now, per_s);
            book.advance(now, per_s);
            match event {
                Event::Work(amount) => {
                    tokens.pay(amount);
                    book.pay(u128::from(amount));
                }
                Event::Connect => prop_assert_eq!(tokens.take(), book.take()),
                Event::Nothing => {}
            }
            prop_assert_eq!(u128::from(tokens.balance()), book.balance());
            prop_assert_eq!(tokens.balance(), tokens.slices.iter().sum::<u64>() - tokens.spent);
        }
    }

    #[test]
    fn no_number_is_too_large(
        events in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>()), 1..200),
        start in any::<u64>(), reserve in any::<u32>(),
    ) {
        // Debug builds panic where a number leaves its range.
        let mut budget = Budget::starting(start, reserve);
        for (now, per_s, deposit, finish, share) in events {
            budget.work(now, per_s, deposit, deposit);
            budget.connect(now, per_s, finish % 2 == 0);
            budget.answer(now);
            budget.accept(now, finish, share);
            prop_assert!(budget.tokens.balance <= (LIFE_SLICES + 1) * 1_000_000_000 * TOKEN);
        }
    }

    #[test]
    fn of_any_four_in_a_row_one_passes(
        events in prop::collection::vec((0..SECOND, 0..200_u32, 0..1500_u32), 4..300), reserve in 0..20_u32,
    ) {
        let mut budget = Budget::starting(SECOND, reserve);
        let mut now = SECOND;
        let (mut connects, mut accepts) = (Vec::new(), Vec::new());
        for (gap, finish, share) in events {
            now += gap / 100;
            connects.push(budget.connect(now, reserve, false));
            accepts.push(budget.accept(now, finish, share));
        }
        for outcomes in [connects, accepts] {
            for four in outcomes.windows(4) {
                prop_assert!(four.iter().any(|outcome| *outcome != Outcome::Refused));
            }
        }
    }

    #[test]
    fn what_passes_within_the_budget_is_never_more_than_what_came(
        gaps in prop::collection::vec((0..20_000_000_u64, any::<bool>()), 1..2000), fan_out in 0..4000_u32,
    ) {
        let start = 5 * SECOND;
        let mut budget = Budget::starting(start, RESERVE_PER_S);
        let mut now = start;
        for (gap, inbound) in gaps {
            now += gap;
            if inbound {
                budget.work(now, RESERVE_PER_S, deposit(fan_out), floor(fan_out));
            }
            budget.connect(now, RESERVE_PER_S, false);
            let came = u128::from(budget.inbound) * u128::from(deposit(fan_out))
                + u128::from(now - start + SECOND) * u128::from(RESERVE_PER_S);
            prop_assert!(u128::from(budget.connects.within) * u128::from(TOKEN) <= came);
        }
    }

    #[test]
    fn credit_that_passes_is_never_more_than_what_came(
        steps in prop::collection::vec((0..40_000_000_u64, 0..4_u8), 1..1500), fan_out in 0..4000_u32,
    ) {
        let start = 5 * SECOND;
        let mut budget = Budget::starting(start, 1000);
        let mut now = start;
        for (gap, event) in steps {
            now += gap;
            match event {
                0 => budget.work(now, 1000, deposit(fan_out), floor(fan_out)),
                1 => budget.answer(now),
                _ => { budget.connect(now, 1000, true); }
            }
            let came = u128::from(budget.inbound) * u128::from(floor(fan_out))
                + u128::from(budget.answered) * u128::from(ANSWER)
                // One at the start, and one a second.
                + u128::from(TOKEN) + u128::from(now - start + SECOND);
            prop_assert!(u128::from(budget.connects.within) * u128::from(TOKEN) <= came);
            prop_assert_eq!(budget.connects.by_floor, 0);
        }
    }

    #[test]
    fn every_attempt_is_counted_once(attempts in 0..500_u64, per_s in 0..100_u32) {
        let mut budget = Budget::starting(SECOND, per_s);
        for n in 0..attempts {
            budget.connect(SECOND + n * 1_000_000, per_s, false);
        }
        let Decisions { within, by_floor, refused } = budget.connects;
        prop_assert_eq!(within + by_floor + refused, attempts);
    }

    #[test]
    fn a_step_stays_in_range_and_up_is_never_more_than_one_percent(share in any::<u32>()) {
        let (down, up) = (step(share, true), step(share, false));
        prop_assert!((SHARE_LEAST..=SHARE_ALL).contains(&down) && (SHARE_LEAST..=SHARE_ALL).contains(&up));
        if (SHARE_LEAST..=SHARE_ALL).contains(&share) {
            prop_assert!(up - share <= SHARE_ALL / 100 && down <= share && share - down <= share / 20);
        }
    }
}

/// So many attempts pass in a minute of so many per second, with so much inbound work each second.
fn pass_in_a_minute(attempts_per_s: u64, inbound_per_s: u64) -> Decisions {
    let start = 7 * SECOND;
    let mut budget = Budget::starting(start, RESERVE_PER_S);
    for tick in 0..60_000_u64 {
        let now = start + tick * 1_000_000;
        for _ in 0..((tick + 1) * inbound_per_s / 1000 - tick * inbound_per_s / 1000) {
            budget.work(now, RESERVE_PER_S, deposit(1000), floor(1000));
        }
        for _ in 0..((tick + 1) * attempts_per_s / 1000 - tick * attempts_per_s / 1000) {
            budget.connect(now, RESERVE_PER_S, false);
        }
    }
    budget.connects
}

#[test]
fn healthy_retries_all_pass() {
    // A hundred requests per second, each tried once, one in five again, and ten more.
    let decisions = pass_in_a_minute(130, 100);
    assert_eq!((decisions.within, decisions.refused), (130 * 60, 0));
}

#[test]
fn a_storm_is_held_to_what_came_in_and_a_fifth_and_ten() {
    let decisions = pass_in_a_minute(400, 100);
    // 130 tokens per second for a minute, and the reserve of one second at the start.
    let came = 130 * 60 + 10;
    assert!((came - 2..=came).contains(&decisions.within), "{decisions:?}");
    assert_eq!(decisions.by_floor, 0, "one of four passes anyway: {decisions:?}");
}

#[test]
fn without_inbound_work_a_quarter_passes() {
    let decisions = pass_in_a_minute(400, 0);
    let share = (decisions.within + decisions.by_floor) as f64 / (400.0 * 60.0);
    assert!((0.25..0.27).contains(&share), "{decisions:?}");
}

/// A gateway with three retries under a policy by answers, for so many seconds of a hundred requests each. What passes is
/// answered 20 ms later, or not at all. Attempts that passed, by second.
fn by_answers(seconds: u64, answered: fn(u64) -> bool) -> Vec<u64> {
    let mut budget = Budget::starting(0, RESERVE_PER_S);
    let mut under_way: VecDeque<u64> = VecDeque::new();
    let mut passed = std::vec![0; seconds as usize];
    for tick in 0..seconds * 100 {
        let now = tick * SECOND / 100;
        while under_way.front().is_some_and(|due| *due <= now) {
            under_way.pop_front();
            budget.answer(now);
        }
        budget.work(now, RESERVE_PER_S, deposit(1000), floor(1000));
        for _ in 0..4 {
            if budget.connect(now, RESERVE_PER_S, true) == Outcome::Refused {
                continue;
            }
            passed[(tick / 100) as usize] += 1;
            if answered(now / SECOND) {
                under_way.push_back(now + SECOND / 50);
                break;
            }
        }
    }
    passed
}

#[test]
fn while_nothing_is_answered_a_quarter_of_the_work_passes_however_often_it_is_tried_again() {
    let passed = by_answers(10, |_| false);
    // Beside the quarter, one a second.
    assert!(passed.iter().all(|passed| (25..=27).contains(passed)), "{passed:?}");
}

#[test]
fn answers_open_the_door_within_a_second_and_silence_closes_it_again() {
    let passed = by_answers(12, |second| (4..8).contains(&second));
    assert!(passed[3] <= 27, "{passed:?}");
    assert!(passed[4] >= 90, "the second in which answers come again: {passed:?}");
    assert_eq!(passed[5..8], [100; 3], "{passed:?}");
    // What was left lives for a second at the most.
    assert!(passed[10] <= 27, "{passed:?}");
}

#[test]
fn what_is_answered_is_never_refused() {
    let passed = by_answers(20, |_| true);
    assert_eq!(passed[1..], [100; 19]);
}

#[test]
fn credit_lives_for_a_second_at_the_most_and_one_probe_a_second_comes_in_any_case() {
    let mut credit = Credit::starting(10 * SECOND);
    credit.pay(5 * TOKEN);
    credit.advance(10 * SECOND + SECOND / 2);
    assert_eq!(credit.balance(), 6 * TOKEN + TOKEN / 2);
    credit.advance(11 * SECOND);
    assert_eq!(credit.balance(), TOKEN, "two halves of a probe");
    credit.advance(1000 * SECOND);
    assert_eq!(credit.balance(), TOKEN);
    credit.advance(0);
    assert_eq!(credit.balance(), TOKEN, "a clock that lies behind changes nothing");
    credit.take();
    assert!(!credit.suffices() && credit.balance() == 0);
}

#[test]
fn a_token_lives_more_than_nine_seconds_and_at_most_ten() {
    for came in [20 * SECOND, 20 * SECOND + 1, 21 * SECOND - 1] {
        let alive = |after: u64| {
            let mut tokens = Tokens::starting(came);
            tokens.pay(TOKEN);
            tokens.advance(came + after, 0);
            tokens.take()
        };
        assert!(alive(9 * SECOND), "at nine seconds: {came}");
        assert!(!alive(10 * SECOND), "at ten seconds: {came}");
    }
}

#[test]
fn a_clock_that_stands_still_or_goes_back_brings_nothing() {
    let mut tokens = Tokens::starting(50 * SECOND);
    tokens.advance(51 * SECOND, 10);
    let before = tokens;
    for now in [51 * SECOND, 50 * SECOND, 0] {
        tokens.advance(now, 10);
        assert_eq!(tokens, before);
    }
}

#[test]
fn after_a_long_silence_the_reserve_of_ten_seconds_is_there_and_nothing_else() {
    let mut tokens = Tokens::starting(3 * SECOND);
    tokens.pay(1000 * TOKEN);
    tokens.advance(1_000_000 * SECOND, 10);
    assert_eq!(tokens.balance(), 90 * TOKEN, "nine seconds are whole, the tenth begins");
    tokens.advance(1_000_000 * SECOND + SECOND / 2, 10);
    assert_eq!(tokens.balance(), 95 * TOKEN);
    tokens.advance(u64::MAX, 10);
    assert!((90 * TOKEN..=100 * TOKEN).contains(&tokens.balance()));
}

#[test]
fn admission_keeps_a_rate_and_a_burst_of_a_second() {
    let mut budget = Budget::starting(SECOND, 0);
    // 120 arrive per second and 50 can be finished: more than a quarter, so the floor has no part in it.
    for n in 0..1200_u64 {
        budget.accept(SECOND + n * SECOND / 120, 50, SHARE_ALL);
    }
    let Decisions {
        within,
        by_floor,
        refused,
    } = budget.accepts;
    assert!((498..=500).contains(&within), "{:?}", budget.accepts);
    assert_eq!((by_floor, refused), (0, 1200 - within));
    // After a silence, what a second may bring comes at once.
    for _ in 0..100 {
        budget.accept(1000 * SECOND, 50, SHARE_ALL);
    }
    assert_eq!(budget.accepts.within, within + 50);
}

#[test]
fn admission_keeps_a_share_exactly() {
    for share in [250, 333, 500, 905, 1000] {
        let mut budget = Budget::starting(SECOND, 0);
        for _ in 0..1000 {
            budget.accept(SECOND, 0, share);
        }
        assert_eq!(budget.accepts.within, u64::from(share));
    }
}

#[test]
fn re_admission_takes_longer_than_shedding() {
    let count = |from: u32, to: u32, overloaded| {
        let mut share = from;
        (1..1000).find(|_| {
            share = step(share, overloaded);
            share == to
        })
    };
    assert_eq!(count(SHARE_ALL, SHARE_LEAST, true), Some(28));
    assert_eq!(count(SHARE_LEAST, SHARE_ALL, false), Some(75));
}

#[test]
fn a_policy_limits_until_its_time_and_only_what_it_names() {
    let policy = Policy {
        version: POLICY_VERSION,
        limits: LIMIT_CONNECTS,
        expires_ns: 100,
        ..Policy::default()
    };
    assert!(policy.limits(LIMIT_CONNECTS, 99));
    assert!(!policy.limits(LIMIT_CONNECTS, 100) && !policy.limits(LIMIT_CONNECTS, u64::MAX));
    assert!(!policy.limits(LIMIT_ACCEPTS, 99));
    let unknown = Policy {
        version: POLICY_VERSION + 1,
        ..policy
    };
    assert!(!unknown.limits(LIMIT_CONNECTS, 0));
    assert!(
        !Policy::default().limits(LIMIT_CONNECTS | LIMIT_ACCEPTS, 0),
        "no policy"
    );
}

#[test]
fn a_deposit_is_the_fan_out_and_a_fifth() {
    assert_eq!(deposit(0), 0);
    assert_eq!(deposit(1000), TOKEN + TOKEN / 5);
    assert_eq!(deposit(2500), 3 * TOKEN);
    assert_eq!(deposit(u32::MAX), MOST_DEPOSIT);
}

#[test]
fn a_quarter_of_what_work_usually_causes_passes_in_any_case() {
    assert_eq!((floor(0), floor(1000), floor(4000)), (0, TOKEN / 4, TOKEN));
    assert_eq!(floor(u32::MAX), MOST_DEPOSIT);
}

#[test]
fn a_connection_is_answered_once() {
    let mut opened = InboundSocket::default();
    assert_eq!([(); 3].map(|()| opened.answer()), [true, false, false]);
}

#[test]
fn a_request_is_data_after_an_answer_and_the_first_belongs_to_the_accept() {
    let mut accepted = InboundSocket {
        accepted: 1,
        ..InboundSocket::default()
    };
    let seen = [0, 0, 0, 50, 50, 90].map(|sent| accepted.request(sent));
    assert_eq!(seen, [false, false, false, true, false, true]);
    let mut older = InboundSocket::default();
    let seen = [7, 7, 50].map(|sent| older.request(sent));
    assert_eq!(seen, [true, false, true]);
}
