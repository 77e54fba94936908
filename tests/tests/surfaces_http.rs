//! What is served says what stdout and the journal say; what is sent to it by whom it should not, or how it should not,
//! is refused and delays nothing.
//!
//! Needs root, `systemd-journald` and `journalctl`.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal as Kill;
use sentinel::{judge::verdict::Signal, show::state::Document};
use sentinel_tests::{
    agent::{Agent, Options},
    cgroup::Family,
    http::{self, Drain, Viewer},
    invoke::{self, code, refused},
    journald::House,
    scene::Scene,
    surfaces::agree,
    wait,
    workload::Workload,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(10);
const ANY: &str = "127.0.0.1:0";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Issue 6: "1,000 scopes, 50 SSE clients, a scrape every second: daemon <= 2 % of one core, no tick late".
const SCOPES: usize = 1000;
const VIEWERS: usize = 50;
const CPU_SHARE: f64 = 0.02;

fn agent(options: Options) -> Result<Agent> {
    let mut agent = options.listen(ANY).start()?;
    agent.warm_up(Duration::from_secs(2))?;
    Ok(agent)
}

/// State and metrics of one and the same document.
fn at_once(address: std::net::SocketAddr) -> Result<(Document, String)> {
    let look = || {
        let before = http::state(address).ok()?;
        let metrics = http::get(address, "/metrics").ok()?.body;
        let after = http::state(address).ok()?;
        (before["seq"] == after["seq"]).then_some((after, metrics))
    };
    let (state, metrics) = wait::until(LIMIT, look).context("the state changes faster than it can be read")?;
    Ok((serde_json::from_value(state)?, metrics))
}

#[test]
fn journal_stdout_stream_log_state_and_metrics_say_the_same() -> Result<()> {
    let mut house = House::new()?;
    house.start()?;
    let options = Options::new()?.through(&house.through()).listen(ANY);
    let mut scene = Scene::start(&["busy"], options)?;
    let address = scene.agent.address()?;
    let viewer = Viewer::start(address, "last-event-id: earlier-7\r\n")?;
    scene.warm_up()?;
    let spin = Workload::start(scene.cgroup("busy"), &["spin", "--threads", "6", "--seconds", "60"])?;
    let veto = scene.veto("busy", Signal::Jitter, spin.onset_ns(), Duration::from_secs(5))?;
    let (document, metrics) = at_once(address)?;
    let compared = agree(&document, &metrics)?;
    println!("{compared} signals agree between state and metrics");
    let busy = document
        .scopes
        .iter()
        .find(|scope| scope.path == veto.verdict.scope.path)
        .context("busy is not shown")?;
    let jitter = busy
        .signals
        .iter()
        .find(|signal| signal.signal == Signal::Jitter)
        .context("no jitter")?;
    ensure!(
        jitter.incident == veto.verdict.incident.as_ref().map(|incident| incident.id.clone()),
        "{jitter:?}"
    );
    ensure!(
        document
            .log
            .iter()
            .any(|entry| entry.verdict_id.as_deref() == Some(&veto.verdict.id)),
        "{:?}",
        document.log
    );
    let status = invoke::invoke(&["status", "--json", "--at", &address.to_string()], LIMIT)?;
    ensure!(status.code == Some(code::DONE), "{:?}", status.stderr);
    let status: Document = serde_json::from_str(&status.stdout.join("\n"))?;
    ensure!(status.run == document.run && status.seq >= document.seq, "another run");
    thread::sleep(Duration::from_secs(2));
    let log = http::get(address, "/api/v1/log?after=0")?.json()?;
    let ended = scene.end()?;

    let lines: Vec<&String> = ended.stdout.iter().collect();
    let events = viewer.events();
    let streamed: Vec<_> = events
        .iter()
        .filter(|event| event.name == "verdict" || event.name == "outcome")
        .collect();
    ensure!(viewer.closed(LIMIT), "the stream outlived the agent");
    ensure!(
        !lines.is_empty() && streamed.len() == lines.len(),
        "{} lines, {} events",
        lines.len(),
        streamed.len()
    );
    for (number, (event, line)) in (1..).zip(streamed.iter().zip(&lines)) {
        ensure!(event.data == **line, "{}\n{line}", event.data);
        let id = event
            .id
            .as_deref()
            .and_then(|id| id.rsplit_once('-'))
            .context("no id")?;
        ensure!(id.1 == format!("{number}"), "{id:?} is not {number}");
    }
    let logged = log["records"].as_array().context("no records")?;
    for record in logged {
        let seq = record["seq"]
            .as_u64()
            .and_then(|seq| usize::try_from(seq).ok())
            .context("no seq")?;
        let line: Value = serde_json::from_str(lines[seq - 1])?;
        ensure!(record["record"] == line, "{record}");
    }
    let journalled = || {
        let entries = house.entries().ok()?;
        let verdicts = entries
            .iter()
            .filter_map(|entry| entry["SENTINEL_VERDICT"].as_str().map(str::to_owned));
        let verdicts: Vec<_> = verdicts.collect();
        (verdicts.len() >= lines.len()).then_some(verdicts)
    };
    let journalled = wait::until(LIMIT, journalled).context("the journal lacks verdicts")?;
    ensure!(
        journalled.iter().collect::<Vec<_>>() == lines,
        "the journal says something else"
    );
    println!(
        "{} records are the same on stdout, in the journal, in the stream and in the log",
        lines.len()
    );
    Ok(())
}

#[test]
fn hostile_names_of_cgroups_reach_every_surface_as_harmless_text() -> Result<()> {
    let family = Family::new()?;
    let names: [&[u8]; 7] = [
        b"<img src=x onerror=alert(1)>",
        b"a\x1b[2J\x1b]0;owned\x07b",
        b"carriage\r\ttab\x7f\xc2\x9bcsi",
        b"quote\"back\\slash'`$(id)",
        b"\xff\xfe not utf-8 \xc3\x28",
        "\u{202e}drawkcab\u{2066}\u{200b}".as_bytes(),
        b"event: state%0adata: {}",
    ];
    let root = Path::new(&sentinel_tests::paths::cgroup2()?).join(family.scope().trim_start_matches('/'));
    let mut made = Vec::new();
    for name in names {
        made.push(Made::cgroup(root.join(std::ffi::OsStr::from_bytes(name)))?);
    }
    // 255 bytes a level, 15 levels deep: close to the longest path there can be.
    let mut deep = root.clone();
    for _ in 0..13 {
        deep.push("x".repeat(250));
        made.push(Made::cgroup(deep.clone())?);
    }
    for dir in made.iter().map(|made| &made.0) {
        enter_and_leave(dir)?;
    }
    let agent = agent(Options::new()?)?;
    let address = agent.address()?;
    for dir in made.iter().map(|made| &made.0) {
        enter_and_leave(dir)?;
    }
    let viewer = Viewer::start(address, "")?;
    thread::sleep(Duration::from_secs(3));
    let texts = [
        http::get(address, "/api/v1/state")?.body,
        http::get(address, "/metrics")?.body.replace('\n', ""),
        viewer.events().last().context("no event")?.data.clone(),
        invoke::invoke(&["status", "--at", &address.to_string()], LIMIT)?
            .stdout
            .concat(),
    ];
    for text in &texts {
        let wrong = text
            .chars()
            .find(|char| char.is_control() || "\u{202e}\u{2066}\u{200b}".contains(*char));
        ensure!(wrong.is_none(), "{wrong:?} in {text}");
    }
    let document: Document = serde_json::from_str(&texts[0])?;
    let ours = document
        .scopes
        .iter()
        .filter(|scope| scope.path.starts_with(&family.scope()))
        .count();
    println!("{ours} hostile scopes of {} are shown", made.len());
    ensure!(ours >= names.len(), "{ours} of {} are shown", made.len());
    ensure!(
        texts[1].contains("onerror=alert(1)") && texts[1].contains("\\\"back\\\\slash"),
        "{}",
        texts[1]
    );
    let longest = texts[1]
        .split("scope=\"")
        .filter_map(|part| part.split('"').next())
        .map(str::len)
        .max();
    ensure!(longest.is_some_and(|bytes| bytes < 1000), "{longest:?}");
    drop(agent);
    Ok(())
}

/// A cgroup under any name.
struct Made(std::path::PathBuf);

impl Made {
    fn cgroup(path: std::path::PathBuf) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("{}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What was made in it goes first: guards of a vector are dropped in order, so the depth is tried again.
        for _ in 0..50 {
            let inner = fs::read_dir(&self.0).into_iter().flatten().flatten();
            let dirs = inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            dirs.for_each(|entry| drop(Self(entry.path())));
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Something runs in it for a moment, so that the kernel meets it.
fn enter_and_leave(dir: &Path) -> Result<()> {
    let script = "echo 0 > \"$0/cgroup.procs\" && exec sleep 0.01";
    let status = Command::new("sh").arg("-c").arg(script).arg(dir).status()?;
    ensure!(status.success(), "{} cannot be entered: {status}", dir.display());
    Ok(())
}

#[test]
fn a_wrong_token_is_refused_said_once_and_counted() -> Result<()> {
    let options = Options::new()?;
    let file = options.dir().join("token");
    fs::write(&file, TOKEN)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let config = format!("listen_token_file = \"{}\"\n", file.display());
    let mut agent = agent(options.config(&config))?;
    let address = agent.address()?;
    for _ in 0..20 {
        for path in ["/metrics", "/api/v1/state", "/api/v1/log", "/api/v1/events"] {
            ensure!(
                http::get_with(address, path, "authorization: Bearer 0123456789abcdef\r\n")?.status == 401,
                "{path}"
            );
        }
    }
    let right = format!("authorization: Bearer {TOKEN}\r\n");
    let metrics = http::get_with(address, "/metrics", &right)?.body;
    ensure!(
        http::series(&metrics, "sentinel_http_requests_total{code=\"401\"}") == Some(80.0),
        "{metrics}"
    );
    let status = |token: &str| -> Result<_> {
        let args = ["status", "--at", &address.to_string(), "--token-file", token].map(str::to_owned);
        invoke::invoke(&args, LIMIT)
    };
    ensure!(status(&file.display().to_string())?.code == Some(code::DONE));
    refused(
        &invoke::invoke(&["status", "--at", &address.to_string()], LIMIT)?,
        code::FAILED,
        &["token", "listen_token_file"],
    )?;
    let ended = agent.end(Kill::SIGTERM)?;
    let said = ended.stderr.iter().filter(|line| line.contains("token")).count();
    ensure!(said == 1, "{:?}", ended.stderr);
    ensure!(!ended.stderr.join("\n").contains(TOKEN), "the token was said");
    Ok(())
}

#[test]
fn who_sends_slowly_too_much_or_nothing_loses_the_connection_and_delays_nobody() -> Result<()> {
    let mut agent = agent(Options::new()?)?;
    let address = agent.address()?;
    let never = thread::spawn(move || http::never_read(address, Duration::from_secs(90)));
    let slow = thread::spawn(move || -> Result<Duration> {
        let mut stream = http::connect(address)?;
        let (began, mut byte) = (wait::now_ns(), [0]);
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        for letter in b"GET /api/v1/state HTTP/1.1\r\nx: ".iter().chain([b'y'; 200].iter()) {
            if stream.write_all(&[*letter]).is_err() {
                return Ok(wait::since(began));
            }
            match stream.read(&mut byte) {
                Ok(0) => return Ok(wait::since(began)),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(wait::since(began)),
                _ => {}
            }
        }
        anyhow::bail!("a head that came in a letter at a time was waited for")
    });
    let idle = thread::spawn(move || -> Result<Duration> {
        let mut stream = http::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let began = wait::now_ns();
        let length = stream.read(&mut [0; 64])?;
        ensure!(length == 0, "something came");
        Ok(wait::since(began))
    });
    let mut longest = Duration::ZERO;
    for round in 0..60 {
        let garbage: Vec<u8> = (0..2000_u32)
            .map(|n| ((n * 7919 + round * 104_729) >> 3) as u8)
            .collect();
        http::ask(address, &garbage[..1 + (round as usize * 33) % 1999])?;
        let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
        ensure!(http::ask(address, large.as_bytes())?.status != 200);
        let body = format!("GET /api/v1/state HTTP/1.1\r\nhost: {address}\r\ncontent-length: 99999999\r\n\r\nx");
        let _ = http::connect(address)?.write_all(body.as_bytes());
        let began = wait::now_ns();
        ensure!(http::get(address, "/api/v1/state")?.status == 200);
        longest = longest.max(wait::since(began));
    }
    let (slow, idle) = (slow.join().expect("no panic")?, idle.join().expect("no panic")?);
    let never = never.join().expect("no panic")?;
    println!(
        "closed: slow head after {slow:.1?}, idle after {idle:.1?}, never read after {never:.1?}; the longest answer took {longest:.1?}"
    );
    ensure!(
        slow < Duration::from_secs(8) && idle < Duration::from_secs(8),
        "{slow:?} {idle:?}"
    );
    ensure!(longest < Duration::from_secs(2), "{longest:?}");
    let metrics = http::get(address, "/metrics")?.body;
    let closed = |why: &str| http::series(&metrics, &format!("sentinel_http_closed_total{{reason=\"{why}\"}}"));
    ensure!(closed("slow") == Some(1.0), "{metrics}");
    ensure!(closed("unreadable").is_some_and(|count| count >= 2.0), "{metrics}");
    let ended = agent.end(Kill::SIGTERM)?;
    for what in ["took nothing", "sent no HTTP"] {
        let said = ended.stderr.iter().filter(|line| line.contains(what)).count();
        ensure!(said == 1, "{what}: {:?}", ended.stderr);
    }
    ensure!(ended.late_ticks()? == 0, "{:?}", ended.stderr);
    Ok(())
}

#[test]
fn an_address_that_is_taken_is_an_error_when_it_was_asked_for_and_a_warning_when_it_is_the_default() -> Result<()> {
    let taken = TcpListener::bind(ANY)?;
    let address = taken.local_addr()?.to_string();
    let dir = tempfile::tempdir()?;
    let lock = dir.path().join("lock").display().to_string();
    let run = |more: &[&str]| {
        let args = [
            "run",
            "--output",
            "none",
            "--no-journal",
            "--duration",
            "1s",
            "--lock",
            &lock,
        ];
        invoke::invoke(&[&args, more].concat(), Duration::from_secs(20))
    };
    refused(&run(&["--listen", &address])?, code::CANNOT, &[&address, "listen"])?;
    refused(
        &run(&["--listen", "0.0.0.0:0"])?,
        code::USAGE,
        &["0.0.0.0:0", "listen_token_file"],
    )?;
    refused(
        &run(&["--listen", "nowhere"])?,
        code::USAGE,
        &["nowhere", "127.0.0.1:9464"],
    )?;
    let other = TcpListener::bind("127.0.0.1:9464");
    let ended = run(&[])?;
    drop(other);
    ensure!(ended.code == Some(code::DONE), "{:?}", ended.stderr);
    let said = ended
        .stderr
        .iter()
        .filter(|line| line.contains("127.0.0.1:9464") && line.contains("goes on"))
        .count();
    ensure!(said == 1, "{:?}", ended.stderr);
    Ok(())
}

#[test]
fn a_thousand_scopes_and_fifty_viewers_cost_little_and_delay_no_tick() -> Result<()> {
    let family = Family::new()?;
    let cgroups: Vec<_> = (0..SCOPES)
        .map(|n| family.cgroup(&format!("scope-{n}")))
        .collect::<Result<_>>()?;
    let config = "interval = \"1s\"\nmax_cgroups = 4096\n";
    let mut agent = Options::new()?
        .config(config)
        .duration(Duration::from_secs(170))
        .listen(ANY)
        .start()?;
    agent.warm_up(Duration::from_secs(1))?;
    let address = agent.address()?;
    // One shell goes through all of them and runs something in each.
    let script = "for dir in \"$0\"/scope-*; do echo 0 > \"$dir/cgroup.procs\"; /bin/true; done; echo 0 > \"$0/../cgroup.procs\"";
    let root = cgroups[0].dir().parent().context("a family")?;
    ensure!(Command::new("sh").arg("-c").arg(script).arg(root).status()?.success());
    let known = || {
        let state = http::state(address).ok()?;
        let shown = state["scopes"].as_array()?.len() as u64 + state["rest"]["scopes"].as_u64()?;
        (shown >= SCOPES as u64).then_some(shown)
    };
    let shown = wait::until(Duration::from_secs(30), known).context("not every cgroup is a scope")?;
    let cpu = |over: Duration, scrape: bool| -> Result<f64> {
        let used = || -> Result<f64> {
            http::state(address)?["agent"]["own"]["cpu_s"]
                .as_f64()
                .context("not measured")
        };
        let (began, before) = (wait::now_ns(), used()?);
        while wait::since(began) < over {
            if scrape {
                ensure!(http::get(address, "/metrics")?.status == 200);
            }
            thread::sleep(Duration::from_secs(1));
        }
        Ok((used()? - before) / wait::since(began).as_secs_f64())
    };
    thread::sleep(Duration::from_secs(12));
    let alone = cpu(Duration::from_secs(20), false)?;
    let viewers: Vec<_> = (0..VIEWERS).map(|_| Drain::start(address)).collect::<Result<_>>()?;
    thread::sleep(Duration::from_secs(2));
    let before: BTreeMap<usize, u64> = viewers.iter().map(Drain::bytes).enumerate().collect();
    let watched = cpu(Duration::from_secs(30), true)?;
    let received: u64 = viewers
        .iter()
        .enumerate()
        .map(|(n, viewer)| viewer.bytes() - before[&n])
        .sum();
    drop(viewers);
    let ended = agent.end(Kill::SIGTERM)?;
    println!(
        "{shown} scopes: {:.2} % of one CPU alone; with {VIEWERS} viewers ({:.0} kB/s each) and a scrape per second {:.2} %; {} late ticks",
        100.0 * alone,
        received as f64 / 1e3 / 30.0 / VIEWERS as f64,
        100.0 * watched,
        ended.late_ticks()?
    );
    ensure!(received > 0, "the viewers heard nothing");
    ensure!(ended.late_ticks()? == 0, "{:?}", ended.stderr);
    ensure!(watched <= CPU_SHARE, "{:.2} % of one CPU", 100.0 * watched);
    Ok(())
}
