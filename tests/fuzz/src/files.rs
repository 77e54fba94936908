//! What the kernel writes into files: those of cgroups and of `/proc`; and the paths of cgroups.

use std::os::unix::ffi::OsStrExt as _;

use sentinel::sense::{cgroups, limits, mount, naming};

/// Files of cgroups and of `/proc`, and paths of cgroups.
pub(crate) fn files(bytes: &[u8]) {
    let text = cgroups::readable(bytes);
    let found = limits::of_files(&|_| Some(text.clone()));
    // Every file says the same here, and a limit is looked for before what it limits.
    assert_eq!(found.memory_max_bytes, found.memory_current_bytes);
    assert_eq!(found.memory_max_bytes, found.memory_high_bytes);
    assert!(found.memory_reclaimable_bytes.is_none() || found.memory_max_bytes.is_some());
    if let Some(throttled_us) = found.throttled_us {
        assert!(
            text.contains(&throttled_us.to_string())
                || text.contains("throttled_usec +")
                || text.contains("throttled_usec 0")
        );
    }
    let stat_beside_a_limit = |file: &str| {
        Some(if file == "memory.max" {
            "1".to_owned()
        } else {
            text.clone()
        })
    };
    if let Some(reclaimable) = limits::of_files(&stat_beside_a_limit).memory_reclaimable_bytes {
        assert!(
            text.contains("slab_reclaimable ") && text.contains("inactive_file "),
            "{reclaimable} of nothing"
        );
    }
    assert!(limits::host_memory(bytes).is_none() || text.contains("MemTotal"));
    if let Some(path) = mount::find_in(bytes) {
        assert!(bytes.windows(7).any(|word| word == b"cgroup2"));
        assert!(path.as_os_str().as_bytes().len() <= bytes.len());
    }
    if str::from_utf8(bytes).is_ok_and(|valid| valid != text) {
        panic!("valid text became another: {text:?}");
    }
    let scope = cgroups::named(1, &text);
    assert_eq!(scope.unit.as_deref(), naming::unit(&text));
    for part in [&scope.unit, &scope.container].into_iter().flatten() {
        assert!(
            !part.is_empty() && !part.contains('/') && text.contains(part.as_str()),
            "{part:?}"
        );
    }
    if let Some(id) = &scope.container {
        assert!(
            id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id:?}"
        );
    }
}
