//! The queue against another side that is slow, away, closed or picky. Never waits for a clock.

use std::sync::mpsc::{self, Receiver};

use super::*;

const BOUNDS: Bounds = Bounds {
    records: 4,
    bytes: 1000,
};
const SOON: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(10);
const SECOND: u64 = 1_000_000_000;

/// An outbox whose deliveries wait for the test: each takes one answer, and reports which record it was asked for.
fn scripted(answers: Receiver<Delivery>) -> (Outbox<u32>, Receiver<u32>) {
    let (asked, asks) = mpsc::channel();
    let outbox = Outbox::start("test", BOUNDS, SOON, move |record| {
        asked.send(*record).ok();
        answers.recv().unwrap_or(Delivery::Closed)
    });
    (outbox.unwrap(), asks)
}

#[test]
fn records_arrive_in_order_and_before_the_end() {
    let (arrived, arrivals) = mpsc::channel();
    let bounds = Bounds {
        records: 1000,
        bytes: 100_000,
    };
    let outbox = Outbox::start("test", bounds, SOON, move |record| {
        arrived.send(*record).unwrap();
        Delivery::Done
    });
    let outbox = outbox.unwrap();
    for record in 0..1000 {
        outbox.push(record, 1);
    }
    outbox.finish(PATIENCE);
    assert_eq!(
        arrivals.try_iter().collect::<Vec<u32>>(),
        (0..1000).collect::<Vec<u32>>()
    );
    assert_eq!(outbox.lost(), 0);
}

#[test]
fn a_record_put_off_is_tried_again_and_its_trouble_passes() {
    let (answer, answers) = mpsc::channel();
    let (mut outbox, asks) = scripted(answers);
    outbox.push(1, 1);
    answer.send(Delivery::Later("away".to_owned())).unwrap();
    assert_eq!((asks.recv(), asks.recv()), (Ok(1), Ok(1)));
    assert_eq!(outbox.health(0), Health::Unwell("away".to_owned()));
    answer.send(Delivery::Done).unwrap();
    outbox.finish(PATIENCE);
    assert_eq!((outbox.health(0), outbox.lost()), (Health::Well, 0));
}

#[test]
fn a_full_queue_keeps_the_newest_and_counts_the_rest() {
    let (answer, answers) = mpsc::channel();
    let (outbox, asks) = scripted(answers);
    outbox.push(0, 1);
    assert_eq!(asks.recv(), Ok(0));
    for record in 1..=10 {
        outbox.push(record, 1);
    }
    assert_eq!(outbox.lost(), 6);
    for _ in 0..5 {
        answer.send(Delivery::Done).unwrap();
    }
    outbox.finish(PATIENCE);
    assert_eq!(asks.try_iter().collect::<Vec<u32>>(), [7, 8, 9, 10]);
}

#[test]
fn bytes_are_bounded_too() {
    let (_answer, answers) = mpsc::channel();
    let (outbox, asks) = scripted(answers);
    outbox.push(0, 1);
    assert_eq!(asks.recv(), Ok(0));
    outbox.push(1, 600);
    outbox.push(2, 600);
    assert_eq!(outbox.lost(), 1);
}

#[test]
fn another_side_that_takes_nothing_is_noticed_and_does_not_hold_the_end() {
    let (_answer, answers) = mpsc::channel();
    let (mut outbox, asks) = scripted(answers);
    outbox.push(1, 1);
    outbox.push(2, 1);
    assert_eq!(asks.recv(), Ok(1));
    assert_eq!(outbox.health(SECOND), Health::Well);
    assert_eq!(outbox.health(2 * SECOND), Health::Well);
    assert!(matches!(outbox.health(4 * SECOND), Health::Unwell(_)));
    outbox.finish(Duration::from_millis(20));
    assert_eq!(outbox.lost(), 2);
}

#[test]
fn a_closed_other_side_takes_nothing_more() {
    let (answer, answers) = mpsc::channel();
    let (mut outbox, _asks) = scripted(answers);
    outbox.push(1, 1);
    answer.send(Delivery::Closed).unwrap();
    outbox.finish(PATIENCE);
    outbox.push(2, 1);
    assert_eq!((outbox.health(0), outbox.lost()), (Health::Closed, 2));
}

#[test]
fn a_record_that_can_never_arrive_does_not_hold_up_the_next() {
    let (answer, answers) = mpsc::channel();
    let (mut outbox, asks) = scripted(answers);
    outbox.push(1, 1);
    outbox.push(2, 1);
    answer.send(Delivery::Lost("too big".to_owned())).unwrap();
    answer.send(Delivery::Done).unwrap();
    outbox.finish(PATIENCE);
    assert_eq!(asks.try_iter().collect::<Vec<u32>>(), [1, 2]);
    assert_eq!((outbox.health(0), outbox.lost()), (Health::Well, 1));
}

#[test]
fn entries_of_several_records_are_bounded_and_counted_as_such() {
    let (answer, answers) = mpsc::channel();
    let (mut outbox, asks) = scripted(answers);
    let three = Weight { records: 3, bytes: 3 };
    outbox.push_all(0, three);
    assert_eq!(asks.recv(), Ok(0));
    outbox.push_all(1, three);
    outbox.push_all(2, three);
    assert_eq!(outbox.lost(), 3, "four records may wait");
    answer.send(Delivery::Partly(1, "one is too old".to_owned())).unwrap();
    answer.send(Delivery::Later("away".to_owned())).unwrap();
    assert_eq!((asks.recv(), asks.recv()), (Ok(2), Ok(2)));
    assert_eq!(outbox.lost(), 4);
    answer.send(Delivery::Lost("never".to_owned())).unwrap();
    outbox.finish(PATIENCE);
    assert_eq!(
        (outbox.health(0), outbox.lost()),
        (Health::Unwell("never".to_owned()), 7)
    );
}

#[test]
fn a_pause_that_was_asked_for_does_not_hold_the_end() {
    let (answer, answers) = mpsc::channel();
    let (outbox, asks) = scripted(answers);
    outbox.push(1, 1);
    answer
        .send(Delivery::After(PATIENCE * 100, "later".to_owned()))
        .unwrap();
    assert_eq!(asks.recv(), Ok(1));
    while !matches!(outbox.shared.lock().trouble, Some(ref said) if said == "later") {
        thread::yield_now();
    }
    answer.send(Delivery::Done).unwrap();
    outbox.finish(PATIENCE);
    assert_eq!((asks.recv(), outbox.lost()), (Ok(1), 0));
}
