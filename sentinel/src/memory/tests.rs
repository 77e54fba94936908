//! What is written, how much of it, and what is believed of what is found. In directories of the tests' own.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{
    MAX_BYTES, MemoryError, Picture, SCHEMA,
    file::{self, Found},
    folder::Folder,
};
use crate::{
    judge::learned::{Hours, ScopeLearned, Series, Usual},
    sense::sample::ScopeKind,
    time::Now,
};

const NAMES: [&str; 8] = [
    "jitter.dispersion",
    "jitter.voluntary",
    "fever.velocity",
    "amplification.alpha",
    "amplification.alpha_at_once",
    "amplification.refused",
    "amplification.unanswered",
    "amplification.packets",
];

/// A scope that was followed so long; weeks fill the hours.
fn scope(number: usize, lived_s: f32) -> ScopeLearned {
    let peaks = |hour: u16| (hour, f32::from(hour * 37 % 1000) / 100.0, 98.7);
    let series = Series {
        usual: Some(Usual {
            mean: 1.234_567,
            variance: 0.012_345_6,
            readings: 123_456,
            seconds: lived_s,
        }),
        rank: (0..38_u8)
            .map(|bucket| f32::from(u16::from(bucket) * 127 % 1000) / 10.0)
            .collect(),
        hours: (lived_s > 1e6).then(|| Hours {
            peaks: (0..168).map(peaks).collect(),
            open: (490_000, 1.0, 900.0, 0.0),
        }),
        lived_s,
        ..Series::default()
    };
    ScopeLearned {
        kind: ScopeKind::Cgroup,
        path: format!("/system.slice/service-{number:05}.service"),
        cgroup_id: number as u64,
        series: NAMES.into_iter().map(|name| (name.into(), series.clone())).collect(),
    }
}

fn picture(scopes: Vec<ScopeLearned>) -> Picture {
    Picture {
        boot_id: "boot".into(),
        taken: Now {
            unix_ms: 1_767_225_600_000,
            monotonic_ns: 5,
        },
        scopes,
    }
}

fn folder() -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), None).unwrap();
    (dir, folder)
}

#[test]
fn what_is_written_is_read_again() {
    let (_dir, folder) = folder();
    assert!(file::read(&folder).unwrap().is_none());
    let scopes = vec![scope(1, 100.0), scope(2, 2e6)];
    folder.write(&file::text(picture(scopes.clone()), MAX_BYTES).0).unwrap();
    let Found {
        boot_id,
        taken,
        scopes: found,
    } = file::read(&folder).unwrap().unwrap();
    assert_eq!((boot_id.as_str(), taken.monotonic_ns), ("boot", 5));
    assert_eq!(
        found,
        [scopes[1].clone(), scopes[0].clone()],
        "the longest history comes first"
    );
}

#[test]
fn within_the_limit_those_with_the_longest_history_are_kept_and_the_rest_is_counted() {
    let scopes: Vec<_> = (0..100).map(|number| scope(number, number as f32)).collect();
    let whole = file::text(picture(scopes.clone()), usize::MAX).0.len();
    let limit = whole / 3;
    let (text, left_out) = file::text(picture(scopes), limit);
    assert!(
        text.len() <= limit && text.len() > limit * 9 / 10,
        "{} of {limit}",
        text.len()
    );
    let found: Found = serde_json::from_slice(&text).unwrap();
    assert_eq!(found.scopes.len() + left_out, 100);
    let least = found.scopes.iter().map(ScopeLearned::lived_s).fold(f32::MAX, f32::min);
    assert_eq!(
        least, left_out as f32,
        "those left out lived shorter than all that are kept"
    );
    // Not even the head has room: it is whole all the same.
    let (text, left_out) = file::text(picture(vec![scope(1, 1.0)]), 10);
    assert!(serde_json::from_slice::<Found>(&text).unwrap().scopes.is_empty() && left_out == 1);
}

#[test]
fn a_thousand_scopes_of_hours_and_of_weeks_have_the_sizes_that_the_manual_says() {
    for (count, lived_s, most_mib) in [(1000, 7200.0, 4.0), (10_000, 7200.0, 24.0), (1000, 2e6, 24.0)] {
        let scopes = (0..count).map(|number| scope(number, lived_s)).collect();
        let whole = file::text(picture(scopes), usize::MAX).0.len() as f64 / f64::from(1 << 20);
        let scopes = (0..count).map(|number| scope(number, lived_s)).collect();
        let (text, left_out) = file::text(picture(scopes), MAX_BYTES);
        let mib = text.len() as f64 / f64::from(1 << 20);
        println!("{count} scopes of {lived_s} s: {whole:.1} MiB whole, {mib:.1} MiB written, {left_out} left out");
        assert!(mib <= most_mib, "{count} scopes of {lived_s} s: {mib} MiB");
    }
}

#[test]
fn what_another_version_wrote_or_nobody_finished_is_named_and_put_aside_once() {
    let (dir, folder) = folder();
    let aside = dir.path().join("learned/state.json.unknown");
    let whole = file::text(picture(vec![scope(1, 1.0)]), MAX_BYTES).0;
    for (text, version) in [
        (b"{\"schema\":\"sentinel.state/2\"}".to_vec(), true),
        (whole[..whole.len() - 3].to_vec(), false),
        (Vec::new(), false),
        (b"\0\0\0\0".to_vec(), false),
        (
            format!("{{\"schema\":\"{SCHEMA}\",\"scopes\":[null]}}").into_bytes(),
            false,
        ),
    ] {
        folder.write(&text).unwrap();
        let error = file::read(&folder).unwrap_err();
        assert_eq!(matches!(error, MemoryError::Version { .. }), version, "{error}");
        assert!(
            error.is_about_content() && error.to_string().contains("state.json.unknown"),
            "{error}"
        );
        folder.put_aside().unwrap();
        assert_eq!(fs::read(&aside).unwrap(), text);
        assert!(file::read(&folder).unwrap().is_none());
    }
    assert_eq!(
        fs::read_dir(dir.path().join("learned")).unwrap().count(),
        1,
        "one is kept"
    );
}

#[test]
fn what_others_may_write_is_not_believed_and_no_link_is_followed() {
    let (dir, folder) = folder();
    folder.write(&file::text(picture(Vec::new()), MAX_BYTES).0).unwrap();
    let file = dir.path().join("learned/state.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).unwrap();
    let error = file::read(&folder).unwrap_err();
    assert!(matches!(error, MemoryError::Unsafe { is_file: true, .. }), "{error}");
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    let error = file::read(&folder).unwrap_err();
    assert!(matches!(error, MemoryError::Unreadable { .. }), "{error}");
    let open = dir.path().join("learned");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let error = Folder::open(dir.path(), None).unwrap_err();
    assert!(matches!(error, MemoryError::Unsafe { is_file: false, .. }), "{error}");
}
