//! What is served where. All but what `acting` serves is GET and HEAD; no path ever becomes the name of a file.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Options, acting, assets, desk::Desk, door, door::Door, events};
use crate::{show::prometheus, time};

/// Viewers of the event stream at a time.
const MOST_VIEWERS: usize = 64;
/// Records that one request for the log gets.
const MOST_RECORDS: usize = 256;
/// A state older than this many intervals is stale.
const STALE_INTERVALS: u64 = 3;
/// And never before this, nanoseconds.
const STALE_NS: u64 = 3_000_000_000;

type Shared = State<Arc<Desk>>;

/// Everything that is served.
pub(super) fn routes(options: &Options, desk: &Arc<Desk>) -> Router {
    let door = Arc::new(Door::new(options, desk));
    let known = Router::new()
        .route("/metrics", get(metrics))
        .route("/api/v1/state", get(state))
        .route("/api/v1/log", get(log))
        .route("/api/v1/events", get(stream))
        .merge(acting::routes(options))
        .route_layer(from_fn_with_state(Arc::clone(&door), door::identify));
    Router::new()
        .merge(known)
        .merge(assets::routes())
        .route("/healthz", get(health))
        .fallback(|| async { (StatusCode::NOT_FOUND, "Nothing is served here; the page is at /.\n") })
        .method_not_allowed_fallback(|| async {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                "This is not how it is asked; docs/API.md says how.\n",
            )
        })
        .layer(from_fn_with_state(door, door::enter))
        .with_state(Arc::clone(desk))
}

async fn state(State(desk): Shared) -> Response {
    match desk.latest() {
        Some(published) => json(published.json()),
        None => too_early(),
    }
}

/// `?after=SEQ`: the records after that one, one JSON object each, in an array with what was missed.
async fn log(State(desk): Shared, RawQuery(query): RawQuery) -> Response {
    let after = match query.as_deref().filter(|query| !query.is_empty()) {
        None => Some(0),
        Some(query) => query.strip_prefix("after=").and_then(|seq| seq.parse().ok()),
    };
    let Some(after) = after else {
        let said =
            "The log takes one parameter, `after`: the number of the last record that is known, as in `?after=42`.\n";
        return (StatusCode::BAD_REQUEST, said).into_response();
    };
    let (missed, records) = desk.since(after, MOST_RECORDS);
    let records: Vec<_> = records
        .iter()
        .map(|record| {
            format!(
                "{{\"seq\":{},\"kind\":\"{}\",\"record\":{}}}",
                record.seq, record.kind, record.json
            )
        })
        .collect();
    json(format!(
        "{{\"schema\":\"sentinel.log/1\",\"run\":\"{}\",\"missed\":{missed},\"records\":[{}]}}",
        desk.run,
        records.join(",")
    ))
}

async fn stream(State(desk): Shared, headers: HeaderMap) -> Response {
    let Some(place) = desk.viewer(MOST_VIEWERS) else {
        let said = format!("{MOST_VIEWERS} viewers watch already; try again later.\n");
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], said).into_response();
    };
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let cursor = events::cursor(&desk, known);
    let body = Body::from_stream(events::stream(&desk, cursor, place));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn metrics(State(desk): Shared) -> Response {
    let Some(published) = desk.latest() else {
        return too_early();
    };
    match prometheus::encode(&published.document, &desk.served()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The metrics could not be written.\n").into_response(),
    }
}

/// Whether ticks go on. For a service manager or a load balancer: it says nothing else, and asks for no token.
async fn health(State(desk): Shared) -> Response {
    let Some(published) = desk.latest() else {
        return too_early();
    };
    let age_ns = time::monotonic_ns().saturating_sub(published.document.monotonic_ns);
    let stale_ns = (STALE_INTERVALS * desk.interval_ms * 1_000_000).max(STALE_NS);
    if age_ns <= stale_ns {
        "ok\n".into_response()
    } else {
        let said = format!("The last tick was {} ms ago.\n", age_ns / 1_000_000);
        (StatusCode::SERVICE_UNAVAILABLE, said).into_response()
    }
}

fn json(text: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

fn too_early() -> Response {
    let said = "Nothing was measured yet; try again in a moment.\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], said).into_response()
}
