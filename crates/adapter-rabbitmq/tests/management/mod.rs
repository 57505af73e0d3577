//! What tests set on the broker by its management API.

use reqwest::{Client, Url};
use serde_json::Value;
use test_servers::services;

pub(crate) fn management(path: &[&str]) -> Url {
    let mut url: Url = services::rabbitmq_management_url().parse().unwrap();
    url.path_segments_mut()
        .unwrap()
        .pop_if_empty()
        .push("api")
        .extend(path);
    url
}

pub(crate) async fn put(path: &[&str], body: &Value) {
    let put = Client::new().put(management(path)).json(body).send().await;
    put.unwrap().error_for_status().unwrap();
}

pub(crate) async fn remove(url: Url) {
    let removed = Client::new().delete(url).send().await.unwrap();
    removed.error_for_status().unwrap();
}

/// Removed with the value, so that a test that fails leaves none behind.
pub(crate) struct Setting {
    url: Option<Url>,
}

impl Setting {
    pub(crate) async fn put(path: &[&str], body: &Value) -> Self {
        put(path, body).await;
        Self {
            url: Some(management(path)),
        }
    }

    pub(crate) async fn clear(mut self) {
        remove(self.url.take().unwrap()).await;
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Some(url) = self.url.take() {
            let removing = std::thread::spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(remove(url));
            });
            removing.join().unwrap();
        }
    }
}
