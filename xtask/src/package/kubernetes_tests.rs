//! Holds deploy/kubernetes against the image it runs and the unit it stands in for.

use std::{collections::BTreeSet, fs, path::PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

use super::{
    deb,
    oci::{CAPABILITIES, PROGRAM, USER},
};
use crate::workspace::Workspace;

fn file(name: &str) -> PathBuf {
    Workspace::new().root().join("deploy").join(name)
}

fn manifest(name: &str) -> Yaml {
    let text = fs::read_to_string(file("kubernetes").join(name)).expect(name);
    let mut documents = YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// A list of words, in any order.
fn words(list: &Yaml) -> BTreeSet<String> {
    let list = list.as_vec().expect("a list");
    list.iter()
        .map(|word| word.as_str().expect("a word").to_owned())
        .collect()
}

/// The one container of a DaemonSet.
fn container(daemon_set: &Yaml) -> &Yaml {
    let containers = &daemon_set["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_vec().map(Vec::len), Some(1));
    &containers[0]
}

fn names(list: &Yaml) -> BTreeSet<String> {
    list.as_vec()
        .expect("a list")
        .iter()
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn short(names: &[&str]) -> BTreeSet<String> {
    names
        .iter()
        .map(|name| name.trim_start_matches("CAP_").to_owned())
        .collect()
}

#[test]
fn the_pod_has_the_capabilities_the_image_was_tried_with_and_no_others() {
    let daemon_set = manifest("observe/daemonset.yaml");
    let capabilities = &container(&daemon_set)["securityContext"]["capabilities"];
    assert_eq!(words(&capabilities["add"]), short(&CAPABILITIES));
    assert_eq!(words(&capabilities["drop"]), short(&["ALL"]));
}

#[test]
fn what_acts_has_those_of_the_unit_that_acts() {
    let service = fs::read_to_string(Workspace::new().root().join("docs/SERVICE.md")).expect("docs/SERVICE.md");
    let line = service
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let unit: Vec<&str> = line.expect("the drop-in that lets it act").split(' ').collect();
    let patch = manifest("act/daemonset.yaml");
    assert_eq!(
        words(&container(&patch)["securityContext"]["capabilities"]["add"]),
        short(&unit)
    );
}

#[test]
fn what_the_overlay_patches_is_there() {
    let (base, patch) = (manifest("observe/daemonset.yaml"), manifest("act/daemonset.yaml"));
    for (path, of) in [("kind", "kind"), ("apiVersion", "apiVersion")] {
        assert_eq!(base[path], patch[of]);
    }
    assert_eq!(base["metadata"]["name"], patch["metadata"]["name"]);
    assert_eq!(container(&base)["name"], container(&patch)["name"]);
    let volumes = |whole: &Yaml| names(&whole["spec"]["template"]["spec"]["volumes"]);
    let all: BTreeSet<_> = volumes(&base).union(&volumes(&patch)).cloned().collect();
    // The base must stand without the overlay.
    for (whole, volumes) in [(&base, volumes(&base)), (&patch, all)] {
        assert!(names(&container(whole)["volumeMounts"]).is_subset(&volumes));
    }
}

#[test]
fn what_is_listed_is_there_and_the_image_is_of_this_version() {
    for overlay in ["observe", "act"] {
        let list = manifest(&format!("{overlay}/kustomization.yaml"));
        let folder = file("kubernetes").join(overlay);
        let resources = words(&list["resources"]);
        let files = words(&list["configMapGenerator"][0]["files"]);
        for name in resources.iter().chain(&files) {
            assert!(folder.join(name).exists(), "{overlay} names {name}");
        }
        if overlay == "observe" {
            assert_eq!(list["images"][0]["newTag"].as_str(), Some(deb::VERSION));
        } else {
            assert!(
                folder
                    .join(list["patches"][0]["path"].as_str().expect("a patch"))
                    .exists()
            );
        }
    }
}

#[test]
fn the_pod_gives_up_what_the_trial_says_it_gives_up() {
    let daemon_set = manifest("observe/daemonset.yaml");
    let context = &container(&daemon_set)["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(context["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(context["privileged"].as_bool(), Some(false));
    let probe = &container(&daemon_set)["startupProbe"]["exec"]["command"];
    assert_eq!(probe[0].as_str(), Some(PROGRAM));
    assert_eq!(
        manifest("observe/serviceaccount.yaml")["automountServiceAccountToken"].as_bool(),
        Some(false)
    );
    let text = fs::read_to_string(file("kubernetes/observe/daemonset.yaml")).expect("the DaemonSet");
    assert!(
        text.contains(&format!("user {USER} with none")),
        "the comment names another user"
    );
}

/// The fields the API has in an object, by the field it stands in; of those, the ones that are of use here. What is
/// not listed is misspelt or in the wrong place: a server without strict validation would drop it without a word.
fn fields(of: &str) -> Option<&'static str> {
    Some(match of {
        "" => "apiVersion kind metadata spec automountServiceAccountToken",
        "metadata" => "name namespace labels annotations",
        "spec" => {
            "selector updateStrategy template serviceAccountName automountServiceAccountToken hostPID hostNetwork \
             priorityClassName terminationGracePeriodSeconds tolerations containers volumes"
        }
        "selector" => "matchLabels",
        "updateStrategy" => "type rollingUpdate",
        "rollingUpdate" => "maxUnavailable",
        "template" => "metadata spec",
        "tolerations" => "key operator value effect",
        "containers" => {
            "name image imagePullPolicy args securityContext resources startupProbe livenessProbe volumeMounts"
        }
        "securityContext" => {
            "runAsUser privileged allowPrivilegeEscalation readOnlyRootFilesystem capabilities seccompProfile"
        }
        "capabilities" => "drop add",
        "seccompProfile" => "type",
        "resources" => "requests limits",
        "requests" | "limits" => "cpu memory",
        "startupProbe" | "livenessProbe" => "exec httpGet periodSeconds timeoutSeconds failureThreshold",
        "exec" => "command",
        "httpGet" => "host port path",
        "volumeMounts" => "name mountPath readOnly",
        "volumes" => "name configMap hostPath emptyDir",
        "configMap" => "name",
        "hostPath" => "path type",
        "emptyDir" => "medium sizeLimit",
        _ => return None,
    })
}

fn strangers(whole: &Yaml, of: &str, found: &mut Vec<String>) {
    match whole {
        Yaml::Array(list) => list.iter().for_each(|one| strangers(one, of, found)),
        Yaml::Hash(object) if !matches!(of, "labels" | "matchLabels" | "annotations") => {
            let known = fields(of).unwrap_or_default();
            for (key, value) in object {
                let key = key.as_str().expect("a field's name");
                if !known.split_whitespace().any(|field| field == key) {
                    found.push(format!("{of}.{key}"));
                }
                strangers(value, key, found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_field_is_misspelt_or_in_the_wrong_place() {
    for name in [
        "observe/namespace.yaml",
        "observe/serviceaccount.yaml",
        "observe/daemonset.yaml",
        "act/daemonset.yaml",
    ] {
        let mut found = Vec::new();
        strangers(&manifest(name), "", &mut found);
        assert!(found.is_empty(), "{name} has fields that are not known: {found:?}");
    }
}
