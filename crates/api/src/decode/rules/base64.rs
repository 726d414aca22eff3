//! Base64 as the contract takes it: either alphabet, but not mixed, padding optional, no blanks, unused bits zero.

use ::base64::Engine;
use ::base64::alphabet;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);

/// The bytes that `text` stands for.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).ok()
}

/// `bytes` in the alphabet that is safe in addresses, padded.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE.encode(bytes)
}

/// `bytes` in the usual alphabet, padded: what data URIs hold.
pub fn encode_standard(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
