//! Serves a world on a port of its own, and can be told to fail.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::world::World;

/// Answers with this status from some request on.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) after: usize,
    pub(super) status: u16,
    /// Only this stream's requests fail, and are counted.
    pub(super) stream: Option<usize>,
}

pub(super) struct Api {
    pub(super) world: World,
    pub(super) failure: Option<Failure>,
    /// How many requests came.
    pub(super) requests: usize,
    pub(super) delay: Duration,
}

pub(super) struct Server {
    address: SocketAddr,
    api: Arc<Mutex<Api>>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    pub(super) fn start(world: World, delay: Duration) -> Self {
        let api = Arc::new(Mutex::new(Api { world, failure: None, requests: 0, delay }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&api));
        let (stop, stopped) = oneshot::channel();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    _ = async { axum::serve(listener, router).await } => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: receiver.recv().unwrap(), api, _stop: stop }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn api(&self) -> MutexGuard<'_, Api> {
        lock(&self.api)
    }
}

fn lock(api: &Mutex<Api>) -> MutexGuard<'_, Api> {
    api.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    State(api): State<Arc<Mutex<Api>>>,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let (delay, answer) = {
        let mut api = lock(&api);
        (api.delay, api.answer(uri.path(), &query))
    };
    tokio::time::sleep(delay).await;
    let refused = |status| (StatusCode::from_u16(status).unwrap(), Json(json!({"error": "refused"})));
    answer.map_or_else(refused, |page| (StatusCode::OK, Json(page)))
}

impl Api {
    fn answer(&mut self, path: &str, query: &BTreeMap<String, String>) -> Result<Value, u16> {
        self.requests += 1;
        let path: Vec<&str> = path.split('/').skip(1).collect();
        let stream = self.world.stream_at(&path).ok_or(404_u16)?;
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.stream.is_none_or(|only| only == stream))
        {
            if failure.after == 0 {
                return Err(failure.status);
            }
            failure.after -= 1;
        }
        self.world.page(stream, &path, query).ok_or(400)
    }
}
