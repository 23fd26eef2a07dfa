//! A JWT signed with the client's private key (RFC 7523): RS256, ES256 or ES384, as the key is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};

/// The curves: the algorithm's name, ring's, and the curve's object identifier as DER writes it.
const CURVES: [(&str, &EcdsaSigningAlgorithm, &[u8]); 2] = [
    ("ES256", &ECDSA_P256_SHA256_FIXED_SIGNING, &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
    ("ES384", &ECDSA_P384_SHA384_FIXED_SIGNING, &[0x06, 5, 0x2b, 0x81, 4, 0, 0x22]),
];

/// `header.claims.signature`; `pem`: the private key.
pub(super) fn signed(pem: &str, claims: &Value) -> Result<String> {
    let wrong =
        |message: &str| Error::new(ErrorKind::Config, format!("the private key of the OAuth 2.0 assertion {message}"));
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| wrong("is no PEM").with_help("give an unencrypted RSA or EC key, with its BEGIN and END lines"))?;
    let key = Key::read(&key).ok_or_else(|| {
        wrong("is of a kind that can't sign").with_help("give an RSA key, or an EC key on the curve P-256 or P-384")
    })?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = json!({"alg": key.algorithm(), "typ": "JWT"}).to_string();
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = key.sign(signed.as_bytes()).ok_or_else(|| wrong("can't sign"))?;
    Ok(format!("{signed}.{}", encode(&signature)))
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(&'static str, EcdsaKeyPair),
}

impl Key {
    fn read(key: &PrivateKeyDer<'_>) -> Option<Self> {
        let der = key.secret_der();
        let rsa = match key {
            PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(der).ok(),
            PrivateKeyDer::Pkcs8(_) => RsaKeyPair::from_pkcs8(der).ok(),
            _ => None,
        };
        if let Some(pair) = rsa {
            return Some(Self::Rsa(pair));
        }
        CURVES.iter().find_map(|(name, algorithm, curve)| {
            let wrapped;
            let der = match key {
                PrivateKeyDer::Sec1(_) => {
                    wrapped = as_pkcs8(der, curve)?;
                    &wrapped
                }
                _ => der,
            };
            Some(Self::Ec(name, EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new()).ok()?))
        })
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(name, _) => name,
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ec(_, pair) => Some(pair.sign(&SystemRandom::new(), text).ok()?.as_ref().to_vec()),
        }
    }
}

/// A key as `openssl ecparam -genkey` writes it (SEC 1), in the shape that ring reads (RFC 5958).
fn as_pkcs8(sec1: &[u8], curve: &[u8]) -> Option<Vec<u8>> {
    const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    // The curve stands in front of the key; ring wants it there and nowhere else. Such a key is `SEQUENCE {1, key, [0]
    // curve, [1] public key}`.
    let parameters = [&[0xa0, u8::try_from(curve.len()).ok()?], curve].concat();
    let at = sec1.windows(parameters.len()).position(|window| window == parameters)?;
    let start = content_start(sec1)?;
    let inner = element(0x30, &[&sec1[start..at], &sec1[at + parameters.len()..]].concat())?;
    let algorithm = element(0x30, &[EC_PUBLIC_KEY, curve].concat())?;
    element(0x30, &[&[2, 1, 0][..], &algorithm, &element(4, &inner)?].concat())
}

/// Where an element's content begins.
fn content_start(der: &[u8]) -> Option<usize> {
    match *der.get(1)? {
        length @ 0x80.. => Some(2 + usize::from(length & 0x7f)),
        _ => Some(2),
    }
}

fn element(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = match content.len() {
        length @ ..0x80 => vec![u8::try_from(length).ok()?],
        length @ ..0x100 => vec![0x81, u8::try_from(length).ok()?],
        length => [vec![0x82], u16::try_from(length).ok()?.to_be_bytes().to_vec()].concat(),
    };
    Some([vec![tag], length, content.to_vec()].concat())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, UnparsedPublicKey, VerificationAlgorithm};

    use super::*;

    /// Made for this test: `openssl ecparam -genkey`, and the same key as `openssl pkcs8 -topk8` writes it.
    const P256_SEC1: &str = "MHcCAQEEIJIT/G7M89NWnAdBVoTNuQ3Ltt8snulNQIJWl17y3dMPoAoGCCqGSM49AwEHoUQDQgAEaNGNo2gpZ+tJILvsAiOR6sTO\
        g0Ejx8QST7/OHgdArrcuuCpgBrCka9+2AgfiZLpFRg99beVj8NdMiquKbAeQDA==";
    const P256_PKCS8: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkhP8bszz01acB0FWhM25Dcu23yye6U1AglaXXvLd0w+hRANCAARo\
        0Y2jaCln60kgu+wCI5HqxM6DQSPHxBJPv84eB0Cuty64KmAGsKRr37YCB+JkukVGD31t5WPw10yKq4psB5AM";
    const P256_PUBLIC: &str =
        "BGjRjaNoKWfrSSC77AIjkerEzoNBI8fEEk+/zh4HQK63LrgqYAawpGvftgIH4mS6RUYPfW3lY/DXTIqrimwHkAw=";
    const P384_SEC1: &str = "MIGkAgEBBDDlavoYF2vT2yicAk4iyOxCd5eZ0SvHTFLYcHQcelukSahHUM3NI/L7kAwAClVV9L2gBwYFK4EEACKhZANiAATYvFXE\
        Md3Tdo1awM2HoaeIJ1pn5w8TzdZPGkDYTv6vSRV0Aqn/lSbCcvL9AMGWMp9bHt/dpeTk+NdNZlDpPhTwp5qzHyTWsdNr7hnFwMnl\
        zJNc7DNDY/cX6ddvEWXy4FQ=";
    const P384_PUBLIC: &str = "BNi8VcQx3dN2jVrAzYehp4gnWmfnDxPN1k8aQNhO/q9JFXQCqf+VJsJy8v0AwZYyn1se392l5OT4101mUOk+FPCnmrMfJNax02vu\
        GcXAyeXMk1zsM0Nj9xfp128RZfLgVA==";

    fn pem(kind: &str, base64: &str) -> String {
        format!("-----BEGIN {kind}-----\n{base64}\n-----END {kind}-----\n")
    }

    #[test]
    fn the_key_says_which_algorithm() {
        let cases: [(String, &str, &'static dyn VerificationAlgorithm, &str); 3] = [
            (pem("EC PRIVATE KEY", P256_SEC1), "ES256", &ECDSA_P256_SHA256_FIXED, P256_PUBLIC),
            (pem("PRIVATE KEY", P256_PKCS8), "ES256", &ECDSA_P256_SHA256_FIXED, P256_PUBLIC),
            (pem("EC PRIVATE KEY", P384_SEC1), "ES384", &ECDSA_P384_SHA384_FIXED, P384_PUBLIC),
        ];
        for (key, algorithm, verified_by, public) in cases {
            let assertion = signed(&key, &json!({"iss": "me"})).unwrap();
            let (text, signature) = assertion.rsplit_once('.').unwrap();
            let (header, claims) = text.split_once('.').unwrap();
            let decoded =
                |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
            assert_eq!(decoded(header), json!({"alg": algorithm, "typ": "JWT"}));
            assert_eq!(decoded(claims), json!({"iss": "me"}));
            let public = UnparsedPublicKey::new(verified_by, STANDARD.decode(public).unwrap());
            public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        }
    }

    #[test]
    fn what_is_no_key_is_said_without_being_shown() {
        for text in ["hunter2", &pem("PRIVATE KEY", "aHVudGVyMg=="), &pem("EC PRIVATE KEY", "aHVudGVyMg==")] {
            let error = signed(text, &json!({})).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2") && !error.help().is_empty(), "{error:?}");
        }
    }
}
