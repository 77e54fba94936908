//! Who and what is refused.

use super::*;

#[test]
fn without_the_very_token_only_the_page_and_the_health_are_served() {
    let (mut web, address) = web(Some("0123456789abcdef"));
    publish(&mut web, "/a.service");
    let right = "authorization: Bearer 0123456789abcdef\r\n";
    for path in ["/metrics", "/api/v1/state", "/api/v1/log"] {
        for wrong in [
            "",
            "authorization: Bearer 0123456789abcdeF\r\n",
            "authorization: 0123456789abcdef\r\n",
            "authorization: Bearer\r\n",
            "cookie: token=0123456789abcdef\r\n",
        ] {
            let (status, answer) = get(address, path, wrong);
            assert_eq!(status, 401, "{path} {wrong}");
            assert!(!answer.contains("a.service"), "{answer}");
        }
        assert_eq!(get(address, path, right).0, 200, "{path}");
    }
    assert_eq!(get(address, "/api/v1/events", "").0, 401);
    assert_eq!(get(address, "/api/v1/state?token=0123456789abcdef", "").0, 401);
    assert_eq!(get(address, "/", "").0, 200);
}

#[test]
fn a_foreign_name_for_this_host_is_refused() {
    let (mut web, address) = web(None);
    publish(&mut web, "/a.service");
    let named = |host: &str| {
        ask(
            address,
            &format!("GET /api/v1/state HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"),
        )
        .0
    };
    for own in [
        "127.0.0.1",
        "127.0.0.1:9464",
        "[::1]:9464",
        "localhost:80",
        "LOCALHOST",
        "web-1:9464",
    ] {
        assert_eq!(named(own), 200, "{own}");
    }
    for foreign in [
        "evil.example",
        "evil.example:9464",
        "localhost.evil.example",
        "127.0.0.1.evil.example:9464",
        "",
    ] {
        assert_eq!(named(foreign), 421, "{foreign}");
    }
    assert_ne!(
        ask(address, "GET /api/v1/state HTTP/1.1\r\nconnection: close\r\n\r\n").0,
        200
    );
}

#[test]
fn no_path_trick_leads_anywhere_and_only_reading_is_allowed() {
    let (mut web, address) = web(None);
    publish(&mut web, "/a.service");
    for path in [
        "/../etc/passwd",
        "/page/../../etc/passwd",
        "/page/%2e%2e/%2e%2e/etc/passwd",
        "/page/",
        "//etc/passwd",
        "/page/main.js%00",
        "/page/main.js/",
        "/api/v1/state/",
        "/API/V1/STATE",
        "/%ff",
    ] {
        let (status, answer) = get(address, path, "");
        assert_eq!(status, 404, "{path}: {answer}");
        assert!(!answer.contains("root:"), "{answer}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let request = format!(
            "{method} /api/v1/state HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(ask(address, &request).0, 405, "{method}");
    }
    for query in ["?after=x", "?after=-1", "?before=1", "?after=99999999999999999999999"] {
        assert_eq!(get(address, &format!("/api/v1/log{query}"), "").0, 400, "{query}");
    }
}

#[test]
fn what_is_too_large_or_no_http_is_refused_and_the_next_one_is_served() {
    let (mut web, address) = web(None);
    publish(&mut web, "/a.service");
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    for headers in [format!("x: {}\r\n", "y".repeat(64 * 1024)), many] {
        let (status, answer) = get(address, "/api/v1/state", &headers);
        assert!(status == 431 || status == 0, "{status}: {}", answer.len());
    }
    let (status, _) = get(address, &format!("/{}", "x".repeat(64 * 1024)), "");
    assert!(matches!(status, 0 | 414 | 431), "{status}");
    for garbage in [
        "\r\n\r\n\r\n",
        "\u{1}\u{2}\u{3}\u{4}\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = connect(address);
        stream.write_all(garbage.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{garbage:?}");
    }
    assert_eq!(get(address, "/api/v1/state", "").0, 200);
}
