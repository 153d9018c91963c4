//! Tests of an issuer's tokens: which signatures and claims pass, and when its keys are fetched.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use super::*;
use crate::gateway::identity::SubjectRule;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

/// RSA keys and tokens, made once with another library, as ring cannot make RSA keys.
const RSA: &str = include_str!("../../../tests/fixtures/jwt/rsa.json");

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut block = [0_u8; 4];
        block[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(block);
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// An issuer, or an attacker, with a key that signs tokens.
enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
}

impl Signer {
    fn ed() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    fn ec() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "x": base64url(pair.public_key().as_ref())})
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Ec(_) => "ES256",
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let signature = match self {
            Self::Ed(pair) => base64url(pair.sign(message.as_bytes()).as_ref()),
            Self::Ec(pair) => base64url(pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref()),
        };
        format!("{message}.{signature}")
    }

    fn token(&self, id: &str, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm(), "kid": id, "typ": "JWT"}), claims)
    }
}

/// Claims that pass, with these replaced; `null` takes one out.
fn claims(changes: Value) -> Value {
    let mut claims =
        json!({"iss": "https://issuer.example", "aud": "mcpol", "sub": "alice", "exp": NOW + 600, "iat": NOW});
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn settings(jwks: Jwks) -> Jwt {
    Jwt {
        jwks,
        issuer: "https://issuer.example".to_owned(),
        audience: "mcpol".to_owned(),
        grant_claim: "sub".to_owned(),
        subjects: SubjectRule::Any,
    }
}

fn in_file(folder: &tempfile::TempDir, keys: &Value) -> Jwt {
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, keys.to_string()).unwrap();
    settings(Jwks::File(path))
}

fn issuer(keys: &Value) -> JwtIssuer {
    JwtIssuer::new(in_file(&tempfile::tempdir().unwrap(), keys), Box::new(|_| {})).unwrap()
}

fn ask_at(issuer: &JwtIssuer, token: &str, seconds: u64) -> String {
    match issuer.subject(token, at(seconds)) {
        Ok(subject) => format!("jwt:{subject}"),
        Err(error) => format!("- {}", error.word()),
    }
}

fn ask(issuer: &JwtIssuer, token: &str) -> String {
    ask_at(issuer, token, NOW)
}

#[test]
fn every_asymmetric_algorithm_is_checked() {
    let rsa: Value = serde_json::from_str(RSA).unwrap();
    let issuer = issuer(&rsa["jwks"]);
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let token = rsa["tokens"][algorithm].as_str().unwrap();
        assert_eq!(ask(&issuer, token), "jwt:alice", "{algorithm}");
        // A signature that is wrong but of the right length, and claims that are not those signed.
        let (message, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        assert_eq!(ask(&issuer, &format!("{message}.{other}{}", &signature[1..])), "- unknown", "{algorithm}");
        let (header, _) = message.split_once('.').unwrap();
        let forged = base64url(claims(json!({"sub": "root"})).to_string().as_bytes());
        assert_eq!(ask(&issuer, &format!("{header}.{forged}.{signature}")), "- unknown", "{algorithm}");
    }
    assert_eq!(ask(&issuer, rsa["short"].as_str().unwrap()), "- unknown", "1024 bits are too few");
    for signer in [Signer::ed(), Signer::ec()] {
        let issuer = self::issuer(&json!({"keys": [signer.jwk("k")]}));
        let token = signer.token("k", &claims(json!({})));
        assert_eq!(ask(&issuer, &token), "jwt:alice", "{}", signer.algorithm());
        let stranger = match signer {
            Signer::Ed(_) => Signer::ed(),
            Signer::Ec(_) => Signer::ec(),
        };
        assert_eq!(ask(&issuer, &stranger.token("k", &claims(json!({})))), "- unknown", "{}", stranger.algorithm());
    }
}

#[test]
fn claims_that_are_not_for_us_or_not_for_now_are_refused() {
    let signer = Signer::ed();
    let issuer = issuer(&json!({"keys": [signer.jwk("k")]}));
    let long = |bytes: usize| "n".repeat(bytes);
    for (changes, expected) in [
        (json!({}), "jwt:alice"),
        (json!({"aud": ["other", "mcpol"]}), "jwt:alice"),
        (json!({"aud": "other"}), "- unknown"),
        (json!({"aud": []}), "- unknown"),
        (json!({"aud": null}), "- unknown"),
        (json!({"aud": {"mcpol": 1}}), "- unknown"),
        (json!({"aud": ["mcpol", 7]}), "- unknown"),
        (json!({"aud": [["mcpol"]]}), "- unknown"),
        (json!({"aud": "mcpol "}), "- unknown"),
        (json!({"aud": "MCPOL"}), "- unknown"),
        (json!({"iss": ["https://issuer.example"]}), "- unknown"),
        (json!({"iss": ["https://issuer.example", "https://other.example"]}), "- unknown"),
        (json!({"exp": 1e300}), "- unknown"),
        (json!({"exp": [NOW + 600]}), "- unknown"),
        (json!({"exp": true}), "- unknown"),
        (json!({"exp": u64::MAX}), "jwt:alice"),
        (json!({"nbf": u64::MAX}), "- unknown"),
        (json!({"nbf": -1}), "- unknown"),
        (json!({"nbf": 1e300}), "- unknown"),
        (json!({"iss": "https://issuer.example/"}), "- unknown"),
        (json!({"iss": null}), "- unknown"),
        (json!({"exp": null}), "- unknown"),
        (json!({"exp": "4102444800"}), "- unknown"),
        (json!({"exp": -1}), "- unknown"),
        (json!({"exp": NOW - LEEWAY_SECONDS}), "- expired"),
        (json!({"exp": NOW - LEEWAY_SECONDS + 1}), "jwt:alice"),
        (json!({"exp": 1_799_999_970.9}), "- expired"),
        (json!({"nbf": NOW + LEEWAY_SECONDS}), "jwt:alice"),
        (json!({"nbf": NOW + LEEWAY_SECONDS + 1}), "- unknown"),
        (json!({"nbf": "soon"}), "- unknown"),
        (json!({"sub": null}), "- unknown"),
        (json!({"sub": ""}), "- unknown"),
        (json!({"sub": 7}), "- unknown"),
        (json!({"sub": ["alice"]}), "- unknown"),
        (json!({"sub": "a\u{1b}b"}), "- unknown"),
        (json!({"sub": long(CLAIM_BYTES_MAX)}), &format!("jwt:{}", long(CLAIM_BYTES_MAX))),
        (json!({"sub": long(CLAIM_BYTES_MAX + 1)}), "- unknown"),
    ] {
        assert_eq!(ask(&issuer, &signer.token("k", &claims(changes.clone()))), expected, "{changes}");
    }
}

#[test]
fn headers_that_talk_the_check_away_are_refused() {
    let signer = Signer::ed();
    let keys = json!({"keys": [signer.jwk("k"), {"kty": "oct", "kid": "shared", "k": base64url(b"secret")}]});
    let issuer = issuer(&keys);
    let good = claims(json!({}));
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None", "kid": "k"}),
        json!({"alg": "HS256", "kid": "k"}),
        json!({"alg": "HS256", "kid": "shared"}),
        json!({"alg": "ES256", "kid": "k"}),
        json!({"kid": "k"}),
        json!({"alg": "EdDSA", "kid": "other"}),
        json!({"alg": "EdDSA", "kid": 7}),
        json!({"alg": "EdDSA", "kid": "k", "crit": ["exp"]}),
        json!({"alg": "EdDSA", "kid": "k", "crit": [], "b64": false}),
    ] {
        assert_ne!(ask(&issuer, &signer.sign(&header, &good)), "jwt:alice", "{header}");
    }
    // A key that a token brings along is not the issuer's.
    let stranger = Signer::ed();
    for header in [
        json!({"alg": "EdDSA", "jwk": stranger.jwk("k")}),
        json!({"alg": "EdDSA", "kid": "k", "jwk": stranger.jwk("k"), "jku": "http://127.0.0.1:1/"}),
    ] {
        assert_eq!(ask(&issuer, &stranger.sign(&header, &good)), "- unknown", "{header}");
    }
    let unsigned = signer.sign(&json!({"alg": "none"}), &good);
    let (message, _) = unsigned.rsplit_once('.').unwrap();
    assert_eq!(ask(&issuer, &format!("{message}.")), "- unknown");
    for text in ["..", "a.b.c", "e30.e30.e30"] {
        assert_eq!(ask(&issuer, text), "- unknown", "{text}");
    }
}

#[test]
fn a_token_with_two_readings_is_refused() {
    let signer = Signer::ed();
    let issuer = issuer(&json!({"keys": [signer.jwk("k")]}));
    let header = r#"{"alg":"EdDSA","kid":"k"}"#;
    let claims = format!(r#"{{"iss":"https://issuer.example","aud":"mcpol","sub":"alice","exp":{}}}"#, NOW + 600);
    let more = |member: &str| claims.replacen('{', &format!("{{{member},"), 1);
    assert_eq!(ask(&issuer, &signer.sign_text(header, &claims)), "jwt:alice");
    for (header, claims) in [
        (header, more(r#""sub":"root""#)),
        (header, more(r#""s\u0075b":"root""#)),
        (header, more(r#""exp":1"#)),
        (header, more(r#""aud":"other""#)),
        (header, more(r#""more":{"a":1,"a":2}"#)),
        (r#"{"alg":"none","alg":"EdDSA","kid":"k"}"#, claims.clone()),
        (r#"{"alg":"EdDSA","kid":"other","kid":"k"}"#, claims.clone()),
        (r#"{"alg":"EdDSA","kid":"k","x":1,"x":2}"#, claims.clone()),
    ] {
        assert_eq!(ask(&issuer, &signer.sign_text(header, &claims)), "- unknown", "{header} {claims}");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    // What every reader of the key set has, used as the secret of an HMAC: the confusion of RS256 with HS256.
    let rsa: Value = serde_json::from_str(RSA).unwrap();
    let issuer = issuer(&rsa["jwks"]);
    let good = rsa["tokens"]["RS256"].as_str().unwrap();
    let kid = rsa["jwks"]["keys"][0]["kid"].clone();
    let (_, body) = good.split_once('.').unwrap();
    let (payload, _) = body.split_once('.').unwrap();
    let public = rsa["jwks"]["keys"][0].clone();
    for secret in [public.to_string(), public["n"].as_str().unwrap().to_owned(), String::new()] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let header = base64url(json!({"alg": algorithm, "kid": kid}).to_string().as_bytes());
            let message = format!("{header}.{payload}");
            let key = match algorithm {
                "HS256" => ring::hmac::HMAC_SHA256,
                "HS384" => ring::hmac::HMAC_SHA384,
                _ => ring::hmac::HMAC_SHA512,
            };
            let tag = ring::hmac::sign(&ring::hmac::Key::new(key, secret.as_bytes()), message.as_bytes());
            assert_eq!(ask(&issuer, &format!("{message}.{}", base64url(tag.as_ref()))), "- unknown", "{algorithm}");
        }
    }
    // A certificate, or an address of one, that a token brings along is not looked at; nor is a name a path.
    let signer = Signer::ed();
    let issuer = self::issuer(&json!({"keys": [signer.jwk("k"), Signer::ed().jwk("../k")]}));
    let stranger = Signer::ed();
    for header in [
        json!({"alg": "EdDSA", "kid": "k", "x5u": "http://127.0.0.1:1/", "x5c": ["AA=="]}),
        json!({"alg": "EdDSA", "kid": "../../../../dev/null"}),
        json!({"alg": "EdDSA", "kid": ""}),
        json!({"alg": "EdDSA", "kid": "k\u{0}"}),
        json!({"alg": "EdDSA", "kid": "' OR 1=1"}),
        json!({"alg": "EdDSA", "kid": ["k"]}),
        json!({"alg": ["EdDSA"], "kid": "k"}),
    ] {
        assert_eq!(ask(&issuer, &stranger.sign(&header, &claims(json!({})))), "- unknown", "{header}");
    }
}

#[test]
fn a_token_that_names_no_key_is_good_where_there_is_one() {
    let signer = Signer::ed();
    let token = signer.sign(&json!({"alg": "EdDSA"}), &claims(json!({})));
    assert_eq!(ask(&issuer(&json!({"keys": [signer.jwk("k")]})), &token), "jwt:alice");
    assert_eq!(ask(&issuer(&json!({"keys": [signer.jwk("k"), Signer::ed().jwk("l")]})), &token), "- unknown");
}

#[test]
fn keys_of_one_name_are_told_apart_by_their_kind_and_else_the_first_is_meant() {
    let (first, second, curve) = (Signer::ed(), Signer::ed(), Signer::ec());
    let issuer = issuer(&json!({"keys": [first.jwk("k"), second.jwk("k"), curve.jwk("k")]}));
    for (signer, expected) in [(&first, "jwt:alice"), (&second, "- unknown"), (&curve, "jwt:alice")] {
        assert_eq!(ask(&issuer, &signer.token("k", &claims(json!({})))), expected);
    }
    // None that names none: there are several.
    assert_eq!(ask(&issuer, &first.sign(&json!({"alg": "EdDSA"}), &claims(json!({})))), "- unknown");
}

#[test]
fn what_a_token_wraps_or_trails_is_no_token() {
    let signer = Signer::ed();
    let issuer = issuer(&json!({"keys": [signer.jwk("k")]}));
    let good = signer.token("k", &claims(json!({})));
    assert_eq!(ask(&issuer, &good), "jwt:alice");
    let (header, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    // A token whose claims are another token (RFC 7519, section 5.2), or claims of another form than an object.
    let nested = json!({"alg": "EdDSA", "kid": "k", "cty": "JWT"}).to_string();
    for inner in [good.as_str(), "\"alice\"", "[{\"sub\":\"alice\"}]", "null", "{}"] {
        assert_eq!(ask(&issuer, &signer.sign_text(&nested, inner)), "- unknown", "{inner}");
    }
    // The same bytes in other spellings, and parts that are missing or too many: one token has one text.
    for text in [
        format!("{good}="),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{}", signature.replace('-', "+").replace('_', "/") + "=="),
        String::new(),
        "x".repeat(1 << 16),
    ] {
        assert_eq!(ask(&issuer, &text), "- unknown", "{text:.80}");
    }
    // Names that are long, and a header that is.
    let long = signer.sign(&json!({"alg": "EdDSA", "kid": "k".repeat(100_000)}), &claims(json!({})));
    assert_eq!(ask(&issuer, &long), "- unknown");
}

#[test]
fn keys_for_other_uses_are_left_out() {
    let signer = Signer::ed();
    let token = signer.token("k", &claims(json!({})));
    let with = |name: &str, value: Value| {
        let mut jwk = signer.jwk("k");
        jwk[name] = value;
        issuer(&json!({"keys": [jwk, Signer::ed().jwk("other"), {"kty": "new", "kid": "k"}, 7]}))
    };
    for (name, value, expected) in [
        ("use", json!("sig"), "jwt:alice"),
        ("use", json!("enc"), "- unknown"),
        ("key_ops", json!(["verify"]), "jwt:alice"),
        ("key_ops", json!(["sign"]), "- unknown"),
        ("alg", json!("EdDSA"), "jwt:alice"),
        ("alg", json!("ES256"), "- unknown"),
        ("alg", json!("HS256"), "- unknown"),
    ] {
        assert_eq!(ask(&with(name, value.clone()), &token), expected, "{name}: {value}");
    }
}

#[test]
fn files_without_keys_and_urls_without_encryption_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let many = |count: usize| json!({"keys": vec![Signer::ed().jwk("k"); count]});
    for (keys, expected) in [
        (json!({"keys": []}), "no public key"),
        (json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "no public key"),
        (json!({"keys": 7}), "no list of `keys`"),
        (json!([]), "no list of `keys`"),
        (many(KEYS_MAX + 1), "too many keys"),
        (json!({"keys": [], "more": "x".repeat(KEY_SET_BYTES_MAX)}), "more than 262144 bytes"),
    ] {
        let error = JwtIssuer::new(in_file(&folder, &keys), Box::new(|_| {})).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(JwtIssuer::new(in_file(&folder, &many(KEYS_MAX)), Box::new(|_| {})).is_ok());
    let missing = settings(Jwks::File(folder.path().join("none.json")));
    assert!(JwtIssuer::new(missing, Box::new(|_| {})).unwrap_err().to_string().contains("no such file"));
    for (url, good) in [
        ("https://issuer.invalid/keys", true),
        ("http://127.0.0.1:1/keys", true),
        ("http://issuer.invalid/keys?token=hush", false),
        ("ftp://127.0.0.1/keys", false),
    ] {
        let outcome = JwtIssuer::new(settings(Jwks::Url(url.parse().unwrap())), Box::new(|_| {}));
        assert_eq!(outcome.is_ok(), good, "{url}");
        assert!(!format!("{outcome:?}").contains("hush") || good);
    }
}

/// An issuer's web server: answers each request with what is set, and counts the requests.
struct Web {
    url: url::Url,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Web {
    fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (kept, count) = (Arc::clone(&answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let _ = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(kept.lock().unwrap().as_bytes());
            }
        });
        Self { url, answer, asked }
    }

    fn set(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn ok(body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

const NO_PAUSE: Rhythm = Rhythm { pause: Duration::ZERO, pause_failed: Duration::ZERO, ..RHYTHM };

fn on_web(web: &Web, rhythm: Rhythm) -> (JwtIssuer, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let notices = Arc::clone(&said);
    let notice = Box::new(move |said: &Said<'_>| notices.lock().unwrap().push(said.text.to_string()));
    let issuer = JwtIssuer::with_rhythm(settings(Jwks::Url(web.url.clone())), notice, rhythm).unwrap();
    (issuer, said)
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it_and_an_old_one_is_forgotten() {
    let (first, second) = (Signer::ed(), Signer::ec());
    let web = Web::start(ok(&json!({"keys": [first.jwk("1")]})));
    let (issuer, _) = on_web(&web, NO_PAUSE);
    let (old, new) = (first.token("1", &claims(json!({}))), second.token("2", &claims(json!({"sub": "bob"}))));
    assert_eq!(ask(&issuer, &old), "jwt:alice", "the first token waits for the keys");
    assert_eq!(ask(&issuer, &new), "- unknown");
    web.set(ok(&json!({"keys": [second.jwk("2")]})));
    assert_eq!(ask(&issuer, &new), "jwt:bob");
    assert_eq!(ask(&issuer, &old), "- unknown", "also one that was good a moment ago");
}

#[test]
fn unknown_keys_do_not_make_us_ask_again_and_again() {
    let signer = Signer::ed();
    let web = Web::start(ok(&json!({"keys": [signer.jwk("1")]})));
    let (issuer, _) = on_web(&web, RHYTHM);
    assert_eq!(ask(&issuer, &signer.token("1", &claims(json!({})))), "jwt:alice");
    for number in 0..20 {
        assert_eq!(ask(&issuer, &signer.token(&format!("x{number}"), &claims(json!({})))), "- unknown");
    }
    assert_eq!(web.asked(), 1);
}

#[test]
fn without_keys_nobody_passes_and_with_them_again() {
    let signer = Signer::ed();
    let token = signer.token("1", &claims(json!({})));
    let keys = json!({"keys": [signer.jwk("1")]});
    let web = Web::start(status("503 Service Unavailable"));
    let (issuer, said) = on_web(&web, NO_PAUSE);
    let elsewhere = Web::start(ok(&keys));
    for answer in [
        status("503 Service Unavailable"),
        status(&format!("302 Found\r\nlocation: {}", elsewhere.url)),
        status("204 No Content"),
        ok(&json!({"keys": []})),
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", " ".repeat(KEY_SET_BYTES_MAX + 1)),
        "nonsense\r\n\r\n".to_owned(),
    ] {
        web.set(answer.clone());
        assert_eq!(ask(&issuer, &token), "- unavailable", "{}", &answer[..40.min(answer.len())]);
    }
    assert_eq!(elsewhere.asked(), 0, "redirects are not followed");
    web.set(ok(&keys));
    assert_eq!(ask(&issuer, &token), "jwt:alice");
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 2, "once that they are gone, once that they are back: {said:?}");
    assert!(said[0].contains("503") && said[1].contains("there again"), "{said:?}");
}

#[test]
fn keys_that_are_too_old_are_not_trusted() {
    let signer = Signer::ed();
    let token = signer.token("1", &claims(json!({})));
    let web = Web::start(ok(&json!({"keys": [signer.jwk("1")]})));
    let (issuer, _) = on_web(&web, Rhythm { stale: Duration::ZERO, ..NO_PAUSE });
    for _ in 0..2 {
        assert_eq!(ask(&issuer, &token), "- unavailable");
    }
    assert!(web.asked() >= 2, "others are asked for");
}

#[test]
fn a_remembered_token_expires_all_the_same() {
    let signer = Signer::ed();
    let issuer = issuer(&json!({"keys": [signer.jwk("k")]}));
    let token = signer.token("k", &claims(json!({"exp": NOW + 10})));
    assert!(issuer.at_once(&token, at(NOW)).is_none(), "it has to be read first");
    for (seconds, expected) in [(0, "jwt:alice"), (39, "jwt:alice"), (40, "- expired"), (39, "jwt:alice")] {
        assert_eq!(ask_at(&issuer, &token, NOW + seconds), expected);
        let at_once = issuer.at_once(&token, at(NOW + seconds)).unwrap();
        assert_eq!(at_once.is_ok(), expected == "jwt:alice");
    }
    assert!(issuer.at_once(&signer.token("k", &claims(json!({}))), at(NOW)).is_none(), "another token");
}
