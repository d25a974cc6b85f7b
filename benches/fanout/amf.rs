//! Just enough AMF0 for the commands of both ends of the benchmark.
//!
//! ```text
//! 02 0004 70 6C 61 79      "play"
//! 00 4010000000000000      4.0
//! 05                       null
//! ```

/// An AMF0 value of the kinds that occur in the commands used here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Boolean(bool),
    String(String),
    Object(Vec<(String, Value)>),
    EcmaArray(Vec<(String, Value)>),
    Null,
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::String(text.to_owned())
    }

    pub(crate) fn object(members: &[(&str, Value)]) -> Self {
        Self::Object(owned(members))
    }

    pub(crate) fn ecma_array(members: &[(&str, Value)]) -> Self {
        Self::EcmaArray(owned(members))
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns a member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) | Self::EcmaArray(members) => {
                members.iter().find(|(n, _)| n == name).map(|(_, v)| v)
            }
            _ => None,
        }
    }
}

fn owned(members: &[(&str, Value)]) -> Vec<(String, Value)> {
    let own = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
    members.iter().map(own).collect()
}

pub(crate) fn emit(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| emit_value(value, &mut out));
    out
}

fn emit_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(number) => {
            out.push(0);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Boolean(flag) => out.extend_from_slice(&[1, u8::from(*flag)]),
        Value::String(text) => {
            out.push(2);
            emit_text(text, out);
        }
        Value::Object(members) => {
            out.push(3);
            emit_members(members, out);
        }
        Value::EcmaArray(members) => {
            out.push(8);
            out.extend_from_slice(&(members.len() as u32).to_be_bytes());
            emit_members(members, out);
        }
        Value::Null => out.push(5),
    }
}

fn emit_members(members: &[(String, Value)], out: &mut Vec<u8>) {
    for (name, value) in members {
        emit_text(name, out);
        emit_value(value, out);
    }
    out.extend_from_slice(&[0, 0, 9]);
}

fn emit_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Returns the values of a command, up to the first one that is not understood.
pub(crate) fn parse(mut bytes: &[u8]) -> Vec<Value> {
    std::iter::from_fn(|| parse_value(&mut bytes)).collect()
}

fn parse_value(bytes: &mut &[u8]) -> Option<Value> {
    Some(match take::<1>(bytes)?[0] {
        0 => Value::Number(f64::from_be_bytes(take(bytes)?)),
        1 => Value::Boolean(take::<1>(bytes)?[0] != 0),
        2 => Value::String(parse_text(bytes)?),
        3 => Value::Object(parse_members(bytes)?),
        5 | 6 => Value::Null,
        8 => {
            take::<4>(bytes)?;
            Value::EcmaArray(parse_members(bytes)?)
        }
        _ => return None,
    })
}

fn parse_members(bytes: &mut &[u8]) -> Option<Vec<(String, Value)>> {
    let mut members = Vec::new();
    loop {
        if let Some(rest) = bytes.strip_prefix(&[0, 0, 9]) {
            *bytes = rest;
            return Some(members);
        }
        members.push((parse_text(bytes)?, parse_value(bytes)?));
    }
}

fn parse_text(bytes: &mut &[u8]) -> Option<String> {
    let len = u16::from_be_bytes(take(bytes)?) as usize;
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}
