//! An issuer's public keys (RFC 7517), and the check of a token's signature with one of them. The arithmetic is ring's,
//! which TLS has brought along: what `jsonwebtoken` has itself would bring a second library for the same curves, one of
//! them with an implementation of RSA that is no longer recommended.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::signature::{self as check, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use ring::signature as ring;
use std::fmt;

/// Most keys in one issuer's set, those of other kinds included; a longer set is refused.
pub const KEYS_MAX: usize = 128;

/// An issuer's keys that signatures can be checked with.
#[derive(Clone, Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// A public key and the algorithms that it is good for. Never a shared secret: with one the gateway, and every other
/// holder, could issue tokens itself.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

/// Why a text is no set of usable keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadKeys {
    #[error("it is not a JSON Web Key Set: {0}")]
    NotASet(&'static str),
    #[error("it holds no public key that signatures can be checked with (RSA, P-256, P-384 or Ed25519)")]
    Useless,
}

impl KeySet {
    /// Reads `{"keys": […]}`. Keys of unknown kinds or for other uses are left out, as RFC 7517, section 5 asks.
    pub(super) fn parse(text: &[u8]) -> Result<Self, BadKeys> {
        let document: serde_json::Value = serde_json::from_slice(text).map_err(|_| BadKeys::NotASet("no JSON"))?;
        let keys =
            document.get("keys").and_then(|keys| keys.as_array()).ok_or(BadKeys::NotASet("no list of `keys`"))?;
        if keys.len() > KEYS_MAX {
            return Err(BadKeys::NotASet("too many keys"));
        }
        let keys: Vec<Key> = keys
            .iter()
            .filter_map(|key| serde_json::from_value(key.clone()).ok())
            .filter_map(|jwk| usable(&jwk))
            .collect();
        if keys.is_empty() { Err(BadKeys::Useless) } else { Ok(Self { keys }) }
    }

    /// Whether there is a key with this `kid`.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The key with the `kid` that a token names. A token that names none is good only if the issuer has a single key.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        match id {
            Some(_) => fitting.find(|key| key.id.as_deref() == id),
            None => fitting.next().filter(|_| self.keys.len() == 1),
        }
    }
}

/// The key, if it is for checking signatures and of a kind that is known here.
fn usable(jwk: &Jwk) -> Option<Key> {
    let common = &jwk.common;
    if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    if common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return None;
    }
    let fitting: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms(),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    let algorithms = match common.key_algorithm {
        None => fitting.to_vec(),
        Some(named) => vec![fitting.iter().copied().find(|algorithm| named_by(*algorithm) == named)?],
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { id: common.key_id.clone(), algorithms, key })
}

/// The `alg` of a key for an algorithm of a token.
fn named_by(algorithm: Algorithm) -> KeyAlgorithm {
    match algorithm {
        Algorithm::RS256 => KeyAlgorithm::RS256,
        Algorithm::RS384 => KeyAlgorithm::RS384,
        Algorithm::RS512 => KeyAlgorithm::RS512,
        Algorithm::PS256 => KeyAlgorithm::PS256,
        Algorithm::PS384 => KeyAlgorithm::PS384,
        Algorithm::PS512 => KeyAlgorithm::PS512,
        Algorithm::ES256 => KeyAlgorithm::ES256,
        Algorithm::ES384 => KeyAlgorithm::ES384,
        Algorithm::EdDSA => KeyAlgorithm::EdDSA,
        _ => KeyAlgorithm::UNKNOWN_ALGORITHM,
    }
}

/// How ring checks the signatures of one algorithm.
enum Check {
    Rsa(&'static ring::RsaParameters),
    Other(&'static dyn ring::VerificationAlgorithm),
}

fn check_of(algorithm: Algorithm) -> Option<Check> {
    Some(match algorithm {
        Algorithm::RS256 => Check::Rsa(&ring::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Check::Rsa(&ring::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Check::Rsa(&ring::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Check::Rsa(&ring::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Check::Rsa(&ring::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Check::Rsa(&ring::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Check::Other(&ring::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Check::Other(&ring::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Check::Other(&ring::ED25519),
        _ => return None,
    })
}

/// A key with the algorithm that it checks signatures by.
struct RingVerifier {
    algorithm: Algorithm,
    check: Check,
    key: DecodingKey,
}

impl fmt::Debug for RingVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingVerifier").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), check::Error> {
        let outcome = match (&self.check, self.key.kind()) {
            (Check::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                // Some issuers write numbers with zeros before them, which ring refuses.
                let number =
                    |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().skip_while(|byte| *byte == 0).collect() };
                ring::RsaPublicKeyComponents { n: number(n), e: number(e) }.verify(parameters, message, signature)
            }
            (Check::Other(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                ring::UnparsedPublicKey::new(*algorithm, key).verify(message, signature)
            }
            (Check::Rsa(_), DecodingKeyKind::SecretOrDer(_))
            | (Check::Other(_), DecodingKeyKind::RsaModulusExponent { .. }) => return Err(check::Error::new()),
        };
        outcome.map_err(|_| check::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(Error::from(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |algorithm, key| {
        let check = check_of(*algorithm).filter(|_| key.family() == algorithm.family());
        let check = check.ok_or_else(|| Error::from(ErrorKind::UnsupportedAlgorithm))?;
        Ok(Box::new(RingVerifier { algorithm: *algorithm, check, key: key.clone() }))
    },
    // Only for keys that sign and for thumbprints, and neither is used here.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has `jsonwebtoken` use ring. A provider that was installed before stays.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}
