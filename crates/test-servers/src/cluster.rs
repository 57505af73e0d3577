//! A broker of several nodes.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::scripts::{CLUSTER, value_in, values_of};

/// A broker of several nodes that nobody else uses.
#[derive(Clone)]
pub struct Cluster {
    folder: PathBuf,
    urls: String,
}

impl Cluster {
    /// That which `CLUSTER_STATE=folder deploy/cluster.sh start` has started.
    pub fn own(folder: &Path) -> anyhow::Result<Self> {
        let start = || {
            format!(
                "start it by `{}={} {} start`",
                CLUSTER.folder,
                folder.display(),
                CLUSTER.path
            )
        };
        let values = values_of(folder).with_context(start)?;
        let urls = value_in(&values, "TICKETS_CLUSTER_URLS").with_context(start)?;
        Ok(Self {
            urls: urls.to_owned(),
            folder: folder.to_owned(),
        })
    }

    /// Of every node, with commas between them.
    #[must_use]
    pub fn urls(&self) -> &str {
        &self.urls
    }

    /// The URL of the cluster's first node.
    #[must_use]
    pub fn first_url(&self) -> &str {
        self.urls
            .split_once(',')
            .map_or(&*self.urls, |(first, _)| first)
    }

    /// Has the script do something, such as `kill` to a node; it counts nodes from 1 on.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        CLUSTER.run(&self.folder, arguments).await
    }
}
