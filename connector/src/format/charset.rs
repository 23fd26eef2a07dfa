//! A body's bytes as text: by its byte order mark, by what the content type says, by an XML document's own first line; or
//! else UTF-8.

use encoding_rs::{Encoding, UTF_8};

/// Err: the bytes are no text in the encoding that is said, or that is taken for granted.
pub(super) fn decode(bytes: Vec<u8>, content_type: &str, declared: Option<&str>) -> Result<String, String> {
    if let Some((encoding, length)) = Encoding::for_bom(&bytes) {
        return decoded(encoding, bytes.get(length..).unwrap_or_default());
    }
    let labelled = label(content_type).or(declared);
    let encoding = match labelled {
        None => UTF_8,
        // A label that nobody knows is no reason to refuse what is plainly UTF-8.
        Some(label) => Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8),
    };
    // Labels are often wrong where the body is UTF-8, and hardly any other text is by chance.
    let bytes = match String::from_utf8(bytes) {
        Ok(text) if encoding.is_ascii_compatible() => return Ok(text),
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    };
    decoded(encoding, &bytes)
}

fn decoded(encoding: &'static Encoding, bytes: &[u8]) -> Result<String, String> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    text.map(std::borrow::Cow::into_owned).ok_or_else(|| match std::str::from_utf8(bytes) {
        Err(error) if encoding == UTF_8 => format!(
            "the body is not UTF-8 ({error}), and neither its content type nor its first line says what else it is"
        ),
        _ => format!("the body is not the {} that it says it is", encoding.name()),
    })
}

/// `text/csv; charset="windows-1252"`.
fn label(content_type: &str) -> Option<&str> {
    let params = content_type.split(';').skip(1).filter_map(|param| param.split_once('='));
    let charset = params.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(charset.1.trim().trim_matches(['"', '\''])).filter(|label| !label.is_empty())
}

/// The encoding in `<?xml version="1.0" encoding="ISO-8859-1"?>`.
pub(super) fn of_prolog(bytes: &[u8]) -> Option<&str> {
    let prolog = bytes.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = prolog.iter().position(|byte| *byte == b'>')?;
    let (_, behind) = std::str::from_utf8(prolog.get(..end)?).ok()?.split_once("encoding")?;
    let behind = behind.trim_start().strip_prefix('=')?.trim_start();
    let quote = behind.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    behind[1..].split_once(quote).map(|(label, _)| label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_by_what_they_say_they_are() {
        let utf_16: Vec<u8> = "\u{feff}ü".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: [(Vec<u8>, &str, &str); 12] = [
            ("ü".into(), "application/json", "ü"),
            ("\u{feff}ü".into(), "application/json", "ü"),
            (utf_16.clone(), "application/json", "ü"),
            (utf_16[2..].to_vec(), "application/json; charset=utf-16le", "ü"),
            (vec![0xfc], "application/json; charset=ISO-8859-1", "ü"),
            (vec![0xa3], "a/b; charset=latin2", "Ł"),
            (vec![0x80], "text/csv; charset=\"windows-1252\"; header=present", "€"),
            (vec![0x8d, 0x91], "a/b;Charset=Shift_JIS", "国"),
            ("ü".into(), "a/b; charset=ISO-8859-1", "ü"),
            ("ü".into(), "a/b; charset=utf8mb4", "ü"),
            ("ü".into(), "a/b; charset=", "ü"),
            (Vec::new(), "", ""),
        ];
        for (bytes, content_type, expected) in cases {
            assert_eq!(decode(bytes, content_type, None).as_deref(), Ok(expected), "{content_type}");
        }
        assert!(decode(vec![0xfc], "application/json", None).unwrap_err().contains("not UTF-8"));
        assert!(decode(vec![0xff, 0xff], "a/b; charset=Shift_JIS", None).is_err());
    }

    #[test]
    fn an_xml_document_says_its_encoding() {
        let cases: [(&[u8], Option<&str>); 5] = [
            (b"<?xml version='1.0' encoding='ISO-8859-1'?><r>\xfc</r>", Some("ISO-8859-1")),
            (b" <?xml version=\"1.0\" encoding = \"utf-8\" ?>", Some("utf-8")),
            (b"<?xml version='1.0'?>", None),
            (b"<r encoding='x'>", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(of_prolog(bytes), expected);
        }
    }
}
