//! The wire format of protobuf, read field by field.

/// Bytes that are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a protobuf message at byte {offset}")]
pub struct Malformed {
    /// Where.
    pub offset: usize,
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    /// Bytes, and where in the whole message they begin.
    Bytes(&'a [u8], usize),
}

/// Number, value, and the value as it is encoded.
type Field<'a> = (u64, Wire<'a>, &'a [u8]);

/// Takes fields from the front of a message.
struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// A field, and its value as it is encoded.
    fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let from = self.rest;
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| self.malformed())?;
                let offset = self.offset;
                Wire::Bytes(self.take(length)?, offset)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return Err(self.malformed()),
        };
        let value = from.get(..from.len() - self.rest.len()).unwrap_or_default();
        match key >> 3 {
            0 => Err(self.malformed()),
            number => Ok(Some((number, wire, value))),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.malformed())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.malformed())?;
        self.rest = rest;
        self.offset += length;
        Ok(taken)
    }

    fn malformed(&self) -> Malformed {
        Malformed { offset: self.offset }
    }
}

/// Calls `each` with number, value and encoded value of every field of a message, which begins at
/// `offset` of the whole.
pub(crate) fn each_field<'a, E: From<Malformed>>(
    message: &'a [u8],
    offset: usize,
    mut each: impl FnMut(u64, Wire<'a>, &'a [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader { rest: message, offset };
    while let Some((number, wire, value)) = reader.next()? {
        each(number, wire, value)?;
    }
    Ok(())
}
