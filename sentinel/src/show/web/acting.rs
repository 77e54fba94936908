//! Approving and lifting: a POST of somebody with the token becomes a request to the agent, and its answer the response.
//!
//! Without a token nothing is changed from here, also on loopback: every program of this host could ask.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;
use tokio::time::timeout;

use super::{Options, desk::Desk};
use crate::{
    act::{
        action::LeaseId,
        control::{Caller, Line, Reply, Request},
    },
    show::encode,
};

/// The agent must answer within this time; undoing a limit of memory can take seconds.
const ANSWER: Duration = Duration::from_secs(10);

/// The routes. Whoever gets here has shown the token, if there is one.
pub(super) fn routes(options: &Options) -> Router<Arc<Desk>> {
    let line = options.line.clone().filter(|_| options.token.is_some());
    let lifting = line.clone();
    let approve = move |Path(id): Path<String>| ask(line.clone(), id, |plan| Request::Approve { plan });
    let lift = move |Path(id): Path<String>| ask(lifting.clone(), id, |lease| Request::Lift { lease });
    Router::new()
        .route("/api/v1/plans/{id}/approve", post(approve))
        .route("/api/v1/leases/{id}/lift", post(lift))
}

async fn ask(line: Option<Line>, id: String, request: fn(LeaseId) -> Request) -> Response {
    let Some(line) = line else {
        let said = "Nothing is changed from here without a token: set `listen_token_file`, or use `sentinel veto`.";
        return answer(StatusCode::FORBIDDEN, "refused", said);
    };
    let id = match LeaseId::new(id) {
        Ok(id) => id,
        Err(error) => return answer(StatusCode::BAD_REQUEST, "refused", &error.to_string()),
    };
    match timeout(ANSWER, line.ask(request(id), Caller::Web)).await {
        Ok(Reply::Done { text }) => answer(StatusCode::OK, "done", &text),
        Ok(Reply::Refused { reason }) => answer(StatusCode::CONFLICT, "refused", &reason),
        Ok(Reply::Listed(_)) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            "refused",
            "The agent answered something else.",
        ),
        Err(_) => answer(
            StatusCode::GATEWAY_TIMEOUT,
            "refused",
            "The agent did not answer in time; it may still do it.",
        ),
    }
}

fn answer(status: StatusCode, what: &str, text: &str) -> Response {
    let body = encode::object(&json!({ what: text })).map(|json| json.to_string());
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.unwrap_or_default(),
    )
        .into_response()
}
