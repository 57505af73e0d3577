//! The contract of [`Dependency`].

use std::sync::Arc;

use domain::ports::Dependency;

/// Makes a test of every case; `$harness` is an async function that returns an
/// `Arc<dyn Dependency>` on something that is up.
#[macro_export]
macro_rules! dependency_contract {
    ($harness:path) => {
        $crate::__tests!(
            dependency,
            $harness,
            [what_is_up_says_so_under_a_stable_name]
        );
    };
}

/// Readiness depends on it, and dashboards on the name.
pub async fn what_is_up_says_so_under_a_stable_name(dependency: &Arc<dyn Dependency>) {
    assert!(matches!(dependency.name(), "queue" | "store"));
    dependency.check().await.unwrap();
}
