//! The examples that RFC 7515 (appendix A) and RFC 8037 (appendix A) publish.

use super::*;
use crate::jose::{AlgorithmSet, Claims, KeySet};

pub(super) const RSA_N: &str = "\
    ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt\
    0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX\
    ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5\
    IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
pub(super) const RSA_D: &str = "\
    Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol\
    2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn43\
    9X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8\
    bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ";
pub(super) const RSA_P: &str = "\
    4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_\
    Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc";
pub(super) const RSA_Q: &str = "\
    uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7Tje\
    LQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc";
pub(super) const RSA_DP: &str = "\
    BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOK\
    nu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0";
pub(super) const RSA_DQ: &str = "\
    h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U\
    0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU";
pub(super) const RSA_QI: &str = "\
    IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5\
    cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U";
pub(super) const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
pub(super) const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

const SECRET_K: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

const HS256: &str = "\
    eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQo\
    gImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOE\
    jXk";
const RS256: &str = "\
    eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx\
    lLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5R\
    Zmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrn\
    byTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHW\
    EsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig\
    cN_IoypGlUPQGe77Rw";
const ES256: &str = "\
    eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx\
    lLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8I\
    SlSApmWQxfKTUJqPP3-Kg6NU1Q";
const ES512: &str = "\
    eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPW\
    ROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKv\
    U8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
const EDDSA: &str = "\
    eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09P\
    GcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
const UNSECURED: &str = "\
    eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl\
    LmNvbS9pc19yb290Ijp0cnVlfQ.";

/// The JWK of the example of appendix A.3.
pub(super) fn p256_jwk() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

pub(super) fn p521_jwk() -> Value {
    json!({
        "kty": "EC", "crv": "P-521",
        "x": "\
            AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxc\
            WceqwQGk",
        "y": "\
            ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf6\
            3e3kyMj2",
    })
}

pub(super) fn rsa_jwk() -> Value {
    json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB" })
}

pub(super) fn ed25519_jwk() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X })
}

fn set_of(jwk: &Value, algorithm: Algorithm) -> KeySet {
    let json = json!({ "keys": [jwk] }).to_string();
    KeySet::parse(json.as_bytes(), algorithm.into()).unwrap()
}

fn verifies_joes_token(text: &str, jwk: &Value, algorithm: Algorithm) {
    let set = set_of(jwk, algorithm);
    let token = Token::parse(text).unwrap();
    let verified = set.choose(token.header()).unwrap().verify(token).unwrap();
    let joe = json!({ "iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true });
    assert_eq!(verified.claims(), &Claims::parse(&b64(text.split('.').nth(1).unwrap())).unwrap());
    assert_eq!(verified.claims().value(), &joe);
}

/// The payloads of two examples are text and no claims, so only the signature is verified.
fn verifies_signature(text: &str, jwk: &Value, algorithm: Algorithm) {
    let set = set_of(jwk, algorithm);
    let token = Token::parse(text).unwrap();
    let key = set.choose(token.header()).unwrap();
    let verdict = key.verify_signature(algorithm, token.signed, &token.signature);
    assert_eq!(verdict, Ok(()));
    assert!(matches!(key.verify(token).err(), Some(TokenFault::Payload(_))));
}

#[test]
fn a1_hs256_verifies() {
    verifies_joes_token(HS256, &json!({ "kty": "oct", "k": SECRET_K }), Algorithm::Hs256);
}

#[test]
fn a2_rs256_verifies() {
    verifies_joes_token(RS256, &rsa_jwk(), Algorithm::Rs256);
}

#[test]
fn a3_es256_verifies() {
    verifies_joes_token(ES256, &p256_jwk(), Algorithm::Es256);
}

#[test]
fn a4_es512_verifies() {
    verifies_signature(ES512, &p521_jwk(), Algorithm::Es512);
}

#[test]
fn a5_the_unsecured_token_is_refused() {
    assert_eq!(Token::parse(UNSECURED).err(), Some(TokenFault::Unsigned));
}

#[test]
fn rfc_8037_eddsa_verifies() {
    verifies_signature(EDDSA, &ed25519_jwk(), Algorithm::EdDsa);
}

#[test]
fn deterministic_signatures_are_made_as_published() {
    let again = |text: &str, signer: &SigningKey| {
        let mut parts = text.split('.').map(|part| String::from_utf8(b64(part)).ok());
        let (header, payload) = (parts.next().unwrap(), parts.next().unwrap());
        signer.sign_text(&header.unwrap(), &payload.unwrap()).unwrap()
    };
    let secret = Secret::new(b64(SECRET_K));
    let hmac = SigningKey::from_secret(Algorithm::Hs256, &secret).unwrap();
    assert_eq!(again(HS256, &hmac), HS256);
    assert_eq!(again(RS256, &pair(KeyKind::Rsa).signer(Algorithm::Rs256)), RS256);
    assert_eq!(again(EDDSA, &pair(KeyKind::Ed25519).signer(Algorithm::EdDsa)), EDDSA);
}

#[test]
fn a_set_with_the_keys_of_all_examples_serves_them_all() {
    let keys = json!({ "keys": [rsa_jwk(), p256_jwk(), p521_jwk(), ed25519_jwk()] }).to_string();
    let set = KeySet::parse(keys.as_bytes(), AlgorithmSet::asymmetric()).unwrap();
    assert_eq!((set.keys().len(), set.skipped().len()), (4, 0));
    for text in [RS256, ES256, ES512, EDDSA] {
        let token = Token::parse(text).unwrap();
        let key = set.choose(token.header()).unwrap();
        let algorithm = token.header().algorithm();
        assert_eq!(key.verify_signature(algorithm, token.signed, &token.signature), Ok(()));
    }
}
