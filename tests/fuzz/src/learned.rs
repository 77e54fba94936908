//! What an earlier run says that it learned. A judge that begins with whatever is understood judges real samples, and nothing that is
//! no number gets into what it learns itself.

use std::sync::Arc;

use sentinel::{
    config::Config,
    judge::{Judge, JudgeConfig, learned::Remembered},
    memory,
    sense::replay::Replay,
};

/// Two seconds of a real host.
const SAMPLES: &[u8] = include_bytes!("../seeds/recording/two-seconds.jsonl");

pub(crate) fn learned(bytes: &[u8]) {
    let found = match memory::understood(bytes, "fuzzed.json") {
        Ok(found) => found,
        Err(error) => {
            assert!(error.to_string().contains("fuzzed.json"), "{error}");
            return;
        }
    };
    let replay = Replay::new(SAMPLES).expect("a recording");
    let origin = Arc::new(replay.header().origin.clone());
    for same_boot in [true, false] {
        let mut judge = Judge::new(JudgeConfig::from(&Config::default()), Arc::clone(&origin));
        judge.remember(Remembered::new(found.scopes.clone(), found.taken, same_boot));
        let mut verdicts = Vec::new();
        for sample in Replay::new(SAMPLES).expect("a recording") {
            judge.observe(&sample.expect("a sample"), &mut verdicts);
        }
        let mut again = Vec::new();
        judge.learned(None, usize::MAX, &mut again);
        let text = serde_json::to_string(&again).expect("what was learned as JSON");
        // What is no number is written as null, and nothing here may be missing.
        assert!(!text.contains("null"), "{text}");
    }
}
