//! What a cgroup path says about its owner: the systemd unit and the container. Pure; reads nothing.
//!
//! In: a path from the root of the hierarchy. Out: names, as the path spells them (systemd's escaping is left as it
//! is). A path is hostile input: whoever may create a cgroup chooses its name, so a name here is a hint for a reader
//! and never a permission.

/// Suffixes of units that hold processes themselves, from the most to the least usual.
const UNIT_SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// Engines that put their container's id behind their own name and a dash: `docker-ID.scope`, `libpod-ID`.
/// `libpod-conmon` and `crio-conmon` are missing on purpose: those hold the monitor, not the container.
const ENGINES: [&str; 6] = [
    "docker",
    "cri-containerd",
    "crio",
    "libpod",
    "libpod-payload",
    "nerdctl",
];

/// Length of a container id: SHA-256 in hexadecimal.
const CONTAINER_ID_LEN: usize = 64;

/// The systemd unit that owns `path`: its innermost service, scope, socket, mount or swap; its innermost slice where
/// there is none of these; `None` where no part of the path is a unit.
#[must_use]
pub fn unit(path: &str) -> Option<&str> {
    let parts = || path.rsplit('/').filter(|part| !part.is_empty());
    let holds_processes = |part: &&str| UNIT_SUFFIXES.iter().any(|suffix| has_stem(part, suffix));
    parts()
        .find(holds_processes)
        .or_else(|| parts().find(|part| has_stem(part, ".slice")))
}

/// The id of the container `path` lies in, the innermost where containers are nested; `None` outside of any.
#[must_use]
pub fn container(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(container_of_part)
}

fn container_of_part(part: &str) -> Option<&str> {
    if is_container_id(part) {
        return Some(part);
    }
    // containerd under the systemd driver of a cgroupfs kubelet: `kubepods-pod1.slice:cri-containerd:ID`.
    if let Some((front, id)) = part.rsplit_once(':') {
        let engine = front.rsplit(':').next().unwrap_or(front);
        return (ENGINES.contains(&engine) && is_container_id(id)).then_some(id);
    }
    let (engine, id) = part.strip_suffix(".scope").unwrap_or(part).rsplit_once('-')?;
    (ENGINES.contains(&engine) && is_container_id(id)).then_some(id)
}

fn has_stem(part: &str, suffix: &str) -> bool {
    part.len() > suffix.len() && part.ends_with(suffix)
}

fn is_container_id(text: &str) -> bool {
    text.len() == CONTAINER_ID_LEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "4f5c1d0e9b8a77665544332211009f8e7d6c5b4a39281706f5e4d3c2b1a09f8e";
    const B: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn a_path_names_its_unit_and_its_container() {
        // `{A}` and `{B}` stand for the ids above.
        let table: [(&str, Option<&str>, Option<&str>); 30] = [
            ("/", None, None),
            ("/init.scope", Some("init.scope"), None),
            ("/system.slice", Some("system.slice"), None),
            ("/system.slice/shop.service", Some("shop.service"), None),
            ("/system.slice/shop.service/workers/3", Some("shop.service"), None),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                Some("getty@tty1.service"),
                None,
            ),
            ("/system.slice/system-getty.slice", Some("system-getty.slice"), None),
            (
                r"/system.slice/dev-disk-by\x2dlabel-swap.swap",
                Some(r"dev-disk-by\x2dlabel-swap.swap"),
                None,
            ),
            (
                "/user.slice/user-1000.slice/session-7.scope",
                Some("session-7.scope"),
                None,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/mail.service",
                Some("mail.service"),
                None,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice",
                Some("user@1000.service"),
                None,
            ),
            ("/docker/{A}", None, Some(A)),
            ("/docker/{A}/init.scope", Some("init.scope"), Some(A)),
            ("/batch/{A}", None, Some(A)),
            ("/system.slice/docker-{A}.scope", Some("docker-{A}.scope"), Some(A)),
            (
                "/system.slice/docker-{A}.scope/system.slice/nginx.service",
                Some("nginx.service"),
                Some(A),
            ),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b1c.slice/cri-containerd-{A}.scope",
                Some("cri-containerd-{A}.scope"),
                Some(A),
            ),
            (
                "/kubepods.slice/kubepods-pod0b1c.slice",
                Some("kubepods-pod0b1c.slice"),
                None,
            ),
            (
                "/kubepods/besteffort/pod0b1c2d3e-0000-4000-8000-0123456789ab/{A}",
                None,
                Some(A),
            ),
            ("/kubepods/burstable/pod0b1c", None, None),
            (
                "/kubepods.slice/kubepods-pod9.slice/crio-{A}.scope/container",
                Some("crio-{A}.scope"),
                Some(A),
            ),
            (
                "/kubepods.slice/kubepods-pod9.slice/crio-conmon-{A}.scope",
                Some("crio-conmon-{A}.scope"),
                None,
            ),
            (
                "/system.slice/containerd.service/kubepods-pod9.slice:cri-containerd:{A}",
                Some("containerd.service"),
                Some(A),
            ),
            (
                "/machine.slice/libpod-{A}.scope/container",
                Some("libpod-{A}.scope"),
                Some(A),
            ),
            (
                "/machine.slice/libpod-conmon-{A}.scope",
                Some("libpod-conmon-{A}.scope"),
                None,
            ),
            ("/libpod_parent/libpod-{A}", None, Some(A)),
            (
                "/docker/{A}/kubelet.slice/kubelet-kubepods.slice/cri-containerd-{B}.scope",
                Some("cri-containerd-{B}.scope"),
                Some(B),
            ),
            ("/.service/x", None, None),
            ("/docker/4F5C1D0E", None, None),
            ("?4711", None, None),
        ];
        for (path, expected_unit, expected_container) in table {
            let fill = |text: &str| text.replace("{A}", A).replace("{B}", B);
            let path = fill(path);
            assert_eq!(unit(&path), expected_unit.map(fill).as_deref(), "unit of {path}");
            assert_eq!(container(&path), expected_container, "container of {path}");
        }
    }
}
