//! What is served, on which address.

use super::*;

#[test]
fn before_the_first_tick_nothing_is_claimed_and_after_it_everything_is_there() {
    let (mut web, address) = web(None);
    for path in ["/api/v1/state", "/metrics", "/healthz"] {
        assert_eq!(get(address, path, "").0, 503, "{path}");
    }
    publish(&mut web, HOSTILE);
    let (status, state) = get(address, "/api/v1/state", "");
    assert_eq!(status, 200);
    assert!(
        state.contains("\"schema\":\"sentinel.state/1\"") && state.contains("\\u202e"),
        "{state}"
    );
    assert!(!state.contains('\u{1b}') && !state.contains('\u{202e}'));
    let (status, metrics) = get(address, "/metrics", "");
    assert!(status == 200 && metrics.contains("sentinel_signal_level{"), "{metrics}");
    assert_eq!(get(address, "/", "").0, 200);
}

#[test]
fn every_answer_tells_a_browser_to_trust_nothing_else() {
    let (_web, address) = web(None);
    for path in ["/", "/page/main.js", "/nothing", "/api/v1/state"] {
        let (_, answer) = get(address, path, "");
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
}

#[test]
fn a_socket_in_the_file_system_is_its_owners_alone_and_goes_with_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.sock");
    let start = || Web::start(options(Listen::Unix(path.clone()), None));
    let mut web = Told {
        run: Chronicle::new(Facts::default()),
        web: start().unwrap(),
    };
    publish(&mut web, "/a.service");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert!(asks_unix(&path).starts_with("HTTP/1.1 200"));
    assert!(matches!(start(), Err(WebError::Bind { .. })), "in use");
    web.finish(Duration::ZERO);
    assert!(!path.exists());
    // What a killed agent left is nobody's.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    drop(start().unwrap());
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(start(), Err(WebError::InTheWay { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

fn asks_unix(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream
        .write_all(b"GET /api/v1/state HTTP/1.1\r\nhost: anything\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let (_web, address) = web(None);
    let error = Web::start(options(Listen::Tcp(address), None)).unwrap_err().to_string();
    assert!(
        error.contains(&address.to_string()) && error.contains("`off`"),
        "{error}"
    );
}

#[test]
fn a_client_gets_what_is_served_and_says_what_is_wrong() {
    let (mut web, address) = web(Some("0123456789abcdef"));
    publish(&mut web, "/a.service");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let fetch = |path: &str, token| runtime.block_on(client::fetch(&Listen::Tcp(address), path, token));
    assert!(
        fetch("/api/v1/state", Some("0123456789abcdef"))
            .unwrap()
            .starts_with(b"{\"schema\":\"sentinel.state/1\"")
    );
    assert!(matches!(
        fetch("/api/v1/state", None),
        Err(client::ClientError::Token { .. })
    ));
    assert!(matches!(
        fetch("/nothing", None),
        Err(client::ClientError::Refused { .. })
    ));
    web.finish(Duration::ZERO);
    assert!(matches!(
        fetch("/api/v1/state", None),
        Err(client::ClientError::Unreachable { .. })
    ));
    assert_eq!(
        Arc::strong_count(&web.desk),
        1,
        "every connection is gone with the listener"
    );
}
