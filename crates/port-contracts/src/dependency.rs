//! The contract of [`Dependency`].

use std::sync::Arc;

use domain::ports::Dependency;

contract!($ dependency_contract, dependency, [
    what_is_up_says_so_under_a_stable_name,
]);

/// Readiness depends on it, and dashboards on the name.
pub async fn what_is_up_says_so_under_a_stable_name(dependency: &Arc<dyn Dependency>) {
    assert!(matches!(dependency.name(), "queue" | "redis" | "store"));
    dependency.check().await.unwrap();
}
