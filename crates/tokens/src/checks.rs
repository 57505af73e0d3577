//! How tokens were checked.

use runtime::Count;

use crate::TokenError;

/// How many tokens were checked, by what came of it.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Verified before.
    pub(crate) known: Count,
    verified: Count,
    /// By [`TokenError::index`].
    refused: [Count; TokenError::NAMES.len()],
}

impl Checks {
    pub(crate) fn note<T>(&self, checked: &Result<T, TokenError>) {
        let count = match checked {
            Ok(_) => &self.verified,
            Err(error) => &self.refused[error.index()],
        };
        count.add_one();
    }

    pub(crate) fn by_result(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let good = [("known", &self.known), ("verified", &self.verified)];
        let refused = TokenError::NAMES.into_iter().zip(&self.refused);
        let all = good.into_iter().chain(refused);
        all.map(|(result, count)| (result, count.total()))
    }
}
