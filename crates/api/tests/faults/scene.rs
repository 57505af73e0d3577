//! A sale at work: an api process, a worker, and buyers that order.

use black_box::proof::told::Answer;

use crate::buyers::{Buyers, Sale, set_up};
use crate::deployment::{Deployment, Process, eventually};
use crate::proof::{Proof, prove};
use crate::seed::Chance;

pub(crate) struct Scene {
    pub(crate) deployment: Deployment,
    pub(crate) api: Process,
    pub(crate) worker: Process,
    pub(crate) buyers: Buyers,
}

impl Scene {
    pub(crate) async fn start(chance: &mut Chance) -> Self {
        let deployment = Deployment::impatient().await;
        let api = deployment.start_ready("api").await;
        let worker = deployment.start_ready("worker").await;
        let sale = Sale::default();
        set_up(&api.url, sale).await;
        let buyers = Buyers::start(&[&api.url], sale, chance);
        Self {
            deployment,
            api,
            worker,
            buyers,
        }
    }

    /// Waits until buyers get orders accepted again.
    pub(crate) async fn wait_until_it_sells(&self) {
        let before = self.buyers.accepted();
        eventually("orders are accepted again", async || {
            self.buyers.accepted() > before + 50
        })
        .await;
    }

    /// Sends the buyers home and proves what must be true. Nobody may have
    /// waited for an answer without end.
    pub(crate) async fn end(self) -> Proof {
        let orders = self.buyers.stop().await;
        let unanswered = orders.count(Answer::Unanswered);
        assert_eq!(unanswered, 0, "an order waited without end");
        prove(&self.deployment, &self.api.url, orders).await
    }
}
