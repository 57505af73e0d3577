//! Signatures that others made: the examples of RFC 7515 (appendix A) and RFC 8037 (appendix A.4).

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Value, json};

use crate::ring_provider;

/// `{"iss":"joe", "exp":1300819380, "http://example.com/is_root":true}`, with line breaks.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p\
                      c19yb290Ijp0cnVlfQ";

/// Algorithm, key, message, signature.
fn vectors() -> [(Algorithm, Value, String, &'static str); 4] {
    [
        (
            Algorithm::HS256,
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
            format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}"),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            Algorithm::RS256,
            json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}),
            format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            Algorithm::ES256,
            json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
            format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            Algorithm::EdDSA,
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ]
}

#[test]
fn signatures_of_the_standards_are_right_and_no_others() {
    ring_provider::install();
    for (algorithm, jwk, message, signature) in vectors() {
        let key = DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap();
        let is_right = |message: &str, signature: &str| {
            crypto::verify(signature, message.as_bytes(), &key, algorithm).unwrap()
        };
        assert!(is_right(&message, signature), "{algorithm:?}");
        assert!(!is_right(&message[1..], signature), "{algorithm:?}");
        assert!(!is_right(&message, ""), "{algorithm:?}");
        for (_, _, _, other) in vectors() {
            assert_eq!(
                is_right(&message, other),
                other == signature,
                "{algorithm:?}"
            );
        }
    }
}

#[test]
fn a_key_verifies_no_algorithm_of_another_family() {
    ring_provider::install();
    for (own, jwk, message, signature) in vectors() {
        let key = DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap();
        for (other, ..) in vectors() {
            let verified = crypto::verify(signature, message.as_bytes(), &key, other);
            assert_eq!(verified.is_ok(), other == own, "{own:?} as {other:?}");
        }
        // Of the same family, and not brought by this provider.
        let stronger = match own {
            Algorithm::HS256 => Algorithm::HS512,
            Algorithm::RS256 => Algorithm::PS256,
            Algorithm::ES256 => Algorithm::ES384,
            _ => continue,
        };
        assert_eq!(
            crypto::verify(signature, message.as_bytes(), &key, stronger),
            Ok(false)
        );
    }
}
