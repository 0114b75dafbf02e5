//! `multipart/form-data`: query, parameters and external tables in one body.
//! Invariant: a part ends only at the boundary; its bytes are taken as they are.

use crate::exception::{Exception, Own};

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub name: String,
    /// Sent as a file, so the rows of an external table.
    pub file: bool,
    pub data: Vec<u8>,
}

/// The boundary that a `Content-Type` names, if it is a form's.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let rest = content_type.strip_prefix("multipart/form-data")?;
    let at = rest.to_ascii_lowercase().find("boundary=")?;
    let value = rest[at + "boundary=".len()..]
        .split(';')
        .next()?
        .trim()
        .trim_matches('"');
    (!value.is_empty()).then_some(value)
}

fn broken(what: &str) -> Exception {
    Exception::own(
        Own::CannotReadAllData,
        format!("Cannot read the form in the request body: {what}"),
    )
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Takes a complete form apart.
pub(crate) fn parse(body: &[u8], boundary: &str) -> Result<Vec<Part>, Exception> {
    let mark = format!("--{boundary}");
    let ending = format!("\r\n{mark}");
    let start = find(body, mark.as_bytes()).ok_or_else(|| broken("no boundary"))?;
    let mut rest = &body[start + mark.len()..];
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let head_end =
            find(rest, b"\r\n\r\n").ok_or_else(|| broken("a part without an end of its head"))?;
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        rest = &rest[head_end + 4..];
        let end = find(rest, ending.as_bytes()).ok_or_else(|| broken("a part without an end"))?;
        let disposition = head
            .lines()
            .find(|line| {
                line.to_ascii_lowercase()
                    .starts_with("content-disposition:")
            })
            .ok_or_else(|| broken("a part without a name"))?;
        let attribute = |wanted: &str| {
            disposition.split(';').skip(1).find_map(|item| {
                let (name, value) = item.trim().split_once('=')?;
                name.eq_ignore_ascii_case(wanted)
                    .then(|| value.trim_matches('"').to_owned())
            })
        };
        let name = attribute("name").ok_or_else(|| broken("a part without a name"))?;
        parts.push(Part {
            name,
            file: attribute("filename").is_some(),
            data: rest[..end].to_vec(),
        });
        rest = &rest[end + ending.len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--xy\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1\r\n--xy\r\n\
        Content-Disposition: form-data; name=\"t\"; filename=\"t.csv\"\r\nContent-Type: text/csv\r\n\r\n1\r\n2\r\n\r\n--xy--\r\n";

    #[test]
    fn parts_keep_their_bytes() {
        let parts = parse(FORM, "xy").expect("parses");
        assert_eq!(parts.len(), 2);
        assert_eq!(
            parts[0],
            Part {
                name: "query".to_owned(),
                file: false,
                data: b"SELECT 1".to_vec()
            }
        );
        assert_eq!(
            parts[1],
            Part {
                name: "t".to_owned(),
                file: true,
                data: b"1\r\n2\r\n".to_vec()
            }
        );
    }

    #[test]
    fn a_cut_form_is_refused() {
        for end in [0, 10, 60, FORM.len() - 12] {
            assert_eq!(
                parse(&FORM[..end], "xy").expect_err("is cut").code,
                33,
                "cut at {end}"
            );
        }
    }

    #[test]
    fn boundaries_come_quoted_or_not() {
        assert_eq!(
            boundary("multipart/form-data; boundary=\"a b\"; charset=x"),
            Some("a b")
        );
        assert_eq!(boundary("multipart/form-data; Boundary=ab"), Some("ab"));
        assert_eq!(boundary("text/plain; boundary=ab"), None);
    }
}
