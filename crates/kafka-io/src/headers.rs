//! Headers as they are: a name is bytes, as a value is.
//!
//! The `rdkafka` crate panics where a name is not UTF-8, and whoever may produce can send such a
//! one: nothing here reads or writes names by it. A name ends at its first NUL, because librdkafka
//! hands names out as C strings.
#![expect(
    unsafe_code,
    reason = "rdkafka's own access to headers panics; see the module's comment"
)]

use std::{
    ffi::{CStr, c_void},
    ptr::{self, NonNull},
};

pub use pipeline::ports::Header;
use rdkafka::{
    bindings as c,
    message::{BorrowedHeaders, OwnedHeaders},
};

/// Every header, in order.
pub fn all(headers: &BorrowedHeaders) -> impl DoubleEndedIterator<Item = Header<'_>> {
    (0..count(headers)).filter_map(|at| get(headers, at))
}

pub fn count(headers: &BorrowedHeaders) -> usize {
    // SAFETY: `native` is the headers' own pointer, alive as long as they are borrowed.
    unsafe { c::rd_kafka_header_cnt(native(headers)) }
}

/// The header at this place. Costs the same for every place.
pub fn get(headers: &BorrowedHeaders, at: usize) -> Option<Header<'_>> {
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    // SAFETY: as in `count`. What librdkafka hands out lives as long as the headers do, which the
    // result borrows: a name that ends with a NUL, and a value of `length` bytes or none.
    unsafe {
        let error = c::rd_kafka_header_get_all(
            native(headers),
            at,
            &raw mut name,
            &raw mut value,
            &raw mut length,
        );
        if error != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let value =
            (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), length));
        Some((CStr::from_ptr(name).to_bytes(), value))
    }
}

/// Value of the first header of this name.
pub fn first<'a>(headers: &'a BorrowedHeaders, name: &str) -> Option<&'a [u8]> {
    all(headers).find(|(found, _)| *found == name.as_bytes())?.1
}

/// Headers to send, in this order.
pub fn list<'a>(headers: impl IntoIterator<Item = Header<'a>>) -> OwnedHeaders {
    let list = OwnedHeaders::new();
    for (name, value) in headers {
        let (start, length) = match value {
            Some(value) => (value.as_ptr(), value.len()),
            None => (ptr::null(), 0),
        };
        // SAFETY: `list` is owned here and nobody else has it; librdkafka copies name and value,
        // which are alive and as long as said, before it returns.
        let error = unsafe {
            c::rd_kafka_header_add(
                native(list.as_borrowed()).cast_mut(),
                name.as_ptr().cast(),
                name.len().cast_signed(),
                start.cast::<c_void>(),
                length.cast_signed(),
            )
        };
        // Only a list that is read-only refuses one.
        debug_assert_eq!(error, c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    list
}

/// As the crate itself makes them of librdkafka's.
///
/// # Safety
///
/// The headers live as long as `'a`, and nobody changes them meanwhile.
pub(crate) unsafe fn borrowed<'a>(native: NonNull<c::rd_kafka_headers_t>) -> &'a BorrowedHeaders {
    // SAFETY: as the caller says; the type has no fields of its own.
    unsafe { native.cast().as_ref() }
}

/// The crate's type stands for librdkafka's: its address is the native one.
fn native(headers: &BorrowedHeaders) -> *const c::rd_kafka_headers_t {
    ptr::from_ref(headers).cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out() {
        let sent: [Header<'_>; 6] = [
            (b"a", None),
            (b"a", Some(b"1")),
            (b"b", Some(b"\xff\x00")),
            (b"", Some(b"")),
            (b"\xff\xfe", Some(b"no text")),
            (b"a", Some(b"2")),
        ];
        let list = list(sent);
        let read: Vec<_> = all(list.as_borrowed()).collect();
        assert_eq!(read, sent);
        assert_eq!(count(list.as_borrowed()), sent.len());
        assert_eq!(get(list.as_borrowed(), sent.len()), None);
        assert_eq!(first(list.as_borrowed(), "b"), Some(&b"\xff\x00"[..]));
        assert_eq!(first(list.as_borrowed(), "a"), None);
        assert_eq!(first(list.as_borrowed(), "c"), None);
    }
}
