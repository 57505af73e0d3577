//! The tokens that clients of a sale send.

use black_box::issuer::Issuer;
use black_box::names::Names;

/// Of buyers, by number, and of an agent: none where nobody asks for tokens.
#[derive(Default)]
pub(crate) struct Tokens {
    users: Vec<String>,
    agent: Option<String>,
}

impl Tokens {
    /// A token of each user, if there is who signs them, and one of an agent: this one, or else one
    /// that is signed, too.
    pub(super) fn of(
        issuer: Option<&Issuer>,
        agent: Option<String>,
        names: &Names,
        users: u32,
    ) -> Self {
        let sign = |issuer: &Issuer| {
            let tokens = (0..users).map(|user| issuer.of_user(&names.user(user)));
            tokens.collect()
        };
        Self {
            users: issuer.map(sign).unwrap_or_default(),
            agent: agent.or_else(|| issuer.map(Issuer::of_agent)),
        }
    }

    /// What a buyer sends; without one of its own it orders by the agent.
    pub(super) fn of_user(&self, user: u32) -> Option<&str> {
        let own = usize::try_from(user).ok().and_then(|at| self.users.get(at));
        own.map(String::as_str).or(self.agent())
    }

    /// What connections send that many buyers share.
    pub(super) fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buyers_send_their_own_token_or_the_agents() {
        let names = Names::new(None);
        let none = Tokens::of(None, None, &names, 2);
        assert_eq!((none.of_user(1), none.agent()), (None, None));
        let agent = Tokens::of(None, Some("given".to_owned()), &names, 2);
        assert_eq!(agent.of_user(1), Some("given"));

        let issuer = Issuer::new("an issuer", "an audience").unwrap();
        let signed = Tokens::of(Some(&issuer), None, &names, 2);
        let [one, other, agent] = [signed.of_user(0), signed.of_user(1), signed.agent()];
        assert!(one.is_some() && one != other && agent.is_some() && agent != other);
        let both = Tokens::of(Some(&issuer), Some("given".to_owned()), &names, 2);
        assert_eq!(both.agent(), Some("given"));
        assert_ne!(both.of_user(0), both.agent());
    }
}
