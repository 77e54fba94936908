//! One run of one hook, from its start to its end. It only waits, so it delays nobody.

use std::{io, os::unix::process::ExitStatusExt, pin::pin, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    outcome::ActionResult,
    output::Output,
    process::{self, Program, Started},
    runner::Ran,
};
use crate::time::monotonic_ns;

/// How long output is still read after the leader ended, in case a process that left the group holds the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Bytes read at once, and the pause after: a hook that floods waits for the agent, at 64 KiB a millisecond.
const CHUNK_BYTES: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_millis(1);

/// Everything one run needs.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) program: Program,
    /// The verdict as one line of JSON.
    pub(super) input: Vec<u8>,
    pub(super) timeout: Duration,
}

/// Runs a hook until it ends, its timeout passes, or `stop` becomes true; then nothing of its group is left.
pub(super) async fn run(job: Job, mut stop: watch::Receiver<bool>) -> Ran {
    let Job {
        program,
        input,
        timeout,
    } = job;
    let started_ns = monotonic_ns();
    let mut output = Output::default();
    let result = {
        let mut deadline = pin!(sleep(timeout));
        let started = tokio::select! {
            started = process::start(program) => started,
            () = &mut deadline => Err("it had not started when its timeout passed; is its file system reachable?".into()),
            _ = stop.wait_for(|stop| *stop) => Err("the agent stopped before it had started".into()),
        };
        match started {
            Ok(started) => attend(started, &input, &mut output, deadline, stop)
                .await
                .unwrap_or_else(|error| {
                    not_started(format!("it was killed, because it could not be attended to: {error}"))
                }),
            Err(reason) => not_started(reason),
        }
    };
    Ran {
        result,
        duration_ms: monotonic_ns().saturating_sub(started_ns) / 1_000_000,
        output_tail: output.text(),
        output_bytes: output.bytes,
    }
}

/// Feeds, listens and waits; then kills what is left and takes the result.
async fn attend(
    started: Started,
    input: &[u8],
    output: &mut Output,
    mut deadline: std::pin::Pin<&mut tokio::time::Sleep>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<ActionResult> {
    let Started {
        group,
        mut ended,
        input: stdin,
        output: stdout,
    } = started;
    let stdin = pipe::Sender::from_owned_fd(stdin)?;
    let mut stdout = pipe::Receiver::from_owned_fd(stdout)?;
    let (timed_out, status) = {
        let mut streams = pin!(async { tokio::join!(feed(stdin, input), listen(&mut stdout, output)) });
        let mut streaming = true;
        loop {
            tokio::select! {
                biased;
                status = &mut ended => break (false, Some(status)),
                () = &mut deadline => break (true, None),
                _ = stop.wait_for(|stop| *stop) => break (false, None),
                _ = &mut streams, if streaming => streaming = false,
            }
        }
    };
    group.kill();
    let status = match status {
        Some(status) => status,
        None => ended.await,
    };
    let status = status.map_err(io::Error::other)??;
    // What it wrote last is still in the pipe; the end of it comes at once unless somebody left the group.
    let _ = timeout(LAST_WORDS, listen(&mut stdout, output)).await;
    Ok(match status.code() {
        _ if timed_out => ActionResult::TimedOut,
        Some(code) => ActionResult::Exited { code },
        None => ActionResult::Killed {
            signal: status.signal().unwrap_or(0),
        },
    })
}

/// Writes the verdict and closes. A hook need not read it.
async fn feed(mut stdin: pipe::Sender, input: &[u8]) {
    let _ = stdin.write_all(input).await;
}

/// Reads until the end.
async fn listen(stdout: &mut pipe::Receiver, output: &mut Output) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = stdout.read(&mut chunk).await {
        output.push(&chunk[..read]);
        sleep(PAUSE).await;
    }
}

fn not_started(reason: String) -> ActionResult {
    ActionResult::NotStarted { reason }
}
