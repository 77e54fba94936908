//! Asks the running agent: its state over its listener, what it holds and what waits over its control socket, as often
//! as there is something new. What a person confirmed is asked between. Shows nothing.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{Receiver, Sender},
    time::{MissedTickBehavior, interval, timeout},
};

use super::state::{Ask, News};
use crate::{
    act::{
        action::LeaseId,
        control::{
            Reply, Request,
            client::{AskError, ask},
        },
    },
    config::Listen,
    show::{
        state::{Document, SCHEMA},
        web::client::{ClientError, fetch},
    },
};

/// Time between two looks at the state. An agent has a new one each tick, and at once when something was said.
const LOOK: Duration = Duration::from_millis(400);
/// Time between two looks at what holds and waits.
const LIST: Duration = Duration::from_secs(1);

/// Where the agent is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its listener.
    pub listen: Listen,
    /// Its token, where it asks for one.
    pub token: Option<String>,
    /// Its control socket.
    pub control: PathBuf,
}

/// The state once.
///
/// # Errors
/// See [`ClientError`].
pub async fn look(place: &Place) -> Result<Document, ClientError> {
    let body = fetch(&place.listen, "/api/v1/state", place.token.as_deref()).await?;
    serde_json::from_slice(&body).map_err(|error| ClientError::Garbled {
        listen: place.listen.clone(),
        reason: format!("no {SCHEMA}, {error}; use the same version on both sides"),
    })
}

/// Sends the state whenever it is looked at, until nobody listens any more.
pub async fn follow(place: Place, news: Sender<News>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let what = match look(&place).await {
            Ok(document) => News::State(Arc::new(document)),
            Err(error) => News::NoState(error.to_string()),
        };
        if news.send(what).await.is_err() {
            return;
        }
    }
}

/// Sends what holds and what waits, and asks for what the person wants, until nobody listens any more.
pub async fn attend(place: Place, mut wanted: Receiver<Ask>, news: Sender<News>) {
    loop {
        let what = match timeout(LIST, wanted.recv()).await {
            Ok(Some(ask)) => {
                let Some(request) = request(&ask) else { continue };
                answered(send(&place, request).await)
            }
            Ok(None) => return,
            Err(_) => match send(&place, Request::List).await {
                Ok(Reply::Listed(listed)) => News::Listed(listed),
                Ok(Reply::Refused { reason }) => News::NoActions(reason),
                Ok(Reply::Done { .. }) => continue,
                Err(why) => News::NoActions(why),
            },
        };
        let answer = matches!(what, News::Answered(_));
        if news.send(what).await.is_err() {
            return;
        }
        // What came of it shows at once.
        if answer
            && let Ok(Reply::Listed(listed)) = send(&place, Request::List).await
            && news.send(News::Listed(listed)).await.is_err()
        {
            return;
        }
    }
}

fn request(ask: &Ask) -> Option<Request> {
    match ask {
        Ask::Approve(id) => Some(Request::Approve {
            plan: LeaseId::new(id.as_str()).ok()?,
        }),
        Ask::Lift(id) => Some(Request::Lift {
            lease: LeaseId::new(id.as_str()).ok()?,
        }),
        Ask::Suspend | Ask::Quit => None,
    }
}

fn answered(reply: Result<Reply, String>) -> News {
    News::Answered(match reply {
        Ok(Reply::Done { text }) => Ok(text),
        Ok(Reply::Refused { reason }) => Err(reason),
        Ok(Reply::Listed(_)) => Err("the agent answered something else than it was asked".to_owned()),
        Err(why) => Err(why),
    })
}

/// Asking blocks, so it is done beside.
async fn send(place: &Place, request: Request) -> Result<Reply, String> {
    let path = place.control.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&path, &request)).await;
    match asked {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error @ AskError::NoAgent(_))) => Err(format!("leases and plans cannot be seen: {error}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(format!("the agent could not be asked: {error}")),
    }
}
