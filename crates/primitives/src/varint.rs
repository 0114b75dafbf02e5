//! Numbers as LEB128: seven bits a byte, the least first, the high bit set on all bytes but the last.

/// Appends a number, 1 to 10 bytes.
#[inline]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes the number that `bytes` begins with off it; `None`, and `bytes` as it was, if it is cut off or
/// exceeds 64 bits.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let part = u64::from(byte & 0x7f);
        if at == 9 && part > 1 {
            return None;
        }
        value |= part << (7 * at);
        if *byte < 0x80 {
            *bytes = bytes.get(at + 1..)?;
            return Some(value);
        }
    }
    None
}

/// The number at `at`, and `at` past it; `None`, and `at` as it was, as for [`take`].
#[inline]
pub fn take_at(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut rest = bytes.get(*at..)?;
    let value = take(&mut rest)?;
    *at = bytes.len() - rest.len();
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_taken_and_nothing_else(value in any::<u64>(), behind in prop::collection::vec(any::<u8>(), 0..4)) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            let length = bytes.len();
            bytes.extend_from_slice(&behind);
            let mut rest = &bytes[..];
            prop_assert_eq!(take(&mut rest), Some(value));
            prop_assert_eq!(rest, &behind[..]);
            for cut in 0..length {
                let mut rest = &bytes[..cut];
                prop_assert_eq!(take(&mut rest), None);
                prop_assert_eq!(rest.len(), cut);
            }
        }
    }

    #[test]
    fn the_largest_is_taken_and_what_is_larger_is_not() {
        let mut largest = vec![0xff; 9];
        largest.push(1);
        assert_eq!(take(&mut &largest[..]), Some(u64::MAX));
        largest[9] = 2;
        assert_eq!(take(&mut &largest[..]), None);
        assert_eq!(take(&mut &[0xff; 11][..]), None);
    }
}
