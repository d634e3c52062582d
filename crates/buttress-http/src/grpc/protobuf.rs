//! As much of the wire format of protocol buffers as a status needs.
//!
//! Source: "Encoding" of the protocol buffers documentation. A message is a sequence of fields; each
//! begins with its number and wire type.

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// Appends a number, unless it is zero, which is what a missing one reads as.
pub(super) fn push_number(message: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        push_varint(message, field << 3 | VARINT);
        push_varint(message, value);
    }
}

/// Appends a string, bytes or a message.
pub(super) fn push_bytes(message: &mut Vec<u8>, field: u64, value: &[u8]) {
    push_varint(message, field << 3 | LENGTH_DELIMITED);
    push_varint(message, u64::try_from(value.len()).unwrap_or(u64::MAX));
    message.extend_from_slice(value);
}

/// Seven bits a byte, the lowest first; the eighth tells that more follow.
fn push_varint(message: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            message.push(low);
            return;
        }
        message.push(low | 0x80);
    }
}

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A type that no message read here has.
    Other,
}

/// Calls `each` with every field's number and value; `None` if the message is malformed.
pub(super) fn read<'a>(mut message: &'a [u8], mut each: impl FnMut(u64, Value<'a>)) -> Option<()> {
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        let value = match tag & 7 {
            VARINT => Value::Number(take_varint(&mut message)?),
            LENGTH_DELIMITED => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                Value::Bytes(message.split_off(..length)?)
            }
            FIXED_64 => message.split_off(..8).map(|_| Value::Other)?,
            FIXED_32 => message.split_off(..4).map(|_| Value::Other)?,
            _ => return None,
        };
        each(tag >> 3, value);
    }
    Some(())
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *message.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
