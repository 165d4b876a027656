//! PEM (RFC 7468): a file may hold several blocks, such as a key and its certificate.

/// The blocks of a text, with their labels.
pub(super) fn blocks(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(bytes);
    let mut blocks = Vec::new();
    let mut rest = &*text;
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start..];
        let Some(end) = rest.find("-----END ") else { break };
        let Some(length) = rest[end + 9..].find("-----") else { break };
        let (block, after) = rest.split_at(end + 9 + length + 5);
        if let Ok((label, der)) = pem_rfc7468::decode_vec(block.as_bytes()) {
            blocks.push((label.to_owned(), der));
        }
        rest = after;
    }
    blocks
}
