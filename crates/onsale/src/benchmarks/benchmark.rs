//! What every benchmark on real servers is.

use std::fmt::Debug;
use std::path::PathBuf;

use black_box::deployment::Deployment;
use serde::Serialize;
use serde::de::DeserializeOwned;
use test_servers::Servers;

use super::orders::names;
use crate::table::Table;

/// Its figures.
pub(super) trait Benchmark: Serialize + DeserializeOwned {
    /// How it is measured.
    type Args: clap::Args + Debug + Clone;

    /// The place of its table in the document, if it has one of its own.
    const MARKER: Option<&'static str> = None;

    async fn measure(setting: &Setting<'_>, args: &Self::Args) -> anyhow::Result<Self>;

    /// What is printed, and what stands in the document.
    fn table(&self) -> Table;

    /// What is wrong, in words, with each figure that is required.
    fn missed(&self, setting: &Setting<'_>, args: &Self::Args) -> Vec<Option<String>>;
}

/// What every benchmark needs.
pub(super) struct Setting<'a> {
    pub(super) servers: &'a Servers,
    pub(super) is_mariadb: bool,
    pub(super) program: Option<PathBuf>,
    pub(super) connections: usize,
    pub(super) users: u32,
    /// Orders and seats of the flash sale, which is sold by other recipes, too.
    pub(super) flash_sale: (u64, u32),
}
impl Setting<'_> {
    /// Does `work` on a deployment of its own with so many users.
    pub(super) async fn deploy<T>(
        &self,
        users: u32,
        work: impl AsyncFnOnce(&Deployment) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let on = async move |deployment: &Deployment| {
            let database = &deployment.database;
            database.insert_users(&names(), users, 0.0).await?;
            Box::pin(work(deployment)).await
        };
        Box::pin(Deployment::with(self.servers, self.program.clone(), on)).await
    }
}

/// What is wrong with a figure that must not be lower; one that is no number is wrong, too.
pub(super) fn below(what: &str, figure: f64, at_least: f64) -> Option<String> {
    let is_reached = figure >= at_least;
    (!is_reached).then(|| format!("{what}: {figure:.2} is below {at_least}"))
}

/// What is wrong with a figure that must not be higher; one that is no number is wrong, too.
pub(super) fn above(what: &str, figure: f64, at_most: f64) -> Option<String> {
    let is_kept = figure <= at_most;
    (!is_kept).then(|| format!("{what}: {figure:.2} is above {at_most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_its_limit_is_missed() {
        assert_eq!(below("rate", 2.5, 2.5), None);
        assert_eq!(below("rate", f64::INFINITY, 2.5), None);
        let missed = below("rate", 2.0, 2.5);
        assert_eq!(missed.as_deref(), Some("rate: 2.00 is below 2.5"));
        assert!(below("rate", f64::NAN, 2.5).is_some());
    }

    #[test]
    fn what_is_above_its_limit_is_missed() {
        assert_eq!(above("p99", 50.0, 50.0), None);
        let missed = above("p99", 51.0, 50.0);
        assert_eq!(missed.as_deref(), Some("p99: 51.00 is above 50"));
        assert!(above("p99", f64::NAN, 50.0).is_some());
    }
}
