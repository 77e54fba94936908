//! The stream of events, and its bounds.

use super::*;

#[test]
fn events_carry_the_very_line_and_go_on_after_the_last_one_that_was_heard() {
    let (mut web, address) = web(None);
    publish(&mut web, "/a.service");
    let mut first = watch(address, "");
    hear(&mut first, "event: state");
    publish(&mut web, "/b.service");
    let heard = hear(&mut first, "event: outcome");
    let verdict = samples::verdict("/b.service");
    let line = encode::object(&verdict).unwrap();
    assert!(heard.contains(&format!("event: verdict\ndata: {line}\n\n")), "{heard}");
    let id = heard
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap()
        .to_owned();
    assert!(id.ends_with("-3"), "two records of the first, then this: {id}");
    drop(first);
    publish(&mut web, "/c.service");
    let mut again = watch(address, &format!("last-event-id: {id}\r\n"));
    let heard = hear(&mut again, "-6\n");
    assert!(
        !heard.contains(&format!("id: {id}\n")) && heard.contains("c.service"),
        "{heard}"
    );
    assert!(
        heard.find("-4\n").is_some_and(|four| Some(four) < heard.find("-5\n")),
        "{heard}"
    );
    let mut stranger = watch(address, "last-event-id: otherrun-900\r\n");
    hear(&mut stranger, "-1\n");
    for garbage in ["x", "-", "--", "1-99999999999999999999999"] {
        hear(
            &mut watch(address, &format!("last-event-id: {garbage}\r\n")),
            "event: state",
        );
    }
}

#[test]
fn who_comes_too_late_is_told_how_much_is_gone() {
    let (mut web, address) = web(None);
    for _ in 0..600 {
        publish(&mut web, "/a.service");
    }
    let run = web.desk.run.clone();
    let heard = hear(
        &mut watch(address, &format!("last-event-id: {run}-1\r\n")),
        "event: missed",
    );
    assert!(
        heard.contains("{\"records\":175}"),
        "1200 records, 1024 kept, one known: {heard}"
    );
}

#[test]
fn viewers_and_connections_are_bounded_and_counted() {
    let (mut web, address) = web(None);
    publish(&mut web, "/a.service");
    let mut viewers: Vec<_> = (0..64).map(|_| watch(address, "")).collect();
    for viewer in &mut viewers {
        hear(viewer, "event: state");
    }
    assert_eq!(get(address, "/api/v1/events", "").0, 503);
    assert_eq!(web.desk.served().viewers, 64);
    drop(viewers);
    publish(&mut web, "/a.service");
    let began = monotonic_ns();
    while web.desk.served().viewers > 0 {
        assert!(since(began) < LIMIT, "{:?}", web.desk.served());
        publish(&mut web, "/a.service");
        std::thread::sleep(Duration::from_millis(10));
    }
    let idle: Vec<_> = (0..server::MOST_CONNECTIONS).map(|_| connect(address)).collect();
    let began = monotonic_ns();
    while web.desk.served().connections < server::MOST_CONNECTIONS as u64 {
        assert!(since(began) < LIMIT, "{:?}", web.desk.served());
    }
    assert_eq!(get(address, "/api/v1/state", "").0, 0, "one too many is closed");
    drop(idle);
    let began = monotonic_ns();
    while get(address, "/api/v1/state", "").0 != 200 {
        assert!(since(began) < LIMIT, "served again");
    }
    assert!(
        web.desk
            .served()
            .closed
            .iter()
            .any(|(why, count)| *why == "too_many" && *count > 0)
    );
}
