//! The deployment that is examined.

use crate::topology::Topology;

/// What is looked for in the answers.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) topology: Topology,
    pub(super) vhost: String,
    pub(super) user: String,
    pub(super) may_be_new: bool,
}
