//! What makes no sense is refused with its reason, and changes nothing.

use super::*;
use sentinel::kernel::enforce::{DEFAULT_TTL, EnforceError};
use sentinel_tests::{bpf::Objects, paths};

/// The put fails with this in its message, and attaches nothing.
fn refused(enforcer: &mut Enforcer, scope: &Scope, limits: &Limits, ttl: Duration, said: &str) -> Result<()> {
    let before = Objects::of_process(std::process::id())?.links;
    let error = enforcer
        .put(scope, limits, ttl)
        .err()
        .context("it was put")?
        .to_string();
    assert!(error.contains(said), "{error:?} does not say {said:?}");
    assert_eq!(Objects::of_process(std::process::id())?.links, before);
    Ok(())
}

#[test]
fn a_put_that_makes_no_sense_is_refused_with_its_reason() -> Result<()> {
    let family = Family::new()?;
    let cgroup = family.cgroup("gateway")?;
    let scope = scope(&cgroup)?;
    let mut enforcer = Enforcer::open()?;
    let seconds = Duration::from_secs;
    let at = |path: &std::path::Path, id: u64| Scope {
        path: path.to_owned(),
        id,
    };
    for ttl in [Duration::ZERO, Duration::from_millis(999), seconds(61), Duration::MAX] {
        refused(&mut enforcer, &scope, &reserve(0), ttl, "from 1s to 60s")?;
    }
    refused(&mut enforcer, &scope, &Limits::default(), TTL, "without a limit")?;
    let root = paths::cgroup2()?;
    let root_id = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&root)?);
    refused(&mut enforcer, &at(&root, root_id), &reserve(0), TTL, "the root cgroup")?;
    let elsewhere = tempfile::tempdir()?;
    refused(
        &mut enforcer,
        &at(elsewhere.path(), 1),
        &reserve(0),
        TTL,
        "no cgroup v2 directory",
    )?;
    let file = cgroup.dir().join("cgroup.procs");
    refused(&mut enforcer, &at(&file, 1), &reserve(0), TTL, "no cgroup v2 directory")?;
    let gone = cgroup.dir().join("never");
    refused(&mut enforcer, &at(&gone, 1), &reserve(0), TTL, "is gone")?;
    let other = format!("now belongs to {}", scope.id);
    refused(&mut enforcer, &at(&scope.path, scope.id + 1), &reserve(0), TTL, &other)?;
    enforcer.put(&scope, &reserve(0), DEFAULT_TTL)?;
    refused(&mut enforcer, &scope, &reserve(0), TTL, "under a policy already")?;
    assert_eq!(enforcer.held().collect::<Vec<_>>(), [scope.id]);
    Ok(())
}

#[test]
fn a_cgroup_that_vanishes_takes_its_policy_along() -> Result<()> {
    let family = Family::new()?;
    let cgroup = family.cgroup("gateway")?;
    let scope = scope(&cgroup)?;
    let mut enforcer = Enforcer::open()?;
    enforcer.put(&scope, &reserve(0), TTL)?;
    drop(cgroup);
    let gone = || sentinel_tests::wait::until_true(Duration::from_secs(5), || !scope.path.exists());
    assert!(gone());
    // The kernel takes the entries down a little after the directory.
    let renewed = sentinel_tests::wait::until(Duration::from_secs(5), || enforcer.renew(scope.id, TTL).err())
        .context("it was renewed for five seconds")?;
    assert!(matches!(renewed, EnforceError::Vanished { .. }), "{renewed}");
    assert_eq!(enforcer.held().count(), 0);
    // The same path with another cgroup is another scope.
    let _again = family.cgroup("gateway")?;
    let put = enforcer.put(&scope, &reserve(0), TTL);
    assert!(
        matches!(put, Err(EnforceError::Vanished { found: Some(_), .. })),
        "{put:?}"
    );
    Ok(())
}

#[test]
fn unknown_scopes_cannot_be_renewed_stepped_lifted_or_read() -> Result<()> {
    let mut enforcer = Enforcer::open()?;
    let unknown = |result: Result<(), EnforceError>| matches!(result, Err(EnforceError::NotHeld(7)));
    assert!(unknown(enforcer.renew(7, TTL)));
    assert!(unknown(enforcer.step(7, true).map(drop)));
    assert!(unknown(enforcer.lift(7).map(drop)));
    assert!(unknown(enforcer.counts(7).map(drop)));
    Ok(())
}

#[test]
fn without_rights_nothing_is_loaded_and_the_reason_is_said() -> Result<()> {
    let setpriv = paths::tool("setpriv", "util-linux")?;
    let help = std::process::Command::new(&setpriv).arg("--help").output()?;
    if !String::from_utf8_lossy(&help.stdout).contains("--reuid") {
        println!("SKIP: setpriv of this system cannot change the user");
        return Ok(());
    }
    let family = Family::new()?;
    let cgroup = family.cgroup("gateway")?;
    // The build folder need not be readable for others.
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let program = dir.path().join("workload");
    std::fs::copy(paths::workload()?, &program)?;
    let id = cgroup.id()?.to_string();
    let ended = std::process::Command::new(setpriv)
        .args("--reuid 65534 --regid 65534 --clear-groups --inh-caps=-all".split(' '))
        .arg(program)
        .args([
            "hold",
            "--ttl-ms",
            "2000",
            "--renew-ms",
            "500",
            "--seconds",
            "2",
            "--id",
            &id,
            "--cgroup",
        ])
        .arg(cgroup.dir())
        .output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("run as root"), "{said}");
    Ok(())
}
