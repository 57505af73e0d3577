//! A process's way to the broker: it publishes, consumes and puts aside as the
//! adapter of a real broker does, and everything between the two goes wrong.

use std::sync::Arc;

use domain::ports::Cause;
use domain::user::PriorityClass;

use super::CLASSES;
use super::outgoing::{Outgoing, Sending};
use crate::node::Node;

pub(super) fn cause() -> Cause {
    "the simulated broker did not answer".into()
}

pub(crate) struct SimQueue {
    pub(super) node: Arc<Node>,
    /// By lane, then class.
    pub(super) outgoing: Vec<[Arc<Outgoing>; CLASSES]>,
}

impl SimQueue {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        let lanes = node.world.plan.lanes.iter();
        Self {
            node: Arc::clone(node),
            outgoing: lanes
                .map(|lane| PriorityClass::ALL.map(|_| Outgoing::new(lane)))
                .collect(),
        }
    }

    /// Starts a task per lane and class.
    pub(crate) fn start_sending(&self) {
        for outgoing in self.outgoing.iter().flatten() {
            let sending = Sending::new(&self.node, outgoing);
            self.node.spawn(sending.run());
        }
    }
}
