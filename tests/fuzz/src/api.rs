//! What comes in by HTTP, in memory: thousands of times faster than over a socket. And what `sentinel top` is answered.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use sentinel::{
    act::control::{self, Reply},
    config::Listen,
    show::{
        Publication, Snapshot,
        state::{Chronicle, Document, Facts},
        web::{InMemory, Options, Token},
    },
};

/// What a viewer must show who wants to change something.
const TOKEN: &str = "0123456789abcdef";
/// Status codes that docs/API.md names, without that of a fault of the agent's own.
const CODES: [&str; 14] = [
    "200", "400", "401", "403", "404", "405", "408", "409", "413", "421", "431", "503", "504", "505",
];

/// A listener that asks for a token, one that does not, and how often the agent was asked for something.
struct Listeners {
    guarded: InMemory,
    open: InMemory,
    asked: Arc<AtomicU64>,
}

impl Listeners {
    fn new() -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        let facts = Facts {
            interval_ms: 1000,
            ..Facts::default()
        };
        let document = Arc::new(Chronicle::new(facts.clone()).record(&Snapshot::default()));
        let listener = |token: Option<&str>| {
            let (line, mut commands) = control::line();
            let listener = InMemory::new(&Options {
                listen: Listen::Off,
                token: token.map(Token::new),
                host: "web-1".into(),
                facts: facts.clone(),
                line: Some(line),
            })
            .expect("a runtime");
            listener.publish(&Publication {
                snapshot: &Snapshot::default(),
                records: &[],
                document: Some(&document),
            });
            let counted = Arc::clone(&asked);
            listener.beside(async move {
                while let Some(command) = commands.recv().await {
                    counted.fetch_add(1, SeqCst);
                    let _ = command.answer.send(Reply::Done { text: "done".into() });
                }
            });
            listener
        };
        Self {
            guarded: listener(Some(TOKEN)),
            open: listener(None),
            asked,
        }
    }
}

thread_local! {
    static LISTENERS: Listeners = Listeners::new();
}

/// Requests through everything that is behind a socket: every answer has a status that is documented, and nothing is
/// asked of the agent without the token.
pub(crate) fn api(bytes: &[u8]) {
    LISTENERS.with(|listeners| {
        let before = listeners.asked.load(SeqCst);
        if let Ok(answers) = listeners.open.answers(bytes) {
            well_answered(&answers);
        }
        assert_eq!(
            listeners.asked.load(SeqCst),
            before,
            "something was changed where there is no token"
        );
        if let Ok(answers) = listeners.guarded.answers(bytes) {
            well_answered(&answers);
        }
        let knows = bytes.windows(TOKEN.len()).any(|word| word == TOKEN.as_bytes());
        assert!(
            knows || listeners.asked.load(SeqCst) == before,
            "something was changed without the token"
        );
        assert_eq!(listeners.open.served().connections, 0, "a connection is still counted");
    });
}

fn well_answered(answers: &[u8]) {
    if answers.is_empty() {
        return;
    }
    let line = answers.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.split(' ').nth(1).unwrap_or_default();
    assert!(line.starts_with("HTTP/1.") && CODES.contains(&status), "{line:?}");
}

/// The state of a run as another process reads it: the same once it was written and read again.
pub(crate) fn state(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&document).expect("a document can be written");
    let again: Document = serde_json::from_slice(&written).expect("a document that was just written");
    assert_eq!(again, document);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_understood_and_only_the_token_reaches_the_agent() {
        LISTENERS.with(|listeners| {
            let answer = listeners
                .open
                .answers(b"GET /api/v1/state HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = String::from_utf8(answer.expect("an answer")).expect("text");
            let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            serde_json::from_str::<Document>(body).expect("a document");
            let seed = include_bytes!("../seeds/api/approve");
            let with = |token: &str| {
                let text = String::from_utf8_lossy(seed).replace(TOKEN, token);
                let answer = listeners.guarded.answers(text.as_bytes()).expect("an answer");
                (answer.starts_with(b"HTTP/1.1 200 "), listeners.asked.load(SeqCst))
            };
            assert_eq!(with("another token 00"), (false, 0));
            assert_eq!(with(TOKEN), (true, 1));
        });
    }
}
