//! A reader of boxes, the counterpart of [`boxes`](super::boxes).

use super::fields::Fields;

/// The header of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxHeader {
    /// Four letters.
    pub name: [u8; 4],
    /// The length of the header in bytes, 8 or 16.
    pub header_len: u8,
    /// The length of the box in bytes, header included.
    pub len: u64,
}

impl BoxHeader {
    /// Reads the header at the beginning of `bytes`, of which 16 are enough. `None` if it is cut, the
    /// length is less than that of the header, or is not given.
    pub fn parse(bytes: &[u8]) -> Option<BoxHeader> {
        let mut f = Fields(bytes);
        let (size, name) = (f.u32()?, f.array()?);
        let (header_len, len) = match size {
            1 => (16, f.u64()?),
            size => (8, size.into()),
        };
        (len >= u64::from(header_len)).then_some(BoxHeader {
            name,
            header_len,
            len,
        })
    }
}

/// Takes the next box: its name, the whole of it, and its body.
pub(super) fn next_box<'a>(f: &mut Fields<'a>) -> Option<([u8; 4], &'a [u8], &'a [u8])> {
    let header = BoxHeader::parse(f.0)?;
    let whole = f.take(usize::try_from(header.len).ok()?)?;
    Some((header.name, whole, whole.get(header.header_len.into()..)?))
}

/// Takes the next box, which must have this name.
pub(super) fn expect_box<'a>(f: &mut Fields<'a>, name: &[u8; 4]) -> Option<(&'a [u8], &'a [u8])> {
    let (found, whole, body) = next_box(f)?;
    (found == *name).then_some((whole, body))
}

/// Returns the first box of that name: the whole of it, and its body.
pub(super) fn find<'a>(boxes: &'a [u8], name: &[u8; 4]) -> Option<(&'a [u8], &'a [u8])> {
    let mut f = Fields(boxes);
    loop {
        let (found, whole, body) = next_box(&mut f)?;
        if found == *name {
            return Some((whole, body));
        }
    }
}
