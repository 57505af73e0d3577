//! What the payload of a token says.

use std::fmt;
use std::time::Duration;

use domain::ids::UserId;
use domain::time::Timestamp;
use domain::user::PriorityClass;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::{Identity, Roles, Rules, TokenError};

/// The payload: an object without repeated members. Of two `sub`, programs that share a token
/// might take different ones.
#[derive(Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Claims, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = members.next_entry()? {
                    if claims.insert(name, value).is_some() {
                        return Err(de::Error::custom("repeated member"));
                    }
                }
                Ok(Claims(claims))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Claims {
    /// Who the token stands for at `now`. Its signature, issuer and audience are checked before.
    pub(crate) fn identity(&self, rules: &Rules, now: Timestamp) -> Result<Identity, TokenError> {
        // The library takes a list, too; it is one string (RFC 7519, section 4.1.1).
        if !self.0.get("iss").is_some_and(Value::is_string) {
            return Err(invalid("iss"));
        }
        let leeway = rules.leeway_seconds;
        let end = self.instant("exp")?.ok_or_else(|| invalid("exp"))?;
        let expires_at = end.plus_seconds(leeway);
        if now >= expires_at {
            return Err(TokenError::Expired);
        }
        if let Some(start) = self.instant("nbf")?
            && now.plus_seconds(leeway) < start
        {
            return Err(TokenError::NotYetValid);
        }
        let roles = self.roles(&rules.roles_claim)?;
        let user = self.user(&rules.user_claim)?;
        if user.is_none() && !roles.any() {
            return Err(invalid(&rules.user_claim));
        }
        let priority = match &rules.priority_claim {
            Some(claim) => self.priority(claim)?,
            None => None,
        };
        Ok(Identity {
            user,
            roles,
            priority,
            expires_at,
        })
    }

    /// A NumericDate (RFC 7519, section 2): seconds since 1970, maybe with a fraction. What is
    /// before every [`Timestamp`] becomes the first one; what is after every one is no time.
    fn instant(&self, claim: &str) -> Result<Option<Timestamp>, TokenError> {
        let Some(value) = self.0.get(claim) else {
            return Ok(None);
        };
        let seconds = value.as_f64().ok_or_else(|| invalid(claim))?;
        if seconds <= 0.0 {
            return Ok(Some(Timestamp::MIN));
        }
        let since = Duration::try_from_secs_f64(seconds).ok();
        let micros = since.and_then(|since| i64::try_from(since.as_micros()).ok());
        let instant = micros.and_then(|micros| Timestamp::from_micros(micros).ok());
        instant.map(Some).ok_or_else(|| invalid(claim))
    }

    fn user(&self, claim: &str) -> Result<Option<UserId>, TokenError> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(Value::String(id)) => UserId::of_new(id).map(Some).map_err(|_| invalid(claim)),
            Some(number) => number
                .as_u64()
                .map(|number| Some(UserId::from(number)))
                .ok_or_else(|| invalid(claim)),
        }
    }

    fn roles(&self, claim: &str) -> Result<Roles, TokenError> {
        let mut roles = Roles::default();
        let mut add = |name: &str| match name {
            "operator" => roles.operator = true,
            "agent" => roles.agent = true,
            _ => {}
        };
        match self.0.get(claim) {
            None => {}
            Some(Value::String(names)) => names.split(' ').for_each(add),
            Some(Value::Array(names)) => {
                for name in names {
                    add(name.as_str().ok_or_else(|| invalid(claim))?);
                }
            }
            Some(_) => return Err(invalid(claim)),
        }
        Ok(roles)
    }

    fn priority(&self, claim: &str) -> Result<Option<PriorityClass>, TokenError> {
        let Some(value) = self.0.get(claim) else {
            return Ok(None);
        };
        let class = value.as_str().and_then(PriorityClass::parse);
        class.map(Some).ok_or_else(|| invalid(claim))
    }
}

fn invalid(claim: &str) -> TokenError {
    TokenError::Claim {
        name: claim.to_owned(),
    }
}
