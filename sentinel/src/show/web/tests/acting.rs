//! Who may approve and lift.

use super::*;

/// A listener whose agent answers like this, and what it was asked.
fn acting(
    token: Option<&str>,
    reply: fn(&control::Request) -> control::Reply,
) -> (Web, SocketAddr, std::sync::mpsc::Receiver<String>) {
    let (line, mut commands) = control::line();
    let (asked, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Some(command) = commands.blocking_recv() {
            let _ = asked.send(format!("{:?} by {}", command.request, command.by));
            let _ = command.answer.send(reply(&command.request));
        }
    });
    let listen = Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let web = Web::start(Options {
        line: Some(line),
        ..options(listen, token)
    })
    .unwrap();
    let Listen::Tcp(address) = *web.address() else {
        panic!("no address")
    };
    (web, address, heard)
}

fn post(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    ask(
        address,
        &format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"),
    )
}

#[test]
fn whoever_has_the_token_approves_and_lifts_and_the_agent_decides() {
    let (_web, address, heard) = acting(Some("0123456789abcdef"), |request| match request {
        control::Request::Approve { .. } => control::Reply::Done {
            text: "begun".to_owned(),
        },
        _ => control::Reply::Refused {
            reason: "there is no such lease".to_owned(),
        },
    });
    let right = "authorization: Bearer 0123456789abcdef\r\n";
    let (status, answer) = post(address, "/api/v1/plans/P1/approve", right);
    assert!(status == 200 && answer.ends_with("{\"done\":\"begun\"}"), "{answer}");
    assert!(heard.recv_timeout(LIMIT).unwrap().ends_with("by the web page"));
    let (status, answer) = post(address, "/api/v1/leases/L1/lift", right);
    assert!(status == 409 && answer.contains("there is no such lease"), "{answer}");
    heard.recv_timeout(LIMIT).unwrap();
    assert_eq!(post(address, "/api/v1/leases/a%20b%1b/lift", right).0, 400);
    assert_eq!(
        post(address, &format!("/api/v1/leases/{}/lift", "x".repeat(65)), right).0,
        400
    );
    assert_eq!(get(address, "/api/v1/plans/P1/approve", right).0, 405);
    for wrong in ["", "authorization: Bearer 0123456789abcdeF\r\n"] {
        assert_eq!(post(address, "/api/v1/plans/P1/approve", wrong).0, 401);
    }
    assert!(heard.try_recv().is_err(), "nobody else was heard");
}

#[test]
fn without_a_token_nothing_is_changed_from_here() {
    let (_web, address, heard) = acting(None, |_| control::Reply::Done {
        text: "done".to_owned(),
    });
    let (status, answer) = post(address, "/api/v1/plans/P1/approve", "");
    assert!(status == 403 && answer.contains("sentinel veto"), "{answer}");
    assert!(heard.try_recv().is_err());
}
