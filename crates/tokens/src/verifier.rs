//! Verifies tokens.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{Clock, Dependency, DependencyDown};
use jsonwebtoken::errors::{Error as LibraryError, ErrorKind};
use jsonwebtoken::{Validation, decode, decode_header};
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;

use crate::checks::Checks;
use crate::claims::Claims;
use crate::current_keys::{CurrentKeys, Pace};
use crate::key_set::KeySet;
use crate::key_source::{KeySource, SourceError};
use crate::{
    Algorithm, Identity, Keys, MAX_TOKEN_LENGTH, Rules, StartError, TokenError, ring_provider,
};

/// The most tokens that are kept. One takes about 300 bytes.
const MAX_KNOWN: u64 = 100_000;
/// How long an expired token may take up room.
const LONGEST_KNOWN: Duration = Duration::from_secs(3_600);

/// Verifies tokens. Shared behind an [`Arc`].
pub struct Verifier {
    rules: Rules,
    keys: ValidKeys,
    clock: Arc<dyn Clock>,
    known: Cache<[u8; blake3::OUT_LEN], Known>,
    checks: Checks,
}

enum ValidKeys {
    Secrets(Arc<KeySet>),
    Set(Arc<CurrentKeys>),
}

/// A verified token, and the keys that it was verified with.
#[derive(Clone)]
struct Known {
    identity: Arc<Identity>,
    keys: Arc<KeySet>,
}

impl Verifier {
    /// A verifier whose keys are kept current in the background until `stop`. Must be called
    /// inside of a tokio runtime.
    ///
    /// A URL that does not answer is no error: it is asked until it does, and tokens get
    /// [`TokenError::KeysUnavailable`] meanwhile. So a provider that is down does not keep this
    /// service from starting.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        rules: Rules,
        keys: Keys,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        keys.check()?;
        keys.check_algorithms(&rules.algorithms)?;
        let (source, pace) = match keys {
            Keys::Secrets(secrets) => {
                let keys = ValidKeys::Secrets(Arc::new(KeySet::of_secrets(&secrets)));
                return Ok(Self::with(rules, keys, clock));
            }
            Keys::File(path) => (KeySource::File(path), Pace::FILE),
            Keys::Url(url) => (KeySource::url(&url)?, Pace::URL),
        };
        Self::start_at(pace, rules, source, clock, stop).await
    }

    /// Looks once whether there is a key for one of the algorithms. Verifies nothing.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn look_for_keys(
        algorithms: Vec<Algorithm>,
        keys: Keys,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let source = match keys {
            Keys::Secrets(_) => return Ok(()),
            Keys::File(path) => KeySource::File(path),
            Keys::Url(url) => KeySource::url(&url)?,
        };
        let jwks = source.read(Pace::URL.time_limit).await?;
        if KeySet::parse(&jwks, &algorithms)?.is_empty() {
            return Err(SourceError::NoUsableKey.into());
        }
        Ok(())
    }

    pub(crate) async fn start_at(
        pace: Pace,
        rules: Rules,
        source: KeySource,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        let must_read = matches!(source, KeySource::File(_));
        let keys = CurrentKeys::of(source, rules.algorithms.clone(), pace);
        if let Err(error) = keys.refresh().await
            && must_read
        {
            return Err(StartError::File(error.into()));
        }
        tokio::spawn(Arc::clone(&keys).keep_current(stop));
        Ok(Self::with(rules, ValidKeys::Set(keys), clock))
    }

    fn with(rules: Rules, keys: ValidKeys, clock: Arc<dyn Clock>) -> Self {
        ring_provider::install();
        let known = Cache::builder()
            .max_capacity(MAX_KNOWN)
            .time_to_live(LONGEST_KNOWN)
            .build();
        Self {
            rules,
            keys,
            clock,
            known,
            checks: Checks::default(),
        }
    }

    /// Who the token stands for, if it was verified before, has not expired, and the keys are
    /// still those that it was verified with. Waits for nothing.
    #[must_use]
    pub fn known(&self, token: &str) -> Option<Arc<Identity>> {
        if token.len() > MAX_TOKEN_LENGTH {
            return None;
        }
        let known = self.known.get(&digest(token))?;
        let is_valid = self.keys.are(&known.keys) && self.clock.now() < known.identity.expires_at;
        if !is_valid {
            return None;
        }
        self.checks.known.add_one();
        Some(known.identity)
    }

    /// How many tokens were checked so far, by what came of it: `known` for those that were
    /// verified before, `verified`, or why they were refused.
    pub fn checks(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.checks.by_result()
    }

    /// Who the token stands for. Waits only if its key is unknown, for a new look at the keys.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn verify(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        if let Some(identity) = self.known(token) {
            return Ok(identity);
        }
        let checked = self.check_with_new_keys(token).await;
        self.checks.note(&checked);
        checked
    }

    async fn check_with_new_keys(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        match (self.check(token), &self.keys) {
            (Err(TokenError::UnknownKey), ValidKeys::Set(keys)) => {
                keys.refresh_for_unknown_key().await;
                self.check(token)
            }
            (checked, _) => checked,
        }
    }

    fn check(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(TokenError::TooLong);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let accepted = self.rules.algorithms.iter();
        let algorithm = accepted
            .copied()
            .find(|algorithm| algorithm.of_library() == header.alg)
            .ok_or(TokenError::Algorithm)?;
        let keys = self.keys.get().ok_or(TokenError::KeysUnavailable)?;
        let validation = self.validation(algorithm);
        let mut refusal = TokenError::UnknownKey;
        for key in keys.find(algorithm, header.kid.as_deref()) {
            match decode::<Claims>(token, key, &validation) {
                Ok(verified) => {
                    let identity = verified.claims.identity(&self.rules, self.clock.now())?;
                    return Ok(self.learn(token, identity, keys.clone()));
                }
                Err(error) => refusal = refused(error),
            }
            if refusal != TokenError::Signature {
                break;
            }
        }
        Err(refusal)
    }

    fn learn(&self, token: &str, identity: Identity, keys: Arc<KeySet>) -> Arc<Identity> {
        let identity = Arc::new(identity);
        let known = Known {
            identity: Arc::clone(&identity),
            keys,
        };
        self.known.insert(digest(token), known);
        identity
    }

    /// Issuer and audience; the library has a clock of its own, so times are checked with the
    /// other claims.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm.of_library());
        validation.required_spec_claims = HashSet::from(["iss", "aud"].map(str::to_owned));
        validation.validate_exp = false;
        validation.set_issuer(&[&self.rules.issuer]);
        validation.set_audience(&[&self.rules.audience]);
        validation
    }
}

impl ValidKeys {
    /// `None` also for a set without a usable key: the token may be good.
    fn get(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Secrets(set) => Some(Arc::clone(set)),
            Self::Set(keys) => keys.get().filter(|set| !set.is_empty()),
        }
    }

    fn are(&self, set: &Arc<KeySet>) -> bool {
        match self {
            Self::Secrets(_) => true,
            Self::Set(keys) => keys.is_current(set),
        }
    }
}

#[async_trait]
impl Dependency for Verifier {
    fn name(&self) -> &'static str {
        "token_keys"
    }

    /// Whether there is a key. Old ones count, while their source does not answer.
    async fn check(&self) -> Result<(), DependencyDown> {
        match self.keys.get() {
            Some(_) => Ok(()),
            None => Err(DependencyDown::because(
                "there is no key to verify tokens with: every caller but admin.token is refused. \
                 Check auth.jwks_url or auth.jwks_file, and that the set has a key for \
                 auth.algorithms; the log says why it cannot be used"
                    .to_owned(),
            )),
        }
    }
}

fn digest(token: &str) -> [u8; blake3::OUT_LEN] {
    blake3::hash(token.as_bytes()).into()
}

fn refused(error: LibraryError) -> TokenError {
    match error.into_kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::MissingRequiredClaim(name) => TokenError::Claim { name },
        _ => TokenError::Malformed,
    }
}
