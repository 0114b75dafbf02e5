//! Enough of a name to tell services apart.

/// A name's length and beginning: enough to tell most names apart without looking elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameTag([u8; Self::BYTES + 1]);

impl NameTag {
    const BYTES: usize = 22;

    pub(crate) fn of(name: &str) -> Self {
        let mut tag = [0; Self::BYTES + 1];
        let (length, beginning) = tag.split_at_mut(1);
        let kept = name.len().min(Self::BYTES);
        length.fill(name.len().min(Self::BYTES + 1) as u8);
        let bytes = name.as_bytes().get(..kept);
        if let Some((into, from)) = beginning.get_mut(..kept).zip(bytes) {
            into.copy_from_slice(from);
        }
        Self(tag)
    }

    /// Whether the whole name is in the tag.
    pub(crate) const fn is_whole(&self) -> bool {
        self.0[0] as usize <= Self::BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_names_apart_or_say_that_they_cannot() {
        let long = "a-name-that-is-longer-than-its-tag";
        assert!(NameTag::of("api").is_whole() && !NameTag::of(long).is_whole());
        assert_ne!(NameTag::of("api"), NameTag::of("api2"));
        assert_ne!(NameTag::of("a\0"), NameTag::of("a"));
        assert_ne!(NameTag::of(&long[..22]), NameTag::of(&long[..23]));
    }
}
